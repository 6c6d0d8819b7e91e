//! What a query says of rows that are missing: each gap once, however many things are behind it.

use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::budget::Budget;
use crate::vtab::without_nul;

/// Warnings of one query that are listed; of more it is said by table and gap that there are more, because one of them can
/// be what makes an answer prove nothing.
const MAX_WARNINGS: usize = 64;
const MORE_WARNINGS: &str = "more is missing than is listed here";
/// A path can have 64 KiB, and a result holds no message of more than 4,000 letters.
const MAX_WARNING_BYTES: usize = 1_000;

/// What rows that are missing mean for a question whose answer is no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// There is something that was not read: that no row came proves nothing.
    Unread,
    /// The table is whole or nothing: neither its rows nor their absence prove anything, since what others are compared with
    /// may be missing.
    Undecided,
    /// There is nothing to read, such as a running kernel below the root of an image.
    NoSubject,
    /// There is something that the kernel shows to nobody on this host, whatever their rights. What everybody else can see
    /// decides.
    Closed,
}

/// Something a table could not read; the rows it has are still right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The table.
    pub table: &'static str,
    /// What is missing, and why.
    pub message: String,
    /// What follows from it.
    pub gap: Gap,
}

/// What belongs to one query.
#[derive(Debug)]
pub(crate) struct Query {
    pub budget: Budget,
    warnings: Mutex<Vec<Warning>>,
}

impl Query {
    pub fn new(budget: Budget) -> Self {
        Query { budget, warnings: Mutex::default() }
    }

    pub fn warn(&self, mut warning: Warning) {
        cut(&mut warning.message, MAX_WARNING_BYTES);
        warning.message = without_nul(warning.message.into());
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.contains(&warning) {
            return;
        }
        if warnings.len() >= MAX_WARNINGS {
            MORE_WARNINGS.clone_into(&mut warning.message);
            if warnings.contains(&warning) {
                return;
            }
        }
        warnings.push(warning);
    }

    /// The warnings of one table so far.
    pub fn warnings_of(&self, table: &'static str) -> Vec<Warning> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.iter().filter(|warning| warning.table == table).cloned().collect()
    }

    pub fn take_warnings(&self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Shortens a text to so many bytes, at the boundary of a letter, and shows that it was longer.
pub(crate) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_warnings_there_are_no_table_and_no_gap_is_left_out() {
        let query = Query::new(Budget::new(crate::budget::Limits::default()));
        let warn = |table, message: String, gap| query.warn(Warning { table, message, gap });
        for number in 0..MAX_WARNINGS + 10 {
            warn("file_lines", format!("cannot read {number}"), Gap::Unread);
        }
        warn("sysctl_configured", "cannot read /etc/sysctl.d/99.conf".to_owned(), Gap::Unread);
        warn("sysctl_configured", "the list broke off".to_owned(), Gap::Undecided);
        warn("sysctl_configured", "the list broke off again".to_owned(), Gap::Undecided);
        // Rows that are kept are kept with these.
        let kept: Vec<Gap> = query.warnings_of("sysctl_configured").iter().map(|warning| warning.gap).collect();
        assert_eq!(kept, [Gap::Unread, Gap::Undecided]);
        assert_eq!(query.take_warnings().len(), MAX_WARNINGS + 3);
    }

    #[test]
    fn a_cut_ends_at_a_letter() {
        let mut text = "aéé".to_owned();
        cut(&mut text, 5);
        assert_eq!(text, "aéé");
        cut(&mut text, 4);
        assert_eq!(text, "aé…");
    }
}
