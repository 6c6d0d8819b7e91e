//! Real systems for tests: a Kubernetes control plane, a PostgreSQL and an OpenBao of a test's own, started by the
//! development cluster in a few seconds and taken down with the guard. With `KUBECONFIG` set, that cluster serves instead;
//! then tests share it, so their names must not collide.

mod cluster;
mod counted;
mod openbao;
mod postgres;
mod program;
mod run;
mod wait;

use run::Durability;

pub use cluster::Cluster;
pub use counted::Counted;
pub use openbao::OpenBao;
pub use postgres::{Postgres, Stopped};
pub use program::{children, envelopes, program};
pub use wait::{eventually, until};

/// All three, from one start.
#[derive(Debug)]
pub struct World {
    /// The control plane: no nodes, so pods stay Pending.
    pub cluster: Cluster,
    /// An empty PostgreSQL.
    pub postgres: Postgres,
    /// An OpenBao, initialised and unsealed.
    pub openbao: OpenBao,
}

impl World {
    /// Starts all three side by side; ready after three to six seconds.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Durability::Fast).await
    }

    /// The same with a Postgres that waits for the disk, for benchmarks.
    pub async fn start_durable() -> anyhow::Result<Self> {
        Self::with(Durability::Durable).await
    }

    async fn with(durability: Durability) -> anyhow::Result<Self> {
        init();
        let own_cluster = Cluster::given().is_none();
        let run = run::Run::start(own_cluster, &["postgres", "openbao"], durability).await?;
        let cluster = if own_cluster { Cluster::of(&run).await? } else { Cluster::start().await? };
        Ok(Self { cluster, postgres: Postgres::of(&run)?, openbao: OpenBao::of(&run)? })
    }
}

/// What every test that speaks TLS does first; the systems above do it themselves. Safe to call again.
pub fn init() {
    // The error says that there is a provider already: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
