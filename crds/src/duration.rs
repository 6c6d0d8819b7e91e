//! Lengths of time as people write them in a manifest: `30s`, `15m`, `6h`, `30d`, `7y`. A year is 365 days, so that every
//! value has one length; calendars are not consulted.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::schema;

/// What the API server accepts as a duration.
pub const PATTERN: &str = "^[1-9][0-9]{0,4}(s|m|h|d|y)$";

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// A length of time between one second and 99999 years, kept as it was written.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Years,
}

/// Why a text is no duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("'{0}' is not a duration: write a whole number from 1 to 99999 and one of s, m, h, d or y, such as 30d")]
pub struct DurationError(String);

impl Duration {
    /// A number of days, between 1 and 99999; anything else is brought to the nearer end.
    pub fn days(count: u32) -> Self {
        Self { count: count.clamp(1, 99_999), unit: Unit::Days }
    }

    /// A number of hours, between 1 and 99999; anything else is brought to the nearer end.
    pub fn hours(count: u32) -> Self {
        Self { count: count.clamp(1, 99_999), unit: Unit::Hours }
    }

    /// A number of years of 365 days, between 1 and 99999; anything else is brought to the nearer end.
    pub fn years(count: u32) -> Self {
        Self { count: count.clamp(1, 99_999), unit: Unit::Years }
    }

    /// Its length in seconds.
    pub fn as_secs(&self) -> u64 {
        u64::from(self.count) * self.unit.seconds()
    }
}

impl Unit {
    const fn seconds(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Minutes => MINUTE,
            Self::Hours => HOUR,
            Self::Days => DAY,
            Self::Years => YEAR,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Seconds => 's',
            Self::Minutes => 'm',
            Self::Hours => 'h',
            Self::Days => 'd',
            Self::Years => 'y',
        }
    }
}

impl From<&Duration> for std::time::Duration {
    fn from(duration: &Duration) -> Self {
        Self::from_secs(duration.as_secs())
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        Self::from(&duration)
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let wrong = || DurationError(text.to_owned());
        let unit = match text.chars().next_back() {
            Some('s') => Unit::Seconds,
            Some('m') => Unit::Minutes,
            Some('h') => Unit::Hours,
            Some('d') => Unit::Days,
            Some('y') => Unit::Years,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        let is_plain =
            (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        if !is_plain {
            return Err(wrong());
        }
        Ok(Self { count: digits.parse().map_err(|_| wrong())?, unit })
    }
}

impl TryFrom<String> for Duration {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.unit.letter())
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema::matching(64, PATTERN, "write a whole number and one of s, m, h, d or y, such as 30d (y is 365 days)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_its_length() {
        for (text, seconds) in [
            ("1s", 1),
            ("15m", 900),
            ("6h", 21_600),
            ("30d", 2_592_000),
            ("7y", 220_752_000),
            ("99999y", 3_153_568_464_000),
        ] {
            let parsed: Duration = text.parse().unwrap();
            assert_eq!(parsed.as_secs(), seconds, "{text}");
            assert_eq!(std::time::Duration::from(&parsed).as_secs(), seconds);
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn what_the_schema_refuses_is_refused_here() {
        for text in ["", "d", "0d", "01d", "100000s", "30", "30 d", "-1d", "1w", "1.5h", "30D", "é", "3é", "+3d", "1d1"]
        {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.to_string().contains("such as 30d"), "{text}");
        }
    }

    #[test]
    fn it_travels_as_the_text_it_was() {
        let parsed: Duration = serde_json::from_str("\"365d\"").unwrap();
        assert_eq!(serde_json::to_string(&parsed).unwrap(), "\"365d\"");
        assert_ne!(parsed, Duration::years(1));
        assert!(serde_json::from_str::<Duration>("\"1w\"").is_err());
    }

    #[test]
    fn constructors_stay_within_the_pattern() {
        for made in [Duration::days(0), Duration::hours(u32::MAX), Duration::years(7)] {
            assert_eq!(made.to_string().parse::<Duration>().unwrap(), made);
        }
    }
}
