//! How many days back a trend goes: `?days=`, 30 by default and a year at most.

use crate::error::{Error, Result};

/// Days that a trend shows at most.
const MOST: u16 = 366;

/// What is shown where none are asked for.
pub const fn usual() -> u16 {
    30
}

/// Refuses what no trend shows.
///
/// # Errors
/// 400 that says what may be asked for.
pub fn check(days: u16) -> Result<()> {
    if (1..=MOST).contains(&days) {
        return Ok(());
    }
    Err(Error::BadRequest(format!("days lies between 1 and {MOST}.")))
}
