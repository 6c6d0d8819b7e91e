//! What a pass knows beside its object: the row of `shared.tenants` that says who the tenant is, its figures, and its
//! place among the others. Rows and figures are read for all tenants at once and kept; a pass asks Postgres only for a
//! tenant it has never seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use store::audit::{self, Entry};
use store::tenants::{self, Progress, TenantRow, TenantState};
use store::{OwnerDb, OwnerTx, Slug, TenantRef};
use tokio::time::timeout;
use uuid::Uuid;

use crate::provision::{Class, Error};
use crate::runtime::gate::{Gate, System};
use crate::runtime::lead::Lead;
use crate::tenant::status::Figures;
use crds::names::OPERATOR;
use crds::tenant::{AgentCounts, OpenFindings, Tenant};

/// The rows of `shared.tenants` and the tenants' figures, as last read.
#[derive(Clone)]
pub struct Registry {
    db: OwnerDb,
    lead: Lead,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    rows: HashMap<String, TenantRow>,
    figures: HashMap<Uuid, Figures>,
}

impl Registry {
    /// A registry that knows nothing yet.
    pub fn new(db: OwnerDb, lead: Lead) -> Self {
        Self { db, lead, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads every row in one statement.
    pub async fn refresh(&self) -> Result<(), Error> {
        let mut tx = self.db.begin().await?;
        let rows = tenants::list(&mut tx).await?;
        tx.rollback().await?;
        self.known().rows = rows.into_iter().map(|row| (row.tenant.slug.to_string(), row)).collect();
        Ok(())
    }

    /// Reads every tenant's figures in one statement; the slugs of those that changed.
    pub async fn refresh_figures(&self) -> Result<Vec<String>, Error> {
        let mut tx = self.db.begin().await?;
        let rollups = store::rollups::list(&mut tx).await?;
        tx.rollback().await?;
        let mut known = self.known();
        let mut changed = Vec::new();
        for row in rollups {
            let store::rollups::Rollup { score, open_critical, open_high, agents, agents_online, .. } = row.rollup;
            let count = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
            let figures = Figures {
                score: score.map(i32::from),
                agents: AgentCounts { desired: 0, ready: count(agents_online), stale: count(agents - agents_online) },
                findings: OpenFindings { critical: open_critical, high: open_high },
            };
            if known.figures.insert(row.tenant.id, figures) != Some(figures) {
                changed.push(row.tenant.slug.to_string());
            }
        }
        Ok(changed)
    }

    /// A tenant's figures, as last read.
    pub fn figures(&self, tenant_id: Uuid) -> Figures {
        self.known().figures.get(&tenant_id).copied().unwrap_or_default()
    }

    /// The row as last read.
    pub fn get(&self, slug: &Slug) -> Option<TenantRow> {
        self.known().rows.get(slug.as_str()).cloned()
    }

    /// The row of a slug, made in Postgres if nobody has it.
    pub async fn ensure(&self, slug: &Slug, gate: &Gate) -> Result<TenantRow, Error> {
        if let Some(row) = self.get(slug) {
            return Ok(row);
        }
        let work = async {
            let mut tx = self.db.begin_fenced(self.lead.permit(System::Postgres.limit())?).await?;
            let row = tenants::ensure(&mut tx, slug).await?;
            tx.commit().await?;
            Ok(row)
        };
        Ok(self.remember(bounded(gate, work).await?))
    }

    /// The row of a slug as it is in Postgres now, if there is one.
    pub async fn read(&self, slug: &Slug, gate: &Gate) -> Result<Option<TenantRow>, Error> {
        let work = async {
            let mut tx = self.db.begin().await?;
            let row = tenants::by_slug(&mut tx, slug).await?;
            tx.rollback().await?;
            Ok(row)
        };
        let Some(row) = bounded(gate, work).await? else {
            self.forget(slug.as_str());
            return Ok(None);
        };
        Ok(Some(self.remember(row)))
    }

    fn remember(&self, row: TenantRow) -> TenantRow {
        self.known().rows.insert(row.tenant.slug.to_string(), row.clone());
        row
    }

    /// Records where a tenant is in its life, with what a caller has to write beside it, in one fenced transaction.
    pub async fn advance(
        &self,
        row: &TenantRow,
        progress: &Progress,
        gate: &Gate,
        entries: &[(&str, serde_json::Value)],
    ) -> Result<TenantRow, Error> {
        let work = async {
            let mut tx = self.db.begin_fenced(self.lead.permit(System::Postgres.limit())?).await?;
            tenants::set_progress(&mut tx, row.tenant.id, progress).await?;
            for (action, details) in entries {
                audit_in(&mut tx, OPERATOR, &row.tenant, action, details.clone()).await?;
            }
            tx.commit().await?;
            Ok(())
        };
        bounded(gate, work).await?;
        let Progress { state, step, purge_after } = progress.clone();
        let mut row = TenantRow { state, step, purge_after, updated_at: Utc::now(), ..row.clone() };
        if row.state == TenantState::Active {
            row.approvals.clear();
        }
        Ok(self.remember(row))
    }

    /// How many tenants ended their offboarding since `since`.
    pub fn ended_since(&self, since: DateTime<Utc>) -> usize {
        let is_over = |row: &&TenantRow| {
            matches!(row.state, TenantState::Retained | TenantState::Offboarded) && row.updated_at > since
        };
        self.known().rows.values().filter(is_over).count()
    }

    /// The database.
    pub fn db(&self) -> &OwnerDb {
        &self.db
    }

    /// Forgets a slug, so that the next pass asks Postgres.
    pub fn forget(&self, slug: &str) {
        self.known().rows.remove(slug);
    }
}

/// Writes an entry about a tenant into the platform's audit log, in the transaction that did what it tells.
pub async fn audit_in(
    tx: &mut OwnerTx,
    actor: &str,
    tenant: &TenantRef,
    action: &str,
    details: serde_json::Value,
) -> store::Result<()> {
    let entry = Entry { actor: actor.to_owned(), action: action.to_owned(), subject: tenant.slug.to_string(), details };
    audit::write_platform(tx, Some(tenant.id), &entry).await
}

/// A piece of work on Postgres within its limit and under its breaker.
pub async fn bounded<T>(gate: &Gate, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    within(System::Postgres, gate, work).await
}

/// A piece of work on a system within its limit and under its breaker.
pub async fn within<T>(system: System, gate: &Gate, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(_slot) = gate.enter().await else { return Err(Error::Resting { system }) };
    let done = timeout(system.limit(), work).await.unwrap_or(Err(Error::TimedOut { system }));
    match &done {
        Err(error) if error.report().class == Class::Silent => gate.unanswered(),
        _ => gate.answered(),
    }
    done
}

/// The tenants directly below `slug`, among those that are not on their way out first.
pub fn children_of(tenants: &Store<Tenant>, slug: &str) -> Vec<String> {
    let below = tenants.state_filter(|tenant| tenant.spec.parent.as_deref() == Some(slug));
    below.iter().map(|tenant| tenant.name_any()).collect()
}
