//! The only step that needs a superuser: the three roles, the database, and what is taken from PUBLIC. Everything later
//! runs as `tenantra_owner`. Repeating it repairs what was changed and sets the given passwords.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

use crate::error::{Error, Result};

const LIMIT: Duration = Duration::from_secs(30);

/// What [`bootstrap`] makes.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// Password of `tenantra_owner`.
    pub owner_password: SecretString,
    /// Password of `tenantra_api`.
    pub api_password: SecretString,
    /// The database; letters, digits and `_`.
    pub database: String,
}

/// What a managed Postgres did not let us take away. None of it is fatal; `tenantra db bootstrap` prints it.
pub type Warnings = Vec<String>;

/// Makes roles and database as the superuser of `superuser_url`, within 30 s.
pub async fn bootstrap(superuser_url: &str, wanted: &Bootstrap) -> Result<Warnings> {
    timeout(LIMIT, run(superuser_url, wanted))
        .await
        .map_err(|_| Error::TimedOut { what: "the bootstrap", seconds: LIMIT.as_secs() })?
}

async fn run(superuser_url: &str, wanted: &Bootstrap) -> Result<Warnings> {
    let database = identifier(&wanted.database)?;
    let options = PgConnectOptions::from_str(superuser_url).map_err(Error::Url)?;
    let mut admin = options.connect().await?;
    login(&mut admin, "tenantra_owner", "CREATEROLE", &wanted.owner_password).await?;
    login(&mut admin, "tenantra_api", "NOINHERIT", &wanted.api_password).await?;
    role(&mut admin, "tenantra_tenant").await?;
    // From PostgreSQL 16 CREATEROLE alone does not allow to grant a role that another role made.
    send(&mut admin, "GRANT tenantra_tenant TO tenantra_owner WITH ADMIN OPTION".to_owned()).await?;
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(database)
        .fetch_one(&mut admin)
        .await?;
    if !is_there {
        send(&mut admin, format!("CREATE DATABASE {database} OWNER tenantra_owner")).await?;
    }
    admin.close().await?;

    let mut inside = options.database(database).connect().await?;
    for statement in [
        format!("ALTER DATABASE {database} OWNER TO tenantra_owner"),
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
        format!("GRANT CONNECT ON DATABASE {database} TO tenantra_api"),
        "REVOKE ALL ON SCHEMA public FROM PUBLIC".to_owned(),
    ] {
        send(&mut inside, statement).await?;
    }
    let mut warnings = Vec::new();
    for statement in HARDENING {
        if let Err(error) = send(&mut inside, (*statement).to_owned()).await {
            warnings.push(format!("{statement}: {error}"));
        }
    }
    inside.close().await?;
    Ok(warnings)
}

/// A statement injected into a query of the API could change its role by `set_config`, and run code by `DO`; large
/// objects and PL/pgSQL are of no use to a tenant.
const HARDENING: &[&str] = &[
    "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO tenantra_owner, tenantra_api",
    "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
    "GRANT USAGE ON LANGUAGE plpgsql TO tenantra_owner",
    "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), \
     pg_catalog.lo_from_bytea(oid, bytea), pg_catalog.lo_put(oid, bigint, bytea) FROM PUBLIC",
];

async fn role(connection: &mut PgConnection, name: &str) -> Result<()> {
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(name)
        .fetch_one(&mut *connection)
        .await?;
    if is_there { Ok(()) } else { send(connection, format!("CREATE ROLE {name} NOLOGIN")).await }
}

async fn login(connection: &mut PgConnection, name: &str, attributes: &str, password: &SecretString) -> Result<()> {
    role(connection, name).await?;
    let password = password.expose_secret();
    // A role's password cannot be a parameter. Control characters and quotes have no place in one that goes into a URL.
    if password.is_empty() || password.bytes().any(|b| b == b'\'' || b == b'\\' || !b.is_ascii_graphic()) {
        return Err(Error::Invalid(format!(
            "the password of {name} has to be of printable ASCII without spaces, quotes and backslashes"
        )));
    }
    send(connection, format!("ALTER ROLE {name} LOGIN {attributes} NOSUPERUSER NOCREATEDB PASSWORD '{password}'")).await
}

fn identifier(name: &str) -> Result<&str> {
    let is_valid = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if is_valid {
        Ok(name)
    } else {
        Err(Error::Invalid(format!("'{name}' is not a database name: write a-z, 0-9 and _")))
    }
}

async fn send(connection: &mut PgConnection, statement: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
