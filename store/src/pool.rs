//! The two ways into Postgres: [`OwnerDb`] owns every schema (operator, `tenantra db`), [`Db`] is the API's login that
//! can do nothing in a tenant's schema before it takes that tenant's role.
//!
//! Neither hands out a bare connection: every statement runs in a transaction whose type says what it may touch.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use crate::error::{Error, Result};
use crate::fencing::Epoch;
use crate::gate::{Gate, Party};
use crate::names::TenantRef;
use crate::notify::Listener;
use crate::served::Served;
use crate::session::Single;
use crate::tx::{Mode, OwnerTx, PlatformTx, TenantTx};

/// A connection that has rested for longer is asked whether it lives before it serves anybody. It was asked when it was given
/// back, and a busy pool gives out thousands in a second. Whoever meets one that was lost since takes another.
const RESTED: Duration = Duration::from_millis(100);

/// Size and time limits of a pool.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Connections at most.
    pub max_connections: u32,
    /// How long a caller waits for a connection, opening one included.
    pub acquire_timeout: Duration,
    /// `statement_timeout` of every statement.
    pub statement_timeout: Duration,
    /// A connection is replaced at that age.
    pub max_lifetime: Duration,
    /// A connection is replaced when it has served so many tenants: Postgres keeps 1.3 MB of catalog entries for each.
    pub max_tenants: usize,
    /// What `pg_stat_activity` shows.
    pub application_name: String,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            max_lifetime: Duration::from_mins(30),
            max_tenants: 200,
            application_name: "tenantra".to_owned(),
        }
    }
}

impl PoolOptions {
    /// Options that show `name` in `pg_stat_activity`.
    pub fn named(name: &str) -> Self {
        Self { application_name: name.to_owned(), ..Self::default() }
    }

    /// Makes the pool; connects when the first caller needs it, so that a program starts without Postgres.
    pub(crate) fn pool(&self, url: &str) -> Result<PgPool> {
        let connect = PgConnectOptions::from_str(url)
            .map_err(Error::Url)?
            .application_name(&self.application_name)
            // Postgres plans again whenever search_path changes, so a large cache would only cost memory.
            .statement_cache_capacity(64)
            .options([
                ("statement_timeout", self.statement_timeout.as_millis().to_string()),
                ("idle_in_transaction_session_timeout", "60000".to_owned()),
                ("lock_timeout", "10000".to_owned()),
                ("client_min_messages", "warning".to_owned()),
                // Compiling a statement takes seconds where fresh statistics are missing; ours run for milliseconds.
                ("jit", "off".to_owned()),
            ]);
        Ok(PgPoolOptions::new()
            .max_connections(self.max_connections)
            .acquire_timeout(self.acquire_timeout)
            .max_lifetime(self.max_lifetime)
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for > RESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(connect))
    }
}

/// The pool of `tenantra_owner`.
#[derive(Debug, Clone)]
pub struct OwnerDb {
    pool: PgPool,
}

impl OwnerDb {
    /// Makes the pool without connecting yet; [`OwnerDb::ping`] says whether Postgres answers.
    pub fn connect(url: &str, options: &PoolOptions) -> Result<Self> {
        Ok(Self { pool: options.pool(url)? })
    }

    /// Asks Postgres for an answer.
    pub async fn ping(&self) -> Result<()> {
        ping(&self.pool).await
    }

    /// A transaction on `shared` that checks no epoch: for reads, and for a person at a terminal.
    pub async fn begin(&self) -> Result<OwnerTx> {
        OwnerTx::open(&self.pool).await
    }

    /// A transaction that the leader of `epoch` may write in; [`Error::Deposed`] if a greater epoch is stored.
    pub async fn begin_fenced(&self, epoch: Epoch) -> Result<OwnerTx> {
        crate::fencing::begin(self, epoch).await
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The connection that [`Db::listen`] keeps.
const LISTENING: usize = 1;

/// The pool of `tenantra_api`.
#[derive(Debug, Clone)]
pub struct Db {
    pub(crate) pool: PgPool,
    pub(crate) gate: Arc<Gate>,
    pub(crate) served: Arc<Served>,
}

impl Db {
    /// Makes the pool without connecting yet; [`Db::ping`] says whether Postgres answers.
    pub fn connect(url: &str, options: &PoolOptions) -> Result<Self> {
        let connections = usize::try_from(options.max_connections).unwrap_or(usize::MAX);
        Ok(Self {
            pool: options.pool(url)?,
            gate: Gate::new(connections, LISTENING, options.acquire_timeout),
            served: Arc::new(Served::new(options.max_tenants)),
        })
    }

    /// Asks Postgres for an answer.
    pub async fn ping(&self) -> Result<()> {
        ping(&self.pool).await
    }

    /// A transaction as the tenant's own role, in its own schema: `db.tenant::<Read>(&tenant)`.
    pub async fn tenant<M: Mode>(&self, tenant: &TenantRef) -> Result<TenantTx<M>> {
        TenantTx::open(self, tenant).await
    }

    /// A transaction on the schema `shared`.
    pub async fn platform(&self) -> Result<PlatformTx> {
        PlatformTx::open(self).await
    }

    /// A connection for single statements on `shared`, without BEGIN and COMMIT around each: for what every request does.
    pub(crate) async fn single(&self) -> Result<Single> {
        let permit = self.gate.enter(Party::Platform).await?;
        Single::open(&self.pool, permit).await
    }

    /// The same where a connection was lost just now, and others may be with it.
    pub(crate) async fn living(&self) -> Result<Single> {
        let permit = self.gate.enter(Party::Platform).await?;
        Single::open_living(&self.pool, permit).await
    }

    /// Listens to notifications on a connection of its own.
    pub async fn listen(&self, channels: &[crate::notify::Channel]) -> Result<Listener> {
        Listener::open(&self.pool, channels).await
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

async fn ping(pool: &PgPool) -> Result<()> {
    let _: i32 = sqlx::query_scalar("SELECT 1").fetch_one(pool).await?;
    Ok(())
}
