//! A page of a list, as the API's `?page=` and `?page_size=` ask for it.

/// A page: counted from 1, at most 100 rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    number: u32,
    size: u32,
}

impl Page {
    /// Rows of a page that names no size.
    pub const DEFAULT_SIZE: u32 = 25;
    /// Rows of the largest page.
    pub const MAX_SIZE: u32 = 100;

    /// Page `number` (from 1) of `size` rows, both brought into their range.
    pub fn new(number: u32, size: u32) -> Self {
        Self { number: number.max(1), size: size.clamp(1, Self::MAX_SIZE) }
    }

    /// Counted from 1.
    pub fn number(self) -> u32 {
        self.number
    }

    /// Rows at most.
    pub fn size(self) -> u32 {
        self.size
    }

    pub(crate) fn limit(self) -> i64 {
        i64::from(self.size)
    }

    pub(crate) fn offset(self) -> i64 {
        i64::from(self.number - 1) * i64::from(self.size)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new(1, Self::DEFAULT_SIZE)
    }
}

/// The rows of a page, and how many rows there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Paged<T> {
    /// This page's.
    pub items: Vec<T>,
    /// On all pages.
    pub total: i64,
}

/// A pattern of LIKE for texts that contain `text`, its own wildcards escaped.
pub(crate) fn contains(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}
