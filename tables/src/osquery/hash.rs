//! `hash`: digests of files. Only the digests that the query names are computed; a file is read once for all of them.

use std::io::Read;

use sha2::Digest;

use crate::constraints::Operator;
use crate::functions::hex;
use crate::places::{self, Place};
use crate::reader::{CHUNK_BYTES, Scan};
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Digests of regular files, by path or folder.
    hash: any_required {
        path: Text [required],
        directory: Text [required],
        md5: Text,
        sha1: Text,
        sha256: Text,
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
    }
}

/// Of a longer file there is no digest: one of them must not use up the time of all.
const MAX_FILE_BYTES: u64 = 1 << 30;

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(places::asked_for(&scan).filter_map(move |place| describe(&scan, &place)))
}

fn describe(scan: &Scan, place: &Place) -> Option<Row> {
    let path = place.path.as_path();
    let found = scan.metadata(path, Follow::Links)?;
    if !found.is_file() {
        // Saying so for each in a folder would drown the rest.
        if !found.is_dir() && scan.texts("path", Operator::Equals).contains(&place.shown) {
            scan.warn(format!("{} is not a regular file", place.shown));
        }
        return None;
    }
    if found.size > MAX_FILE_BYTES {
        scan.warn(format!("{} is longer than {} MiB; it has no digest", place.shown, MAX_FILE_BYTES >> 20));
        return None;
    }
    let (mut reader, _) = scan.open(path, Follow::Links)?;
    let mut md5 = scan.uses("md5").then(md5::Md5::new);
    let mut sha1 = scan.uses("sha1").then(sha1::Sha1::new);
    let mut sha256 = scan.uses("sha256").then(sha2::Sha256::new);
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut read_bytes = 0;
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => {
                // What ends the query is said by it.
                if !scan.budget().has_failed() {
                    scan.warn(format!("cannot read {}: {error}", place.shown));
                }
                return None;
            }
        };
        if count == 0 {
            break;
        }
        read_bytes += count as u64;
        if read_bytes > MAX_FILE_BYTES {
            scan.warn(format!("{} is longer than {} MiB; it has no digest", place.shown, MAX_FILE_BYTES >> 20));
            return None;
        }
        let chunk = &buffer[..count];
        md5.as_mut().into_iter().for_each(|digest| digest.update(chunk));
        sha1.as_mut().into_iter().for_each(|digest| digest.update(chunk));
        sha256.as_mut().into_iter().for_each(|digest| digest.update(chunk));
    }
    Some(row! {
        path: place.shown.as_str(),
        directory: place.directory.as_str(),
        md5: md5.map(|digest| hex(&digest.finalize())),
        sha1: sha1.map(|digest| hex(&digest.finalize())),
        sha256: sha256.map(|digest| hex(&digest.finalize())),
    })
}
