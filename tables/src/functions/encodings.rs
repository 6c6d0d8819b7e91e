//! Digests and base64. A digest is of the bytes as they are stored; osquery's stops at the first zero byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::functions::Context;
use rusqlite::{Connection, Result};
use sha2::Digest;

use super::{PURE, bytes};

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("md5", 1, PURE, digest::<md5::Md5>)?;
    connection.create_scalar_function("sha1", 1, PURE, digest::<sha1::Sha1>)?;
    connection.create_scalar_function("sha256", 1, PURE, digest::<sha2::Sha256>)?;
    connection.create_scalar_function("to_base64", 1, PURE, |context| {
        Ok(bytes(context, 0).map(|bytes| STANDARD.encode(bytes)))
    })?;
    // What is no base64 decodes to empty text, as in osquery.
    connection.create_scalar_function("from_base64", 1, PURE, |context| {
        Ok(bytes(context, 0).map(|encoded| {
            let compact: Vec<u8> = encoded.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let decoded = STANDARD.decode(compact).unwrap_or_default();
            String::from_utf8_lossy(&decoded).into_owned()
        }))
    })?;
    connection.create_scalar_function("conditional_to_base64", 1, PURE, |context| {
        Ok(bytes(context, 0).map(|bytes| match std::str::from_utf8(&bytes) {
            Ok(text) if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) => text.to_owned(),
            _ => STANDARD.encode(bytes),
        }))
    })
}

#[allow(clippy::unnecessary_wraps)] // the shape of an SQL function
fn digest<D: Digest>(context: &Context<'_>) -> Result<Option<String>> {
    Ok(bytes(context, 0).map(|bytes| hex(&D::digest(&bytes))))
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}
