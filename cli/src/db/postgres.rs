//! The way to Postgres, and what to tell when there is none: a connection that fails says where, as whom, and what to
//! change. No sentence ever holds a URL, because a URL holds the password.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use store::{OwnerDb, PoolOptions};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use crate::settings;

const OWNER: &str = "TENA_DB_OWNER_URL";
/// Names of older installations.
const ALIASES: [&str; 2] = ["TENA_DB_URL", "DATABASE_URL"];
/// How long a server may take to accept a connection.
const REACH_LIMIT: Duration = Duration::from_secs(5);
/// How long one statement of a migration may take.
const STATEMENT_LIMIT: Duration = Duration::from_mins(10);

/// What can go wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No variable names a database.
    #[error(
        "no database is named: set TENA_DB_OWNER_URL (or TENA_DB_OWNER_URL_FILE) to postgres://tenantra_owner:password@host:5432/tenantra"
    )]
    Unnamed,
    /// The variable holds something else.
    #[error(
        "{variable} is not a database URL ({why}): write postgres://user:password@host:5432/database, with %-codes for special characters in the password"
    )]
    Malformed {
        /// The variable.
        variable: &'static str,
        /// Why not.
        why: String,
    },
    /// Nothing answers there.
    #[error("Postgres at {place} does not answer ({why}): start it, or correct host and port in {variable}")]
    Unreachable {
        /// Host and port.
        place: String,
        /// What the system says.
        why: String,
        /// The variable.
        variable: &'static str,
    },
    /// It answers, and refuses who we say we are.
    #[error("Postgres at {place} refuses the user '{user}' ({why}): correct user and password in {variable}")]
    Refused {
        /// Host and port.
        place: String,
        /// The user.
        user: String,
        /// What Postgres says.
        why: String,
        /// The variable.
        variable: &'static str,
    },
    /// It has no such database.
    #[error(
        "Postgres at {place} has no database '{database}': correct it in {variable}, or make it with `tenantra db bootstrap`"
    )]
    NoDatabase {
        /// Host and port.
        place: String,
        /// The database.
        database: String,
        /// The variable.
        variable: &'static str,
    },
    /// The user may not do it.
    #[error("the user '{user}' may not do this ({why}): {variable} has to name {needed}")]
    NotAllowed {
        /// The user.
        user: String,
        /// What Postgres says.
        why: String,
        /// The variable.
        variable: &'static str,
        /// Who may.
        needed: &'static str,
    },
    /// Anything else.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether it is the person's to correct before anything was asked.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Unnamed | Self::Malformed { .. } | Self::Store(store::Error::Url(_) | store::Error::Invalid(_))
        )
    }
}

/// Where a database is and who goes there; the URL itself cannot be printed.
#[derive(Debug)]
pub struct Address {
    url: SecretString,
    variable: &'static str,
    needed: &'static str,
    user: String,
    database: String,
    /// None for a Unix socket.
    host: Option<Host<String>>,
    port: u16,
}

impl Address {
    /// Reads a URL that came from `variable`; `needed` says who the user has to be.
    pub fn parse(variable: &'static str, url: SecretString, needed: &'static str) -> Result<Self, Error> {
        let malformed = |why: &str| Error::Malformed { variable, why: why.to_owned() };
        let parsed = Url::parse(url.expose_secret()).map_err(|error| malformed(&error.to_string()))?;
        if !matches!(parsed.scheme(), "postgres" | "postgresql") {
            return Err(malformed("it does not begin with postgres://"));
        }
        let user = if parsed.username().is_empty() { "postgres" } else { parsed.username() }.to_owned();
        let database = parsed.path().trim_matches('/').to_owned();
        let database = if database.is_empty() { user.clone() } else { database };
        let is_socket = parsed.query_pairs().any(|(key, _)| key == "host");
        let host = if is_socket { None } else { parsed.host().map(|host| host.to_owned()) };
        // A scheme that the standard does not know gives every host as a domain.
        let host = host.map(|host| Host::parse(&host.to_string()).unwrap_or(host));
        Ok(Self { variable, needed, user, database, host, port: parsed.port().unwrap_or(5432), url })
    }

    /// The address of the owner: `TENA_DB_OWNER_URL`, its file, or the names of older installations, which is told.
    pub fn owner() -> Result<Self, crate::outcome::Error> {
        Self::named()?.ok_or_else(|| Error::Unnamed.into())
    }

