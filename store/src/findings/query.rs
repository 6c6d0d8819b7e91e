//! The statements behind lists of findings. A list costs what its page costs, however many findings there are: it is read
//! as a few ranges of an index, each in the list's order, and only the page's rows are read whole.
//!
//! `findings_worst` has (status, severity, time) and `findings_of_check` the same for each check. With the status fixed, both
//! orders by severity are one range; orders by time are one range for each severity. Behind a place, a range falls into
//! those that come after it. Only the search for a text looks at rows one by one, at most [`WINDOW`] for a page.

use std::fmt::Write as _;

use catalog::Severity;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{FindingFilter, Sort, Status};
use crate::page::{Total, contains};

/// Findings that a search looks at for one page: about 20 ms.
pub(super) const WINDOW: i64 = 5_000;

/// Where in the order of a list a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    rank: i16,
    /// In microseconds, as Postgres keeps it.
    opened_at: DateTime<Utc>,
    finding_id: Uuid,
}

impl Place {
    /// The place of a finding.
    pub(super) fn of(finding: &super::Finding) -> Self {
        let severity = finding.severity.parse::<Severity>();
        Self { rank: severity.map_or(1, rank), opened_at: finding.opened_at, finding_id: finding.finding_id }
    }
}

/// The order of severities as the generated column has it.
pub(super) const fn rank(severity: Severity) -> i16 {
    match severity {
        Severity::Critical => 4,
        Severity::High => 3,
        Severity::Medium => 2,
        Severity::Low => 1,
    }
}

/// What a list asks for, taken apart. Parameters of every statement: $1 asset, $2 module, $3 check, $4 pattern, $5 and $6
/// time and id of the place, $7 rows wanted and one, $8 rows skipped.
pub(super) struct Query<'a> {
    pub(super) filter: &'a FindingFilter,
    pub(super) sort: Sort,
    pub(super) place: Option<&'a Place>,
    pub(super) pattern: Option<String>,
}

/// A part of an index, in order: findings of one status with severities from `low` to `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    status: Status,
    low: i16,
    high: i16,
    from: Begin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// The whole range.
    Head,
    /// Those of the place's own instant that come after it.
    Instant,
    /// Those after that instant.
    Later,
}

impl Sort {
    const fn is_by_severity(self) -> bool {
        matches!(self, Self::WorstFirst | Self::MildestFirst)
    }

    /// Whether the index is read backwards.
    const fn is_backwards(self) -> bool {
        matches!(self, Self::MildestFirst | Self::OldestFirst)
    }

    /// ORDER BY over the columns of `alias`.
    pub(super) fn order(self, alias: &str) -> String {
        let (first, then) = if self.is_backwards() { ("", " DESC") } else { (" DESC", "") };
        let severity = if self.is_by_severity() { format!("{alias}.severity_rank{first}, ") } else { String::new() };
        format!("{severity}{alias}.opened_at{first}, {alias}.finding_id{then}")
    }
}

impl<'a> Query<'a> {
    pub(super) fn new(filter: &'a FindingFilter, sort: Sort, place: Option<&'a Place>) -> Self {
        let pattern = filter.q.as_deref().filter(|q| !q.is_empty()).map(contains);
        Self { filter, sort, place, pattern }
    }

    /// Whether rows are looked at one by one: then the list may go on where the page does not.
    pub(super) fn is_search(&self) -> bool {
        self.pattern.is_some() && self.filter.asset_id.is_none()
    }

