//! Writes registry hives with known content, from the public descriptions of the format: the reader is tested against what was
//! meant, not against what it understood. Only for tests; cells are laid out one after the other in a single bin.
#![allow(dead_code)] // each test uses its part

/// A FILETIME, the first second of 2021, and the same in seconds since 1970.
pub const WRITTEN: u64 = 132_539_328_000_000_000;
pub const WRITTEN_UNIX: i64 = 1_609_459_200;

const HEADER_BYTES: usize = 4096;
const BIN_HEADER_BYTES: usize = 32;
const SEGMENT_BYTES: usize = 16_344;
const NOWHERE: u32 = u32::MAX;
/// Subkeys of one list when the list is split.
const SPLIT_AT: usize = 100;

/// How the subkeys of a key are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lists {
    Plain,
    Hinted,
    Hashed,
    /// A list of hashed lists.
    Split,
}

/// A key to write.
#[derive(Debug, Clone)]
pub struct Key {
    name: String,
    values: Vec<(String, u32, Vec<u8>)>,
    keys: Vec<Key>,
    lists: Lists,
}

pub fn key(name: &str) -> Key {
    Key { name: name.to_owned(), values: Vec::new(), keys: Vec::new(), lists: Lists::Hashed }
}

/// Text as Windows stores it, with its zero.
pub fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

impl Key {
    #[must_use]
    pub fn value(mut self, name: &str, kind: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.values.push((name.to_owned(), kind, bytes.into()));
        self
    }

    #[must_use]
    pub fn text(self, name: &str, text: &str) -> Self {
        self.value(name, 1, wide(text))
    }

    #[must_use]
    pub fn texts(self, name: &str, texts: &[&str]) -> Self {
        let mut bytes: Vec<u8> = texts.iter().flat_map(|text| wide(text)).collect();
        bytes.extend([0, 0]);
        self.value(name, 7, bytes)
    }

    #[must_use]
    pub fn number(self, name: &str, number: u32) -> Self {
        self.value(name, 4, number.to_le_bytes())
    }

    #[must_use]
    pub fn with(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    #[must_use]
    pub fn listed(mut self, lists: Lists) -> Self {
        self.lists = lists;
        self
    }

    /// Puts a key at a path below, making the keys on the way; one that is there already gets its content.
    #[must_use]
    pub fn at(mut self, path: &str, content: Key) -> Self {
        let (first, rest) = path.split_once('\\').unwrap_or((path, ""));
        let position = self.keys.iter().position(|known| known.name.eq_ignore_ascii_case(first));
        let mut child = position.map_or_else(|| key(first), |position| self.keys.remove(position));
        if rest.is_empty() {
            child.values.extend(content.values);
            child.keys.extend(content.keys);
            child.lists = content.lists;
        } else {
            child = child.at(rest, content);
        }
        self.keys.push(child);
        self
    }

    /// The bytes of a hive with this key as its root.
    pub fn hive(&self) -> Vec<u8> {
        let mut cells = Cells { bytes: vec![0; BIN_HEADER_BYTES] };
        let security = cells.add(&security());
        let root = cells.key(self, NOWHERE, security);
        cells.finish(root)
    }
}

struct Cells {
    bytes: Vec<u8>,
}

impl Cells {
    /// Adds a cell and gives its offset.
    fn add(&mut self, content: &[u8]) -> u32 {
        let offset = self.bytes.len();
        let size = (content.len() + 4).next_multiple_of(8);
        self.bytes.extend((-i32::try_from(size).unwrap()).to_le_bytes());
        self.bytes.extend(content);
        self.bytes.resize(offset + size, 0);
        u32::try_from(offset).unwrap()
    }

    fn put(&mut self, cell: u32, at: usize, number: u32) {
        let start = usize::try_from(cell).unwrap() + 4 + at;
        self.bytes[start..start + 4].copy_from_slice(&number.to_le_bytes());
    }

    fn key(&mut self, key: &Key, parent: u32, security: u32) -> u32 {
        let (name, is_bytes) = stored(&key.name);
        let flags: u16 = if is_bytes { 0x20 } else { 0 } | if parent == NOWHERE { 0xc } else { 0 };
        let mut content = b"nk".to_vec();
        content.extend(flags.to_le_bytes());
        content.extend(WRITTEN.to_le_bytes());
        content.extend(0_u32.to_le_bytes());
        for number in [
            parent,
            u32::try_from(key.keys.len()).unwrap(),
            0,
            NOWHERE,
            NOWHERE,
            u32::try_from(key.values.len()).unwrap(),
            NOWHERE,
            security,
            NOWHERE,
            0,
            0,
            0,
            0,
            0,
        ] {
            content.extend(number.to_le_bytes());
        }
        content.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        content.extend(0_u16.to_le_bytes());
        content.extend(&name);
        let offset = self.add(&content);
        if !key.values.is_empty() {
            let list: Vec<u8> =
                key.values.iter().flat_map(|(name, kind, data)| self.value(name, *kind, data).to_le_bytes()).collect();
            let list = self.add(&list);
            self.put(offset, 40, list);
        }
        if !key.keys.is_empty() {
            let mut keys: Vec<&Key> = key.keys.iter().collect();
            keys.sort_by_key(|key| key.name.to_uppercase());
            let entries: Vec<(u32, &str)> =
                keys.into_iter().map(|child| (self.key(child, offset, security), child.name.as_str())).collect();
            let list = self.list(&entries, key.lists);
            self.put(offset, 28, list);
        }
        offset
    }

