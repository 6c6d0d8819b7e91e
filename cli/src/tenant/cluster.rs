//! The way to the Kubernetes API, and what to tell when it says no. Every call has a time limit.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use crds::tenant::Tenant;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Api, Client, Config, Resource as _};
use serde_json::Value;
use tokio::time::timeout;

/// The field manager of what this program writes.
const FIELD_MANAGER: &str = "tenantra-cli";
/// How long one call may take.
const LIMIT: Duration = Duration::from_secs(15);
/// Tenants in one answer.
const PAGE: u32 = 500;

/// Which cluster, as kubectl is told.
#[derive(Debug, Args)]
pub struct Access {
    /// The kubeconfig to use instead of KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME", global = true)]
    context: Option<String>,
}

/// What can go wrong with Kubernetes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no configuration, or it cannot be used.
    #[error("no Kubernetes cluster can be used ({0}): set KUBECONFIG, or give --kubeconfig and --context")]
    Config(String),
    /// No answer.
    #[error(
        "the Kubernetes API at {place} does not answer ({why}): see whether the cluster runs and --context is the one you mean"
    )]
    Silent {
        /// Its address.
        place: String,
        /// What the system says.
        why: String,
    },
    /// It does not know the kind.
    #[error("the cluster at {place} knows no Tenants: install the chart tenantra-crds first")]
    NoDefinitions {
        /// Its address.
        place: String,
    },
    /// There is no such tenant.
    #[error("there is no tenant '{0}': `tenantra tenant list` shows those there are")]
    NotFound(String),
    /// There is one.
    #[error("the tenant '{0}' exists already: `tenantra tenant get {0}` shows it")]
    Exists(String),
    /// Somebody else changed it in between.
    #[error("the tenant '{0}' was changed or replaced by somebody else just now: look at it again")]
    Conflict(String),
    /// The manifest breaks a rule.
    #[error("the API server does not accept it: {0}")]
    Invalid(String),
    /// Not this user.
    #[error("the API server forbids it: {0}; ask an administrator of the cluster for that right")]
    Forbidden(String),
    /// Not signed in.
    #[error("the API server does not accept your credentials ({0}): sign in again, or use another --context")]
    Unauthorized(String),
    /// Anything else.
    #[error("the Kubernetes API failed: {0}")]
    Other(String),
}

impl Error {
    /// What the program ends with.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotFound(_) | Self::Exists(_) | Self::Conflict(_) => 1,
            Self::Config(_) | Self::Invalid(_) => 2,
            Self::Silent { .. }
            | Self::NoDefinitions { .. }
            | Self::Forbidden(_)
            | Self::Unauthorized(_)
            | Self::Other(_) => 3,
        }
    }
}

/// A cluster.
pub struct Cluster {
    client: Client,
    tenants: Api<Tenant>,
    place: String,
}

