//! A reader of bbolt's files (go.etcd.io/bbolt, version 2 of its format), in which containerd keeps what it knows: trees of keys
//! in pages, and buckets in buckets. Only pages on the way to a key are read; every page must name itself, every offset must
//! lie in its page, and no walk visits more pages than a file of this kind has. The program that owns the file may write
//! meanwhile: what does not fit together ends the walk.

use std::fs::File;

use crate::budget::Budget;
use crate::posix::FileExt;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;

const PAGE_HEADER_BYTES: usize = 16;
const ELEMENT_BYTES: usize = 16;
const BUCKET_HEADER_BYTES: usize = 16;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const IS_BUCKET: u32 = 0x01;

const MAX_PAGES: usize = 100_000;
const MAX_PAGE_BYTES: usize = 16 << 20;

/// An opened file.
pub(super) struct Bolt<'a> {
    file: &'a File,
    budget: &'a Budget,
    page_bytes: usize,
    root: u64,
}

/// A bucket: a page of its own, or one within its parent.
#[derive(Debug, Clone)]
pub(super) enum Bucket {
    Page(u64),
    Inline(Vec<u8>),
}

/// A key with its value, or with the bucket below it.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Value(Vec<u8>, Vec<u8>),
    Bucket(Vec<u8>, Bucket),
}

impl<'a> Bolt<'a> {
    /// Opens a file by the newer of its two first pages.
    pub fn open(file: &'a File, budget: &'a Budget) -> Option<Self> {
        // The second page begins where the first says how long pages are.
        let first = Self::meta(file, 0);
        let page_bytes = first.map_or(4_096, |(page_bytes, ..)| page_bytes);
        let second = Self::meta(file, page_bytes as u64);
        let newest = [first, second].into_iter().flatten().max_by_key(|(_, _, transaction)| *transaction);
        let (page_bytes, root, _) = newest?;
        Some(Bolt { file, budget, page_bytes, root })
    }

    /// The size of pages, the root and the number of the transaction.
    fn meta(file: &File, at: u64) -> Option<(usize, u64, u64)> {
        let mut page = [0; 80];
        file.read_exact_at(&mut page, at).ok()?;
        let meta = &page[PAGE_HEADER_BYTES..];
        let page_bytes = usize::try_from(u32_at(meta, 8)?).ok()?;
        let is_right = u32_at(meta, 0)? == MAGIC
            && u32_at(meta, 4)? == VERSION
            && page_bytes.is_power_of_two()
            && (1_024..=65_536).contains(&page_bytes)
            && u64_at(meta, 56)? == checksum(meta.get(..56)?);
        is_right.then_some((page_bytes, u64_at(meta, 16)?, u64_at(meta, 48)?))
    }

    pub fn root(&self) -> Bucket {
        Bucket::Page(self.root)
    }

    /// The bucket below a bucket.
    pub fn bucket(&self, parent: &Bucket, name: &[u8]) -> Option<Bucket> {
        self.entries(parent)?.into_iter().find_map(|entry| match entry {
            Entry::Bucket(key, bucket) if key == name => Some(bucket),
            _ => None,
        })
    }

    /// All entries of a bucket, in their order; none if the file is broken.
    pub fn entries(&self, bucket: &Bucket) -> Option<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut waiting = match bucket {
            Bucket::Inline(page) => {
                leaf(page, &mut entries)?;
                Vec::new()
            }
            Bucket::Page(page) => vec![*page],
        };
        for _ in 0..MAX_PAGES {
            let Some(number) = waiting.pop() else { return Some(entries) };
            let page = self.page(number)?;
            match u16_at(&page, 8)? {
                LEAF => leaf(&page, &mut entries)?,
                BRANCH => {
                    for element in (0..count(&page)?).rev() {
                        waiting.push(u64_at(&page, PAGE_HEADER_BYTES + element * ELEMENT_BYTES + 8)?);
                    }
                }
                _ => return None,
            }
        }
        None
    }

    fn page(&self, number: u64) -> Option<Vec<u8>> {
        let at = number.checked_mul(self.page_bytes as u64)?;
        let mut header = [0; PAGE_HEADER_BYTES];
        self.file.read_exact_at(&mut header, at).ok()?;
        let pages = usize::try_from(u32_at(&header, 12)?).ok()?.checked_add(1)?;
        let size = pages.checked_mul(self.page_bytes).filter(|size| *size <= MAX_PAGE_BYTES)?;
        if u64_at(&header, 0)? != number || !self.budget.spend_bytes(size) {
            return None;
        }
        let mut page = vec![0; size];
        self.file.read_exact_at(&mut page, at).ok()?;
        Some(page)
    }
}

fn count(page: &[u8]) -> Option<usize> {
    u16_at(page, 10).map(usize::from)
}

