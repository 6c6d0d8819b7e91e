//! The structures that the firmware describes the machine with (DMTF DSP0134, 6.1), for the tables that show them. Every
//! offset is checked: firmware is written by many, and wrong lengths are common.

use crate::reader::Scan;

const PATH: &str = "firmware/dmi/tables/DMI";

pub(super) const OEM_STRINGS: u8 = 11;
pub(super) const MEMORY_ARRAY: u8 = 16;
pub(super) const MEMORY_DEVICE: u8 = 17;
pub(super) const MEMORY_ERROR: u8 = 18;
pub(super) const MEMORY_ARRAY_MAPPED_ADDRESS: u8 = 19;
pub(super) const MEMORY_DEVICE_MAPPED_ADDRESS: u8 = 20;

/// One structure: a header of fixed fields, then its texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Structure<'a> {
    pub kind: u8,
    pub handle: u16,
    /// The fixed part.
    pub header: &'a [u8],
    /// All of it, with the texts.
    pub bytes: &'a [u8],
}

/// The firmware's bytes; empty on a machine without, and for an image.
pub(super) fn read(scan: &Scan) -> Vec<u8> {
    scan.sys_bytes(PATH).unwrap_or_default()
}

/// The structures in their order, to the first that is broken.
pub(super) fn structures(bytes: &[u8]) -> impl Iterator<Item = Structure<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [kind, length, low, high, ..] = *rest else { return None };
        let header = rest.get(..usize::from(length)).filter(|header| header.len() >= 4)?;
        // Texts follow the header and end with two zeros.
        let texts = rest[header.len()..].windows(2).position(|pair| pair == [0, 0])?;
        let (bytes, after) = rest.split_at_checked(header.len() + texts + 2)?;
        rest = after;
        Some(Structure { kind, handle: u16::from_le_bytes([low, high]), header, bytes })
    })
}

impl Structure<'_> {
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.header.get(at).copied()
    }

    pub fn word(&self, at: usize) -> Option<u16> {
        self.header.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub fn double_word(&self, at: usize) -> Option<u32> {
        self.header.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub fn quad_word(&self, at: usize) -> Option<u64> {
        self.header.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The text whose number (from 1) stands at an offset; none for number 0.
    pub fn text(&self, at: usize) -> Option<String> {
        self.text_of(self.byte(at)?)
    }

    /// The text of a number (from 1).
    pub fn text_of(&self, number: u8) -> Option<String> {
        let texts = self.bytes.get(self.header.len()..)?;
        let text = texts.split(|byte| *byte == 0).nth(usize::from(number).checked_sub(1)?)?;
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).trim().to_owned())
    }

    /// The meaning of a byte, where names count from 1.
    pub fn name(&self, at: usize, names: &'static [&'static str]) -> Option<&'static str> {
        names.get(usize::from(self.byte(at)?).checked_sub(1)?).copied()
    }

    /// The handle as osquery shows it.
    pub fn shown_handle(&self) -> String {
        shown(self.handle)
    }
}

/// A handle: `0x0012`.
pub(super) fn shown(handle: u16) -> String {
    format!("0x{handle:04X}")
}

/// A range of addresses: in KiB in four bytes each, or, where the first of them has all bits set, in bytes in eight each.
pub(super) fn addresses(structure: &Structure<'_>, extended_at: usize) -> Option<(String, String)> {
    let (start, end) = (structure.double_word(0x04)?, structure.double_word(0x08)?);
    if start != u32::MAX {
        return Some((format!("0x{start:08X}"), format!("0x{end:08X}")));
    }
    let (start, end) = (structure.quad_word(extended_at)?, structure.quad_word(extended_at + 8)?);
    Some((format!("0x{start:012X}"), format!("0x{end:012X}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn structures_end_with_their_texts() {
        let bytes = [1, 5, 0, 1, 2, b'a', 0, b'b', 0, 0, 127, 4, 1, 1, 0, 0];
        let found: Vec<Structure<'_>> = structures(&bytes).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].handle, found[0].text(4).as_deref()), (0x0100, Some("b")));
        assert_eq!(found[0].text_of(0), None);
        assert_eq!(found[1].word(4), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for structure in structures(&bytes) {
                structure.text(4);
                structure.quad_word(15);
                addresses(&structure, 0x0f);
            }
        }
    }
}
