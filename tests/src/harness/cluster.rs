//! A Kubernetes control plane, and clients for it as anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};

use super::run::{Durability, Run};
use super::wait::until;

/// A control plane with its administrator's client.
#[derive(Clone)]
pub struct Cluster {
    /// A client that may do everything.
    pub client: Client,
    kubeconfig: PathBuf,
    _run: Option<Arc<Run>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("kubeconfig", &self.kubeconfig).finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster of `KUBECONFIG` if that is set, else a control plane of its own.
    pub async fn start() -> anyhow::Result<Self> {
        super::init();
        match Self::given() {
            Some(kubeconfig) => Self::connect(kubeconfig, None).await,
            None => Self::of(&Run::start(true, &[], Durability::Fast).await?).await,
        }
    }

    pub(super) fn given() -> Option<PathBuf> {
        std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    pub(super) async fn of(run: &Arc<Run>) -> anyhow::Result<Self> {
        Self::connect(run.value("KUBECONFIG")?.into(), Some(run.clone())).await
    }

    async fn connect(kubeconfig: PathBuf, run: Option<Arc<Run>>) -> anyhow::Result<Self> {
        let client = Client::try_from(config(&kubeconfig, |_| {}).await?)?;
        Ok(Self { client, kubeconfig, _run: run })
    }

    /// For programs that are started as processes.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client that acts as somebody else, by impersonation.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> anyhow::Result<Client> {
        let config = config(&self.kubeconfig, |config| {
            config.auth_info.impersonate = Some(user.to_owned());
            config.auth_info.impersonate_groups = Some(groups.iter().map(|&group| group.to_owned()).collect());
        })
        .await?;
        Ok(Client::try_from(config)?)
    }

    /// Installs the four definitions and waits until the API server serves them.
    pub async fn install_crds(&self) -> anyhow::Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let definitions = crds::manifests::definitions()?;
        for definition in &definitions {
            let params = PatchParams::apply("tenantra-tests").force();
            api.patch(&definition.name_any(), &params, &Patch::Apply(definition))
                .await
                .with_context(|| format!("{} is refused", definition.name_any()))?;
        }
        for definition in &definitions {
            let name = definition.name_any();
            until(Duration::from_secs(30), &format!("{name} is served"), async || {
                let found = api.get(&name).await?;
                let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
                Ok(conditions.iter().any(|one| one.type_ == "Established" && one.status == "True"))
            })
            .await?;
        }
        Ok(())
    }
}

async fn config(kubeconfig: &Path, change: impl FnOnce(&mut Config)) -> anyhow::Result<Config> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    change(&mut config);
    Ok(config)
}
