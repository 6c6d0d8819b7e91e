//! Writing children. Reads come from the cache that the watches feed; what a write answers goes into the same cache, so
//! that the watch's echo of our own writes wakes nobody.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::time::timeout;
use uuid::Uuid;

use crate::runtime::caches::Children;
use crate::runtime::lead::{Lead, NotLeading};
use crate::systems::child::{Child, Key, Seen};
use crds::names::{LABEL_TENANT_ID, OPERATOR};

/// One request may take so long.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(4);

/// What can go wrong with the API server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refused.
    #[error("the Kubernetes API server refused {what}: {source}")]
    Refused {
        /// What was asked.
        what: String,
        /// Why not.
        #[source]
        source: Box<kube::Error>,
    },
    /// It did not answer.
    #[error("the Kubernetes API server did not answer {what} within {} s", REQUEST_LIMIT.as_secs())]
    TimedOut {
        /// What was asked.
        what: String,
    },
    /// An object of that name exists and is not this tenant's.
    #[error("{key} exists and belongs to {}; delete it, or choose another slug", owner.as_deref().unwrap_or("nobody we know"))]
    Taken {
        /// The object.
        key: Key,
        /// Whose it says it is.
        owner: Option<String>,
    },
    /// The manifest is not an object Kubernetes knows: a bug.
    #[error("the manifest of {key} cannot be sent: {source}")]
    Manifest {
        /// The object.
        key: Key,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The lead is gone.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
}

impl Error {
    /// The status code of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Awaits a request within its limit and says what it was for when it fails.
pub async fn bounded<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match timeout(REQUEST_LIMIT, call).await {
        Ok(answer) => answer.map_err(|source| Error::Refused { what: what.to_owned(), source: Box::new(source) }),
        Err(_) => Err(Error::TimedOut { what: what.to_owned() }),
    }
}

/// The API server as the provisioners use it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    children: Arc<Children>,
    lead: Lead,
}

impl Cluster {
    /// Writes through `client`, under `lead`, remembering in `children`.
    pub fn new(client: Client, children: Arc<Children>, lead: Lead) -> Self {
        Self { client, children, lead }
    }

    /// The children as they are.
    pub fn children(&self) -> &Children {
        &self.children
    }

    /// The cache itself, for the watches that fill it.
    pub fn shared_children(&self) -> Arc<Children> {
        self.children.clone()
    }

    fn api(&self, key: &Key) -> Api<DynamicObject> {
        let resource = key.kind.resource();
        if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        }
    }

    /// Makes a child so by server-side apply.
    pub async fn apply(&self, child: &Child) -> Result<(), Error> {
        self.lead.permit(REQUEST_LIMIT)?;
        let params = PatchParams::apply(OPERATOR).force();
        let (api, patch) = (self.api(&child.key), Patch::Apply(&child.manifest));
        let call = api.patch(&child.key.name, &params, &patch);
        let made = bounded(&format!("to apply {}", child.key), call).await?;
        self.children.wrote(&child.key, &made.metadata, Some(child));
        Ok(())
    }

    /// Creates a child that must not exist yet, or continues one that carries this tenant's mark. Anything else of that
    /// name is not ours and stays as it is.
    pub async fn claim(&self, child: &Child, tenant_id: Uuid) -> Result<(), Error> {
        self.lead.permit(REQUEST_LIMIT)?;
        let object = child.object().map_err(|source| Error::Manifest { key: child.key.clone(), source })?;
        let params = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let api = self.api(&child.key);
        match bounded(&format!("to create {}", child.key), api.create(&params, &object)).await {
            Ok(made) => {
                self.children.wrote(&child.key, &made.metadata, Some(child));
                Ok(())
            }
            Err(error) if error.code() == Some(409) => {
                let Some(there) = self.metadata(&child.key).await? else { return Ok(()) };
                if owner(&there) == Some(tenant_id) || self.children.was_ours(&child.key, &there) {
                    self.apply(child).await
                } else {
                    let owner = owner(&there).map(|id| format!("tenant {id}"));
                    Err(Error::Taken { key: child.key.clone(), owner })
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Reads an object's metadata from the API server itself.
    pub async fn metadata(&self, key: &Key) -> Result<Option<ObjectMeta>, Error> {
        let api = self.api(key);
        let found = bounded(&format!("to read {key}"), api.get_metadata_opt(&key.name)).await?;
        Ok(found.map(|object| object.metadata))
    }

    /// Deletes an object, only while it is still the one that was seen.
    pub async fn delete(&self, key: &Key, seen: &Seen) -> Result<(), Error> {
        self.lead.permit(REQUEST_LIMIT)?;
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(seen.uid.clone()), resource_version: None }),
            ..DeleteParams::background()
        };
        let api = self.api(key);
        match bounded(&format!("to delete {key}"), api.delete(&key.name, &params)).await {
            Ok(_) => Ok(()),
            // Gone, or another object of that name by now.
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn owner(meta: &ObjectMeta) -> Option<Uuid> {
    meta.labels.as_ref()?.get(LABEL_TENANT_ID)?.parse().ok()
}
