//! What a tenant is made of. Each provisioner is a file with the same four functions and one line in [`LIST`]; the rest
//! of the operator knows them only by that list.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use store::{OwnerDb, TenantRef};

use crate::runtime::gate::System;
use crate::runtime::lead::Lead;
use crate::systems::kubernetes::Cluster;
use crate::systems::openbao::OpenBao;
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;

pub mod access;
pub mod agents;
pub mod children;
pub mod database;
mod error;
pub mod namespace;
pub mod network;
pub mod quota;
pub mod secrets;

pub use error::{Class, Error, Report};

/// The systems that provisioners work on.
#[derive(Clone)]
pub struct Systems {
    /// Kubernetes.
    pub cluster: Cluster,
    /// Postgres.
    pub db: OwnerDb,
    /// OpenBao, where the installation has one.
    pub bao: Option<OpenBao>,
    /// The lead that every write happens under.
    pub lead: Lead,
}

/// How far a removal goes: the steps of offboarding that take something away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Step 3: nobody gets in any more; data stays.
    Revoke,
    /// Step 6: nothing runs any more; data stays.
    Workloads,
    /// Step 7: nothing is left.
    Purge,
}

/// What a finished provisioner says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The condition's reason.
    pub reason: &'static str,
    /// The condition's message.
    pub message: String,
}

impl Note {
    /// All is as it should be.
    pub fn succeeded(message: impl Into<String>) -> Self {
        Self { reason: "Succeeded", message: message.into() }
    }
}

/// The unit of the operator: one condition, and what makes it so.
pub trait Provisioner: Send + Sync + 'static {
    /// The condition it answers for.
    const CONDITION: ConditionType;
    /// The system it works on.
    const SYSTEM: System;
    /// What must be ready before it.
    const NEEDS: &'static [ConditionType] = &[];
    /// How many of its changes may run side by side; 1 where their order matters.
    const WIDTH: usize = 1;
    /// What should be.
    type Desired: Send + Sync;
    /// What is.
    type Observed: Send + Sync;
    /// One step from the one to the other.
    type Change: fmt::Display + Send;

    /// What the tenant should have. Pure.
    fn desired(tenant: &ValidTenant) -> Self::Desired;
    /// A digest that differs when what is desired does.
    fn digest(desired: &Self::Desired) -> String;
    /// Reads what there is.
    fn observe(systems: &Systems, tenant: &ValidTenant) -> impl Future<Output = Result<Self::Observed, Error>> + Send;
    /// The steps from what is to what should be; an error where what is there is not ours. Pure.
    fn plan(desired: Self::Desired, observed: &Self::Observed) -> Result<Vec<Self::Change>, Error>;
    /// Takes one step; taking it twice is harmless.
    fn apply(
        systems: &Systems,
        tenant: &TenantRef,
        change: Self::Change,
    ) -> impl Future<Output = Result<(), Error>> + Send;
    /// Takes away what `stage` asks for, only where it carries the tenant's UUID. Needs no valid spec.
    fn remove(systems: &Systems, tenant: &TenantRef, stage: Stage) -> impl Future<Output = Result<(), Error>> + Send;
    /// What to say when all is done.
    fn note(tenant: &ValidTenant) -> Note {
        let _ = tenant;
        Note::succeeded("")
    }
}

type Preview = for<'a> fn(&'a Systems, &'a ValidTenant) -> BoxFuture<'a, Result<Vec<String>, Error>>;
type Ensure = fn(Systems, Arc<ValidTenant>) -> BoxFuture<'static, Result<Note, Error>>;
type Remove = for<'a> fn(&'a Systems, &'a TenantRef, Stage) -> BoxFuture<'a, Result<(), Error>>;

/// A provisioner as the pipeline holds it.
pub struct Entry {
    /// The condition it answers for.
    pub condition: ConditionType,
    /// The system it works on.
    pub system: System,
    /// What must be ready before it.
    pub needs: &'static [ConditionType],
    /// The digest of what is desired.
    pub digest: fn(&ValidTenant) -> String,
    /// Observe and plan, in words.
    pub preview: Preview,
    /// Observe, plan and apply.
    pub ensure: Ensure,
    /// Remove.
    pub remove: Remove,
}

const fn entry<P: Provisioner>() -> Entry {
    Entry {
        condition: P::CONDITION,
        system: P::SYSTEM,
        needs: P::NEEDS,
        digest: |tenant| P::digest(&P::desired(tenant)),
        preview: |systems, tenant| preview::<P>(systems, tenant).boxed(),
        ensure: |systems, tenant| ensure::<P>(systems, tenant).boxed(),
        remove: |systems, tenant, stage| P::remove(systems, tenant, stage).boxed(),
    }
}

/// Every provisioner. A new one is a file and a line here.
pub static LIST: [Entry; 7] = [
    entry::<namespace::Namespace>(),
    entry::<quota::Quota>(),
    entry::<network::Network>(),
    entry::<access::Access>(),
    entry::<database::Database>(),
    entry::<secrets::Secrets>(),
    entry::<agents::Agents>(),
];

async fn preview<P: Provisioner>(systems: &Systems, tenant: &ValidTenant) -> Result<Vec<String>, Error> {
    let observed = P::observe(systems, tenant).await?;
    let changes = P::plan(P::desired(tenant), &observed)?;
    Ok(changes.iter().map(ToString::to_string).collect())
}

async fn ensure<P: Provisioner>(systems: Systems, tenant: Arc<ValidTenant>) -> Result<Note, Error> {
    let observed = P::observe(&systems, &tenant).await?;
    let changes = P::plan(P::desired(&tenant), &observed)?;
    for change in &changes {
        tracing::debug!(tenant = %tenant.reference.slug, condition = %P::CONDITION, %change, "applying");
    }
    futures::stream::iter(changes)
        .map(|change| P::apply(&systems, &tenant.reference, change))
        .buffer_unordered(P::WIDTH)
        .try_collect::<()>()
        .await?;
    Ok(P::note(&tenant))
}