    /// The statement for the page in order, as a table with the columns of the order, `is_match` and
    /// `is_horizon`.
    pub(super) fn keys(&self) -> String {
        let keys = "f.finding_id, f.severity_rank, f.opened_at";
        let (order, found) = (self.sort.order("k"), "true AS is_match, false AS is_horizon");
        if self.filter.asset_id.is_some() {
            // OFFSET 0 keeps the planner from walking an order in the hope to meet the asset soon.
            let (all, matches) = (self.condition(), self.and_matches());
            return format!(
                "SELECT k.*, {found} FROM (SELECT {keys} FROM findings f WHERE f.asset_id = $1 AND ({all}){}{matches} OFFSET 0) k
                 ORDER BY {order} LIMIT $7 OFFSET $8",
                self.and_named()
            );
        }
        if self.pattern.is_none() {
            let ranges = self.in_order(keys, "$7 + $8");
            return format!("SELECT k.*, {found} FROM {ranges} ORDER BY {order} LIMIT $7 OFFSET $8");
        }
        format!(
            "SELECT k.* FROM (SELECT f.finding_id, f.severity_rank, f.opened_at, ({MATCHES}{}) AS is_match,
                 row_number() OVER (ORDER BY {}) = {WINDOW} AS is_horizon FROM ({}) f) k
             WHERE k.is_match OR k.is_horizon ORDER BY {order} LIMIT $7 + $8 + 1",
            self.and_named(),
            self.sort.order("f"),
            self.walked()
        )
    }

    /// The statement that counts the list: rows counted, and rows looked at where that is more.
    pub(super) fn count(&self) -> Count {
        let head = Self { filter: self.filter, sort: self.sort, place: None, pattern: self.pattern.clone() };
        let FindingFilter { severities, status, asset_id, module, check, q: _ } = self.filter;
        let (is_plain, above) = (module.is_none() && check.is_none() && self.pattern.is_none(), Total::BOUND + 1);
        if is_plain && *status == Some(Status::Open) {
            let is_wanted = |severity: &Severity| severities.is_empty() || severities.contains(severity);
            let columns = [
                (Severity::Critical, "open_critical"),
                (Severity::High, "open_high"),
                (Severity::Medium, "open_medium"),
                (Severity::Low, "open_low"),
            ];
            let sum = columns.iter().filter(|(severity, _)| is_wanted(severity)).map(|(_, column)| *column);
            let sum = sum.collect::<Vec<_>>().join(" + ");
            let of_asset = if asset_id.is_some() { " WHERE asset_id = $1" } else { "" };
            return Count::Kept(format!(
                "SELECT COALESCE(sum({sum}), 0)::bigint, 0::bigint FROM asset_scores{of_asset}"
            ));
        }
        if asset_id.is_some() {
            let (all, named, matches) = (head.condition(), head.and_named(), head.and_matches());
            return Count::Bounded(format!(
                "SELECT count(*), 0::bigint FROM (SELECT FROM findings f WHERE f.asset_id = $1 AND ({all}){named}{matches}
                     LIMIT {above}) k"
            ));
        }
        if self.pattern.is_some() {
            return Count::Searched(format!(
                "SELECT count(*) FILTER (WHERE {MATCHES}{}), count(*) FROM ({}) f",
                head.and_named(),
                head.walked()
            ));
        }
        let all = head.condition();
        Count::Bounded(match self.checks() {
            Some(checks) => format!(
                "SELECT count(*), 0::bigint FROM (SELECT FROM {checks} c CROSS JOIN LATERAL (SELECT FROM findings f
                     WHERE f.module = c.module AND f.check_id = c.check_id AND ({all}) LIMIT {above}) k LIMIT {above}) k"
            ),
            None => {
                format!("SELECT count(*), 0::bigint FROM (SELECT FROM findings f WHERE {all} LIMIT {above}) k")
            }
        })
    }

    /// What the whole list is filtered by, over `findings f`.
    pub(super) fn filter(&self) -> String {
        let of_asset = if self.filter.asset_id.is_some() { " AND f.asset_id = $1" } else { "" };
        format!("({}){of_asset}{}{}", self.condition(), self.and_named(), self.and_matches())
    }

    /// The first [`WINDOW`] rows of the order, with what a search compares.
    fn walked(&self) -> String {
        let columns = "f.finding_id, f.severity_rank, f.opened_at, f.resource, f.module, f.module_version, f.check_id";
        let ranges = self.in_order(columns, &WINDOW.to_string());
        format!("SELECT k.* FROM {ranges} ORDER BY {} LIMIT {WINDOW}", self.sort.order("k"))
    }

    /// The ranges one after the other, each in order and at most `limit` rows of it, as the table `k`.
    fn in_order(&self, columns: &str, limit: &str) -> String {
        // A search among the rows of many checks would look at a window for each; it looks at one of all and filters.
        let checks = self.checks().filter(|_| self.pattern.is_none() || self.filter.check.is_some());
        let of_check = if checks.is_some() { "f.module = c.module AND f.check_id = c.check_id AND " } else { "" };
        let order = self.sort.order("f");
        let ranges = self.ranges().into_iter().map(|range| {
            let range = range.condition(self.sort);
            format!("(SELECT {columns} FROM findings f WHERE {of_check}{range} ORDER BY {order} LIMIT {limit})")
        });
        let ranges = ranges.collect::<Vec<_>>().join(" UNION ALL ");
        match checks {
            Some(checks) => format!("{checks} c CROSS JOIN LATERAL ({ranges}) k"),
            None => format!("({ranges}) k"),
        }
    }

    /// The checks that are asked for by name, as a table; a check's name alone may be that of several modules.
    fn checks(&self) -> Option<&'static str> {
        match (&self.filter.module, &self.filter.check) {
            (Some(_), Some(_)) => Some("(SELECT $2::text AS module, $3::text AS check_id)"),
            (Some(_), None) => Some("(SELECT DISTINCT module, check_id FROM shared.checks WHERE module = $2)"),
            (None, Some(_)) => Some("(SELECT DISTINCT module, check_id FROM shared.checks WHERE check_id = $3)"),
            (None, None) => None,
        }
    }

    fn and_named(&self) -> String {
        let mut text = String::new();
        if self.filter.module.is_some() {
            text.push_str(" AND f.module = $2");
        }
        if self.filter.check.is_some() {
            text.push_str(" AND f.check_id = $3");
        }
        text
    }

    fn and_matches(&self) -> String {
        if self.pattern.is_some() { format!(" AND {MATCHES}") } else { String::new() }
    }

    /// All ranges as one condition.
    fn condition(&self) -> String {
        let ranges: Vec<String> =
            self.ranges().iter().map(|range| format!("({})", range.condition(self.sort))).collect();
        if ranges.is_empty() { "false".to_owned() } else { ranges.join(" OR ") }
    }

    fn ranges(&self) -> Vec<Range> {
        let statuses: &[Status] = match self.filter.status {
            Some(Status::Open) => &[Status::Open],
            Some(Status::Closed) => &[Status::Closed],
            None => &[Status::Open, Status::Closed],
        };
        let mut ranges = Vec::new();
        for status in statuses {
            for (low, high) in self.runs() {
                ranges.extend(self.after(Range { status: *status, low, high, from: Begin::Head }));
            }
        }
        // A statement needs one: past the end of every range, an empty one.
        if ranges.is_empty() {
            ranges.push(Range { status: Status::Open, low: 1, high: 0, from: Begin::Head });
        }
        ranges
    }

    /// The severities asked for: those next to each other together where the order is by severity, else each for itself.
    fn runs(&self) -> Vec<(i16, i16)> {
        let is_wanted = |wanted: i16| {
            self.filter.severities.is_empty() || self.filter.severities.iter().any(|severity| rank(*severity) == wanted)
        };
        let mut runs: Vec<(i16, i16)> = Vec::new();
        for wanted in (1..=4).filter(|wanted| is_wanted(*wanted)) {
            match runs.last_mut() {
                Some((_, high)) if self.sort.is_by_severity() && *high + 1 == wanted => *high = wanted,
                _ => runs.push((wanted, wanted)),
            }
        }
        runs
    }

    /// What of a range comes after the place.
    fn after(&self, range: Range) -> Vec<Range> {
        let Some(place) = self.place else { return vec![range] };
        let own = |from| Range { low: place.rank, high: place.rank, from, ..range };
        if !self.sort.is_by_severity() {
            return vec![Range { from: Begin::Instant, ..range }, Range { from: Begin::Later, ..range }];
        }
        let beyond = if self.sort.is_backwards() {
            Range { low: range.low.max(place.rank + 1), ..range }
        } else {
            Range { high: range.high.min(place.rank - 1), ..range }
        };
        let mut parts = Vec::new();
        if (range.low..=range.high).contains(&place.rank) {
            parts.extend([own(Begin::Instant), own(Begin::Later)]);
        }
        if beyond.low <= beyond.high {
            parts.push(beyond);
        }
        parts
    }
}

