//! `containerd_images`: images that containerd keeps, from its own database on disk: neither its socket nor a network is
//! needed, and a node's root that is mounted elsewhere shows the same.

use super::bolt::{Bolt, Bucket, Entry};
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Images that containerd keeps; size is that of the manifest or index that the name stands for.
    containerd_images {
        namespace: Text,
        name: Text,
        digest: Text,
        media_type: Text,
        size: BigInt,
        created_at: BigInt,
        updated_at: BigInt,
    }
}

/// By distribution.
const DATABASES: [&str; 4] = [
    "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
    "/var/lib/rancher/k3s/agent/containerd/io.containerd.metadata.v1.bolt/meta.db",
    "/var/lib/docker/containerd/daemon/io.containerd.metadata.v1.bolt/meta.db",
    "/var/snap/microk8s/common/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
];

/// Seconds from the year 1, where Go counts from, to 1970.
const YEAR_1: i64 = 62_135_596_800;

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for path in DATABASES {
        if !scan.exists(path) {
            continue;
        }
        let Some((reader, _)) = scan.open(path, Follow::Links) else { continue };
        match Bolt::open(reader.descriptor(), scan.budget()).and_then(|bolt| images(&bolt)) {
            Some(found) => rows.extend(found),
            None if scan.budget().has_failed() => {}
            None => scan.warn(format!("{path} cannot be read: it is broken, or was written at this moment")),
        }
    }
    Box::new(rows.into_iter())
}

/// `v1/<namespace>/images/<name>/target`; none if the file is broken.
fn images(bolt: &Bolt<'_>) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    let Some(version) = bolt.bucket(&bolt.root(), b"v1") else { return Some(rows) };
    for (namespace, below) in buckets(bolt, &version)? {
        let Some(images) = bolt.bucket(&below, b"images") else { continue };
        for (name, image) in buckets(bolt, &images)? {
            rows.push(describe(bolt, &namespace, &name, &image)?);
        }
    }
    Some(rows)
}

fn buckets(bolt: &Bolt<'_>, parent: &Bucket) -> Option<Vec<(String, Bucket)>> {
    let below = bolt.entries(parent)?.into_iter().filter_map(|entry| match entry {
        Entry::Bucket(key, bucket) => Some((String::from_utf8_lossy(&key).into_owned(), bucket)),
        Entry::Value(..) => None,
    });
    Some(below.collect())
}

fn describe(bolt: &Bolt<'_>, namespace: &str, name: &str, image: &Bucket) -> Option<Row> {
    let own = bolt.entries(image)?;
    let target = match bolt.bucket(image, b"target") {
        Some(target) => bolt.entries(&target)?,
        None => Vec::new(),
    };
    let text = |key: &str| value(&target, key).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Some(row! {
        namespace,
        name,
        digest: text("digest"),
        media_type: text("mediatype"),
        size: value(&target, "size").and_then(variable_number),
        created_at: value(&own, "createdat").and_then(time),
        updated_at: value(&own, "updatedat").and_then(time),
    })
}

fn value<'a>(entries: &'a [Entry], name: &str) -> Option<&'a [u8]> {
    entries.iter().find_map(|entry| match entry {
        Entry::Value(key, value) if key == name.as_bytes() => Some(value.as_slice()),
        _ => None,
    })
}

/// A signed number of Go's `encoding/binary`: seven bits a byte, the lowest first, the sign in the lowest bit.
fn variable_number(bytes: &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for (position, byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(u32::try_from(position).ok()?.checked_mul(7)?)?;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}

/// A time as Go writes it: a version, seconds since the year 1, nanoseconds, and minutes east of Greenwich.
fn time(bytes: &[u8]) -> Option<i64> {
    let seconds = i64::from_be_bytes(*bytes.get(1..)?.first_chunk()?);
    seconds.checked_sub(YEAR_1)
}

#[cfg(test)]
mod tests {
    use super::super::bolt::tests::{Made, file};
    use super::*;
    use crate::budget::{Budget, Limits};
    use proptest::prelude::*;
    use std::io::Write;

    #[test]
    fn an_image_has_a_name_and_a_target() {
        let target = vec![
            Made::Value("digest", b"sha256:77aa".to_vec()),
            Made::Value("mediatype", b"application/vnd.oci.image.manifest.v1+json".to_vec()),
            Made::Value("size", vec![0xf0, 0x07]),
        ];
        let created = [&[1][..], &(YEAR_1 + 60).to_be_bytes(), &[0; 6]].concat();
        let image = vec![Made::Value("createdat", created), Made::Bucket("target", target)];
        let images_of = vec![Made::Bucket("images", vec![Made::Bucket("docker.io/library/nginx:1", image)])];
        let bytes =
            file(&[Made::Bucket("v1", vec![Made::Value("version", vec![4]), Made::Bucket("k8s.io", images_of)])]);
        let mut database = tempfile::tempfile().unwrap();
        database.write_all(&bytes).unwrap();
        let budget = Budget::new(Limits::default());
        let rows = images(&Bolt::open(&database, &budget).unwrap()).unwrap();
        let shown: Vec<String> = rows[0].0.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..3], ["k8s.io", "docker.io/library/nginx:1", "sha256:77aa"]);
        assert_eq!(shown[4..], ["504", "60", ""]);
    }

    proptest! {
        #[test]
        fn any_number_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            variable_number(&bytes);
            time(&bytes);
        }
    }
}
