//! `portage_packages`: packages of Gentoo, from `/var/db/pkg`.

use super::portage;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Packages that Portage installed; world is 1 for those asked for by name.
    portage_packages {
        package: Text,
        version: Text,
        slot: Text,
        build_time: BigInt,
        repository: Text,
        eapi: BigInt,
        size: BigInt,
        world: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let packages = portage::installed(scan);
    let world = if packages.is_empty() { None } else { scan.text("/var/lib/portage/world") }.unwrap_or_default();
    let scan = scan.clone();
    Box::new(packages.into_iter().map(move |(folder, atom)| {
        let value = |file: &str| scan.text(folder.join(file)).map(|text| text.trim().to_owned());
        let number = |file: &str| value(file).and_then(|text| text.parse::<i64>().ok());
        let (package, version) = portage::split_version(&atom);
        row! {
            package,
            version,
            slot: value("SLOT"),
            build_time: number("BUILD_TIME"),
            repository: value("repository"),
            eapi: number("EAPI"),
            size: number("SIZE"),
            world: world.lines().any(|line| line.split(':').next() == Some(package)),
        }
    }))
}
