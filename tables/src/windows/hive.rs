//! The reader of registry hives (`regf`), the files behind Windows' registry. It reads one cell at a time from wherever the
//! bytes are, so the size of a hive does not matter, and believes nothing that a file says about itself: every offset is checked
//! against the file and every count against the cell that it is in. A key counts as a subkey only of the one that it names as
//! its parent, and once in a list; so a hive is a tree whatever it holds, and walking it ends.

use std::collections::HashSet;
use std::fmt;

use crate::windows::encoding::{decode_name, hash_of, is_same_name, u16_of, u32_of, u64_of, unix_time};

/// The header of a hive; the cells' offsets count from its end.
const HEADER_BYTES: u64 = 4096;
/// The part of the header that its checksum covers.
const CHECKED_BYTES: usize = 508;
/// The fixed part of a key, before its name.
const KEY_BYTES: usize = 76;
/// The fixed part of a value, before its name.
const VALUE_BYTES: usize = 20;
/// Data of a value beyond this is kept in segments of this size.
const SEGMENT_BYTES: usize = 16_344;
/// What no field points to.
const NOWHERE: u32 = u32::MAX;
/// The name of a key or value is of bytes, not of UTF-16.
const KEY_NAME_IS_BYTES: u16 = 0x20;
const VALUE_NAME_IS_BYTES: u16 = 0x1;
/// Data of at most four bytes lies in the value itself.
const IS_INLINE: u32 = 0x8000_0000;
/// Windows opens no deeper key.
pub(crate) const MAX_DEPTH: usize = 512;
/// Names of keys have at most 255 letters, those of values 16,383.
const MAX_KEY_NAME_BYTES: usize = 512;
const MAX_VALUE_NAME_BYTES: usize = 32_768;
/// What tables keep of one hive for one query; of a real one it is a tenth.
const MAX_KEPT_BYTES: usize = 24 << 20;
/// The smallest cell that holds a key, with its size: a file cannot hold more keys than fit in it.
const SMALLEST_KEY_BYTES: u64 = 80;

/// Why a file cannot be read as a hive at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("it is not a registry hive")]
    NotAHive,
    #[error("its format {0}.{1} is not known")]
    Version(u32, u32),
    #[error("its root key is damaged")]
    Root,
}

/// Where the bytes of a hive are.
pub(crate) trait Storage {
    fn size(&self) -> u64;

    /// Fills the buffer from an offset on; false if the bytes are not all there or may not be read.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool;

    /// Hears why a part of the hive is left out.
    fn leaves_out(&self, why: &'static str);
}

/// An opened hive.
pub(crate) struct Hive {
    storage: Box<dyn Storage>,
    root: u32,
    /// The bytes of all cells, after the header.
    cells_bytes: u64,
    has_segments: bool,
    /// Bytes that a table has kept.
    kept: std::cell::Cell<usize>,
    /// It was not written out: its newest changes are in its transaction log only.
    pub is_dirty: bool,
}

impl fmt::Debug for Hive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hive").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A count and where the list is.
#[derive(Debug, Clone, Copy)]
struct List {
    count: u32,
    offset: u32,
}

/// A key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub name: String,
    /// When it or its values were last changed, in seconds since 1970.
    pub written: i64,
    offset: u32,
    subkeys: List,
    values: List,
}

/// A value of a key, without its data.
#[derive(Debug, Clone)]
pub(crate) struct ValueCell {
    /// Empty for the default value.
    pub name: String,
    /// The type, `REG_SZ` and the like (`winnt.h`).
    pub kind: u32,
    size: u32,
    data: u32,
}

/// The content of an allocated cell.
#[derive(Debug, Clone, Copy)]
struct Cell {
    start: u64,
    size: u32,
}