/// The entries of a page of leaves. An element counts its offset from where it stands.
fn leaf(page: &[u8], entries: &mut Vec<Entry>) -> Option<()> {
    for element in 0..count(page)? {
        let at = PAGE_HEADER_BYTES + element * ELEMENT_BYTES;
        let size = |offset: usize| usize::try_from(u32_at(page, at + offset)?).ok();
        let start = at.checked_add(size(4)?)?;
        let key = page.get(start..start.checked_add(size(8)?)?)?;
        let value = page.get(start + key.len()..(start + key.len()).checked_add(size(12)?)?)?;
        entries.push(if u32_at(page, at)? & IS_BUCKET == 0 {
            Entry::Value(key.to_vec(), value.to_vec())
        } else {
            let bucket = match u64_at(value, 0)? {
                0 => Bucket::Inline(value.get(BUCKET_HEADER_BYTES..)?.to_vec()),
                page => Bucket::Page(page),
            };
            Entry::Bucket(key.to_vec(), bucket)
        });
    }
    Some(())
}

/// FNV-1a of 64 bits, as bbolt seals its first pages.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Numbers lie in the order of the machine that wrote them; all that run containerd today have the lowest byte first.
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::budget::Limits;
    use proptest::prelude::*;
    use std::io::Write;

    /// What a bucket holds.
    pub enum Made<'a> {
        Value(&'a str, Vec<u8>),
        Bucket(&'a str, Vec<Made<'a>>),
    }

    /// A page of leaves, with the buckets below within it.
    fn page(number: u64, entries: &[Made<'_>]) -> Vec<u8> {
        let mut bytes = [
            &number.to_le_bytes()[..],
            &LEAF.to_le_bytes(),
            &u16::try_from(entries.len()).unwrap().to_le_bytes(),
            &[0; 4],
        ]
        .concat();
        let mut after = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            let (flags, key, value) = match entry {
                Made::Value(key, value) => (0_u32, key, value.clone()),
                Made::Bucket(key, below) => (IS_BUCKET, key, [&[0; BUCKET_HEADER_BYTES][..], &page(0, below)].concat()),
            };
            let offset = (entries.len() - position) * ELEMENT_BYTES + after.len();
            for word in [
                flags,
                u32::try_from(offset).unwrap(),
                u32::try_from(key.len()).unwrap(),
                u32::try_from(value.len()).unwrap(),
            ] {
                bytes.extend(word.to_le_bytes());
            }
            after.extend(key.as_bytes());
            after.extend(value);
        }
        bytes.extend(after);
        bytes
    }

    /// A file with these entries in its root.
    pub fn file(entries: &[Made<'_>]) -> Vec<u8> {
        let meta = |number: u64, transaction: u64| {
            let mut meta =
                [&MAGIC.to_le_bytes()[..], &VERSION.to_le_bytes(), &4_096_u32.to_le_bytes(), &[0; 4]].concat();
            for word in [2_u64, 0, 0, 3, transaction] {
                meta.extend(word.to_le_bytes());
            }
            meta.extend(checksum(&meta).to_le_bytes());
            let mut page = [&number.to_le_bytes()[..], &4_u16.to_le_bytes(), &[0; 6], &meta].concat();
            page.resize(4_096, 0);
            page
        };
        let mut root = page(2, entries);
        root.resize(root.len().next_multiple_of(4_096), 0);
        let overflow = u32::try_from(root.len() / 4_096 - 1).unwrap();
        root[12..16].copy_from_slice(&overflow.to_le_bytes());
        [meta(0, 1), meta(1, 2), root].concat()
    }

    fn names(bytes: &[u8]) -> Option<Vec<String>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let budget = Budget::new(Limits::default());
        let bolt = Bolt::open(&file, &budget)?;
        let below = bolt.bucket(&bolt.root(), b"v1")?;
        let entries = bolt.entries(&below)?;
        Some(
            entries
                .iter()
                .map(|(Entry::Value(key, _) | Entry::Bucket(key, _))| String::from_utf8_lossy(key).into_owned())
                .collect(),
        )
    }

    #[test]
    fn buckets_hold_keys_and_buckets() {
        let below = vec![Made::Value("a", b"1".to_vec()), Made::Bucket("b", vec![])];
        let bytes = file(&[Made::Value("other", vec![7; 9_000]), Made::Bucket("v1", below)]);
        assert_eq!(names(&bytes).unwrap(), ["a", "b"]);
        assert_eq!(names(&bytes[..9_000]), None);
        assert_eq!(names(b"no file of this kind"), None);
    }

    proptest! {
        #[test]
        fn any_damage_is_survived(at in 0_usize..8_500, byte: u8) {
            let mut bytes = file(&[Made::Bucket("v1", vec![Made::Value("a", b"1".to_vec())])]);
            bytes[at] = byte;
            names(&bytes);
        }
    }
}
