//! The transactions a caller can hold. The type says what it may touch: [`TenantTx`] one tenant's schema, [`PlatformTx`]
//! the schema `shared` as the API, [`OwnerTx`] the schema `shared` as its owner. Queries take one of them by reference
//! and there is no other way to a connection.

use std::marker::PhantomData;

use sqlx::{PgConnection, PgPool};

use crate::error::Result;
use crate::gate::Party;
use crate::names::TenantRef;
use crate::pool::Db;
use crate::session::Session;

mod sealed {
    pub trait Sealed {}
}
use sealed::Sealed;

/// Whether a tenant's transaction may write.
pub trait Mode: Sealed + Send + Sync + 'static {
    /// How the transaction begins.
    #[doc(hidden)]
    const BEGIN: &'static str;
}

/// A transaction that only reads; Postgres refuses a write in it.
#[derive(Debug, Clone, Copy)]
pub struct Read;
/// A transaction that may write.
#[derive(Debug, Clone, Copy)]
pub struct Write;

impl Sealed for Read {}
impl Sealed for Write {}
impl Mode for Read {
    const BEGIN: &'static str = "BEGIN READ ONLY";
}
impl Mode for Write {
    const BEGIN: &'static str = "BEGIN";
}

/// A transaction as one tenant. Dropped without [`TenantTx::commit`] it rolls back.
#[derive(Debug)]
pub struct TenantTx<M: Mode> {
    session: Session,
    tenant: TenantRef,
    mode: PhantomData<M>,
}

impl<M: Mode> TenantTx<M> {
    pub(crate) async fn open(db: &Db, tenant: &TenantRef) -> Result<Self> {
        let schema = tenant.schema();
        let opening = format!("{}; SET LOCAL ROLE {schema}; SET LOCAL search_path = {schema}, pg_temp", M::BEGIN);
        let permit = db.gate.enter(Party::Tenant(tenant.id)).await?;
        let (mut session, backend) = Session::open_known(&db.pool, opening, permit).await?;
        if db.served.is_enough(backend, tenant.id) {
            session.retire();
        }
        Ok(Self { session, tenant: tenant.clone(), mode: PhantomData })
    }

    /// Whose transaction this is.
    pub fn tenant(&self) -> &TenantRef {
        &self.tenant
    }

    /// Keeps what was written.
    pub async fn commit(self) -> Result<()> {
        self.session.commit().await
    }

    /// Forgets what was written. Dropping does the same without waiting.
    pub async fn rollback(self) -> Result<()> {
        self.session.rollback().await
    }

    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection> {
        self.session.connection()
    }
}

/// A transaction on the schema `shared`, as the API or as the owner.
pub trait SharedTx: Sealed + Send {
    /// The connection inside; only this crate can run a statement on it.
    #[doc(hidden)]
    fn session(&mut self) -> SharedSession<'_>;
}

/// What [`SharedTx`] hides from other crates.
#[derive(Debug)]
pub struct SharedSession<'a>(&'a mut Session);

impl<'a> SharedSession<'a> {
    pub(crate) fn connection(self) -> Result<&'a mut PgConnection> {
        self.0.connection()
    }
}

/// A transaction on `shared` as `tenantra_api`.
#[derive(Debug)]
pub struct PlatformTx {
    session: Session,
}

impl PlatformTx {
    pub(crate) async fn open(db: &Db) -> Result<Self> {
        // ROLE NONE: this transaction is the login's own whatever came before it on the connection.
        let opening = "BEGIN; SET LOCAL ROLE NONE; SET LOCAL search_path = shared, pg_temp".to_owned();
        let permit = db.gate.enter(Party::Platform).await?;
        Ok(Self { session: Session::open(&db.pool, opening, Some(permit)).await? })
    }

    /// Keeps what was written.
    pub async fn commit(self) -> Result<()> {
        self.session.commit().await
    }

    /// Forgets what was written. Dropping does the same without waiting.
    pub async fn rollback(self) -> Result<()> {
        self.session.rollback().await
    }

    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection> {
        self.session.connection()
    }
}

impl Sealed for PlatformTx {}
impl SharedTx for PlatformTx {
    fn session(&mut self) -> SharedSession<'_> {
        SharedSession(&mut self.session)
    }
}

/// A transaction as `tenantra_owner`.
#[derive(Debug)]
pub struct OwnerTx {
    session: Session,
}

impl OwnerTx {
    pub(crate) async fn open(pool: &PgPool) -> Result<Self> {
        let opening = "BEGIN; SET LOCAL search_path = shared, pg_temp".to_owned();
        Ok(Self { session: Session::open(pool, opening, None).await? })
    }

    /// Keeps what was written.
    pub async fn commit(self) -> Result<()> {
        self.session.commit().await
    }

    /// Forgets what was written. Dropping does the same without waiting.
    pub async fn rollback(self) -> Result<()> {
        self.session.rollback().await
    }

    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection> {
        self.session.connection()
    }

    /// Runs several statements of a migration as one message.
    pub(crate) async fn script(&mut self, sql: String) -> Result<()> {
        self.session.script(sql).await
    }
}

impl Sealed for OwnerTx {}
impl SharedTx for OwnerTx {
    fn session(&mut self) -> SharedSession<'_> {
        SharedSession(&mut self.session)
    }
}