/// How a list is counted; each statement gives two numbers.
#[derive(Debug)]
pub(super) enum Count {
    /// The first is kept and exact.
    Kept(String),
    /// The first was counted up to one above [`Total::BOUND`].
    Bounded(String),
    /// The first matched among the second, which are at most [`WINDOW`].
    Searched(String),
}

impl Count {
    pub(super) fn statement(self) -> (String, fn(i64, i64) -> Total) {
        match self {
            Self::Kept(sql) => (sql, |count, _| Total::exact(count)),
            Self::Bounded(sql) => (sql, |count, _| Total::counted(count, Total::BOUND)),
            Self::Searched(sql) => (sql, |count, seen| Total { count, is_exact: seen < WINDOW }),
        }
    }
}

impl Range {
    fn condition(self, sort: Sort) -> String {
        let Self { status, low, high, from } = self;
        let mut text = format!("f.status = '{}'", status.as_str());
        // Writing to a String cannot fail.
        let _ = match (low, high) {
            (1, 4) => Ok(()),
            (low, high) if low == high => write!(text, " AND f.severity_rank = {low}"),
            (low, high) => write!(text, " AND f.severity_rank BETWEEN {low} AND {high}"),
        };
        let (later, next) = if sort.is_backwards() { ('>', '<') } else { ('<', '>') };
        let _ = match from {
            Begin::Head => Ok(()),
            Begin::Instant => write!(text, " AND f.opened_at = $5 AND f.finding_id {next} $6"),
            Begin::Later => write!(text, " AND f.opened_at {later} $5"),
        };
        text
    }
}

