//! `jetbrains_plugins`: plugins that users added to editors of `JetBrains`, from what each says of itself in its archive.

use std::path::Path;

use super::xml::element;
use super::zip;
use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Plugins of editors of JetBrains by user.
    jetbrains_plugins {
        product_type: Text,
        uid: BigInt [index],
        name: Text,
        version: Text,
        vendor: Text,
        path: Text,
    }
}

/// Where the editors keep what users add; Android Studio is Google's.
const FOLDERS: [&str; 2] = [".local/share/JetBrains", ".local/share/Google"];

/// The beginning of a product's folder, such as `IntelliJIdea2024.1`, and osquery's name for it.
const PRODUCTS: [(&str, &str); 14] = [
    ("AndroidStudio", "android_studio"),
    ("Aqua", "aqua"),
    ("CLion", "clion"),
    ("DataGrip", "datagrip"),
    ("DataSpell", "dataspell"),
    ("GoLand", "goland"),
    ("IdeaIC", "intellij_idea_community"),
    ("IntelliJIdea", "intellij_idea"),
    ("PhpStorm", "phpstorm"),
    ("PyCharm", "pycharm"),
    ("Rider", "rider"),
    ("RubyMine", "rubymine"),
    ("RustRover", "rust_rover"),
    ("WebStorm", "webstorm"),
];

const DESCRIPTION: &str = "META-INF/plugin.xml";

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for user in accounts::users_asked_for(scan) {
        for folder in FOLDERS.iter().filter(|folder| scan.exists(Path::new(&user.home).join(folder))) {
            for product in scan.home_names(&user.home, folder) {
                let Some((_, product_type)) = PRODUCTS.iter().find(|(start, _)| product.starts_with(start)) else {
                    continue;
                };
                let editor = format!("{folder}/{product}");
                for plugin in scan.home_names(&user.home, &editor) {
                    let below = format!("{editor}/{plugin}");
                    let Some(Plugin { name, version, vendor }) = plugin_in(scan, &user.home, &below) else { continue };
                    let path = paths::display(&Path::new(&user.home).join(&below));
                    rows.push(row! { product_type: *product_type, uid: user.uid, name, version, vendor, path });
                }
            }
        }
    }
    Box::new(rows.into_iter())
}

struct Plugin {
    name: String,
    version: Option<String>,
    vendor: Option<String>,
}

/// A plugin is an archive, or a folder with archives in `lib`, one of which describes it.
fn plugin_in(scan: &Scan, home: &str, below: &str) -> Option<Plugin> {
    let archives = if is_archive(below) {
        vec![below.to_owned()]
    } else if scan.exists(Path::new(home).join(below).join("lib")) {
        let lib = format!("{below}/lib");
        let names = scan.home_names(home, &lib).into_iter().filter(|name| is_archive(name));
        names.map(|name| format!("{lib}/{name}")).collect()
    } else {
        Vec::new()
    };
    archives.iter().find_map(|archive| {
        let description = zip::entry(&scan.home_bytes(home, archive)?, DESCRIPTION)?;
        parse(&String::from_utf8_lossy(&description))
    })
}

fn is_archive(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("jar"))
}

/// The few elements that matter stand once, directly below the root.
fn parse(xml: &str) -> Option<Plugin> {
    Some(Plugin { name: element(xml, "name")?, version: element(xml, "version"), vendor: element(xml, "vendor") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plugin_describes_itself() {
        let plugin = parse(
            "<idea-plugin><names/><id>x</id><name>A &amp; B</name>\n<version>1.2</version><vendor email=\"a@b\"> ACME </vendor></idea-plugin>",
        )
        .unwrap();
        assert_eq!(plugin.name, "A & B");
        assert_eq!((plugin.version.as_deref(), plugin.vendor.as_deref()), (Some("1.2"), Some("ACME")));
        assert!(parse("<idea-plugin><id>x</id></idea-plugin>").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(<|/|>|name|version| |é){0,20}") {
            parse(&text);
        }
    }
}
