//! Whether the database is one that this program can work with, as the API's own login sees it.

use crate::error::{Error, Result};
use crate::migrate::Scope;
use crate::pool::Db;

/// What is wrong with the schema `shared`, in a sentence; none if its version is this program's or newer. A newer one is
/// fine: migrations only add, and an older replica goes on while an upgrade rolls out.
pub async fn schema_problem(db: &Db) -> Result<Option<String>> {
    let needed = Scope::Platform.head();
    let mut tx = db.platform().await?;
    let found: Result<Option<String>, sqlx::Error> =
        sqlx::query_scalar("SELECT max(version) FROM shared.schema_migrations").fetch_one(tx.connection()?).await;
    match found {
        Ok(Some(version)) if version.as_str() >= needed => Ok(None),
        Ok(Some(version)) => Ok(Some(format!("schema version {version} needs {needed}: run `tenantra db migrate`"))),
        Ok(None) => Ok(Some(format!("no schema version, needs {needed}: run `tenantra db migrate`"))),
        Err(error) if is_missing(&error) => {
            Ok(Some(format!("the schema shared is missing, needs {needed}: run `tenantra db migrate`")))
        }
        Err(error) => Err(Error::from(error)),
    }
}

/// No such schema or table, or none that this login may see.
fn is_missing(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("42P01" | "3F000" | "42501"))
}