    fn list(&mut self, entries: &[(u32, &str)], lists: Lists) -> u32 {
        let count = |number: usize| u16::try_from(number).unwrap().to_le_bytes();
        let mut content = Vec::new();
        match lists {
            Lists::Plain => {
                content.extend(b"li");
                content.extend(count(entries.len()));
                content.extend(entries.iter().flat_map(|(offset, _)| offset.to_le_bytes()));
            }
            Lists::Hinted | Lists::Hashed => {
                content.extend(if lists == Lists::Hinted { b"lf" } else { b"lh" });
                content.extend(count(entries.len()));
                for (offset, name) in entries {
                    content.extend(offset.to_le_bytes());
                    if lists == Lists::Hinted {
                        let mut hint = name.as_bytes().to_vec();
                        hint.resize(4, 0);
                        content.extend(hint);
                    } else {
                        content.extend(hash(name).to_le_bytes());
                    }
                }
            }
            Lists::Split => {
                let parts: Vec<u32> = entries.chunks(SPLIT_AT).map(|part| self.list(part, Lists::Hashed)).collect();
                content.extend(b"ri");
                content.extend(count(parts.len()));
                content.extend(parts.into_iter().flat_map(u32::to_le_bytes));
            }
        }
        self.add(&content)
    }

    fn value(&mut self, name: &str, kind: u32, data: &[u8]) -> u32 {
        let (name, is_bytes) = stored(name);
        let length = u32::try_from(data.len()).unwrap();
        let (size, place) = if data.len() <= 4 {
            let mut inline = data.to_vec();
            inline.resize(4, 0);
            (length | 0x8000_0000, u32::from_le_bytes(inline.try_into().unwrap()))
        } else if data.len() <= SEGMENT_BYTES {
            (length, self.add(data))
        } else {
            (length, self.segments(data))
        };
        let mut content = b"vk".to_vec();
        content.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        for number in [size, place, kind] {
            content.extend(number.to_le_bytes());
        }
        content.extend(u16::from(is_bytes).to_le_bytes());
        content.extend(0_u16.to_le_bytes());
        content.extend(&name);
        self.add(&content)
    }

    fn segments(&mut self, data: &[u8]) -> u32 {
        let parts: Vec<u32> = data.chunks(SEGMENT_BYTES).map(|part| self.add(part)).collect();
        let list: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
        let list = self.add(&list);
        let mut content = b"db".to_vec();
        content.extend(u16::try_from(parts.len()).unwrap().to_le_bytes());
        content.extend(list.to_le_bytes());
        content.extend(0_u32.to_le_bytes());
        self.add(&content)
    }

    fn finish(mut self, root: u32) -> Vec<u8> {
        // The rest of the bin is one free cell.
        let used = self.bytes.len();
        let size = (used + 8).next_multiple_of(4096);
        self.bytes.extend(i32::try_from(size - used).unwrap().to_le_bytes());
        self.bytes.resize(size, 0);
        self.bytes[..4].copy_from_slice(b"hbin");
        self.bytes[8..12].copy_from_slice(&u32::try_from(size).unwrap().to_le_bytes());
        let mut hive = vec![0; HEADER_BYTES];
        hive[..4].copy_from_slice(b"regf");
        for (at, number) in [
            (4, 1),
            (8, 1),
            (20, 1),
            (24, 5),
            (28, 0),
            (32, 1),
            (36, root),
            (40, u32::try_from(size).unwrap()),
            (44, 1),
        ] {
            hive[at..at + 4].copy_from_slice(&u32::to_le_bytes(number));
        }
        hive[12..20].copy_from_slice(&WRITTEN.to_le_bytes());
        let sum = hive[..508].chunks(4).fold(0, |sum, word| sum ^ u32::from_le_bytes(word.try_into().unwrap()));
        hive[508..512].copy_from_slice(&sum.to_le_bytes());
        hive.extend(self.bytes);
        hive
    }
}

/// A security descriptor that says nothing.
fn security() -> Vec<u8> {
    let mut content = b"sk\0\0".to_vec();
    // Links to itself, its uses, and its length.
    for number in [32_u32, 32, 1, 20] {
        content.extend(number.to_le_bytes());
    }
    content.extend([1, 0, 0, 0x80]);
    content.extend([0; 16]);
    content
}

fn hash(name: &str) -> u32 {
    name.to_uppercase().encode_utf16().fold(0, |hash, unit| hash.wrapping_mul(37).wrapping_add(u32::from(unit)))
}

/// A name as it is stored, and whether it is of bytes.
fn stored(name: &str) -> (Vec<u8>, bool) {
    let bytes: Option<Vec<u8>> = name.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect();
    match bytes {
        Some(bytes) => (bytes, true),
        None => (name.encode_utf16().flat_map(u16::to_le_bytes).collect(), false),
    }
}
