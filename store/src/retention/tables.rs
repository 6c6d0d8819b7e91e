//! The tables that retention goes through, and what it sends about each. The condition on a row is written once.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::retention::policy::Kind;

/// A table of a tenant's schema that grows with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// What ran. The last run of each module on each asset stays: it is where that asset stands.
    Runs,
    /// What appeared, changed and vanished in facts; the facts themselves are not touched.
    FactChanges,
    /// What was told of such changes as drift; what is usual, which was learned from them, is not touched.
    Drifts,
    /// Findings, once they are closed.
    Findings,
    /// Changes of verdicts; the verdicts themselves are not touched.
    CheckTransitions,
    /// Scores of assets by day. Each asset keeps the row that holds on the first day that is kept; the tenant's own trend, a
    /// row a day, stays whole.
    ScoreDays,
    /// The audit log. Rows without a place in the chain stay, and every row behind one that stays.
    AuditLog,
}

impl Table {
    /// Every table, in the order in which a run goes through them.
    pub const ALL: [Self; 7] = [
        Self::Runs,
        Self::FactChanges,
        Self::Drifts,
        Self::Findings,
        Self::CheckTransitions,
        Self::ScoreDays,
        Self::AuditLog,
    ];

    /// Its name in the schema.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::FactChanges => "fact_changes",
            Self::Drifts => "drifts",
            Self::Findings => "findings",
            Self::CheckTransitions => "check_transitions",
            Self::ScoreDays => "score_days",
            Self::AuditLog => "audit_log",
        }
    }

    /// The type whose policy its rows follow.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Runs => Kind::OperationalLogs,
            Self::FactChanges | Self::Drifts => Kind::SecurityEvents,
            Self::Findings | Self::CheckTransitions | Self::ScoreDays => Kind::Findings,
            Self::AuditLog => Kind::Audit,
        }
    }

    /// Whether the row `t` goes; `before` is the placeholder of the cutoff.
    fn condition(self, before: &str) -> String {
        match self {
            Self::Runs => format!(
                "t.received_at < {before} AND NOT EXISTS (SELECT FROM asset_modules m
                     WHERE m.asset_id = t.asset_id AND m.module = t.module AND m.last_run_id = t.run_id)"
            ),
            Self::FactChanges | Self::CheckTransitions => format!("t.changed_at < {before}"),
            Self::Drifts => format!("t.found_at < {before}"),
            Self::Findings => format!("t.status = 'closed' AND t.closed_at < {before}"),
            Self::ScoreDays => format!(
                "t.scope = 'asset' AND t.day < ({before} AT TIME ZONE 'UTC')::date AND EXISTS (SELECT FROM score_days n
                     WHERE n.scope = 'asset' AND n.scope_id = t.scope_id AND n.day > t.day
                         AND n.day <= ({before} AT TIME ZONE 'UTC')::date)"
            ),
            Self::AuditLog => format!(
                "t.sequence IS NOT NULL AND t.sequence < COALESCE((SELECT min(l.sequence) FROM audit_log l
                     WHERE l.sequence IS NOT NULL AND l.created_at >= {before}), 9223372036854775807)"
            ),
        }
    }

    /// The moment of the row `t`.
    const fn moment(self) -> &'static str {
        match self {
            Self::Runs => "t.received_at",
            Self::FactChanges | Self::CheckTransitions => "t.changed_at",
            Self::Drifts => "t.found_at",
            Self::Findings => "t.closed_at",
            Self::ScoreDays => "(t.day::timestamp AT TIME ZONE 'UTC')",
            Self::AuditLog => "t.created_at",
        }
    }

    /// The id of the row `t`.
    const fn id(self) -> &'static str {
        match self {
            Self::Runs => "t.run_id",
            Self::FactChanges => "t.change_id",
            Self::Drifts => "t.drift_id",
            Self::Findings => "t.finding_id",
            Self::CheckTransitions => "t.transition_id",
            Self::ScoreDays => "t.scope_id",
            Self::AuditLog => "t.audit_id",
        }
    }

    /// What the rows are ordered by, as an index gives them, and the place `$2` in it.
    const fn order(self) -> (&'static str, &'static str) {
        match self {
            Self::ScoreDays => ("t.day", "($2::timestamptz AT TIME ZONE 'UTC')::date"),
            Self::AuditLog => ("t.sequence", "$2::bigint"),
            Self::Runs | Self::FactChanges | Self::Drifts | Self::Findings | Self::CheckTransitions => {
                (self.moment(), "$2::timestamptz")
            }
        }
    }

    /// Counts what goes. The placeholder is the kind's place in [`Kind::ALL`].
    pub(super) fn count_statement(self) -> String {
        let place = match self.kind() {
            Kind::OperationalLogs => "$1::timestamptz",
            Kind::SecurityEvents => "$2::timestamptz",
            Kind::Findings => "$3::timestamptz",
            Kind::Audit => "$4::timestamptz",
        };
        let (name, moment, condition) = (self.name(), self.moment(), self.condition(place));
        let last = if matches!(self, Self::AuditLog) { "max(t.sequence)" } else { "NULL::bigint" };
        format!(
            "SELECT '{name}'::text, count(*), COALESCE(sum(pg_column_size(t.*)), 0)::bigint, min({moment}), max({moment}), {last}
             FROM {name} t WHERE {condition}"
        )
    }

    /// Gives up to `$4` rows older than `$1` behind the place (`$2`, `$3`): moment, id, place in the chain, and the row as JSON.
    /// Of the audit log `$1` is the last place that goes: what the count found by the condition.
    pub(super) fn pick_statement(self, has_lines: bool) -> String {
        let (name, moment, id) = (self.name(), self.moment(), self.id());
        let condition = if matches!(self, Self::AuditLog) {
            "t.sequence <= $1::bigint".to_owned()
        } else {
            self.condition("$1::timestamptz")
        };
        let (order, place) = self.order();
        let line = if has_lines { "to_jsonb(t.*)::text" } else { "NULL::text" };
        let sequence = if matches!(self, Self::AuditLog) { "t.sequence" } else { "NULL::bigint" };
        format!(
            "SELECT {moment}, {id}, {sequence}, {line} FROM {name} t
             WHERE {condition} AND ({order}, {id}) > ({place}, $3::uuid) ORDER BY {order}, {id} LIMIT $4"
        )
    }

    /// Deletes the rows of the moments `$2` and ids `$3` that are older than `$1`; none for the audit log, which only its
    /// owner's function cuts. The condition is asked again: a finding may have been opened since it was picked.
    pub(super) fn remove_statement(self) -> Option<String> {
        let matching = match self {
            Self::AuditLog => return None,
            Self::ScoreDays => {
                "t.scope = 'asset' AND t.scope_id = k.id AND t.day = (k.moment AT TIME ZONE 'UTC')::date"
            }
            Self::Runs => "t.run_id = k.id",
            Self::FactChanges => "t.change_id = k.id",
            Self::Drifts => "t.drift_id = k.id",
            Self::Findings => "t.finding_id = k.id",
            Self::CheckTransitions => "t.transition_id = k.id",
        };
        let (name, condition) = (self.name(), self.condition("$1::timestamptz"));
        Some(format!(
            "DELETE FROM {name} t USING unnest($2::timestamptz[], $3::uuid[]) AS k(moment, id) WHERE {matching} AND {condition}"
        ))
    }
}

