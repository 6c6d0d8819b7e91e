//! `vscode_extensions`: extensions of Visual Studio Code and its kin, from the list that each of them keeps.

use std::path::Path;

use serde_json::Value as Json;

use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Extensions of Visual Studio Code, VSCodium, Cursor, Windsurf and Trae by user.
    vscode_extensions {
        name: Text,
        uuid: Text,
        version: Text,
        path: Text,
        publisher: Text,
        publisher_id: Text,
        installed_at: BigInt,
        prerelease: Integer,
        uid: BigInt [index],
        vscode_edition: Text,
    }
}

/// Editions, and the folder of each in a home folder.
const EDITIONS: [(&str, &str); 9] = [
    ("vscode", ".vscode"),
    ("vscode_insiders", ".vscode-insiders"),
    ("vscode_server", ".vscode-server"),
    ("vscodium", ".vscode-oss"),
    ("vscodium_server", ".vscodium-server"),
    ("cursor", ".cursor"),
    ("cursor_server", ".cursor-server"),
    ("windsurf", ".windsurf"),
    ("trae", ".trae"),
];

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for user in accounts::users_asked_for(scan) {
        for (edition, folder) in EDITIONS {
            let file = format!("{folder}/extensions/extensions.json");
            if !scan.exists(Path::new(&user.home).join(&file)) {
                continue;
            }
            let list: Option<Json> = scan.home_text(&user.home, &file).and_then(|text| scan.json(&file, &text));
            let extensions = list.as_ref().and_then(Json::as_array).into_iter().flatten();
            rows.extend(extensions.filter_map(|extension| describe(extension, user.uid, edition)));
        }
    }
    Box::new(rows.into_iter())
}

fn describe(extension: &Json, uid: u32, edition: &str) -> Option<Row> {
    let text = |pointer: &str| extension.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let name = text("/identifier/id");
    if name.is_empty() {
        return None;
    }
    let flag = |pointer: &str| extension.pointer(pointer).and_then(Json::as_bool).unwrap_or(false);
    Some(row! {
        name,
        uuid: text("/identifier/uuid"),
        version: text("/version"),
        path: text("/location/path"),
        // Without the shop's record the name itself says who: `publisher.name`.
        publisher: match text("/metadata/publisherDisplayName") {
            "" => name.split('.').next().unwrap_or_default(),
            publisher => publisher,
        },
        publisher_id: text("/metadata/publisherId"),
        installed_at: extension.pointer("/metadata/installedTimestamp").and_then(Json::as_i64),
        prerelease: flag("/metadata/isPreReleaseVersion") || flag("/metadata/preRelease"),
        uid,
        vscode_edition: edition,
    })
}
