//! Tenants' schemas as an older release left them, and what brings them forward without anybody who thinks: the same files
//! by a script that reads nothing, in as many schemas at once.

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use store::migrate::{Migration, Scope};
use store::{OwnerDb, Slug, TenantRef, tenants};
use uuid::Uuid;

use super::AT_ONCE;

/// The files of the older release, and those that came since.
#[derive(Debug, Clone, Copy)]
pub struct Files {
    older: &'static [Migration],
    newer: &'static [Migration],
}

impl Files {
    /// The older release is `behind` files behind.
    pub fn behind(behind: usize) -> anyhow::Result<Self> {
        let files = Scope::Tenant.files();
        let older = files.len().checked_sub(behind).filter(|older| *older > 0);
        let older = older.with_context(|| format!("a schema has {} migrations: BEHIND has to be less", files.len()))?;
        let (older, newer) = files.split_at(older);
        Ok(Self { older, newer })
    }

    /// Their names, for people.
    pub fn told(self) -> String {
        let names: Vec<&str> = self.newer.iter().map(|file| file.name).collect();
        names.join(", ")
    }
}

/// One file and the row that says so, for the schema that is first in the search path.
fn step(file: &Migration, is_concurrent: bool) -> anyhow::Result<Vec<String>> {
    let mut statements = Vec::new();
    if file.is_index_build() {
        statements.extend(file.index_statements()?.iter().map(|build| build.statement(is_concurrent)));
    } else {
        statements.push(file.sql.to_owned());
    }
    let (version, checksum) = (file.version(), file.checksum());
    statements.push(format!("INSERT INTO schema_migrations (version, checksum) VALUES ('{version}', '{checksum}')"));
    Ok(statements)
}

/// What a tenant's role may do. What the newer files add to it, they are followed by.
fn grants(schema: &str) -> String {
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {schema};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema};
         REVOKE INSERT, UPDATE, DELETE ON {schema}.audit_log FROM {schema};
         GRANT INSERT (audit_id, actor, action, subject, details) ON {schema}.audit_log TO {schema};
         REVOKE INSERT, UPDATE, DELETE ON {schema}.schema_migrations FROM {schema};"
    )
}

fn creation(schema: &str, tenant_id: Uuid, files: Files) -> anyhow::Result<String> {
    let mut steps = Vec::new();
    for file in files.older {
        steps.append(&mut step(file, false)?);
    }
    let (steps, grants) = (steps.join(";\n"), grants(schema));
    Ok(format!(
        "BEGIN; CREATE SCHEMA {schema}; COMMENT ON SCHEMA {schema} IS 'tenantra:{tenant_id}';
         SET LOCAL search_path = {schema}, pg_temp;
         CREATE TABLE schema_migrations (version text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
         {steps};
         CREATE ROLE {schema} NOLOGIN; COMMENT ON ROLE {schema} IS 'tenantra:{tenant_id}';
         GRANT tenantra_tenant TO {schema}; GRANT {schema} TO tenantra_api; {grants} COMMIT"
    ))
}

async fn script(pool: &PgPool, sql: String) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the benchmark's own script, with names that are made here")]
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await?;
    Ok(())
}

/// Connections as the owner of all schemas, as many as work at once.
pub async fn pool(owner_url: &str) -> anyhow::Result<PgPool> {
    let connections = u32::try_from(AT_ONCE)?;
    Ok(PgPoolOptions::new().max_connections(connections).connect(owner_url).await?)
}

/// Tenants that the older release made.
pub async fn tenants(owner: &OwnerDb, pool: &PgPool, count: u32, files: Files) -> anyhow::Result<Vec<TenantRef>> {
    let mut made = Vec::new();
    let mut tx = owner.begin().await?;
    for number in 0..count {
        made.push(tenants::ensure(&mut tx, &Slug::parse(&format!("ours-{number:04}"))?).await?.tenant);
    }
    tx.commit().await?;
    stream::iter(&made)
        .map(|tenant| async move {
            let schema = tenant.schema();
            script(pool, creation(schema.as_str(), tenant.id, files)?).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(made)
}

/// Schemas of nobody, made by the older release as well.
pub async fn raw(pool: &PgPool, count: u32, files: Files) -> anyhow::Result<Vec<String>> {
    let schemas: Vec<String> = (0..count).map(|number| format!("tenant_raw_{number:04}")).collect();
    stream::iter(&schemas)
        .map(|schema| async move { script(pool, creation(schema, Uuid::now_v7(), files)?).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(schemas)
}

/// Brings schemas forward: what a transaction can hold in one, index builds after it, one statement each.
pub async fn bring_forward(pool: &PgPool, schemas: &[String], files: Files) -> anyhow::Result<()> {
    ensure!(!files.newer.is_empty(), "there is nothing to bring forward");
    stream::iter(schemas)
        .map(|schema| async move {
            let mut together = Vec::new();
            for file in files.newer.iter().filter(|file| !file.is_index_build()) {
                together.append(&mut step(file, true)?);
            }
            if !together.is_empty() {
                let (together, grants) = (together.join(";\n"), grants(schema));
                let path = format!("SET LOCAL search_path = {schema}, pg_temp");
                script(pool, format!("BEGIN; {path}; {together}; {grants} COMMIT")).await?;
            }
            let mut connection = pool.acquire().await?;
            for file in files.newer.iter().filter(|file| file.is_index_build()) {
                let path = format!("SET search_path = {schema}, pg_temp");
                for statement in std::iter::once(path).chain(step(file, true)?) {
                    sqlx::query(sqlx::AssertSqlSafe(statement)).persistent(false).execute(&mut *connection).await?;
                }
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
}