impl FromStr for Table {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|table| table.name() == text)
            .ok_or_else(|| Error::Invalid(format!("'{text}' is no table that retention goes through")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_picked_and_removed_is_one_condition() {
        for table in Table::ALL {
            let condition = table.condition("$1::timestamptz");
            let place = Kind::ALL.iter().position(|kind| *kind == table.kind()).unwrap() + 1;
            let counted = table.count_statement().replace(&format!("${place}::timestamptz"), "$1::timestamptz");
            assert!(counted.contains(&condition), "{table:?}");
            let (picked, is_ended) = match table {
                Table::AuditLog => ("t.sequence <= $1::bigint", true),
                _ => (condition.as_str(), false),
            };
            assert_eq!(
                counted.contains("max(t.sequence)"),
                is_ended,
                "{table:?}: what is picked ends where the count says"
            );
            for has_lines in [true, false] {
                assert!(table.pick_statement(has_lines).contains(picked), "{table:?}");
            }
            assert!(table.remove_statement().is_none_or(|sent| sent.contains(&condition)), "{table:?}");
        }
    }

    #[test]
    fn a_name_leads_back_to_its_table() {
        for table in Table::ALL {
            assert_eq!(table.name().parse::<Table>().unwrap(), table);
            assert_eq!(serde_json::to_value(table).unwrap(), table.name());
        }
        assert!("facts".parse::<Table>().is_err());
    }

    #[test]
    fn only_the_audit_log_is_not_deleted_from() {
        let cut: Vec<Table> = Table::ALL.into_iter().filter(|table| table.remove_statement().is_none()).collect();
        assert_eq!(cut, [Table::AuditLog]);
    }
}
