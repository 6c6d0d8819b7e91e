//! Baselines as bytes: a version, then entries of fixed size, so that thousands of things take tens of kilobytes in a
//! row of a database. Reading bounds everything by the same quotas as learning.

use std::collections::BTreeMap;

use super::asset::{Asset, Seen, Shelf};
use super::group::{Group, GroupShelf, Known};
use super::item::{FeatureId, Kind};
use super::time::{Day, WEEKS, Week};

const ASSET: u8 = 0xa1;
const GROUP: u8 = 0xb1;

/// Why bytes are no baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another kind of baseline, or a version that this program does not know.
    #[error("these bytes are not a baseline of this kind and version")]
    Unknown,
    /// They end too early, go on too long, or contradict themselves.
    #[error("the baseline is damaged; let it be learned anew")]
    Damaged,
}

impl Asset {
    /// The baseline as bytes: 26 for each entry.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ASSET];
        for (kind, Shelf { since, seen, gone: _ }) in &self.shelves {
            out.push(kind.code());
            put(&mut out, [since.0.to_be_bytes(), length(seen.len())]);
            for (FeatureId(id), Seen { copies, last, weeks, stirred }) in seen {
                out.extend_from_slice(id);
                put(&mut out, [copies.to_be_bytes(), last.0.to_be_bytes()]);
                out.extend([*weeks, *stirred]);
            }
        }
        out
    }

    /// The baseline of bytes that [`Asset::encode`] made.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::of(bytes, ASSET)?;
        let mut shelves = BTreeMap::new();
        while !input.0.is_empty() {
            let kind = input.kind()?;
            let since = Day(input.int()?);
            let count = input.count(kind.quota())?;
            let mut shelf = Shelf { since, seen: BTreeMap::new(), gone: 0 };
            for _ in 0..count {
                let id = FeatureId(input.take()?);
                let (copies, last) = (input.unsigned()?, Week(input.int()?));
                let [weeks, stirred] = input.take()?;
                shelf.gone += usize::from(copies == 0);
                unique(shelf.seen.insert(id, Seen { copies, last, weeks, stirred }))?;
            }
            unique(shelves.insert(kind, shelf))?;
        }
        Ok(Self { shelves })
    }
}

impl Group {
    /// The baseline as bytes: 25 for each entry, and 8 for each week in which some asset lost the thing.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![GROUP];
        for (kind, GroupShelf { members, since, known, has_gaps, swept }) in &self.shelves {
            out.extend([kind.code(), u8::from(*has_gaps)]);
            put(&mut out, [members.to_be_bytes(), since.0.to_be_bytes(), swept.0.to_be_bytes(), length(known.len())]);
            for (FeatureId(id), Known { there, gone, since }) in known {
                out.extend_from_slice(id);
                put(&mut out, [there.to_be_bytes(), since.0.to_be_bytes()]);
                out.push(u8::try_from(gone.len()).unwrap_or(u8::MAX));
                for (week, count) in gone {
                    put(&mut out, [week.0.to_be_bytes(), count.to_be_bytes()]);
                }
            }
        }
        out
    }

    /// The baseline of bytes that [`Group::encode`] made.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::of(bytes, GROUP)?;
        let mut shelves = BTreeMap::new();
        while !input.0.is_empty() {
            let kind = input.kind()?;
            let [has_gaps] = input.take()?;
            let (members, since, swept) = (input.unsigned()?, Day(input.int()?), Week(input.int()?));
            let count = input.count(kind.group_quota())?;
            let mut known = BTreeMap::new();
            for _ in 0..count {
                let id = FeatureId(input.take()?);
                let (there, since) = (input.unsigned()?, Day(input.int()?));
                let [weeks] = input.take()?;
                if weeks > WEEKS {
                    return Err(DecodeError::Damaged);
                }
                let mut gone = BTreeMap::new();
                for _ in 0..weeks {
                    unique(gone.insert(Week(input.int()?), input.unsigned()?))?;
                }
                unique(known.insert(id, Known { there, gone, since }))?;
            }
            unique(shelves.insert(kind, GroupShelf { members, since, known, has_gaps: has_gaps != 0, swept }))?;
        }
        Ok(Self { shelves })
    }
}

fn put<const N: usize>(out: &mut Vec<u8>, numbers: [[u8; 4]; N]) {
    out.extend(numbers.as_flattened());
}

fn length(entries: usize) -> [u8; 4] {
    u32::try_from(entries).unwrap_or(u32::MAX).to_be_bytes()
}

fn unique<T>(before: Option<T>) -> Result<(), DecodeError> {
    before.map_or(Ok(()), |_| Err(DecodeError::Damaged))
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn of(bytes: &'a [u8], version: u8) -> Result<Self, DecodeError> {
        match bytes.split_first() {
            Some((first, rest)) if *first == version => Ok(Self(rest)),
            _ => Err(DecodeError::Unknown),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn int(&mut self) -> Result<i32, DecodeError> {
        self.take().map(i32::from_be_bytes)
    }

    fn unsigned(&mut self) -> Result<u32, DecodeError> {
        self.take().map(u32::from_be_bytes)
    }

    fn count(&mut self, most: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| DecodeError::Damaged)?;
        if count > most { Err(DecodeError::Damaged) } else { Ok(count) }
    }

    fn kind(&mut self) -> Result<Kind, DecodeError> {
        let [code] = self.take()?;
        Kind::ALL.into_iter().find(|kind| kind.code() == code).ok_or(DecodeError::Damaged)
    }
}
