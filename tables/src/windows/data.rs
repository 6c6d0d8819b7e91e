//! The data of registry values: what a number or text is, and how osquery shows each type as text.

use crate::functions::hex;
use crate::windows::encoding::{u16_of, u32_of, u64_of, utf16};

/// Types of values (`winnt.h`).
pub(crate) mod kind {
    pub const NONE: u32 = 0;
    pub const SZ: u32 = 1;
    pub const EXPAND_SZ: u32 = 2;
    pub const BINARY: u32 = 3;
    pub const DWORD: u32 = 4;
    pub const DWORD_BIG_ENDIAN: u32 = 5;
    pub const LINK: u32 = 6;
    pub const MULTI_SZ: u32 = 7;
    pub const RESOURCE_LIST: u32 = 8;
    pub const FULL_RESOURCE_DESCRIPTOR: u32 = 9;
    pub const QWORD: u32 = 11;
}

/// osquery's word for a type.
pub(crate) const fn kind_name(kind: u32) -> &'static str {
    match kind {
        kind::NONE => "REG_NONE",
        kind::SZ => "REG_SZ",
        kind::EXPAND_SZ => "REG_EXPAND_SZ",
        kind::BINARY => "REG_BINARY",
        kind::DWORD => "REG_DWORD",
        kind::DWORD_BIG_ENDIAN => "REG_DWORD_BIG_ENDIAN",
        kind::LINK => "REG_LINK",
        kind::MULTI_SZ => "REG_MULTI_SZ",
        kind::RESOURCE_LIST => "REG_RESOURCE_LIST",
        kind::FULL_RESOURCE_DESCRIPTOR => "REG_FULL_RESOURCE_DESCRIPTOR",
        kind::QWORD => "REG_QWORD",
        _ => "UNKNOWN",
    }
}

/// The data as osquery shows it: numbers in decimal, bytes in capital hexadecimal, several texts joined by commas.
pub(crate) fn shown(kind: u32, bytes: &[u8]) -> String {
    match kind {
        kind::DWORD | kind::DWORD_BIG_ENDIAN | kind::QWORD => {
            number(kind, bytes).map(|number| number.to_string()).unwrap_or_default()
        }
        kind::MULTI_SZ => texts(bytes).join(","),
        kind::BINARY | kind::RESOURCE_LIST | kind::FULL_RESOURCE_DESCRIPTOR => hex(bytes).to_uppercase(),
        kind::NONE | kind::SZ | kind::EXPAND_SZ | kind::LINK => text(bytes),
        _ => String::new(),
    }
}

/// The number of a value of a numeric type; none if it is too short.
pub(crate) fn number(kind: u32, bytes: &[u8]) -> Option<u64> {
    match (kind, bytes.len()) {
        (kind::DWORD, 4..) => Some(u64::from(u32_of(bytes, 0))),
        (kind::DWORD_BIG_ENDIAN, 4..) => Some(u64::from(u32_of(bytes, 0).swap_bytes())),
        (kind::QWORD, 8..) => Some(u64_of(bytes, 0)),
        _ => None,
    }
}

/// Text up to its first zero.
pub(crate) fn text(bytes: &[u8]) -> String {
    let units = bytes.len() / 2;
    let end = (0..units).find(|unit| u16_of(bytes, unit * 2) == 0).unwrap_or(units);
    utf16(&bytes[..end * 2])
}

/// Several texts, each ended by a zero; an empty one ends the list.
pub(crate) fn texts(bytes: &[u8]) -> Vec<String> {
    utf16(bytes).split('\0').map(str::to_owned).take_while(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn data_is_shown_as_osquery_shows_it() {
        for (kind, bytes, expected) in [
            (kind::SZ, wide("C:\\a\0rest"), "C:\\a"),
            (kind::EXPAND_SZ, wide("%x%"), "%x%"),
            (kind::MULTI_SZ, wide("one\0two\0\0three\0"), "one,two"),
            (kind::DWORD, vec![0xff; 4], "4294967295"),
            (kind::DWORD, vec![1], ""),
            (kind::DWORD_BIG_ENDIAN, vec![0, 0, 1, 0], "256"),
            (kind::QWORD, vec![1, 0, 0, 0, 1, 0, 0, 0], "4294967297"),
            (kind::BINARY, vec![0xab, 1], "AB01"),
            (kind::NONE, Vec::new(), ""),
            (99, vec![1], ""),
            // A text that ends within a letter, and half of a pair.
            (kind::SZ, vec![b'a', 0, b'b'], "a"),
            (kind::SZ, vec![0x00, 0xd8, b'b', 0], "\u{fffd}b"),
        ] {
            assert_eq!(shown(kind, &bytes), expected, "{}", kind_name(kind));
        }
    }
}
