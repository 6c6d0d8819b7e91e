//! Index builds in a schema that has data: CONCURRENTLY, with a short lock time-out and retry, an invalid index that an
//! earlier attempt left is dropped and built again.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use crate::error::{Error, Result};
use crate::migrate::files::{IndexBuild, Migration};
use crate::migrate::record;
use crate::pool::OwnerDb;

const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// Builds the indexes of one file in `schema` (`shared`, or a validated name) and records it.
///
/// It runs on a connection of its own that is closed at the end, so that its lock and its settings end with it.
pub(crate) async fn build(db: &OwnerDb, schema: &str, migration: &Migration) -> Result<()> {
    let mut connection = db.pool().acquire().await?;
    connection.close_on_drop();
    let is_mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    if !is_mine {
        return Err(Error::Busy(schema.to_owned()));
    }
    for setting in [
        format!("SET search_path = {schema}, pg_temp"),
        "SET lock_timeout = '100ms'".to_owned(),
        "SET statement_timeout = '30min'".to_owned(),
    ] {
        sqlx::query(AssertSqlSafe(setting)).execute(&mut *connection).await?;
    }
    for index in migration.index_statements()? {
        build_one(&mut connection, schema, &index).await.map_err(|source| Error::Migration {
            schema: schema.to_owned(),
            version: migration.version().to_owned(),
            source,
        })?;
    }
    sqlx::query(AssertSqlSafe(record(schema, migration))).execute(&mut *connection).await?;
    Ok(())
}

async fn build_one(connection: &mut PgConnection, schema: &str, index: &IndexBuild) -> Result<(), sqlx::Error> {
    let mut attempt = 0;
    loop {
        let is_valid: Option<bool> = sqlx::query_scalar(
            "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        )
        .bind(schema)
        .bind(&index.name)
        .fetch_optional(&mut *connection)
        .await?;
        let statement = match is_valid {
            Some(true) => return Ok(()),
            Some(false) => format!("DROP INDEX CONCURRENTLY {}", index.name),
            None => index.statement(true),
        };
        match sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await {
            Ok(_) => {}
            Err(error) if attempt < ATTEMPTS && is_lock_timeout(&error) => {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03"))
}
