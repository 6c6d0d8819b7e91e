//! `hash`: digests of files. Only the digests that the query names are computed; a file is read once for all of them.

use std::io::Read;

use sha2::Digest;

use super::file::{Place, asked_paths};
use crate::functions::hex;
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

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(asked_paths(&scan).filter_map(move |place| describe(&scan, &place)))
}

fn describe(scan: &Scan, place: &Place) -> Option<Row> {
    let path = place.path.as_path();
    // What is no regular file has no digest; saying so for each would drown the rest.
    if !scan.metadata(path, Follow::Links)?.is_file() {
        return None;
    }
    let (mut reader, _) = scan.open(path, Follow::Links)?;
    let mut md5 = scan.uses("md5").then(md5::Md5::new);
    let mut sha1 = scan.uses("sha1").then(sha1::Sha1::new);
    let mut sha256 = scan.uses("sha256").then(sha2::Sha256::new);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = reader.read(&mut buffer).ok()?;
        if count == 0 {
            break;
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
