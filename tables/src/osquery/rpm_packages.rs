//! `rpm_packages`: packages in the database of RPM.

use super::rpm::{self, Header, tag};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// RPM packages, from the database in SQLite.
    rpm_packages: kept {
        name: Text,
        version: Text,
        release: Text,
        source: Text,
        size: BigInt,
        sha1: Text,
        arch: Text,
        epoch: Integer,
        install_time: Integer,
        vendor: Text,
        package_group: Text,
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(rpm::headers(scan).filter_map(|header| parse(&header)))
}

fn parse(bytes: &[u8]) -> Option<Row> {
    let header = Header::new(bytes)?;
    Some(row! {
        name: header.text(tag::NAME)?,
        version: header.text(tag::VERSION),
        release: header.text(tag::RELEASE),
        source: header.text(tag::SOURCE),
        size: header.number(tag::SIZE),
        sha1: header.text(tag::SHA1),
        arch: header.text(tag::ARCH),
        epoch: header.number(tag::EPOCH),
        install_time: header.number(tag::INSTALL_TIME),
        vendor: header.text(tag::VENDOR),
        package_group: header.text(tag::GROUP),
    })
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    parse(input);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }
    }
}