impl Place {
    pub(super) fn time_and_id(&self) -> (DateTime<Utc>, Uuid) {
        (self.opened_at, self.finding_id)
    }
}

/// Whether a finding has the text that is searched for. Titles are compared once for each check, not for each finding.
const MATCHES: &str = "(f.resource ILIKE $4 OR f.check_id ILIKE $4 OR (f.module, f.module_version, f.check_id) IN (
    SELECT c.module, c.version, c.check_id FROM shared.checks c WHERE c.title ILIKE $4))";

#[cfg(test)]
mod tests {
    use super::*;

    fn place(rank: i16) -> Place {
        Place { rank, opened_at: DateTime::UNIX_EPOCH, finding_id: Uuid::nil() }
    }

    fn ranges(filter: &FindingFilter, sort: Sort, place: Option<Place>) -> Vec<(i16, i16, Begin)> {
        let query = Query::new(filter, sort, place.as_ref());
        query.ranges().into_iter().map(|range| (range.low, range.high, range.from)).collect()
    }

    #[test]
    fn neighbours_in_severity_are_one_range_in_its_order_and_apart_in_the_order_of_time() {
        use Begin::{Head, Instant, Later};
        let all = FindingFilter { status: Some(Status::Open), ..FindingFilter::default() };
        let two = FindingFilter { severities: vec![Severity::Low, Severity::High], ..all.clone() };
        assert_eq!(ranges(&all, Sort::WorstFirst, None), [(1, 4, Head)]);
        assert_eq!(ranges(&all, Sort::NewestFirst, None).len(), 4);
        assert_eq!(ranges(&two, Sort::MildestFirst, None), [(1, 1, Head), (3, 3, Head)]);
        assert_eq!(ranges(&all, Sort::WorstFirst, Some(place(3))), [(3, 3, Instant), (3, 3, Later), (1, 2, Head)]);
        assert_eq!(ranges(&all, Sort::MildestFirst, Some(place(3))), [(3, 3, Instant), (3, 3, Later), (4, 4, Head)]);
        assert_eq!(ranges(&two, Sort::WorstFirst, Some(place(2))), [(1, 1, Head)]);
        let both = FindingFilter::default();
        assert_eq!(ranges(&both, Sort::OldestFirst, Some(place(2))).len(), 2 * 4 * 2);
    }

    #[test]
    fn a_list_that_is_over_is_an_empty_range() {
        let low = FindingFilter { severities: vec![Severity::High], ..FindingFilter::default() };
        let query = Query::new(&low, Sort::WorstFirst, Some(&place(1)).copied().as_ref()).keys();
        assert!(query.contains("BETWEEN 1 AND 0"), "{query}");
    }
}
