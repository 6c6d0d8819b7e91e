//! What Postgres' processes hold once a pool has served a thousand tenants: each keeps what it has read of every tenant's
//! catalog for as long as its connection lives, which is why the pool retires connections.

use anyhow::ensure;
use futures::{StreamExt, TryStreamExt, stream};
use store::{
    Db, Page, PoolOptions, Read, Start, TenantRef, agents, checks, compliance, drift, facts, findings, overview,
    scores, waivers,
};
use uuid::Uuid;

use crate::process;

const CONNECTIONS: u32 = 20;
/// How often each tenant is served.
const TIMES: u32 = 20;
const WORST: u32 = 5;
const ROWS: u32 = 100;

/// Of the postmaster and all its children, in MiB; a page that several share counts once.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Once all were served as often as they should be.
    pub after_mib: f64,
    /// At the end of any round.
    pub peak_mib: f64,
}

/// Serves every tenant again and again.
pub async fn measure(api_url: &str, postmaster: u32, tenants: &[TenantRef]) -> anyhow::Result<Memory> {
    let options = PoolOptions { max_connections: CONNECTIONS, ..PoolOptions::named("bench") };
    let db = Db::connect(api_url, &options)?;
    let (mut after_mib, mut peak_mib) = (0.0, 0.0_f64);
    for _ in 0..TIMES {
        stream::iter(tenants)
            .map(|tenant| serve(&db, tenant))
            .buffer_unordered(CONNECTIONS as usize)
            .try_collect::<()>()
            .await?;
        after_mib = process::tree_share_mib(postmaster);
        peak_mib = peak_mib.max(after_mib);
    }
    db.close().await;
    ensure!(after_mib > 0.0, "the kernel does not say how much memory Postgres has");
    Ok(Memory { after_mib, peak_mib })
}

/// All that the dashboard and an asset's pages read, in one transaction, so that its connection meets the tenant's tables.
async fn serve(db: &Db, tenant: &TenantRef) -> anyhow::Result<()> {
    let nobody = Uuid::nil();
    let mut tx = db.tenant::<Read>(tenant).await?;
    overview::read(&mut tx).await?;
    findings::worst(&mut tx, WORST).await?;
    compliance::standings(&mut tx).await?;
    scores::differences(&mut tx).await?;
    agents::list(&mut tx, true, Page::default()).await?;
    met(checks::list(&mut tx, nobody, None, &Start::after(None, ROWS)).await)?;
    met(facts::list(&mut tx, nobody, None, &Start::after(None, ROWS)).await)?;
    met(facts::changes(&mut tx, nobody, &Start::after(None, ROWS)).await)?;
    waivers::list(&mut tx, None, &Start::after(None, ROWS)).await?;
    drift::list(&mut tx, &drift::DriftFilter::default(), &Start::after(None, ROWS)).await?;
    tx.rollback().await?;
    Ok(())
}

/// There is no asset yet, which the store says once it has read the tables.
fn met<T>(read: store::Result<T>) -> store::Result<()> {
    match read {
        Ok(_) | Err(store::Error::NotFound("asset")) => Ok(()),
        Err(error) => Err(error),
    }
}
