//! `firefox_addons`: extensions in the profiles of Firefox.

use std::path::Path;

use serde_json::Value as Json;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Extensions of Firefox by user.
    firefox_addons {
        uid: BigInt [index],
        name: Text,
        identifier: Text [index],
        creator: Text,
        r#type: Text,
        version: Text,
        description: Text,
        source_url: Text,
        visible: Integer,
        active: Integer,
        disabled: Integer,
        autoupdate: Integer,
        location: Text,
        path: Text,
    }
}

const FOLDERS: [&str; 2] = [".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"];

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for user in accounts::users_asked_for(scan) {
        for folder in FOLDERS {
            for profile in scan.home_names(&user.home, folder) {
                let file = Path::new(folder).join(profile).join("extensions.json");
                let is_profile = scan.exists(Path::new(&user.home).join(&file));
                let text = if is_profile { scan.home_text(&user.home, &file) } else { None };
                let json: Option<Json> = text.and_then(|text| scan.json(&file, &text));
                let addons = json.as_ref().and_then(|json| json.get("addons")?.as_array());
                rows.extend(addons.into_iter().flatten().map(|addon| to_row(addon, user.uid)));
            }
        }
    }
    Box::new(rows.into_iter())
}

fn to_row(addon: &Json, uid: u32) -> Row {
    let text = |value: &Json, name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
    let flag = |name: &str| addon.get(name).and_then(Json::as_bool).unwrap_or(false);
    let locale = addon.get("defaultLocale").unwrap_or(&Json::Null);
    row! {
        uid,
        name: text(locale, "name"),
        identifier: text(addon, "id"),
        creator: text(locale, "creator"),
        r#type: text(addon, "type"),
        version: text(addon, "version"),
        description: text(locale, "description"),
        source_url: text(addon, "sourceURI"),
        visible: flag("visible"),
        active: flag("active"),
        disabled: flag("userDisabled") || flag("appDisabled"),
        autoupdate: addon.get("applyBackgroundUpdates").and_then(Json::as_i64).unwrap_or(0),
        location: text(addon, "location"),
        path: addon.get("path").and_then(Json::as_str).map(|path| paths::display(Path::new(path))),
    }
}
