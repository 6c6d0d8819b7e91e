//! A tenant's schema, role and grants: what is there, what it should be, and taking it back. Schema and role carry
//! `tenantra:<uuid>` as their comment; what does not carry it is neither adopted nor dropped.

mod observe;

use sqlx::AssertSqlSafe;

pub use observe::{DatabaseState, Object, ObservedDatabase, observe};

use crate::error::{Error, Result};
use crate::fencing::Epoch;
use crate::migrate::{self, Migration, Scope};
use crate::names::{SchemaName, TenantRef};
use crate::pool::OwnerDb;
use crate::tx::OwnerTx;

/// How often a migration that could not get its locks in time is tried again.
const ATTEMPTS: u32 = 20;

/// What [`ensure`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensured {
    /// Whether anything was written.
    pub has_changed: bool,
    /// The version the schema has now.
    pub version: String,
    /// What was repaired, as the statements that did it.
    pub repaired: Vec<String>,
}

/// Makes schema, role, grants and migrations what they should be, in one transaction (index builds of an existing schema
/// follow it). Writes nothing when nothing differs. `epoch` is the leader's; a person at a terminal has none.
pub async fn ensure(db: &OwnerDb, tenant: &TenantRef, epoch: Option<Epoch>) -> Result<Ensured> {
    migrate::check(Scope::Tenant)?;
    let mut attempt = 0;
    loop {
        match ensure_once(db, tenant, epoch).await {
            Err(error) if attempt < ATTEMPTS && migrate::is_lock_timeout(&error) => attempt += 1,
            other => return other,
        }
        tokio::time::sleep(std::time::Duration::from_millis(50 * u64::from(attempt))).await;
    }
}

async fn ensure_once(db: &OwnerDb, tenant: &TenantRef, epoch: Option<Epoch>) -> Result<Ensured> {
    let mut tx = begin(db, epoch).await?;
    let schema = tenant.schema();
    migrate::lock(tx.connection()?, schema.as_str()).await?;
    let observed = observe::read(tx.connection()?, &tenant.slug).await?;
    let version = Scope::Tenant.head().to_owned();
    let (mut script, repaired, later) = match observed.state(tenant)? {
        DatabaseState::Ready => {
            tx.rollback().await?;
            return Ok(Ensured { has_changed: false, version, repaired: Vec::new() });
        }
        DatabaseState::Absent => (creation(tenant, &schema, &observed)?, observed.repairs, Vec::new()),
        DatabaseState::Differs { pending } => {
            let (later, now): (Vec<_>, Vec<_>) = pending.into_iter().partition(|m| m.is_index_build());
            (upgrade(tenant, &schema, &observed, &now)?, observed.repairs, later)
        }
    };
    for statement in &repaired {
        script.extend([statement.as_str(), ";\n"]);
    }
    tx.script(script).await?;
    tx.commit().await?;
    for migration in later {
        migrate::build_indexes(db, schema.as_str(), migration).await?;
    }
    Ok(Ensured { has_changed: true, version, repaired })
}

async fn begin(db: &OwnerDb, epoch: Option<Epoch>) -> Result<OwnerTx> {
    match epoch {
        Some(epoch) => db.begin_fenced(epoch).await,
        None => db.begin().await,
    }
}

/// A new schema with every migration, as one string.
fn creation(tenant: &TenantRef, schema: &SchemaName, observed: &ObservedDatabase) -> Result<String> {
    let mut script = format!(
        "CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS '{}';\nSET LOCAL search_path = {schema}, pg_temp;\n{}",
        tenant.mark(),
        migrate::versions_table(schema.as_str()),
    );
    for migration in Scope::Tenant.files() {
        script.push_str(&migrate::step(schema.as_str(), migration)?);
    }
    script.push_str(&role(tenant, schema, observed));
    script.push_str(&grants(schema));
    Ok(script)
}

fn upgrade(
    tenant: &TenantRef,
    schema: &SchemaName,
    observed: &ObservedDatabase,
    pending: &[&Migration],
) -> Result<String> {
    let mut script = role(tenant, schema, observed);
    if !pending.is_empty() {
        // A tenant at work waits at most that long behind us; ensure tries again.
        script.push_str("SET LOCAL lock_timeout = '100ms';\n");
        script.extend(["SET LOCAL search_path = ", schema.as_str(), ", pg_temp;\n"]);
        for migration in pending {
            script.push_str(&migrate::step(schema.as_str(), migration)?);
        }
    }
    if !pending.is_empty() || observed.role.is_none() {
        script.push_str(&grants(schema));
    }
    Ok(script)
}

/// The role, if it is not there. Last in a new schema's script: what it locks is shared by all tenants.
fn role(tenant: &TenantRef, schema: &SchemaName, observed: &ObservedDatabase) -> String {
    if observed.role.is_some() {
        return String::new();
    }
    format!(
        "CREATE ROLE {schema} NOLOGIN; COMMENT ON ROLE {schema} IS '{}';\n\
         GRANT tenantra_tenant TO {schema}; GRANT {schema} TO tenantra_api;\n",
        tenant.mark(),
    )
}

/// What a tenant's role may do in its schema; `observe` knows the same list. Place and hash of a row of the audit log, and the
/// time that it was written, are not the writer's to say.
fn grants(schema: &SchemaName) -> String {
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {schema};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema};\n\
         REVOKE INSERT, UPDATE, DELETE ON {schema}.audit_log FROM {schema};\n\
         GRANT INSERT (audit_id, actor, action, subject, details) ON {schema}.audit_log TO {schema};\n\
         REVOKE INSERT, UPDATE, DELETE ON {schema}.schema_migrations FROM {schema};\n"
    )
}

/// Drops the tenant's schema and role, each only where it carries the tenant's UUID, with its rows of `shared.jobs` and
/// `shared.outbox`. Gives whether anything was there. Repeating it is harmless.
pub async fn remove(db: &OwnerDb, tenant: &TenantRef, epoch: Option<Epoch>) -> Result<bool> {
    let mut tx = begin(db, epoch).await?;
    let schema = tenant.schema();
    migrate::lock(tx.connection()?, schema.as_str()).await?;
    let observed = observe::read(tx.connection()?, &tenant.slug).await?;
    let mark = tenant.mark();
    let is_ours = |object: &Option<Object>| object.as_ref().is_some_and(|o| o.mark.as_deref() == Some(mark.as_str()));
    let (has_schema, has_role) = (is_ours(&observed.schema), is_ours(&observed.role));
    if !has_schema && !has_role {
        tx.rollback().await?;
        return Ok(false);
    }
    let mut statements = Vec::new();
    if has_schema {
        statements.push(format!("DROP SCHEMA {schema} CASCADE"));
    }
    if has_role {
        statements.push(format!("DELETE FROM shared.jobs WHERE tenant_role = '{schema}'"));
        statements.push(format!("DELETE FROM shared.outbox WHERE tenant_role = '{schema}'"));
        if !has_schema && observed.has_schema() {
            // A foreign schema of that name stays; what our role was granted there goes.
            statements.push(format!("REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {schema}"));
            statements.push(format!("REVOKE ALL ON SCHEMA {schema} FROM {schema}"));
        }
        statements.push(format!("DROP ROLE {schema}"));
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(tx.connection()?).await.map_err(Error::from)?;
    }
    tx.commit().await?;
    Ok(true)
}
