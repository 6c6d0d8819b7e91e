//! `lxd_images`: images that LXD keeps.

use serde_json::Value as Json;

use super::json::{flag, list, number, text};
use super::lxd::Lxd;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Images that LXD keeps; id is the fingerprint.
    lxd_images: live_only {
        id: Text [index],
        architecture: Text,
        os: Text,
        release: Text,
        description: Text,
        aliases: Text,
        filename: Text,
        size: BigInt,
        auto_update: Integer,
        cached: Integer,
        public: Integer,
        created_at: Text,
        expires_at: Text,
        uploaded_at: Text,
        last_used_at: Text,
        update_source_server: Text,
        update_source_protocol: Text,
        update_source_certificate: Text,
        update_source_alias: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let images = Lxd::of(scan).map(|lxd| lxd.list("images?recursion=1")).unwrap_or_default();
    Box::new(images.into_iter().map(|image| describe(&image)))
}

fn describe(image: &Json) -> Row {
    let aliases: Vec<&str> = list(image, "/aliases").iter().filter_map(|alias| text(alias, "/name")).collect();
    row! {
        id: text(image, "/fingerprint"),
        architecture: text(image, "/architecture"),
        os: text(image, "/properties/os"),
        release: text(image, "/properties/release"),
        description: text(image, "/properties/description"),
        aliases: aliases.join(","),
        filename: text(image, "/filename"),
        size: number(image, "/size"),
        auto_update: flag(image, "/auto_update"),
        cached: flag(image, "/cached"),
        public: flag(image, "/public"),
        created_at: text(image, "/created_at"),
        expires_at: text(image, "/expires_at"),
        uploaded_at: text(image, "/uploaded_at"),
        last_used_at: text(image, "/last_used_at"),
        update_source_server: text(image, "/update_source/server"),
        update_source_protocol: text(image, "/update_source/protocol"),
        update_source_certificate: text(image, "/update_source/certificate"),
        update_source_alias: text(image, "/update_source/alias"),
    }
}