    /// As [`Address::owner`]; none if no variable names a database.
    pub fn named() -> Result<Option<Self>, crate::outcome::Error> {
        const NEEDED: &str = "tenantra_owner";
        if let Some(url) = settings::secret(OWNER)? {
            return Ok(Some(Self::parse(OWNER, url, NEEDED)?));
        }
        for alias in ALIASES {
            if let Some(url) = settings::secret(alias)? {
                eprintln!("tenantra: the database URL comes from {alias}; {OWNER} would win");
                return Ok(Some(Self::parse(alias, url, NEEDED)?));
            }
        }
        Ok(None)
    }

    /// The URL, for the store.
    pub fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// Host and port, as people read them.
    pub fn place(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}:{}", self.port),
            None => "its Unix socket".to_owned(),
        }
    }

    /// Whether anything listens there. The pool would try for as long and then not say why.
    pub async fn reach(&self) -> Result<(), Error> {
        let unreachable = |why: String| Error::Unreachable { place: self.place(), why, variable: self.variable };
        let connect = async {
            match &self.host {
                None => Ok(()),
                Some(Host::Domain(name)) => TcpStream::connect((name.as_str(), self.port)).await.map(drop),
                Some(Host::Ipv4(address)) => TcpStream::connect((*address, self.port)).await.map(drop),
                Some(Host::Ipv6(address)) => TcpStream::connect((*address, self.port)).await.map(drop),
            }
        };
        match timeout(REACH_LIMIT, connect).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unreachable(plain(&error))),
            Err(_) => Err(unreachable(format!("no answer within {} s", REACH_LIMIT.as_secs()))),
        }
    }

    /// Connects as the owner, with `connections` at most, and sees that Postgres lets us in.
    pub async fn connect(&self, connections: u32) -> Result<OwnerDb, Error> {
        self.reach().await?;
        let options = PoolOptions {
            max_connections: connections,
            statement_timeout: STATEMENT_LIMIT,
            ..PoolOptions::named("tenantra db")
        };
        let db = OwnerDb::connect(self.url(), &options).map_err(|error| self.explain(error))?;
        db.ping().await.map_err(|error| self.explain(error))?;
        Ok(db)
    }

    /// What an error of the store means for the person who set the variable.
    pub fn explain(&self, error: store::Error) -> Error {
        let Self { variable, user, database, .. } = self;
        let refused = match &error {
            store::Error::Url(source) => return Error::Malformed { variable, why: source.to_string() },
            store::Error::Unavailable(source) => {
                return Error::Unreachable { place: self.place(), why: source.to_string(), variable };
            }
            store::Error::Database(source) | store::Error::Migration { source, .. } => source.as_database_error(),
            _ => None,
        };
        let Some(refused) = refused else { return error.into() };
        let why = refused.message().to_owned();
        match refused.code().as_deref() {
            Some("28P01" | "28000") => Error::Refused { place: self.place(), user: user.clone(), why, variable },
            Some("3D000") => Error::NoDatabase { place: self.place(), database: database.clone(), variable },
            Some("42501") => Error::NotAllowed { user: user.clone(), why, variable, needed: self.needed },
            _ => error.into(),
        }
    }
}

/// The system's words without the number that Rust puts behind them.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, Error> {
        Address::parse("TENA_DB_OWNER_URL", url.to_owned().into(), "tenantra_owner")
    }

    #[test]
    fn a_url_says_where_and_as_whom_and_keeps_the_password() {
        let address = parse("postgres://ada:s3cret@db.example:6432/tenantra?sslmode=require").unwrap();
        assert_eq!((address.place().as_str(), address.user.as_str()), ("db.example:6432", "ada"));
        assert_eq!(address.database, "tenantra");
        assert!(!format!("{address:?}").contains("s3cret"));
        assert_eq!(parse("postgres://ada@127.0.0.1").unwrap().place(), "127.0.0.1:5432");
        assert_eq!(parse("postgres://ada@[::1]/x").unwrap().place(), "[::1]:5432");
        assert_eq!(parse("postgres:///x?host=/run/postgresql").unwrap().place(), "its Unix socket");
    }

    #[test]
    fn what_is_no_url_is_told_without_repeating_it() {
        for url in ["s3cret", "mysql://ada:s3cret@db/x", "postgres://ada:s3cret@db:port/x", "ada:s3cret@db"] {
            let error = parse(url).unwrap_err();
            assert!(error.is_configuration());
            let told = error.to_string();
            assert!(told.contains("TENA_DB_OWNER_URL") && !told.contains("s3cret"), "{told}");
        }
    }
}
