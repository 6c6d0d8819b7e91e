//! The migration runner over the embedded files: forward only, checksums compared, one schema at a time under an advisory
//! lock of its own (sqlx's migrator locks the whole database). What a transaction can hold runs in one; index builds
//! (`-- no-transaction`) run CONCURRENTLY where there is data.

mod files;
mod indexes;

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};

pub use files::{IndexBuild, Migration, Scope, check};
pub(crate) use indexes::build as build_indexes;

use crate::error::{Error, Result};
use crate::fencing::Epoch;
use crate::names::{Slug, TenantRef};
use crate::pool::OwnerDb;
use crate::{provision, tenants};

const SHARED: &str = "shared";
/// How often, and how long apart, a lock that another process holds is tried.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);
/// How often migrations of `shared` are begun anew because a table of it was in use.
const PLATFORM_ATTEMPTS: u32 = 20;

/// A migration that a schema has.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Applied {
    /// The file's version.
    pub version: String,
    /// SHA-256 of the file as it was applied.
    pub checksum: String,
}

/// Where a schema is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// `shared`, or the tenant's schema.
    pub schema: String,
    /// The tenant; none for `shared`.
    pub tenant: Option<Slug>,
    /// The newest migration it has; none if the schema does not exist.
    pub version: Option<String>,
    /// Migrations it lacks.
    pub pending: usize,
    /// Why it cannot be read or brought forward.
    pub problem: Option<String>,
}

/// What migrating one tenant came to.
#[derive(Debug)]
pub struct TenantOutcome {
    /// The tenant.
    pub tenant: TenantRef,
    /// Whether anything was changed, or why not.
    pub result: Result<bool>,
}

/// Brings `shared` to this program's version. Gives the number of migrations that were applied.
pub async fn platform(db: &OwnerDb) -> Result<usize> {
    check(Scope::Platform)?;
    for attempt in 0..PLATFORM_ATTEMPTS {
        match platform_once(db).await {
            Err(error) if is_lock_timeout(&error) => {}
            other => return other,
        }
        tokio::time::sleep(LOCK_PAUSE * attempt).await;
    }
    platform_once(db).await
}

/// A table that is in use is waited for no longer than [`LOCK_PAUSE`]: whoever comes after us would wait as long.
async fn platform_once(db: &OwnerDb) -> Result<usize> {
    let mut tx = db.begin().await?;
    lock(tx.connection()?, SHARED).await?;
    tx.script("SET LOCAL lock_timeout = '100ms'".to_owned()).await?;
    tx.script("CREATE SCHEMA IF NOT EXISTS shared; ".to_owned() + &versions_table(SHARED)).await?;
    let applied = applied(tx.connection()?, SHARED).await?;
    let pending = pending(Scope::Platform, SHARED, &applied)?;
    for migration in pending.iter().filter(|m| !m.is_index_build()) {
        tx.script(step(SHARED, migration)?).await.map_err(|e| failed(SHARED, migration, e))?;
    }
    tx.commit().await?;
    for migration in pending.iter().filter(|m| m.is_index_build()) {
        build_indexes(db, SHARED, migration).await?;
    }
    Ok(pending.len())
}

/// How many migrations `shared` lacks. Reads only, so that a program which finds none writes nothing.
pub async fn platform_pending(db: &OwnerDb) -> Result<usize> {
    let mut tx = db.begin().await?;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('shared.schema_migrations') IS NOT NULL")
        .fetch_one(tx.connection()?)
        .await?;
    let rows = if is_there { applied(tx.connection()?, SHARED).await? } else { Vec::new() };
    tx.rollback().await?;
    Ok(pending(Scope::Platform, SHARED, &rows)?.len())
}

/// Brings one tenant's database objects to this program's version: the same as [`provision::ensure`].
pub async fn tenant(db: &OwnerDb, tenant: &TenantRef, epoch: Option<Epoch>) -> Result<bool> {
    Ok(provision::ensure(db, tenant, epoch).await?.has_changed)
}

/// Builds the indexes of one `-- no-transaction` file in a tenant's schema that has data, and records it.
pub async fn build_tenant_indexes(db: &OwnerDb, tenant: &TenantRef, migration: &Migration) -> Result<()> {
    build_indexes(db, tenant.schema().as_str(), migration).await
}

/// Migrates every tenant that has a schema, `concurrency` at a time, and goes on past one that fails. `progress` is
/// called after each.
pub async fn all_tenants(
    db: &OwnerDb,
    concurrency: usize,
    mut progress: impl FnMut(&TenantOutcome),
) -> Result<Vec<TenantOutcome>> {
    let tenants = with_schema(db).await?;
    let mut work = stream::iter(tenants.into_iter().map(|tenant| async move {
        let result = self::tenant(db, &tenant, None).await;
        TenantOutcome { tenant, result }
    }))
    .buffer_unordered(concurrency.max(1));
    let mut outcomes = Vec::new();
    while let Some(outcome) = work.next().await {
        progress(&outcome);
        outcomes.push(outcome);
    }
    outcomes.sort_by(|a, b| a.tenant.slug.cmp(&b.tenant.slug));
    Ok(outcomes)
}

