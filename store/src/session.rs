//! A connection inside a transaction, and the one place that opens it. sqlx's own `begin_with` does not count a
//! transaction whose opening was cancelled or refused half way, so such a connection would go back to the pool with a
//! tenant's role still set; here it is closed instead.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Row as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::gate::Permit;

/// How long opening, committing and rolling back may take once a connection is there.
const CONTROL_LIMIT: Duration = Duration::from_secs(30);
/// How long a connection that was dropped within its transaction may take to roll back, and one that may be lost to answer,
/// before it is closed.
const ABANDONED_LIMIT: Duration = Duration::from_secs(5);

/// A connection that is closed when it is dropped, unless [`Guarded::release`] says that its state is known again.
struct Guarded(Option<PoolConnection<Postgres>>);

impl Guarded {
    fn release(mut self) -> Option<PoolConnection<Postgres>> {
        self.0.take()
    }

    async fn answers(&mut self) -> bool {
        match self.0.as_mut() {
            Some(connection) => matches!(timeout(ABANDONED_LIMIT, connection.ping()).await, Ok(Ok(()))),
            None => false,
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(connection) = self.0.as_mut() {
            connection.close_on_drop();
        }
    }
}

/// Sends one control string (BEGIN with its settings, COMMIT, ROLLBACK) within its time limit, and gives the rows that it
/// asked for. On an error or a cancellation the connection is closed.
async fn control(
    connection: PoolConnection<Postgres>,
    sql: String,
    limit: Duration,
) -> Result<(PoolConnection<Postgres>, Vec<PgRow>)> {
    let timed_out = || Error::TimedOut { what: "beginning or ending a transaction", seconds: limit.as_secs() };
    let mut guarded = Guarded(Some(connection));
    let Some(connection) = guarded.0.as_mut() else { return Err(timed_out()) };
    // The opener has to send several statements as one message; its parts are constants and validated names.
    #[allow(clippy::disallowed_methods)]
    let sent = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut **connection);
    let rows = timeout(limit, sent).await.map_err(|_| timed_out())??;
    guarded.release().map(|connection| (connection, rows)).ok_or_else(timed_out)
}

/// Takes a connection and begins a transaction on it. One that turns out to be lost is replaced once: nothing was begun on it.
async fn begin(pool: &PgPool, opening: String) -> Result<(PoolConnection<Postgres>, Vec<PgRow>)> {
    let connection = pool.acquire().await?;
    match control(connection, opening.clone(), CONTROL_LIMIT).await {
        Err(error) if error.is_lost_connection() => control(acquire_living(pool).await?, opening, CONTROL_LIMIT).await,
        begun => begun,
    }
}

/// A connection that answers, where one was lost and others may be with it; those are closed.
async fn acquire_living(pool: &PgPool) -> Result<PoolConnection<Postgres>> {
    for _ in 0..pool.num_idle() {
        let mut guarded = Guarded(Some(pool.acquire().await?));
        if guarded.answers().await
            && let Some(connection) = guarded.release()
        {
            return Ok(connection);
        }
    }
    // None of those that rested; this one is new, or was given back just now.
    Ok(pool.acquire().await?)
}

/// An open transaction. Dropped without [`Session::commit`] it rolls back before the connection serves anybody else.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Option<PoolConnection<Postgres>>,
    /// After it, as fields are dropped in order: whoever waits finds the connection free.
    permit: Option<Permit>,
}

impl Session {
    /// Opens a transaction with one string, which begins with `BEGIN`. The permit is kept until the connection is free again.
    pub(crate) async fn open(pool: &PgPool, opening: String, permit: Option<Permit>) -> Result<Self> {
        let (connection, _) = begin(pool, opening).await?;
        Ok(Self { connection: Some(connection), permit })
    }

    /// The same, and the process id of the connection's backend, from the same round trip.
    pub(crate) async fn open_known(pool: &PgPool, opening: String, permit: Permit) -> Result<(Self, i32)> {
        let (connection, rows) = begin(pool, opening + "; SELECT pg_catalog.pg_backend_pid()").await?;
        let session = Self { connection: Some(connection), permit: Some(permit) };
        let row = rows.first().ok_or(Error::Database(sqlx::Error::RowNotFound))?;
        Ok((session, row.try_get(0)?))
    }

    /// Has the connection closed, not used again, when this transaction has ended.
    pub(crate) fn retire(&mut self) {
        if let Some(connection) = self.connection.as_mut() {
            connection.close_on_drop();
        }
    }

    /// The connection, for statements of the extended protocol.
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection> {
        match self.connection.as_deref_mut() {
            Some(connection) => Ok(connection),
            None => Err(Error::Database(sqlx::Error::PoolClosed)),
        }
    }

    /// Runs the statements of a migration, which are files of ours and validated names, as one message.
    pub(crate) async fn script(&mut self, sql: String) -> Result<()> {
        let connection = self.connection()?;
        #[allow(clippy::disallowed_methods)]
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
        Ok(())
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        self.end("COMMIT").await
    }

    pub(crate) async fn rollback(mut self) -> Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(&mut self, statement: &str) -> Result<()> {
        if let Some(connection) = self.connection.take() {
            control(connection, statement.to_owned(), CONTROL_LIMIT).await?;
        }
        Ok(())
    }
}

/// A connection outside of any transaction: each statement on it is one by itself, and is kept once it has answered.
/// Dropped before [`Single::release`], as a cancelled caller does, it is closed.
pub(crate) struct Single {
    connection: Guarded,
    /// After it, as in [`Session`].
    permit: Permit,
}

impl Single {
    pub(crate) async fn open(pool: &PgPool, permit: Permit) -> Result<Self> {
        Ok(Self { connection: Guarded(Some(pool.acquire().await?)), permit })
    }

    /// The same where a connection was lost just now.
    pub(crate) async fn open_living(pool: &PgPool, permit: Permit) -> Result<Self> {
        Ok(Self { connection: Guarded(Some(acquire_living(pool).await?)), permit })
    }

    /// The connection, for statements of the extended protocol that name their schema.
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection> {
        match self.connection.0.as_deref_mut() {
            Some(connection) => Ok(connection),
            None => Err(Error::Database(sqlx::Error::PoolClosed)),
        }
    }

    /// Gives the connection back once its last statement has answered.
    pub(crate) fn release(self) {
        let Self { connection, permit } = self;
        drop(connection.release());
        drop(permit);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let guarded = Guarded(Some(connection));
        // Outside a runtime nothing can be sent: the guard closes the connection, which ends the transaction as well.
        if let Ok(runtime) = Handle::try_current() {
            let permit = self.permit.take();
            runtime.spawn(async move {
                let _permit = permit;
                if let Some(connection) = guarded.release()
                    && let Err(error) = control(connection, "ROLLBACK".to_owned(), ABANDONED_LIMIT).await
                {
                    tracing::warn!(%error, "an abandoned transaction could not be rolled back; its connection was closed");
                }
            });
        }
    }
}
