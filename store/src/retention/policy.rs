//! How long each type of what is kept is kept, and the moments that follow from it.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_hours(24);

/// A type of what is kept, as `spec.retention` of a Tenant names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What ran, and its log.
    OperationalLogs,
    /// What appeared, changed and vanished on assets.
    SecurityEvents,
    /// Closed findings, and the history of verdicts and scores.
    Findings,
    /// The audit log.
    Audit,
}

impl Kind {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::OperationalLogs, Self::SecurityEvents, Self::Findings, Self::Audit];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OperationalLogs => "operational_logs",
            Self::SecurityEvents => "security_events",
            Self::Findings => "findings",
            Self::Audit => "audit",
        }
    }

    /// What is kept whatever a policy says. The row of a run is what makes a repeat of its result harmless, so it outlives
    /// every repeat; the database itself refuses to cut younger rows of an audit log.
    pub const fn least(self) -> Duration {
        match self {
            Self::OperationalLogs => Duration::from_hours(7 * 24),
            Self::SecurityEvents | Self::Findings => DAY,
            Self::Audit => Duration::from_hours(30 * 24),
        }
    }
}

/// How long each type is kept, and which are archived first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// See [`Kind::OperationalLogs`].
    pub operational_logs: Duration,
    /// See [`Kind::SecurityEvents`].
    pub security_events: Duration,
    /// See [`Kind::Findings`].
    pub findings: Duration,
    /// See [`Kind::Audit`].
    pub audit: Duration,
    /// What is written to the archive before it is deleted.
    pub archive: BTreeSet<Kind>,
}

impl Policy {
    /// How long a type is kept; never less than [`Kind::least`].
    pub fn kept(&self, kind: Kind) -> Duration {
        let said = match kind {
            Kind::OperationalLogs => self.operational_logs,
            Kind::SecurityEvents => self.security_events,
            Kind::Findings => self.findings,
            Kind::Audit => self.audit,
        };
        said.max(kind.least())
    }

    /// The moments before which things go, if it is `now`.
    pub fn cutoffs(&self, now: DateTime<Utc>) -> Cutoffs {
        let before = |kind| {
            let then = TimeDelta::from_std(self.kept(kind))
                .ok()
                .and_then(|kept| now.checked_sub_signed(kept))
                .unwrap_or_default();
            // Postgres keeps microseconds: a moment that it returns is the one that it was given.
            DateTime::from_timestamp_micros(then.timestamp_micros()).unwrap_or_default().max(DateTime::UNIX_EPOCH)
        };
        Cutoffs {
            operational_logs: before(Kind::OperationalLogs),
            security_events: before(Kind::SecurityEvents),
            findings: before(Kind::Findings),
            audit: before(Kind::Audit),
        }
    }
}

/// The moments before which things go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutoffs {
    operational_logs: DateTime<Utc>,
    security_events: DateTime<Utc>,
    findings: DateTime<Utc>,
    audit: DateTime<Utc>,
}

impl Cutoffs {
    /// What is older than this goes.
    pub fn before(&self, kind: Kind) -> DateTime<Utc> {
        match kind {
            Kind::OperationalLogs => self.operational_logs,
            Kind::SecurityEvents => self.security_events,
            Kind::Findings => self.findings,
            Kind::Audit => self.audit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(days: u64) -> Policy {
        let kept = DAY * u32::try_from(days).unwrap();
        Policy { operational_logs: kept, security_events: kept, findings: kept, audit: kept, archive: BTreeSet::new() }
    }

    fn days(policy: &Policy, now: DateTime<Utc>) -> [i64; 4] {
        let cutoffs = policy.cutoffs(now);
        Kind::ALL.map(|kind| (now - cutoffs.before(kind)).num_days())
    }

    #[test]
    fn a_policy_says_how_old_things_get_but_not_below_the_least() {
        let now = DateTime::from_timestamp_micros(1_795_000_000_000_001).unwrap();
        assert_eq!(days(&policy(365), now), [365; 4]);
        assert_eq!(days(&policy(10), now), [10, 10, 10, 30]);
        assert_eq!(days(&policy(0), now), [7, 1, 1, 30]);
    }

    #[test]
    fn the_longest_policy_there_is_deletes_nothing() {
        let ages = Duration::from_hours(99_999 * 365 * 24);
        let long = Policy {
            operational_logs: ages,
            security_events: ages,
            findings: ages,
            audit: ages,
            archive: BTreeSet::new(),
        };
        let cutoffs = long.cutoffs(Utc::now());
        for kind in Kind::ALL {
            assert_eq!(cutoffs.before(kind), DateTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn a_cutoff_has_no_more_digits_than_postgres_keeps() {
        let now = DateTime::from_timestamp(1_795_000_000, 123_456_789).unwrap();
        let before = policy(40).cutoffs(now).before(Kind::Audit);
        assert_eq!(before.timestamp_subsec_nanos(), 123_456_000);
    }
}
