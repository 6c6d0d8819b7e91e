//! Who allows what, why, and until when: the part that waivers, approved changes and maintenance windows share. There is
//! none without an end, because a thing that is allowed for ever is forgotten.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::text;

/// Characters of the name of whoever allows something.
pub const MAX_WHO: usize = 200;
/// Characters of the reason.
pub const MAX_WHY: usize = 2_000;

/// Why a grant is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody is named.
    #[error("say who allows it")]
    NoOne,
    /// No reason is given.
    #[error("say why it is allowed")]
    NoReason,
    /// A text is too long.
    #[error("write at most {most} characters")]
    TooLong {
        /// The bound.
        most: usize,
    },
    /// It ends before it begins, or at once.
    #[error("it must end after it begins")]
    NoTime,
}

/// Who allows something, why, from when and until when: in force at `from`, no longer at `until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
pub struct Grant {
    who: String,
    why: String,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// A grant as it was written, before anybody looked at it.
#[derive(Deserialize)]
struct Given {
    who: String,
    why: String,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl TryFrom<Given> for Grant {
    type Error = Error;

    fn try_from(Given { who, why, from, until }: Given) -> Result<Self, Error> {
        Self::new(&who, &why, from, until)
    }
}

impl Grant {
    /// A grant, if somebody, a reason and a time are named.
    pub fn new(who: &str, why: &str, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Self, Error> {
        let who = bounded(who, MAX_WHO)?.ok_or(Error::NoOne)?;
        let why = bounded(why, MAX_WHY)?.ok_or(Error::NoReason)?;
        if until <= from {
            return Err(Error::NoTime);
        }
        Ok(Self { who, why, from, until })
    }

    /// Who answers for it.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// The reason.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Its first instant.
    pub const fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The first instant at which it is over.
    pub const fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// Whether it is in force at that instant.
    pub fn is_in_force(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.until
    }

    /// Whether it is in force at any instant after `after` and up to `at`: of what happened at an unknown time between
    /// two looks, whether that may have been then. With no earlier look only `at` counts.
    pub fn overlaps(&self, after: Option<DateTime<Utc>>, at: DateTime<Utc>) -> bool {
        match after {
            Some(after) if after < at => self.from <= at && after < self.until,
            _ => self.is_in_force(at),
        }
    }
}

/// The next instant after `at` at which one of the grants begins or ends, that is, when to look again.
pub fn next_change<'a>(grants: impl IntoIterator<Item = &'a Grant>, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    grants.into_iter().flat_map(|grant| [grant.from, grant.until]).filter(|instant| *instant > at).min()
}

fn bounded(given: &str, most: usize) -> Result<Option<String>, Error> {
    let given = given.trim();
    if given.chars().take(most + 1).count() > most {
        return Err(Error::TooLong { most });
    }
    let text = text::shown(given, most);
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    #[test]
    fn a_grant_names_somebody_a_reason_and_an_end() {
        let grant = |who, why, from, until| Grant::new(who, why, at(from), at(until)).map(|_| ());
        assert_eq!(grant("anna", "legacy system", 0, 1), Ok(()));
        assert_eq!(grant(" ", "x", 0, 1), Err(Error::NoOne));
        assert_eq!(grant("anna", "\u{200b}\n", 0, 1), Err(Error::NoReason));
        assert_eq!(grant("anna", "x", 1, 1), Err(Error::NoTime));
        assert_eq!(grant(&"a".repeat(201), "x", 0, 1), Err(Error::TooLong { most: MAX_WHO }));
        assert!(
            serde_json::from_str::<Grant>(
                r#"{"who":"","why":"x","from":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}"#
            )
            .is_err()
        );
    }

    #[test]
    fn it_is_in_force_from_its_first_instant_until_its_end() {
        let grant = Grant::new("anna", "x", at(10), at(20)).unwrap();
        for (minute, expected) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(grant.is_in_force(at(minute)), expected, "minute {minute}");
        }
        for (after, minute, expected) in [
            (Some(0), 9, false),
            (Some(0), 10, true),
            (Some(19), 30, true),
            (Some(20), 30, false),
            (None, 30, false),
            (None, 15, true),
        ] {
            assert_eq!(grant.overlaps(after.map(at), at(minute)), expected, "{after:?} to {minute}");
        }
        assert_eq!(next_change([&grant], at(0)), Some(at(10)));
        assert_eq!(next_change([&grant], at(10)), Some(at(20)));
        assert_eq!(next_change([&grant], at(20)), None);
    }
}
