//! Where hives are read from: a file below the root, through a small cache of pages and under the query's budget, or memory.

use std::cell::{Cell, RefCell};

use crate::reader::{Reader, Scan};
use crate::windows::hive::Storage;

const PAGE_BYTES: usize = 4096;
/// Pages that are kept, each at the place that its number gives: 1 MiB a hive, whatever its size.
const PAGES: usize = 256;
/// Reads between two looks at the clock: those of kept pages cost the budget nothing.
const READS_BETWEEN_CHECKS: u32 = 64;

struct Page {
    number: u64,
    bytes: Vec<u8>,
}

/// A hive in a file.
pub(crate) struct FileStorage {
    scan: Scan,
    /// As it is named in warnings.
    path: String,
    reader: Reader,
    size: u64,
    pages: RefCell<Vec<Option<Page>>>,
    reads: Cell<u32>,
}

impl FileStorage {
    pub fn new(scan: &Scan, path: String, reader: Reader, size: u64) -> Self {
        let pages = std::iter::repeat_with(|| None).take(PAGES).collect();
        FileStorage { scan: scan.clone(), path, reader, size, pages: RefCell::new(pages), reads: Cell::new(0) }
    }

    fn load(&self, number: u64) -> Option<Page> {
        let mut bytes = vec![0; PAGE_BYTES];
        let mut filled = 0;
        while filled < PAGE_BYTES {
            let offset = number.checked_mul(PAGE_BYTES as u64)?.checked_add(filled as u64)?;
            match self.reader.read_at(&mut bytes[filled..], offset) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(_) => return None,
            }
        }
        bytes.truncate(filled);
        Some(Page { number, bytes })
    }
}

impl Storage for FileStorage {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        self.reads.set(self.reads.get().wrapping_add(1));
        if self.reads.get().is_multiple_of(READS_BETWEEN_CHECKS) && !self.scan.budget().is_open() {
            return false;
        }
        let mut pages = self.pages.borrow_mut();
        let (mut offset, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let number = offset / PAGE_BYTES as u64;
            let Ok(at) = usize::try_from(offset % PAGE_BYTES as u64) else { return false };
            let Some(slot) = usize::try_from(number % PAGES as u64).ok().and_then(|slot| pages.get_mut(slot)) else {
                return false;
            };
            if slot.as_ref().is_none_or(|page| page.number != number) {
                *slot = self.load(number);
            }
            let held = slot.as_ref().and_then(|page| page.bytes.get(at..)).unwrap_or_default();
            let count = held.len().min(rest.len());
            if count == 0 {
                return false;
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&held[..count]);
            rest = later;
            offset += count as u64;
        }
        true
    }

    fn leaves_out(&self, why: &'static str) {
        if !self.scan.budget().has_failed() {
            self.scan.warn(format!("{}: {why}; what hangs on it is not shown", self.path));
        }
    }
}

/// A hive in memory.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) struct MemoryStorage(pub Vec<u8>);

#[cfg(any(test, feature = "fuzzing"))]
impl Storage for MemoryStorage {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        let held = usize::try_from(offset).ok().and_then(|start| self.0.get(start..)?.get(..buffer.len()));
        held.map(|held| buffer.copy_from_slice(held)).is_some()
    }

    fn leaves_out(&self, _: &'static str) {}
}
