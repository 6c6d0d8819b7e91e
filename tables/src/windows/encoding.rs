//! How Windows writes text, names, times and numbers in its files.

/// Whether two names of keys or values are the same to Windows.
pub(crate) fn is_same_name(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || !(left.is_ascii() && right.is_ascii()) && left.chars().map(capital).eq(right.chars().map(capital))
}

/// A letter's capital, one for one as in Windows' table: of `ß` it has none.
fn capital(letter: char) -> char {
    let mut capitals = letter.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => letter,
    }
}

/// The hash of a name in a list of the kind `lh`.
pub(crate) fn hash_of(name: &str) -> u32 {
    name.bytes().fold(0, |hash, byte| hash.wrapping_mul(37).wrapping_add(u32::from(byte.to_ascii_uppercase())))
}

/// The name of a key or value: each letter a byte, or UTF-16.
pub(crate) fn decode_name(bytes: &[u8], is_bytes: bool) -> String {
    if is_bytes { bytes.iter().copied().map(char::from).collect() } else { utf16(bytes) }
}

/// Text of UTF-16 in little endian; what is none is replaced.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Seconds since 1970 of a FILETIME, which counts 100 nanoseconds since 1601.
pub(crate) fn unix_time(filetime: u64) -> i64 {
    const BETWEEN_1601_AND_1970: i64 = 11_644_473_600;
    i64::try_from(filetime / 10_000_000).map_or(0, |seconds| seconds - BETWEEN_1601_AND_1970)
}

/// A number of a fixed structure; beyond its end there are zeros.
pub(crate) fn u16_of(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// See [`u16_of`].
pub(crate) fn u32_of(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// See [`u16_of`].
pub(crate) fn u64_of(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