impl Hive {
    pub fn open(storage: Box<dyn Storage>) -> Result<Hive, Error> {
        let mut header = [0; CHECKED_BYTES + 4];
        if !storage.read(0, &mut header) || header[..4] != *b"regf" {
            return Err(Error::NotAHive);
        }
        let (major, minor) = (u32_of(&header, 20), u32_of(&header, 24));
        if major != 1 || !(3..=6).contains(&minor) {
            return Err(Error::Version(major, minor));
        }
        let hive = Hive {
            root: u32_of(&header, 36),
            // Not what the header says: of a hive that was not closed that may be old.
            cells_bytes: storage.size().saturating_sub(HEADER_BYTES),
            has_segments: minor >= 4,
            kept: std::cell::Cell::new(0),
            is_dirty: u32_of(&header, 4) != u32_of(&header, 8) || checksum(&header) != u32_of(&header, CHECKED_BYTES),
            storage,
        };
        hive.root().ok_or(Error::Root)?;
        Ok(hive)
    }

    pub fn root(&self) -> Option<Key> {
        self.key(self.root, None)
    }

    /// The subkeys of a key, in the order of the hive.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn subkeys<'a>(&'a self, key: &Key) -> impl Iterator<Item = Key> + use<'a> {
        let key = key.clone();
        self.places_of_subkeys(&key).into_iter().filter_map(move |place| self.subkey_at(&key, place))
    }

    /// Where the subkeys of a key are, for [`Hive::subkey_at`]: a list of numbers is smaller than the keys.
    pub fn places_of_subkeys(&self, key: &Key) -> Vec<u32> {
        self.subkey_offsets(key, None)
    }

    pub fn subkey_at(&self, key: &Key, place: u32) -> Option<Key> {
        let found = self.key(place, Some(key.offset));
        if found.is_none() {
            self.storage.leaves_out("a key is damaged");
        }
        found
    }

    /// Counts what a table keeps of the hive; false, and said, beyond what one may keep. Cells can be used many times, so that
    /// a small file could otherwise fill the memory.
    pub fn may_keep(&self, bytes: usize) -> bool {
        let kept = self.kept.get().saturating_add(bytes);
        self.kept.set(kept);
        if kept > MAX_KEPT_BYTES {
            self.storage.leaves_out("it holds more than a table may keep");
        }
        kept <= MAX_KEPT_BYTES
    }

    /// A subkey by its name; capitals do not matter.
    pub fn subkey(&self, key: &Key, name: &str) -> Option<Key> {
        let hash = name.is_ascii().then(|| hash_of(name));
        self.subkey_offsets(key, hash)
            .into_iter()
            .filter_map(|offset| self.key(offset, Some(key.offset)))
            .find(|found| is_same_name(&found.name, name))
    }

    /// The values of a key, in the order of the hive.
    pub fn values<'a>(&'a self, key: &Key) -> impl Iterator<Item = ValueCell> + use<'a> {
        let count = self.count_of_values(key);
        let key = key.clone();
        (0..count).filter_map(move |index| self.value_number(&key, index))
    }

    /// How many values the list of a key holds.
    pub fn count_of_values(&self, key: &Key) -> u32 {
        let List { count, offset } = key.values;
        let list = if count == 0 { None } else { self.cell(offset) };
        if list.is_none_or(|cell| u64::from(count) * 4 > u64::from(cell.size)) && count > 0 {
            self.storage.leaves_out("a list of values is damaged");
        }
        list.map_or(0, |cell| count.min(cell.size / 4))
    }

    /// A value by its place in the list of a key.
    pub fn value_number(&self, key: &Key, index: u32) -> Option<ValueCell> {
        let list = self.cell(key.values.offset)?;
        let value = index.checked_mul(4).and_then(|at| self.array(list, at)).map(u32::from_le_bytes);
        let value = value.and_then(|offset| self.value_at(offset));
        if value.is_none() {
            self.storage.leaves_out("a value is damaged");
        }
        value
    }

    /// A value by its name; capitals do not matter, and an empty name is the default value.
    pub fn value(&self, key: &Key, name: &str) -> Option<ValueCell> {
        self.values(key).find(|value| is_same_name(&value.name, name))
    }

    /// The data of a value, at most so many bytes of it.
    pub fn data(&self, value: &ValueCell, max_bytes: usize) -> Option<Vec<u8>> {
        let data = self.data_of(value, max_bytes);
        if data.is_none() {
            self.storage.leaves_out("the data of a value is damaged");
        }
        data
    }

    fn data_of(&self, value: &ValueCell, max_bytes: usize) -> Option<Vec<u8>> {
        let size = usize::try_from(value.size & !IS_INLINE).ok()?;
        let wanted = size.min(max_bytes);
        if value.size & IS_INLINE != 0 {
            return value.data.to_le_bytes().get(..size).and_then(|held| held.get(..wanted)).map(<[u8]>::to_vec);
        }
        if size == 0 {
            return Some(Vec::new());
        }
        let cell = self.cell(value.data)?;
        if self.has_segments && size > SEGMENT_BYTES && self.array::<2>(cell, 0)? == *b"db" {
            return self.segments(cell, size, wanted);
        }
        self.bytes(cell, 0, wanted)
    }

    fn segments(&self, cell: Cell, size: usize, wanted: usize) -> Option<Vec<u8>> {
        let count = u16::from_le_bytes(self.array(cell, 2)?);
        let list = self.cell(u32::from_le_bytes(self.array(cell, 4)?))?;
        if usize::from(count) < size.div_ceil(SEGMENT_BYTES) {
            return None;
        }
        let mut data = Vec::new();
        for index in 0..u32::from(count) {
            let left = wanted.saturating_sub(data.len());
            if left == 0 {
                break;
            }
            let segment = self.cell(u32::from_le_bytes(self.array(list, index.checked_mul(4)?)?))?;
            data.extend(self.bytes(segment, 0, left.min(SEGMENT_BYTES))?);
        }
        Some(data)
    }

    /// Reads a key. One that names another parent is not a part of the tree: following it could lead in a circle.
    fn key(&self, offset: u32, parent: Option<u32>) -> Option<Key> {
        let cell = self.cell(offset)?;
        let fixed: [u8; KEY_BYTES] = self.array(cell, 0)?;
        let is_in_place = parent.is_none_or(|parent| parent == u32_of(&fixed, 16) && offset != self.root);
        if fixed[..2] != *b"nk" || !is_in_place {
            return None;
        }
        let length = usize::from(u16_of(&fixed, 72));
        let name = if length <= MAX_KEY_NAME_BYTES { self.bytes(cell, KEY_BYTES, length)? } else { return None };
        Some(Key {
            name: decode_name(&name, u16_of(&fixed, 2) & KEY_NAME_IS_BYTES != 0),
            written: unix_time(u64_of(&fixed, 4)),
            offset,
            subkeys: List { count: u32_of(&fixed, 20), offset: u32_of(&fixed, 28) },
            values: List { count: u32_of(&fixed, 36), offset: u32_of(&fixed, 40) },
        })
    }

    fn value_at(&self, offset: u32) -> Option<ValueCell> {
        let cell = self.cell(offset)?;
        let fixed: [u8; VALUE_BYTES] = self.array(cell, 0)?;
        if fixed[..2] != *b"vk" {
            return None;
        }
        let length = usize::from(u16_of(&fixed, 2));
        let name = if length <= MAX_VALUE_NAME_BYTES { self.bytes(cell, VALUE_BYTES, length)? } else { return None };
        Some(ValueCell {
            name: decode_name(&name, u16_of(&fixed, 16) & VALUE_NAME_IS_BYTES != 0),
            kind: u32_of(&fixed, 12),
            size: u32_of(&fixed, 4),
            data: u32_of(&fixed, 8),
        })
    }

    /// Where the subkeys of a key are, each once; with a hash only those that may have it.
    fn subkey_offsets(&self, key: &Key, hash: Option<u32>) -> Vec<u32> {
        let List { count, offset } = key.subkeys;
        if count == 0 {
            return Vec::new();
        }
        let most = u64::from(count).min(self.cells_bytes / SMALLEST_KEY_BYTES);
        let mut found = Leaves {
            hive: self,
            hash,
            left: usize::try_from(most).unwrap_or(usize::MAX),
            seen: HashSet::new(),
            offsets: Vec::new(),
        };
        if found.list(offset, true).is_none() {
            self.storage.leaves_out("a list of keys is damaged");
        }
        found.offsets
    }

    /// An allocated cell that lies wholly in the file.
    fn cell(&self, offset: u32) -> Option<Cell> {
        if offset == NOWHERE || !offset.is_multiple_of(8) {
            return None;
        }
        let offset = u64::from(offset);
        let mut size = [0; 4];
        if offset + 4 > self.cells_bytes || !self.storage.read(HEADER_BYTES + offset, &mut size) {
            return None;
        }
        // Free cells have a positive size.
        let size = i32::from_le_bytes(size);
        let size = if size < 0 { size.unsigned_abs().checked_sub(4)? } else { return None };
        let is_inside = offset + 4 + u64::from(size) <= self.cells_bytes;
        is_inside.then_some(Cell { start: HEADER_BYTES + offset + 4, size })
    }

    fn array<const N: usize>(&self, cell: Cell, at: u32) -> Option<[u8; N]> {
        let end = u64::from(at) + u64::try_from(N).ok()?;
        let mut bytes = [0; N];
        let is_read = end <= u64::from(cell.size) && self.storage.read(cell.start + u64::from(at), &mut bytes);
        is_read.then_some(bytes)
    }

    fn bytes(&self, cell: Cell, at: usize, count: usize) -> Option<Vec<u8>> {
        let at = u64::try_from(at).ok()?;
        let end = at.checked_add(u64::try_from(count).ok()?)?;
        if end > u64::from(cell.size) {
            return None;
        }
        let mut bytes = vec![0; count];
        self.storage.read(cell.start + at, &mut bytes).then_some(bytes)
    }
}

