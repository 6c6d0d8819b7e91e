//! The plan of a tenant in words, without changing anything: what `tenantra tenant diff` prints. It is the same observe and
//! plan that a pass runs.

use std::sync::Arc;

use kube::{Api, Client};
use store::OwnerDb;

use crate::provision::{Error, LIST, Systems};
use crate::runtime::caches::{Children, read_children};
use crate::runtime::lead::Lead;
use crate::systems::kubernetes::{Cluster, bounded};
use crate::systems::openbao::OpenBao;
use crate::tenant::validate::{Installation, Invalid, validate};
use crds::conditions::ConditionType;
use crds::tenant::Tenant;

/// What one provisioner would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its condition.
    pub condition: ConditionType,
    /// Its changes in words, or why there can be none.
    pub changes: Result<Vec<String>, String>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A system did not answer.
    #[error(transparent)]
    System(#[from] Error),
    /// The tenant cannot be provisioned.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Plans `tenant` as it is given, which need not be applied yet. Reads only; a tenant that Postgres does not know yet is
/// planned under the nil UUID.
pub async fn plan_tenant(
    client: &Client,
    db: &OwnerDb,
    bao: Option<&OpenBao>,
    installation: &Arc<Installation>,
    tenant: &Tenant,
) -> Result<Vec<Planned>, PlanError> {
    let name = tenant.metadata.name.as_deref().unwrap_or_default();
    let slug = store::Slug::parse(name).map_err(Error::from)?;
    let mut tx = db.begin().await.map_err(Error::from)?;
    let row = store::tenants::by_slug(&mut tx, &slug).await.map_err(Error::from)?;
    tx.rollback().await.map_err(Error::from)?;
    let reference =
        row.map_or_else(|| store::TenantRef { slug: slug.clone(), id: uuid::Uuid::nil() }, |row| row.tenant);

    let tenants =
        bounded("to list the tenants", Api::<Tenant>::all(client.clone()).list(&kube::api::ListParams::default()))
            .await
            .map_err(Error::from)?;
    let parent_of = |wanted: &str| {
        let found = tenants.items.iter().find(|other| other.metadata.name.as_deref() == Some(wanted))?;
        Some(found.spec.parent.clone())
    };
    let valid = validate(tenant, reference, installation, parent_of)?;

    let children = Arc::new(Children::default());
    bounded("to list the tenant's children", read_children(client, &slug, &children)).await.map_err(Error::from)?;
    let lead = Lead::for_tool();
    let cluster = Cluster::new(client.clone(), children, lead.clone());
    let systems = Systems { cluster, db: db.clone(), bao: bao.cloned(), lead };
    let mut plan = Vec::new();
    for entry in LIST.iter().filter(|entry| bao.is_some() || entry.condition != ConditionType::SecretsReady) {
        let changes = (entry.preview)(&systems, &valid).await.map_err(|error| error.to_string());
        plan.push(Planned { condition: entry.condition, changes });
    }
    Ok(plan)
}
