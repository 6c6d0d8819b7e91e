//! `chrome_extensions`: extensions in the profiles of Chrome and its kin, by their manifests. Their state is in a file of the
//! profile that the browser signs and rewrites; it is not read.

use std::path::Path;

use serde_json::Value as Json;

use crate::accounts::{self, User};
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Extensions of Chrome, Chromium, Brave, Edge, Opera and Vivaldi by user.
    chrome_extensions {
        browser_type: Text,
        uid: BigInt [index],
        name: Text,
        profile: Text,
        profile_path: Text,
        referenced_identifier: Text,
        identifier: Text,
        version: Text,
        description: Text,
        default_locale: Text,
        current_locale: Text,
        update_url: Text,
        author: Text,
        persistent: Integer,
        path: Text,
        permissions: Text,
        permissions_json: Text [hidden],
        optional_permissions: Text,
        optional_permissions_json: Text [hidden],
        manifest_hash: Text,
        referenced: BigInt,
        from_webstore: Text,
        state: Text,
        install_time: Text,
        install_timestamp: BigInt,
        manifest_json: Text [hidden],
        key: Text [hidden],
    }
}

/// Browsers, and where they keep their profiles.
const BROWSERS: [(&str, &str); 6] = [
    ("chrome", ".config/google-chrome"),
    ("chromium", ".config/chromium"),
    ("brave", ".config/BraveSoftware/Brave-Browser"),
    ("edge", ".config/microsoft-edge"),
    ("opera", ".config/opera"),
    ("vivaldi", ".config/vivaldi"),
];

/// An extension as it lies in a profile.
pub(super) struct Place<'a> {
    pub user: &'a User,
    pub browser: &'static str,
    pub profile_folder: String,
    profile: &'a str,
    pub identifier: String,
}

impl Place<'_> {
    /// A path below the home folder as it is on the host.
    pub fn shown(&self, below: &str) -> String {
        paths::display(&Path::new(&self.user.home).join(below))
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(of_each_extension(scan, describe).into_iter())
}

/// What is to be said of each version of each extension: where it lies below the home folder, and its manifest.
pub(super) fn of_each_extension<T: IntoIterator<Item = Row>>(
    scan: &Scan,
    describe: impl Fn(&Place<'_>, &str, &Json) -> T,
) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for user in accounts::users_asked_for(scan) {
        for (browser, folder) in BROWSERS {
            for profile in scan.home_names(&user.home, folder) {
                let profile_folder = format!("{folder}/{profile}");
                let extensions = format!("{profile_folder}/Extensions");
                if !scan.exists(Path::new(&user.home).join(&extensions)) {
                    continue;
                }
                for identifier in scan.home_names(&user.home, &extensions) {
                    let folder = format!("{extensions}/{identifier}");
                    let place = Place {
                        user: &user,
                        browser,
                        profile_folder: profile_folder.clone(),
                        profile: &profile,
                        identifier,
                    };
                    for version in scan.home_names(&user.home, &folder) {
                        let below = format!("{folder}/{version}");
                        let text = scan.home_text(&user.home, format!("{below}/manifest.json"));
                        if let Some(manifest) = text.and_then(|text| scan.json(&below, &text)) {
                            rows.extend(describe(&place, &below, &manifest));
                        }
                    }
                }
            }
        }
    }
    rows
}

fn describe(place: &Place<'_>, below: &str, manifest: &Json) -> Option<Row> {
    let text = |name: &str| manifest.get(name).and_then(Json::as_str);
    let list = |name: &str| {
        let entries = manifest.get(name).and_then(Json::as_array);
        entries.into_iter().flatten().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
    };
    let update_url = text("update_url").unwrap_or_default();
    Some(row! {
        browser_type: place.browser,
        uid: place.user.uid,
        name: text("name")?,
        profile: place.profile,
        profile_path: place.shown(&place.profile_folder),
        referenced_identifier: place.identifier.as_str(),
        identifier: place.identifier.as_str(),
        version: text("version"),
        description: text("description"),
        default_locale: text("default_locale"),
        update_url,
        author: text("author"),
        persistent: manifest.pointer("/background/persistent").and_then(Json::as_bool).unwrap_or(true),
        path: place.shown(below),
        permissions: list("permissions"),
        optional_permissions: list("optional_permissions"),
        from_webstore: if update_url.contains("clients2.google.com") { "true" } else { "false" },
        key: text("key"),
    })
}
