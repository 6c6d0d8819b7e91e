//! `lxd_certificates`: certificates of clients that LXD trusts.

use super::json::text;
use super::lxd::Lxd;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Certificates of clients that LXD trusts.
    lxd_certificates: live_only {
        name: Text,
        r#type: Text,
        fingerprint: Text,
        certificate: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let certificates = Lxd::of(scan).map(|lxd| lxd.list("certificates?recursion=1")).unwrap_or_default();
    Box::new(certificates.into_iter().map(|certificate| {
        row! {
            name: text(&certificate, "/name"),
            r#type: text(&certificate, "/type"),
            fingerprint: text(&certificate, "/fingerprint"),
            certificate: text(&certificate, "/certificate"),
        }
    }))
}
