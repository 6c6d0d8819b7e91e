//! Lists of things on assets that are newest first. What an index finds comes in its order; what no index has is compared row by
//! row, in a window for each part, which then says where it stopped.

use crate::page::{Listed, Seen, Start, Total};

/// Rows that are looked at for one part of a list.
const WINDOW: i64 = 10_000;
/// What is compared where every row is wanted.
pub(crate) const EVERY: &str = "true";

/// One such list, in the program's own words.
pub(crate) struct Newest {
    pub(crate) table: &'static str,
    /// The table's short name in conditions and columns.
    pub(crate) alias: &'static str,
    /// The column of the ids.
    pub(crate) id: &'static str,
    /// The column of the time.
    pub(crate) at: &'static str,
    /// Columns that are compared.
    pub(crate) compared: &'static str,
    /// What is read of a row; `a` is its asset.
    pub(crate) columns: &'static str,
    /// The number of the parameter that is the limit; the next is the offset.
    pub(crate) limit: u8,
}

impl Newest {
    fn order(&self) -> String {
        let Self { alias, id, at, .. } = self;
        format!("ORDER BY {alias}.{at} DESC, {alias}.{id}")
    }

    /// Reads one part of the rows of which `found` holds, each as [`Seen`]: those of which `matches` holds as well.
    pub(crate) fn part(&self, found: &str, matches: &str) -> String {
        let Self { table, alias, id, at, compared, columns, limit } = self;
        let (order, offset) = (self.order(), limit + 1);
        let keys = if matches == EVERY {
            format!(
                "SELECT {alias}.{id}, true AS is_match, false AS is_horizon FROM {table} {alias}
                 WHERE {found} {order} LIMIT ${limit} OFFSET ${offset}"
            )
        } else {
            format!(
                "SELECT {alias}.* FROM (SELECT {alias}.{id}, {alias}.{at}, ({matches}) AS is_match,
                     row_number() OVER ({order}) = {WINDOW} AS is_horizon
                     FROM (SELECT {alias}.{id}, {alias}.{at}, {compared} FROM {table} {alias} WHERE {found}
                         {order} LIMIT {WINDOW}) {alias}) {alias}
                 WHERE {alias}.is_match OR {alias}.is_horizon {order} LIMIT ${limit} + ${offset} + 1"
            )
        };
        format!(
            "SELECT {columns}, k.is_match, k.is_horizon FROM ({keys}) k JOIN {table} {alias} ON {alias}.{id} = k.{id}
             JOIN assets a ON a.asset_id = {alias}.asset_id {order}"
        )
    }

    /// Counts the rows that match, and those that were looked at for it.
    pub(crate) fn count(&self, found: &str, matches: &str) -> String {
        let Self { table, alias, compared, .. } = self;
        let (order, most) = (self.order(), bound(matches) + 1);
        format!(
            "SELECT count(*) FILTER (WHERE {matches}), count(*)
             FROM (SELECT {compared} FROM {table} {alias} WHERE {found} {order} LIMIT {most}) {alias}"
        )
    }
}

/// The part of the list, from its rows and what was counted and looked at.
pub(crate) fn listed<T, P>(
    rows: Vec<Seen<T>>,
    matches: &str,
    start: &Start<P>,
    (count, seen): (i64, i64),
    place: impl Fn(&T) -> P,
) -> Listed<T, P> {
    let bound = bound(matches);
    let total = Total { count: count.min(bound), is_exact: seen <= bound };
    if matches == EVERY {
        Listed::of(rows.into_iter().map(|row| row.row).collect(), start, total, place)
    } else {
        Listed::of_search(rows, start, total, place)
    }
}

fn bound(matches: &str) -> i64 {
    if matches == EVERY { Total::BOUND } else { WINDOW }
}
