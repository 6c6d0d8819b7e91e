//! Jobs: handed out once, given back when a lease runs out, seen by nobody else's tenant.

use std::time::Duration;

use catalog::module::Profile;
use futures::StreamExt as _;
use store::Write;
use store::jobs::{self, NewJob};
use uuid::Uuid;

use crate::installation::Installation;

#[tokio::test]
async fn a_job_is_leased_once_renewed_given_back_and_done() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let other = installation.tenant("bravo").await?;
    installation.module("m").await?;
    let agent = Uuid::now_v7();
    let new: Vec<NewJob> =
        (0..10).map(|_| NewJob::now(agent, "m", "1.0.0", Profile::BaselineFast, "enrolled")).collect();
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    assert_eq!(jobs::enqueue(&mut tx, &new).await?, 10);
    assert_eq!(jobs::enqueue(&mut tx, &new).await?, 0, "the same again adds nothing");
    tx.commit().await?;
    let rounds: Vec<anyhow::Result<Vec<jobs::LeasedJob>>> = futures::stream::iter(0..6)
        .map(|_| async {
            let mut tx = installation.api.tenant::<Write>(&tenant).await?;
            let some = jobs::lease(&mut tx, agent, 3, Duration::from_mins(1)).await?;
            tx.commit().await?;
            Ok(some)
        })
        .buffer_unordered(6)
        .collect()
        .await;
    let mut leased: Vec<Uuid> = Vec::new();
    for round in rounds {
        leased.extend(round?.iter().map(|job| job.job_id));
    }
    leased.sort_unstable();
    let mut wanted: Vec<Uuid> = new.iter().map(|job| job.job_id).collect();
    wanted.sort_unstable();
    assert_eq!(leased, wanted, "each once");

    let mut tx = installation.api.tenant::<Write>(&other).await?;
    assert!(jobs::lease(&mut tx, agent, 10, Duration::from_mins(1)).await?.is_empty(), "not another tenant's");
    assert_eq!(jobs::renew(&mut tx, agent, &leased, Duration::from_mins(1)).await?, leased);
    tx.commit().await?;

    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    assert!(jobs::renew(&mut tx, agent, &leased, Duration::from_mins(1)).await?.is_empty());
    assert_eq!(jobs::finish(&mut tx, agent, &[new[0].run_id]).await?, 1);
    tx.commit().await?;
    installation.admin("UPDATE shared.jobs SET leased_until = now() - interval '1 s' WHERE state = 'leased'").await?;
    installation
        .admin("UPDATE shared.jobs SET attempts = 5 WHERE job_id = (SELECT max(job_id::text)::uuid FROM shared.jobs)")
        .await?;
    let mut tx = installation.api.platform().await?;
    assert_eq!(jobs::reclaim_expired(&mut tx).await?, (8, 1));
    assert_eq!(jobs::depth(&mut tx).await?, jobs::Depth { queued: 8, leased: 0 });
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn the_operator_enqueues_for_a_tenant_by_name() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    installation.module("m").await?;
    let agent = Uuid::now_v7();
    let mut tx = installation.owner.begin().await?;
    let job = NewJob::now(agent, "m", "1.0.0", Profile::DeepScan, "schedule:nightly");
    assert_eq!(jobs::enqueue_for(&mut tx, &tenant, std::slice::from_ref(&job)).await?, 1);
    tx.commit().await?;
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    let leased = jobs::lease(&mut tx, agent, 10, Duration::from_mins(1)).await?;
    assert_eq!(leased.len(), 1);
    assert_eq!((leased[0].run_id, leased[0].profile), (job.run_id, Profile::DeepScan));
    Ok(())
}

#[tokio::test]
async fn an_agent_that_enrols_again_has_one_baseline_and_jobs_that_ended_are_forgotten_after_a_week()
-> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    installation.module("m").await?;
    let agent = Uuid::now_v7();
    let job = |cause| NewJob::now(agent, "m", "1.0.0", Profile::BaselineFast, cause);
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    jobs::enqueue(&mut tx, &[job("enrolled"), job("enrolled"), job("schedule:nightly")]).await?;
    tx.commit().await?;
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    let held = jobs::lease(&mut tx, agent, 1, Duration::from_mins(1)).await?;
    assert_eq!(held.len(), 1);
    assert_eq!(jobs::supersede_enrolment(&mut tx, agent).await?, 1, "neither what runs nor what was queued otherwise");
    assert_eq!(jobs::supersede_enrolment(&mut tx, Uuid::now_v7()).await?, 0);
    jobs::enqueue(&mut tx, &[job("enrolled")]).await?;
    tx.commit().await?;
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    let queued = jobs::lease(&mut tx, agent, 10, Duration::from_mins(1)).await?;
    assert_eq!(queued.len(), 2);
    jobs::finish(&mut tx, agent, &[held[0].run_id]).await?;
    tx.commit().await?;
    let mut tx = installation.api.platform().await?;
    assert_eq!(jobs::sweep(&mut tx).await?, 0);
    tx.commit().await?;
    installation.admin("UPDATE shared.jobs SET finished_at = finished_at - interval '8 days'").await?;
    let mut tx = installation.api.platform().await?;
    assert_eq!(jobs::sweep(&mut tx).await?, 2);
    tx.commit().await?;
    assert_eq!(installation.number("SELECT count(*) FROM shared.jobs").await?, 2);
    Ok(())
}
