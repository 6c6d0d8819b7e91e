//! `flatpak_packages`: applications and runtimes of Flatpak, of the system and of users, from their folders: each has a link to
//! the commit that is in use, its own `metadata`, and what the software centre shows of it. Where a package came from is
//! in a binary file of Flatpak's own, which is not read.

use std::path::Path;

use super::xml::element;
use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Applications and runtimes of Flatpak, of the system and of users.
    flatpak_packages {
        name: Text,
        app_id: Text [index],
        version: Text,
        arch: Text,
        branch: Text,
        commit_hash: Text,
        origin: Text,
        runtime: Text,
        r#type: Text,
        installation: Text,
        summary: Text,
        description: Text,
        license: Text,
        homepage: Text,
        developer_name: Text,
    }
}

const SYSTEM: &str = "/var/lib/flatpak";
const USER: &str = ".local/share/flatpak";
const KINDS: [&str; 2] = ["app", "runtime"];

/// Where one package lies, below a root that may be a home folder.
struct Place<'a> {
    home: Option<&'a str>,
    folder: String,
    kind: &'static str,
    id: &'a str,
    arch: &'a str,
    branch: &'a str,
}

fn rows(scan: &Scan) -> Rows {
    let mut rows = packages(scan, None, SYSTEM);
    for user in accounts::users(scan) {
        if scan.exists(Path::new(&user.home).join(USER)) {
            rows.extend(packages(scan, Some(&user.home), USER));
        }
    }
    Box::new(rows.into_iter())
}

fn names(scan: &Scan, home: Option<&str>, folder: &str) -> Vec<String> {
    match home {
        Some(home) => scan.home_names(home, folder),
        None => scan.list(folder).into_iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect(),
    }
}

fn packages(scan: &Scan, home: Option<&str>, root: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for kind in KINDS {
        let folder = format!("{root}/{kind}");
        for id in names(scan, home, &folder) {
            for arch in names(scan, home, &format!("{folder}/{id}")).iter().filter(|name| *name != "current") {
                for branch in names(scan, home, &format!("{folder}/{id}/{arch}")) {
                    let place = Place {
                        home,
                        folder: format!("{folder}/{id}/{arch}/{branch}"),
                        kind,
                        id: &id,
                        arch,
                        branch: &branch,
                    };
                    rows.extend(describe(scan, &place));
                }
            }
        }
    }
    rows
}

fn describe(scan: &Scan, place: &Place<'_>) -> Option<Row> {
    let base = Path::new(place.home.unwrap_or("/")).join(&place.folder);
    let commit = scan.read_link(base.join("active"))?.file_name()?.to_string_lossy().into_owned();
    let file = |below: &str| {
        if let Some(home) = place.home {
            return scan.home_text(home, format!("{}/{commit}/{below}", place.folder));
        }
        scan.text(base.join(&commit).join(below))
    };
    let metadata = file("metadata").unwrap_or_default();
    let kinds = ["metainfo", "appdata"];
    let shown = kinds.iter().find_map(|kind| file(&format!("files/share/{kind}/{}.{kind}.xml", place.id)));
    let shown = shown.unwrap_or_default();
    let runtime = metadata.lines().find_map(|line| line.strip_prefix("runtime=")).map(str::to_owned);
    let release = shown.split_once("<release ").and_then(|(_, rest)| attribute(rest, "version"));
    row! {
        name: element(&shown, "name"),
        app_id: place.id,
        version: release,
        arch: place.arch,
        branch: place.branch,
        commit_hash: commit,
        runtime,
        r#type: place.kind,
        installation: if place.home.is_some() { "user" } else { "system" },
        summary: element(&shown, "summary"),
        license: element(&shown, "project_license"),
        homepage: shown.split_once("<url type=\"homepage\">").and_then(|(_, rest)| Some(rest.split_once('<')?.0.to_owned())),
        developer_name: element(&shown, "developer_name"),
    }
    .into()
}

/// The value of an attribute of the element that the text begins in.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (inside, _) = text.split_once('>')?;
    let (_, rest) = inside.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_belongs_to_its_element() {
        assert_eq!(attribute("date=\"x\" version=\"46.1\"/>", "version").as_deref(), Some("46.1"));
        assert_eq!(attribute("date=\"x\"/> <a version=\"1\">", "version"), None);
    }
}
