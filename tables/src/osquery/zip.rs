//! One entry of a ZIP archive (APPNOTE 6.3.10): enough to read what a plugin in a JAR says of itself. Every offset is
//! checked and the entry's size is bounded, so an archive made to harm costs no more than its own bytes.

use std::io::Read;

use flate2::read::DeflateDecoder;

/// What an entry may grow to.
const MAX_ENTRY_BYTES: u64 = 1 << 20;
/// The end record has a comment of at most this behind it.
const MAX_COMMENT_BYTES: usize = 1 << 16;
const END_BYTES: usize = 22;
const MAX_ENTRIES: usize = 20_000;

const END: [u8; 4] = *b"PK\x05\x06";
const DIRECTORY_ENTRY: [u8; 4] = *b"PK\x01\x02";
const LOCAL_ENTRY: [u8; 4] = *b"PK\x03\x04";

const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The bytes of the entry with a name; none if there is no such entry, or it is broken or too large.
pub(super) fn entry(archive: &[u8], name: &str) -> Option<Vec<u8>> {
    let from = archive.len().checked_sub(END_BYTES)?;
    let lowest = from.saturating_sub(MAX_COMMENT_BYTES);
    let end = (lowest..=from).rev().find(|at| archive[*at..].starts_with(&END))?;
    let mut at = size(archive, end + 16)?;
    for _ in 0..usize::from(word(archive, end + 10)?).min(MAX_ENTRIES) {
        if !archive.get(at..)?.starts_with(&DIRECTORY_ENTRY) {
            return None;
        }
        let [name_bytes, extra_bytes, comment_bytes] =
            [28, 30, 32].map(|offset| word(archive, at + offset).map_or(0, usize::from));
        if archive.get(at + 46..at + 46 + name_bytes)? == name.as_bytes() {
            let (method, packed) = (word(archive, at + 10)?, size(archive, at + 20)?);
            return unpack(archive, size(archive, at + 42)?, method, packed);
        }
        at += 46 + name_bytes + extra_bytes + comment_bytes;
    }
    None
}

fn unpack(archive: &[u8], at: usize, method: u16, packed: usize) -> Option<Vec<u8>> {
    if !archive.get(at..)?.starts_with(&LOCAL_ENTRY) {
        return None;
    }
    let skipped = usize::from(word(archive, at + 26)?) + usize::from(word(archive, at + 28)?);
    let bytes = archive.get(at + 30 + skipped..)?.get(..packed)?;
    let mut unpacked = Vec::new();
    match method {
        STORED => bytes.take(MAX_ENTRY_BYTES + 1).read_to_end(&mut unpacked).ok()?,
        DEFLATED => DeflateDecoder::new(bytes).take(MAX_ENTRY_BYTES + 1).read_to_end(&mut unpacked).ok()?,
        _ => return None,
    };
    (unpacked.len() as u64 <= MAX_ENTRY_BYTES).then_some(unpacked)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

/// A size or an offset; those of ZIP64 are beyond what is read.
fn size(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().and_then(|bytes| usize::try_from(u32::from_le_bytes(*bytes)).ok())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An archive of one stored entry.
    pub fn archive(name: &str, content: &[u8]) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let name_length = &length(name.as_bytes())[..2];
        let local = [
            &LOCAL_ENTRY[..],
            &[0; 14],
            &length(content),
            &length(content),
            name_length,
            &[0; 2],
            name.as_bytes(),
            content,
        ]
        .concat();
        let entry = [
            &DIRECTORY_ENTRY[..],
            &[0; 16],
            &length(content),
            &length(content),
            name_length,
            &[0; 16],
            name.as_bytes(),
        ]
        .concat();
        let end = [&END[..], &[0; 4], &[1, 0, 1, 0], &length(&entry), &length(&local), &[0; 2]].concat();
        [local, entry, end].concat()
    }

    #[test]
    fn an_entry_is_found_by_its_name() {
        let bytes = archive("META-INF/plugin.xml", b"<a/>");
        assert_eq!(entry(&bytes, "META-INF/plugin.xml").as_deref(), Some(&b"<a/>"[..]));
        assert_eq!(entry(&bytes, "other"), None);
        assert_eq!(entry(&bytes[..40], "META-INF/plugin.xml"), None);
        assert_eq!(entry(b"", "x"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(at in 0_usize..120, byte: u8, cut in 0_usize..120) {
            let mut bytes = archive("META-INF/plugin.xml", b"<a/>");
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            entry(&bytes, "META-INF/plugin.xml");
            bytes.truncate(cut);
            entry(&bytes, "META-INF/plugin.xml");
        }
    }
}
