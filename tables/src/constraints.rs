//! The conditions of a query that reach a table, so that it reads only what can match. SQLite tests them again on every
//! row, except for none: a table may therefore return more than was asked, never less.

use crate::schema::Table;
use crate::value::Value;

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equals,
    Like,
    Glob,
}

impl Operator {
    pub const fn code(self) -> char {
        match self {
            Operator::Equals => '=',
            Operator::Like => 'l',
            Operator::Glob => 'g',
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            b'=' => Some(Operator::Equals),
            b'l' => Some(Operator::Like),
            b'g' => Some(Operator::Glob),
            _ => None,
        }
    }
}

/// A condition on one column.
#[derive(Debug, Clone)]
pub(crate) struct Constraint {
    pub column: usize,
    pub operator: Operator,
    pub value: Value,
}

/// All conditions on one table in one query, and the columns that the query uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constraints {
    pub list: Vec<Constraint>,
    pub used_columns: u64,
}

/// The plan that `best_index` hands to `filter`: the used columns in hexadecimal, then operator and column of each value.
pub(crate) fn encode_plan(used_columns: u64, terms: &[(Operator, usize)]) -> String {
    let mut plan = format!("{used_columns:x}");
    for (operator, column) in terms {
        plan.push(' ');
        plan.push(operator.code());
        plan.push_str(&column.to_string());
    }
    plan
}

/// The reverse of [`encode_plan`].
pub(crate) fn decode_plan(plan: &str) -> (u64, Vec<(Operator, usize)>) {
    let mut words = plan.split(' ');
    let used = words.next().and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or(u64::MAX);
    let terms = words
        .filter_map(|word| {
            let operator = Operator::from_code(*word.as_bytes().first()?)?;
            Some((operator, word.get(1..)?.parse().ok()?))
        })
        .collect();
    (used, terms)
}

impl Constraints {
    /// Values that the column must equal.
    pub fn equals<'a>(&'a self, table: &Table, column: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.of(table, column, Operator::Equals)
    }

    /// Values of one operator on one column.
    pub fn of<'a>(
        &'a self,
        table: &Table,
        column: &str,
        operator: Operator,
    ) -> impl Iterator<Item = &'a Value> + use<'a> {
        let position = table.position(column);
        self.list
            .iter()
            .filter(move |one| Some(one.column) == position && one.operator == operator)
            .map(|one| &one.value)
    }

    /// Whether the query looks at the column at all; the last bit stands for all columns from the 64th on.
    pub fn uses(&self, position: usize) -> bool {
        self.used_columns & (1 << position.min(63)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_the_way_through_sqlite() {
        let terms = vec![(Operator::Equals, 0), (Operator::Like, 12), (Operator::Glob, 3)];
        assert_eq!(decode_plan(&encode_plan(0xbeef, &terms)), (0xbeef, terms));
    }
}
