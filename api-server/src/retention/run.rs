//! One run of retention for one tenant: what is to go is counted, then goes in batches, each in a short transaction of its own;
//! a batch that is archived is in the archive, read back and compared, before its rows are deleted.
//!
//! A run that is killed leaves nothing half done: a batch is deleted or it is not, and the next run begins with the oldest row
//! that is left.

use std::{mem, time::Duration};

use chrono::Utc;
use serde_json::{Value, json};
use store::{
    Read, TenantRef, Write, audit, export,
    retention::{
        self, Bound, End, Key, Kind, Policy, Table, holds,
        runs::{self, Part, RunState},
    },
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    error::{Result, chain},
    retention::archive,
    state::App,
};

/// A run ends after this; the next one, an hour later, goes on.
const RUN_LIMIT: Duration = Duration::from_mins(30);
/// Counting what is to go takes so long at most: the first time that may be most of what there is.
const COUNT_LIMIT: Duration = Duration::from_mins(5);
/// Rows deleted in one transaction: some tens of milliseconds.
const BATCH: Bound = Bound { rows: 5_000, bytes: usize::MAX };
/// Rows of one object of the archive, which are held in memory as they are packed.
const OBJECT: Bound = Bound { rows: 5_000, bytes: 16 * 1024 * 1024 };
/// Between two batches others come first.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the run's row says how far it is; far below [`runs::ABANDONED_AFTER`], with a batch in between.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Who deletes, in the audit log.
const ACTOR: &str = "retention";

/// Why a table was not done.
#[derive(Debug, thiserror::Error)]
enum Problem {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The policy says archive, and the installation has none.
    #[error("the policy archives {} first, and this installation has no archive: set TENA_ARCHIVE_URL", .0.as_str())]
    NoArchive(Kind),
}

/// How the work on a table, or on all, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    Held,
    OutOfTime,
    /// Somebody took the run for abandoned: what is done is in its row, and the rest is theirs.
    Lost,
}

/// Does a run for a tenant, if it is due.
///
/// # Errors
/// The run could not be begun or ended; what failed within it stands in its row.
pub async fn run(app: &App, tenant: &TenantRef, policy: &Policy, is_dry_run: bool) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let begun = runs::begin(&mut tx, tenant.id, is_dry_run).await?;
    let is_held = holds::is_held(&mut tx, tenant.id).await?;
    tx.commit().await?;
    let Some(run_id) = begun else { return Ok(()) };
    let now = Instant::now();
    let mut run = Run { app, tenant, policy, id: run_id, parts: Vec::new(), deadline: now + RUN_LIMIT, renewed: now };
    let ended = run.all(is_dry_run, is_held).await;
    let (state, problem) = match ended {
        Ok(Ended::Lost) => return Ok(()),
        Ok(Ended::Held) => (RunState::Held, None),
        Ok(Ended::OutOfTime) => (RunState::Partial, None),
        Ok(Ended::Done) if run.parts.iter().any(|part| part.problem.is_some()) => (RunState::Failed, None),
        Ok(Ended::Done) => (RunState::Done, None),
        Err(error) => (RunState::Failed, Some(chain(&error))),
    };
    let deleted_rows: u64 = run.parts.iter().map(|part| part.deleted_rows).sum();
    if deleted_rows > 0 {
        let deleted = run.figures(|part| part.deleted_rows);
        run.note("retention.finished", &json!({ "state": state.as_str(), "deleted": deleted })).await?;
    }
    // After the entry: a run that is told to be over has told all that it did.
    let mut tx = app.db.platform().await?;
    runs::finish(&mut tx, run_id, state, &run.parts, problem.as_deref()).await?;
    tx.commit().await?;
    let state = state.as_str();
    tracing::info!(tenant = %tenant.slug, %run_id, state, is_dry_run, deleted_rows, problem, "retention");
    Ok(())
}

struct Run<'a> {
    app: &'a App,
    tenant: &'a TenantRef,
    policy: &'a Policy,
    id: Uuid,
    parts: Vec<Part>,
    deadline: Instant,
    renewed: Instant,
}