/// The version of `shared` and of every tenant's schema.
pub async fn status(db: &OwnerDb) -> Result<Vec<SchemaStatus>> {
    let mut tx = db.begin().await?;
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass('shared.schema_migrations') IS NOT NULL")
        .fetch_one(tx.connection()?)
        .await?;
    if !is_there {
        tx.rollback().await?;
        let pending = Scope::Platform.files().len();
        return Ok(vec![SchemaStatus {
            schema: SHARED.to_owned(),
            tenant: None,
            version: None,
            pending,
            problem: None,
        }]);
    }
    let rows = applied(tx.connection()?, SHARED).await?;
    tx.rollback().await?;
    let mut all = vec![describe(Scope::Platform, SHARED, None, &rows)];
    let tenants = with_schema(db).await?;
    let read = tenants.into_iter().map(|tenant| async move {
        let schema = tenant.schema();
        match provision::observe(db, &tenant.slug).await {
            Ok(observed) if observed.has_schema() => {
                describe(Scope::Tenant, schema.as_str(), Some(&tenant.slug), &observed.applied)
            }
            Ok(_) => describe(Scope::Tenant, schema.as_str(), Some(&tenant.slug), &[]),
            Err(error) => SchemaStatus {
                problem: Some(error.to_string()),
                ..describe(Scope::Tenant, schema.as_str(), Some(&tenant.slug), &[])
            },
        }
    });
    let mut tenants: Vec<SchemaStatus> = stream::iter(read).buffer_unordered(4).collect().await;
    tenants.sort_by(|a, b| a.schema.cmp(&b.schema));
    all.append(&mut tenants);
    Ok(all)
}

fn describe(scope: Scope, schema: &str, tenant: Option<&Slug>, applied: &[Applied]) -> SchemaStatus {
    let (pending, problem) = match pending(scope, schema, applied) {
        Ok(pending) => (pending.len(), None),
        Err(error) => (0, Some(error.to_string())),
    };
    SchemaStatus {
        schema: schema.to_owned(),
        tenant: tenant.cloned(),
        version: applied.last().map(|row| row.version.clone()),
        pending,
        problem,
    }
}

async fn with_schema(db: &OwnerDb) -> Result<Vec<TenantRef>> {
    let mut tx = db.begin().await?;
    let rows = tenants::list(&mut tx).await?;
    tx.rollback().await?;
    Ok(rows.into_iter().filter(|row| row.state.has_data()).map(|row| row.tenant).collect())
}

/// Takes the schema's lock for the rest of the transaction.
pub(crate) async fn lock(connection: &mut PgConnection, schema: &str) -> Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        let is_mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(schema)
            .fetch_one(&mut *connection)
            .await?;
        if is_mine {
            return Ok(());
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(Error::Busy(schema.to_owned()))
}

/// The table that holds a schema's versions. `schema` is `shared` or a validated name.
pub(crate) fn versions_table(schema: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (version text PRIMARY KEY, checksum text NOT NULL, \
         applied_at timestamptz NOT NULL DEFAULT now());\n"
    )
}

/// What a schema has, oldest first.
pub(crate) async fn applied(connection: &mut PgConnection, schema: &str) -> Result<Vec<Applied>> {
    let rows = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT version, checksum FROM {schema}.schema_migrations ORDER BY version"
    )))
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// What a schema that has `applied` still lacks; refuses a changed file and a database that is ahead.
pub(crate) fn pending(scope: Scope, schema: &str, applied: &[Applied]) -> Result<Vec<&'static Migration>> {
    for row in applied {
        let version = row.version.clone();
        match scope.files().iter().find(|file| file.version() == row.version) {
            None => return Err(Error::UnknownMigration { schema: schema.to_owned(), version }),
            Some(file) if file.checksum() != row.checksum => {
                return Err(Error::ChangedMigration { schema: schema.to_owned(), version });
            }
            Some(_) => {}
        }
    }
    Ok(scope.files().iter().filter(|file| applied.iter().all(|row| row.version != file.version())).collect())
}

/// One migration and the row that says so, as one string. In a new schema an index build is a plain one.
pub(crate) fn step(schema: &str, migration: &Migration) -> Result<String> {
    let sql = if migration.is_index_build() {
        migration.index_statements()?.iter().map(|build| build.statement(false) + ";\n").collect()
    } else {
        migration.sql.to_owned()
    };
    Ok(format!("{sql}\n{}", record(schema, migration)))
}

/// The statement that records a migration.
pub(crate) fn record(schema: &str, migration: &Migration) -> String {
    format!(
        "INSERT INTO {schema}.schema_migrations (version, checksum) VALUES ('{}', '{}');\n",
        migration.version(),
        migration.checksum()
    )
}

/// Whether a statement, or one of a migration, did not get a lock in time.
pub(crate) fn is_lock_timeout(error: &Error) -> bool {
    let (Error::Database(source) | Error::Migration { source, .. }) = error else { return false };
    source.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03"))
}

fn failed(schema: &str, migration: &Migration, error: Error) -> Error {
    match error {
        Error::Database(source) => {
            Error::Migration { schema: schema.to_owned(), version: migration.version().to_owned(), source }
        }
        other => other,
    }
}