impl Cluster {
    /// The cluster that the options, KUBECONFIG or the pod name. Asks nothing yet.
    pub async fn connect(access: &Access) -> Result<Self, Error> {
        let unusable = |error: &dyn std::error::Error| Error::Config(innermost(error));
        let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match (&access.kubeconfig, &access.context) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path).map_err(|error| Error::Config(error.to_string()))?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(|error| unusable(&error))?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|error| unusable(&error))?,
            (None, None) => Config::infer().await.map_err(|error| unusable(&error))?,
        };
        config.connect_timeout = Some(Duration::from_secs(5));
        // A person is told at once.
        config.default_retry = false;
        let place = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self { tenants: Api::all(client.clone()), client, place })
    }

    /// The client, for the operator's plan.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Every tenant, by name.
    pub async fn list(&self) -> Result<Vec<Tenant>, Error> {
        let mut all = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let found = self.ask("", self.tenants.list(&page)).await?;
            all.extend(found.items);
            match found.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(all)
    }

    /// One tenant.
    pub async fn get(&self, name: &str) -> Result<Tenant, Error> {
        match self.find(name).await? {
            Some(tenant) => Ok(tenant),
            None => Err(Error::NotFound(name.to_owned())),
        }
    }

    /// One tenant, if it is there.
    pub async fn find(&self, name: &str) -> Result<Option<Tenant>, Error> {
        match self.ask(name, self.tenants.get(name)).await {
            Ok(tenant) => Ok(Some(tenant)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a tenant of a manifest. A field that the API does not know is refused, not dropped.
    pub async fn create(&self, name: &str, manifest: &Value, dry_run: bool) -> Result<Tenant, Error> {
        let other = |error: &dyn std::error::Error| Error::Other(error.to_string());
        let params = PostParams { dry_run, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let body = serde_json::to_vec(manifest).map_err(|error| other(&error))?;
        let mut request =
            Request::new(Tenant::url_path(&(), None)).create(&params, body).map_err(|error| other(&error))?;
        // kube's own parameters cannot ask for this.
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict.parse().map_err(|error: http::uri::InvalidUri| other(&error))?;
        self.ask(name, self.client.request(request)).await
    }

    /// Changes fields of a tenant by a merge patch.
    pub async fn patch(&self, name: &str, change: &Value) -> Result<Tenant, Error> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.ask(name, self.tenants.patch(name, &params, &Patch::Merge(change))).await
    }

    /// Deletes exactly the object that was looked at.
    pub async fn delete(&self, tenant: &Tenant) -> Result<(), Error> {
        let name = tenant.metadata.name.as_deref().unwrap_or_default();
        let preconditions = Preconditions { uid: tenant.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        self.ask(name, self.tenants.delete(name, &params)).await.map(drop)
    }

    /// A Deployment, if it is there.
    pub async fn deployment(&self, namespace: &str, name: &str) -> Result<Option<Deployment>, Error> {
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), namespace);
        self.ask(name, api.get_opt(name)).await
    }

    async fn ask<T>(&self, name: &str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        match timeout(LIMIT, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.explain(name, &error)),
            Err(_) => {
                Err(Error::Silent { place: self.place.clone(), why: format!("no answer within {} s", LIMIT.as_secs()) })
            }
        }
    }

    fn explain(&self, name: &str, error: &kube::Error) -> Error {
        let place = self.place.clone();
        let status = match error {
            kube::Error::Api(status) => status,
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
                return Error::Silent { place, why: innermost(error) };
            }
            kube::Error::Auth(_) => return Error::Unauthorized(innermost(error)),
            other => return Error::Other(other.to_string()),
        };
        // The API server names the object when that is what it misses; else it misses the kind.
        let names_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
        match status.code {
            404 if name.is_empty() || !names_object => Error::NoDefinitions { place },
            404 => Error::NotFound(name.to_owned()),
            409 if status.reason == "AlreadyExists" => Error::Exists(name.to_owned()),
            409 => Error::Conflict(name.to_owned()),
            400 | 422 => Error::Invalid(problems(status)),
            401 => Error::Unauthorized(status.message.clone()),
            403 => Error::Forbidden(status.message.clone()),
            _ => Error::Other(status.message.clone()),
        }
    }
}

/// What is wrong with a manifest, without the preamble, each rule on a line.
fn problems(status: &kube::core::Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let lines: Vec<String> = causes
        .map(|cause| match cause.message.split_once(": Invalid value: ") {
            // The API server repeats the value, for an object all of it; the rule's sentence is behind it.
            Some((_, rest)) => {
                let rule = rest.rsplit_once("\": ").or_else(|| rest.split_once(": ")).map_or(rest, |(_, rule)| rule);
                format!("{}: {rule}", cause.field)
            }
            None => format!("{}: {}", cause.field, cause.message),
        })
        .collect();
    match lines.as_slice() {
        [] => status.message.clone(),
        [line] => line.clone(),
        lines => format!("\n  {}", lines.join("\n  ")),
    }
}

/// The cause below all others: "connection refused" and not "client error (Connect)".
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cause_is_what_people_are_told() {
        let io = std::io::Error::other(std::io::Error::from_raw_os_error(111));
        assert_eq!(innermost(&io), "Connection refused");
    }
}
