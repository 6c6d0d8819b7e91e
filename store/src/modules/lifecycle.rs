//! The steps of a version: draft, qa, released, deprecated, retired. The rules are the database's (triggers of
//! `shared.module_versions`); here its refusals become sentences, and a release takes care of its predecessors.

use std::time::Duration;

use catalog::lifecycle::{GateReport, State};
use chrono::{DateTime, Utc};
use sqlx::types::Json;

use super::{Succession, VersionRow, versions};
use crate::error::{Error, Result};
use crate::tx::SharedTx;

/// A step that a version took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Slug of the module.
    pub module: String,
    /// The version.
    pub version: String,
    /// Where it stands now.
    pub state: State,
}

/// Records what the quality gates said of the content that is stored; [`Error::Invalid`] if they saw another one.
pub async fn record_gates(tx: &mut impl SharedTx, module: &str, version: &str, report: &GateReport) -> Result<()> {
    let done = sqlx::query(
        "UPDATE shared.module_versions SET gates = $4
         WHERE module = $1 AND version = $2 AND checksum = $3 AND state IN ('draft', 'qa')",
    )
    .bind(module)
    .bind(version)
    .bind(&report.checksum)
    .bind(Json(report))
    .execute(tx.session().connection()?)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let stored = super::version(tx, module, version).await?;
    Err(Error::Invalid(if stored.state.is_open() {
        format!("the gates saw another content of {module} {version} than the one that is stored; run them again")
    } else {
        format!("{module} {version} is {}: its gates are on record", stored.state)
    }))
}

/// Takes the next step towards a release: draft to qa, qa to released. The gates have to be on record for the content;
/// a release deprecates its predecessors. Gives what changed, the version itself first.
pub async fn promote(
    tx: &mut impl SharedTx,
    module: &str,
    version: &str,
    succession: Succession,
    actor: &str,
) -> Result<Vec<Change>> {
    let stored = super::version(tx, module, version).await?;
    let next = match stored.state {
        State::Draft => State::Qa,
        State::Qa => State::Released,
        state @ (State::Released | State::Deprecated | State::Retired) => {
            return Err(Error::WrongState {
                slug: module.to_owned(),
                version: version.to_owned(),
                state,
                needed: "draft or qa",
            });
        }
    };
    step(tx, module, version, next, None, actor).await?;
    let mut changes = vec![Change { module: module.to_owned(), version: version.to_owned(), state: next }];
    if next == State::Released {
        changes.extend(successors(tx, module, succession, actor).await?);
    }
    Ok(changes)
}

/// Deprecates a released version until `sunset_at`, or moves the sunset of a deprecated one.
pub async fn deprecate(
    tx: &mut impl SharedTx,
    module: &str,
    version: &str,
    sunset_at: DateTime<Utc>,
    actor: &str,
) -> Result<Change> {
    if sunset_at <= Utc::now() {
        return Err(Error::Invalid(format!("the sunset {sunset_at} is not in the future: write a later one")));
    }
    let stored = super::version(tx, module, version).await?;
    match stored.state {
        State::Released | State::Deprecated => {
            step(tx, module, version, State::Deprecated, Some(sunset_at), actor).await?;
        }
        state => {
            return Err(Error::WrongState {
                slug: module.to_owned(),
                version: version.to_owned(),
                state,
                needed: "released or deprecated",
            });
        }
    }
    Ok(Change { module: module.to_owned(), version: version.to_owned(), state: State::Deprecated })
}

/// Retires a deprecated version before its sunset. Jobs that were handed out run to their end, results stay.
pub async fn retire(tx: &mut impl SharedTx, module: &str, version: &str, actor: &str) -> Result<Change> {
    let stored = super::version(tx, module, version).await?;
    if stored.state != State::Deprecated {
        return Err(Error::WrongState {
            slug: module.to_owned(),
            version: version.to_owned(),
            state: stored.state,
            needed: "deprecated",
        });
    }
    step(tx, module, version, State::Retired, None, actor).await?;
    Ok(Change { module: module.to_owned(), version: version.to_owned(), state: State::Retired })
}

/// Retires every version whose sunset is past, and all but the newest `kept` deprecated ones of each module. Safe to run on
/// several replicas at once.
pub async fn retire_due(tx: &mut impl SharedTx, succession: Succession, actor: &str) -> Result<Vec<Change>> {
    let now = Utc::now();
    let all = versions(tx, None).await?;
    let mut due = Vec::new();
    for of_module in all.chunk_by(|a, b| a.module == b.module) {
        due.extend(to_retire(of_module, succession.kept, now));
    }
    let mut changes = Vec::new();
    for row in due {
        let version = row.version.to_string();
        // Another replica may have been faster.
        if step(tx, &row.module, &version, State::Retired, None, actor).await? {
            changes.push(Change { module: row.module.clone(), version, state: State::Retired });
        }
    }
    Ok(changes)
}

