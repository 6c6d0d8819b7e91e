//! The operator's epoch in Postgres. Every write of the operator runs in a transaction that holds the stored epoch
//! `FOR SHARE`: a greater one refuses it, and raising it waits for the writes that were let in before.

use sqlx::PgConnection;

use crate::error::{Error, Result};
use crate::pool::OwnerDb;
use crate::tx::OwnerTx;

const NAME: &str = "operator";

/// The Lease's `leaseTransitions` of the leader that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

/// The stored epoch; none before the first leader wrote.
pub async fn stored(db: &OwnerDb) -> Result<Option<Epoch>> {
    let mut tx = db.begin().await?;
    let epoch = sqlx::query_scalar("SELECT epoch FROM shared.fencing WHERE name = $1")
        .bind(NAME)
        .fetch_optional(tx.connection()?)
        .await?;
    tx.rollback().await?;
    Ok(epoch.map(Epoch))
}

/// Raises the stored epoch to `epoch`; [`Error::Deposed`] if a greater one is stored. Repeating it writes nothing.
pub async fn raise(db: &OwnerDb, epoch: Epoch) -> Result<()> {
    let mut tx = db.begin().await?;
    let raised = "INSERT INTO shared.fencing (name, epoch) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, raised_at = now() WHERE fencing.epoch < excluded.epoch";
    sqlx::query(raised).bind(NAME).bind(epoch.0).execute(tx.connection()?).await?;
    check(tx.connection()?, epoch).await?;
    tx.commit().await
}

/// Opens a transaction that `epoch` may write in. The first one of a new leader raises the row.
pub(crate) async fn begin(db: &OwnerDb, epoch: Epoch) -> Result<OwnerTx> {
    let mut tx = db.begin().await?;
    if check(tx.connection()?, epoch).await? == Some(epoch) {
        return Ok(tx);
    }
    tx.rollback().await?;
    raise(db, epoch).await?;
    let mut tx = db.begin().await?;
    check(tx.connection()?, epoch).await?;
    Ok(tx)
}

/// Locks the stored epoch for the rest of the transaction and gives it, or refuses the caller's.
pub(crate) async fn check(connection: &mut PgConnection, epoch: Epoch) -> Result<Option<Epoch>> {
    let stored: Option<i64> = sqlx::query_scalar("SELECT epoch FROM shared.fencing WHERE name = $1 FOR SHARE")
        .bind(NAME)
        .fetch_optional(connection)
        .await?;
    match stored {
        Some(stored) if stored > epoch.0 => Err(Error::Deposed { mine: epoch.0, stored }),
        stored => Ok(stored.map(Epoch)),
    }
}
