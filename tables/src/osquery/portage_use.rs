//! `portage_use`: the USE flags that packages of Gentoo were built with.

use super::portage;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// USE flags of installed packages, one row a flag.
    portage_use {
        package: Text,
        version: Text,
        r#use: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(portage::installed(&scan).into_iter().flat_map(move |(folder, atom)| {
        let flags = scan.text(folder.join("USE")).unwrap_or_default();
        let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
        flags.into_iter().map(move |flag| {
            let (package, version) = portage::split_version(&atom);
            row! { package, version, r#use: flag }
        })
    }))
}