/// Deprecates what a newer release has replaced, and retires what is too old. Gives how many versions changed.
pub(super) async fn supersede(
    tx: &mut impl SharedTx,
    module: &str,
    succession: Succession,
    actor: &str,
) -> Result<usize> {
    Ok(successors(tx, module, succession, actor).await?.len())
}

async fn successors(tx: &mut impl SharedTx, module: &str, succession: Succession, actor: &str) -> Result<Vec<Change>> {
    let mut rows = versions(tx, Some(module)).await?;
    let Some(newest) = rows.iter().rposition(|row| row.state == State::Released) else { return Ok(Vec::new()) };
    let sunset_at = Utc::now() + window(succession.window);
    let mut changes = Vec::new();
    for row in rows[..newest].iter_mut().filter(|row| row.state == State::Released) {
        let version = row.version.to_string();
        step(tx, module, &version, State::Deprecated, Some(sunset_at), actor).await?;
        (row.state, row.sunset_at) = (State::Deprecated, Some(sunset_at));
        changes.push(Change { module: module.to_owned(), version, state: State::Deprecated });
    }
    for row in to_retire(&rows, succession.kept, Utc::now()) {
        let version = row.version.to_string();
        step(tx, module, &version, State::Retired, None, actor).await?;
        changes.push(Change { module: module.to_owned(), version, state: State::Retired });
    }
    Ok(changes)
}

fn window(window: Duration) -> chrono::Duration {
    // A window that chrono cannot hold is no window that anybody meant.
    chrono::Duration::from_std(window).unwrap_or(chrono::Duration::days(36_500))
}

/// Of the versions of one module, oldest first: the deprecated ones that are past their sunset or beyond the newest `kept`.
fn to_retire(rows: &[VersionRow], kept: usize, now: DateTime<Utc>) -> Vec<&VersionRow> {
    rows.iter()
        .rev()
        .filter(|row| row.state == State::Deprecated)
        .enumerate()
        .filter(|(newer, row)| *newer >= kept || row.sunset_at.is_none_or(|sunset| sunset <= now))
        .map(|(_, row)| row)
        .collect()
}

/// One step, or another sunset of a deprecated version. Gives whether the row changed: false if it is in that state already.
pub(super) async fn step(
    tx: &mut impl SharedTx,
    module: &str,
    version: &str,
    to: State,
    sunset_at: Option<DateTime<Utc>>,
    actor: &str,
) -> Result<bool> {
    let done = sqlx::query(
        "UPDATE shared.module_versions SET state = $3, sunset_at = coalesce($4, sunset_at), state_changed_by = $5
         WHERE module = $1 AND version = $2 AND (state <> $3 OR $4 IS NOT NULL)",
    )
    .bind(module)
    .bind(version)
    .bind(to.as_str())
    .bind(sunset_at)
    .bind(actor)
    .execute(tx.session().connection()?)
    .await
    .map_err(|error| refused(error, module, version))?;
    Ok(done.rows_affected() == 1)
}

/// What the catalog's triggers refuse, by their SQLSTATE.
pub(super) fn refused(error: sqlx::Error, module: &str, version: &str) -> Error {
    let refusal = error.as_database_error();
    let code = refusal.and_then(sqlx::error::DatabaseError::code);
    let (slug, version) = (module.to_owned(), version.to_owned());
    match (code.as_deref(), refusal.map(|refusal| refusal.message().to_owned())) {
        (Some("TN001"), _) => Error::ReleasedChanged { slug, version },
        (Some("TN003"), Some(message)) => Error::Invalid(message),
        (Some("TN004"), _) => Error::NoGates { slug, version },
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    fn row(minor: u64, state: State, sunset: Option<i64>) -> VersionRow {
        VersionRow {
            module: "m".to_owned(),
            version: Version::new(1, minor, 0),
            title: String::new(),
            category: String::new(),
            profile: String::new(),
            state,
            checksum: String::new(),
            checks: 0,
            sunset_at: sunset.and_then(|second| DateTime::from_timestamp(second, 0)),
            created_at: DateTime::UNIX_EPOCH,
            released_at: None,
            deprecated_at: None,
            retired_at: None,
            state_changed_by: String::new(),
            gates: None,
        }
    }

    #[test]
    fn the_oldest_beyond_the_kept_ones_and_those_past_their_sunset_are_due() {
        let now = DateTime::from_timestamp(100, 0).unwrap();
        let rows = [
            row(0, State::Retired, Some(1)),
            row(1, State::Deprecated, Some(900)),
            row(2, State::Deprecated, Some(900)),
            row(3, State::Deprecated, Some(100)),
            row(10, State::Released, None),
        ];
        let due = |kept| to_retire(&rows, kept, now).iter().map(|row| row.version.minor).collect::<Vec<_>>();
        assert_eq!(due(2), [3, 1]);
        assert_eq!(due(3), [3]);
        assert_eq!(due(0), [3, 2, 1]);
    }
}
