//! Whether the database is what the migrations and the provisioner made of it: what isolates tenants from each other, and
//! what nobody looks at while everything works. Reads only. Each fault is a sentence that says what to do.

use futures::{StreamExt as _, stream};
use serde::Serialize;

use crate::error::Result;
use crate::migrate::{self, Scope};
use crate::names::TenantRef;
use crate::pool::OwnerDb;
use crate::provision::{self, DatabaseState};
use crate::tenants::{self, TenantState};

mod checks;

/// Tables of a tenant's schema at most: each costs catalog space and memory for every tenant.
pub const MAX_TABLES: i64 = 24;
/// Indexes of a tenant's schema at most.
pub const MAX_INDEXES: i64 = 95;
/// Tenants looked at side by side.
const AT_ONCE: usize = 4;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// Where: `shared` or a tenant's schema; none for what is outside of every schema.
    pub schema: Option<String>,
    /// A sentence that says what to do.
    pub problem: String,
}

impl Fault {
    fn of(schema: &str, problem: impl Into<String>) -> Self {
        Self { schema: Some(schema.to_owned()), problem: problem.into() }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Tenants that were looked at.
    pub tenants: usize,
    /// Everything that is not as it should be, what is outside of every schema first.
    pub faults: Vec<Fault>,
}

/// Looks at roles, grants, row-level security, owners, marks, versions, indexes and counts, of the installation and of each
/// tenant.
pub async fn verify(db: &OwnerDb) -> Result<Report> {
    let mut faults = Vec::new();
    let mut tx = db.begin().await?;
    for check in checks::INSTALLATION {
        faults.extend(rows(sqlx::query_as(*check).fetch_all(tx.connection()?).await?));
    }
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('shared.schema_migrations') IS NOT NULL")
        .fetch_one(tx.connection()?)
        .await?;
    if !is_there {
        tx.rollback().await?;
        faults.push(Fault::of("shared", "it is not there; run `tenantra db migrate`"));
        return Ok(Report { tenants: 0, faults });
    }
    let applied = migrate::applied(tx.connection()?, "shared").await?;
    match migrate::pending(Scope::Platform, "shared", &applied) {
        Err(error) => faults.push(Fault::of("shared", error.to_string())),
        // What is looked at below is what the newest version has.
        Ok(pending) if !pending.is_empty() => {
            tx.rollback().await?;
            faults.push(Fault::of("shared", behind(pending.len())));
            return Ok(Report { tenants: 0, faults });
        }
        Ok(_) => {}
    }
    for check in checks::SCHEMAS {
        faults.extend(rows(sqlx::query_as(*check).fetch_all(tx.connection()?).await?));
    }
    let too_many: Vec<(Option<String>, String)> =
        sqlx::query_as(checks::COUNTS).bind(MAX_TABLES).bind(MAX_INDEXES).fetch_all(tx.connection()?).await?;
    faults.extend(rows(too_many));
    let known = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    let known: Vec<_> = known.into_iter().filter(|row| row.state.has_data()).collect();
    let count = known.len();
    let looks = known.into_iter().map(|row| async move { tenant(db, &row.tenant, row.state).await });
    let of_tenants: Vec<Vec<Fault>> = stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    faults.extend(of_tenants.into_iter().flatten());
    faults.sort();
    faults.dedup();
    Ok(Report { tenants: count, faults })
}

fn rows(found: Vec<(Option<String>, String)>) -> impl Iterator<Item = Fault> {
    found.into_iter().map(|(schema, problem)| Fault { schema, problem })
}

fn behind(count: usize) -> String {
    let what = if count == 1 { "1 migration".to_owned() } else { format!("{count} migrations") };
    format!("it lacks {what} of this program; run `tenantra db migrate`")
}

/// Mark, version and grants of one tenant, as the provisioner sees them.
async fn tenant(db: &OwnerDb, tenant: &TenantRef, state: TenantState) -> Vec<Fault> {
    let schema = tenant.schema();
    let fault = |problem: String| Fault::of(schema.as_str(), problem);
    let observed = match provision::observe(db, &tenant.slug).await {
        Ok(observed) => observed,
        Err(error) => return vec![fault(format!("it cannot be read: {error}"))],
    };
    match observed.state(tenant) {
        Err(error) => vec![fault(error.to_string())],
        Ok(DatabaseState::Ready) => Vec::new(),
        // Before its first pass, and after its data was removed, a tenant has none.
        Ok(DatabaseState::Absent) if state != TenantState::Active => Vec::new(),
        Ok(DatabaseState::Absent) => {
            vec![fault("it is not there although the tenant is active; the operator makes it".to_owned())]
        }
        Ok(DatabaseState::Differs { pending }) => {
            let mut faults = Vec::new();
            if !pending.is_empty() {
                faults.push(fault(behind(pending.len())));
            }
            if observed.role.is_none() {
                faults.push(fault(format!("the role {schema} is not there; run `tenantra db migrate`")));
            }
            let repairs = observed.repairs.iter();
            faults.extend(repairs.map(|repair| {
                fault(format!("roles or grants were changed; `tenantra db migrate` would run: {repair}"))
            }));
            faults
        }
    }
}
