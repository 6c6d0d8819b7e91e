//! Parts of lists. Small lists are asked for by page number ([`Page`]); long ones also by where the last part ended
//! ([`Start::After`]), which costs the same however far one has come and stays where it was when rows are added before it.
//!
//! What has to be counted row by row is counted up to a bound and says so ([`Total`]).

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

/// Where a part of a long list begins. `P` is a place in that list's order: the sort keys of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Start<P> {
    /// At a page counted from the list's head; what is skipped is read.
    Page(Page),
    /// Behind a place.
    After {
        /// The place, as [`Listed::next`] gave it.
        place: P,
        /// Rows at most.
        size: u32,
    },
}

impl<P> Start<P> {
    /// So many rows behind a place, or from the list's head.
    pub fn after(place: Option<P>, size: u32) -> Self {
        let size = size.clamp(1, Page::MAX_SIZE);
        match place {
            Some(place) => Self::After { place, size },
            None => Self::Page(Page::new(1, size)),
        }
    }

    pub(crate) fn place(&self) -> Option<&P> {
        match self {
            Self::Page(_) => None,
            Self::After { place, .. } => Some(place),
        }
    }

    /// Rows wanted.
    pub(crate) fn size(&self) -> usize {
        let size = match self {
            Self::Page(page) => page.size,
            Self::After { size, .. } => *size,
        };
        usize::try_from(size).unwrap_or(usize::MAX)
    }

    /// One row more than wanted: it tells whether the list goes on.
    pub(crate) fn limit(&self) -> i64 {
        i64::try_from(self.size()).unwrap_or(i64::MAX).saturating_add(1)
    }

    pub(crate) fn offset(&self) -> i64 {
        match self {
            Self::Page(page) => page.offset(),
            Self::After { .. } => 0,
        }
    }
}

impl<P> From<Page> for Start<P> {
    fn from(page: Page) -> Self {
        Self::Page(page)
    }
}

/// How many rows a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// So many, if [`Total::is_exact`], otherwise at least so many.
    pub count: i64,
    /// Whether all were counted.
    pub is_exact: bool,
}

impl Total {
    /// Rows that are counted one by one at most.
    pub(crate) const BOUND: i64 = 10_000;

    pub(crate) fn exact(count: i64) -> Self {
        Self { count, is_exact: true }
    }

    /// From a count that stopped at one above `bound`.
    pub(crate) fn counted(count: i64, bound: i64) -> Self {
        Self { count: count.min(bound), is_exact: count <= bound }
    }
}

/// A part of a long list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T, P> {
    /// The rows. Fewer than wanted do not mean that the list has ended: [`Listed::next`] says that.
    pub items: Vec<T>,
    /// Of the whole list.
    pub total: Total,
    /// Where the next part begins; none at the end of the list.
    pub next: Option<P>,
}

impl<T, P> Listed<T, P> {
    /// From rows of which one more was read than wanted.
    pub(crate) fn of(mut items: Vec<T>, start: &Start<P>, total: Total, place: impl Fn(&T) -> P) -> Self {
        let has_more = items.len() > start.size();
        items.truncate(start.size());
        let next = items.last().filter(|_| has_more).map(place);
        Self { items, total, next }
    }

    /// From rows of which some were only looked at ([`Seen`]): a search stops after a number of rows, and says where.
    pub(crate) fn of_search(rows: Vec<Seen<T>>, start: &Start<P>, total: Total, place: impl Fn(&T) -> P) -> Self {
        let skipped = usize::try_from(start.offset()).unwrap_or(usize::MAX);
        // The last row looked at comes behind all that match; where it matches itself it is both.
        let horizon = rows.iter().find(|row| row.is_horizon).map(|row| place(&row.row));
        let mut found = rows.into_iter().filter(|row| row.is_match).map(|row| row.row).skip(skipped);
        let items: Vec<T> = found.by_ref().take(start.size()).collect();
        let next = match (items.last(), found.next()) {
            (Some(last), Some(_)) => Some(place(last)),
            _ => horizon,
        };
        Self { items, total, next }
    }
}

/// A row of a search.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Seen<T> {
    #[sqlx(flatten)]
    pub(crate) row: T,
    /// Whether it is what was searched for.
    pub(crate) is_match: bool,
    /// Whether the search stopped at it.
    pub(crate) is_horizon: bool,
}

/// A pattern of LIKE for texts that contain `text`, its own wildcards escaped.
pub(crate) fn contains(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(row: u32, is_match: bool, is_horizon: bool) -> Seen<u32> {
        Seen { row, is_match, is_horizon }
    }

    #[test]
    fn one_row_too_many_says_that_the_list_goes_on() {
        let start = Start::after(None, 2);
        let total = Total::exact(3);
        let part = Listed::of(vec![1, 2, 3], &start, total, |row| *row);
        assert_eq!((part.items, part.next), (vec![1, 2], Some(2)));
        let start = Start::after(Some(2), 2);
        let part = Listed::of(vec![3], &start, total, |row| *row);
        assert_eq!((part.items, part.next), (vec![3], None));
    }

    #[test]
    fn a_search_goes_on_where_it_stopped_looking() {
        let total = Total::counted(1, 5_000);
        let search = |start: Start<u32>, rows| {
            let part = Listed::of_search(rows, &start, total, |row| *row);
            (part.items, part.next)
        };
        let (first, after) = (Start::after(None, 2), Start::after(Some(1), 2));
        // Found enough: behind the last one shown.
        assert_eq!(
            search(first.clone(), vec![seen(1, true, false), seen(2, true, false), seen(3, true, false)]).1,
            Some(2)
        );
        // Too few, and looked at all there is.
        assert_eq!(search(first.clone(), vec![seen(1, true, false)]), (vec![1], None));
        // Too few, none, or just enough, and there is more to look at.
        assert_eq!(search(first.clone(), vec![seen(1, true, false), seen(9, false, true)]), (vec![1], Some(9)));
        assert_eq!(search(after, vec![seen(9, false, true)]), (vec![], Some(9)));
        assert_eq!(search(first, vec![seen(1, true, false), seen(9, true, true)]), (vec![1, 9], Some(9)));
        // A page beyond what was found still says where to go on.
        let far = Start::Page(Page::new(3, 2));
        assert_eq!(search(far, vec![seen(1, true, false), seen(9, false, true)]), (vec![], Some(9)));
    }

    #[test]
    fn a_count_that_hit_its_bound_says_so() {
        assert_eq!(Total::counted(10_001, 10_000), Total { count: 10_000, is_exact: false });
        assert_eq!(Total::counted(10_000, 10_000), Total { count: 10_000, is_exact: true });
    }
}