/// Gathers the entries of a key's lists.
struct Leaves<'a> {
    hive: &'a Hive,
    hash: Option<u32>,
    left: usize,
    seen: HashSet<u32>,
    offsets: Vec<u32>,
}

impl Leaves<'_> {
    /// Reads one list; none if it is damaged. A list of lists (`ri`) may not hold another one.
    fn list(&mut self, offset: u32, may_nest: bool) -> Option<()> {
        let cell = self.hive.cell(offset)?;
        let [first, second, low, high] = self.hive.array(cell, 0)?;
        let width = match [first, second] {
            [b'l', b'f' | b'h'] => 8,
            [b'l', b'i'] => 4,
            [b'r', b'i'] if may_nest => 4,
            _ => return None,
        };
        for index in 0..u32::from(u16::from_le_bytes([low, high])) {
            if self.left == 0 {
                return None;
            }
            let at = 4 + index * width;
            let entry = u32::from_le_bytes(self.hive.array(cell, at)?);
            if !self.seen.insert(entry) {
                return None;
            }
            if first == b'r' {
                self.list(entry, false)?;
                continue;
            }
            self.left -= 1;
            let may_match = match (second, self.hash) {
                (b'h', Some(hash)) => u32::from_le_bytes(self.hive.array(cell, at + 4)?) == hash,
                _ => true,
            };
            if may_match {
                self.offsets.push(entry);
            }
        }
        Some(())
    }
}

fn checksum(header: &[u8]) -> u32 {
    let sum = header[..CHECKED_BYTES].as_chunks::<4>().0.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word));
    // Two sums have another meaning and are not used.
    match sum {
        u32::MAX => u32::MAX - 1,
        0 => 1,
        sum => sum,
    }
}