impl Run<'_> {
    async fn all(&mut self, is_dry_run: bool, is_held: bool) -> Result<Ended, store::Error> {
        let cutoffs = self.policy.cutoffs(Utc::now());
        let mut tx = self.app.db.tenant::<Read>(self.tenant).await?;
        export::allow(&mut tx, COUNT_LIMIT).await?;
        let extents = retention::preview(&mut tx, &cutoffs).await?;
        tx.rollback().await?;
        let part = |(table, planned): (Table, _)| Part {
            table,
            before: cutoffs.before(table.kind()),
            planned,
            deleted_rows: 0,
            archived_objects: 0,
            problem: None,
        };
        self.parts = extents.into_iter().map(part).collect();
        if is_held {
            return Ok(Ended::Held);
        }
        if is_dry_run || self.parts.iter().all(|part| part.planned.rows == 0) {
            return Ok(Ended::Done);
        }
        self.note("retention.started", &json!({ "planned": self.figures(|part| part.planned.rows) })).await?;
        for index in 0..self.parts.len() {
            if self.parts[index].planned.rows == 0 {
                continue;
            }
            match self.table(index).await {
                Ok(Ended::Done) => {}
                Ok(ended) => return Ok(ended),
                // One table that does not go keeps none of the others.
                Err(problem) => {
                    let table = self.parts[index].table.name();
                    tracing::warn!(tenant = %self.tenant.slug, table, error = %chain(&problem), "rows cannot be deleted");
                    self.parts[index].problem = Some(chain(&problem));
                }
            }
        }
        Ok(Ended::Done)
    }

    async fn table(&mut self, index: usize) -> Result<Ended, Problem> {
        let (app, tenant) = (self.app, self.tenant);
        let Part { table, before, .. } = self.parts[index];
        let end = End { before, sequence: self.parts[index].planned.last_sequence };
        let archive = if self.policy.archive.contains(&table.kind()) {
            Some(app.archive.as_ref().ok_or(Problem::NoArchive(table.kind()))?)
        } else {
            None
        };
        let bound = if archive.is_some() { OBJECT } else { BATCH };
        let mut after = Key::first();
        loop {
            if Instant::now() >= self.deadline {
                return Ok(Ended::OutOfTime);
            }
            let mut tx = app.db.tenant::<Read>(tenant).await?;
            let mut batch = retention::pick(&mut tx, table, end, &after, bound, archive.is_some()).await?;
            tx.rollback().await?;
            let Some(last) = batch.keys.last().copied() else { return Ok(Ended::Done) };
            if let Some(archive) = archive {
                archive.keep(tenant, table, &batch.keys, mem::take(&mut batch.lines)).await?;
                self.parts[index].archived_objects += 1;
            }
            let Some(deleted) = self.delete(index, &batch.keys, last).await? else { return Ok(Ended::Held) };
            self.parts[index].deleted_rows += deleted;
            after = last;
            if self.renewed.elapsed() >= RENEW_EVERY && !self.renew().await? {
                return Ok(Ended::Lost);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes a batch; none where a legal hold stops it.
    async fn delete(&self, index: usize, keys: &[Key], last: Key) -> Result<Option<u64>, store::Error> {
        let Part { table, before, .. } = self.parts[index];
        if table == Table::AuditLog {
            let mut tx = self.app.db.platform().await?;
            let up_to = last.sequence.unwrap_or_default();
            let most = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            let cut = retention::cut_audit(&mut tx, self.tenant.id, before, up_to, most).await?;
            tx.commit().await?;
            return Ok(cut);
        }
        let mut tx = self.app.db.tenant::<Write>(self.tenant).await?;
        let removed = retention::remove(&mut tx, table, before, keys).await?;
        tx.commit().await?;
        Ok(removed)
    }

    async fn renew(&mut self) -> Result<bool, store::Error> {
        let mut tx = self.app.db.platform().await?;
        let is_ours = runs::renew(&mut tx, self.id, &self.parts).await?;
        tx.commit().await?;
        self.renewed = Instant::now();
        Ok(is_ours)
    }

    /// A figure of each table that has one.
    fn figures(&self, figure: impl Fn(&Part) -> u64) -> Value {
        let figures = self.parts.iter().map(|part| (part.table.name().to_owned(), figure(part)));
        figures.filter(|(_, figure)| *figure > 0).map(|(table, figure)| (table, json!(figure))).collect()
    }

    async fn note(&self, action: &str, details: &Value) -> Result<(), store::Error> {
        let entry = audit::Entry {
            actor: ACTOR.to_owned(),
            action: action.to_owned(),
            subject: format!("retention_run:{}", self.id),
            details: details.clone(),
        };
        let mut tx = self.app.db.tenant::<Write>(self.tenant).await?;
        audit::write(&mut tx, &entry).await?;
        tx.commit().await?;
        self.app.has_changed(self.tenant);
        Ok(())
    }
}
