//! The tenant's schema, role, grants and migrations in Postgres. What they are is the store's knowledge; here is when they
//! are read and written, and under which epoch.

use std::fmt;

use store::TenantRef;
use store::migrate::Scope;
use store::provision::{self, ObservedDatabase};

use crate::provision::{Error, Note, Provisioner, Stage, Systems};
use crate::runtime::gate::System;
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;

/// Provisions the schema.
pub struct Database;

/// The one step: the store makes everything so in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ensure {
    schema: String,
    why: String,
}

impl fmt::Display for Ensure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} schema {}", self.why, self.schema)
    }
}

impl Provisioner for Database {
    const CONDITION: ConditionType = ConditionType::DatabaseReady;
    const SYSTEM: System = System::Postgres;
    type Desired = TenantRef;
    type Observed = ObservedDatabase;
    type Change = Ensure;

    fn desired(tenant: &ValidTenant) -> TenantRef {
        tenant.reference.clone()
    }

    fn digest(desired: &TenantRef) -> String {
        format!("{} {}", desired.mark(), Scope::Tenant.head())
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<ObservedDatabase, Error> {
        Ok(provision::observe(&systems.db, &tenant.reference.slug).await?)
    }

    fn plan(desired: TenantRef, observed: &ObservedDatabase) -> Result<Vec<Ensure>, Error> {
        use store::provision::DatabaseState;
        let why = match observed.state(&desired)? {
            DatabaseState::Ready => return Ok(vec![]),
            DatabaseState::Absent => "create".to_owned(),
            DatabaseState::Differs { pending } if !pending.is_empty() => {
                format!("apply {} migrations to", pending.len())
            }
            DatabaseState::Differs { .. } => format!("repair {} grants of", observed.repairs.len().max(1)),
        };
        Ok(vec![Ensure { schema: desired.schema().to_string(), why }])
    }

    async fn apply(systems: &Systems, tenant: &TenantRef, _: Ensure) -> Result<(), Error> {
        let epoch = systems.lead.permit(System::Postgres.limit())?;
        let done = provision::ensure(&systems.db, tenant, Some(epoch)).await?;
        if !done.repaired.is_empty() {
            tracing::info!(tenant = %tenant.slug, repaired = ?done.repaired, "what was changed by hand in Postgres is back");
        }
        Ok(())
    }

    async fn remove(systems: &Systems, tenant: &TenantRef, stage: Stage) -> Result<(), Error> {
        match stage {
            // Credentials are rows of `shared`, which the offboarding itself revokes.
            Stage::Revoke | Stage::Workloads => Ok(()),
            Stage::Purge => {
                let epoch = systems.lead.permit(System::Postgres.limit())?;
                provision::remove(&systems.db, tenant, Some(epoch)).await?;
                Ok(())
            }
        }
    }

    fn note(_: &ValidTenant) -> Note {
        Note::succeeded(format!("at migration {}", Scope::Tenant.head()))
    }
}
