//! The catalog's lifecycle as the database keeps it: states go forward, what was released stays, only what may run is queued.

use std::time::Duration;

use catalog::lifecycle::State::{self, Deprecated, Released, Retired};
use catalog::lifecycle::{Gate, GateReport};
use catalog::{Catalog, Entry};
use chrono::Utc;
use semver::Version;
use store::jobs::{self, NewJob};
use store::modules::{self, Succession};
use store::{Error, Write};
use uuid::Uuid;

use crate::installation::Installation;

/// A module with checks, as version 1.`minor`.0 of a slug of its own.
fn version(minor: u64) -> Entry {
    let catalog = Catalog::embedded().unwrap();
    let mut entry = catalog.module("linux-cron", None).unwrap().clone();
    "lifecycle".clone_into(&mut entry.module.slug);
    entry.module.version = Version::new(1, minor, 0);
    entry.checksum = format!("checksum of {minor}");
    entry
}

fn report(entry: &Entry, passed: bool) -> GateReport {
    let gate = Gate { name: "lint".to_owned(), passed, detail: String::new() };
    GateReport { checksum: entry.checksum.clone(), passed, at: Utc::now(), by: "tests".to_owned(), gates: vec![gate] }
}

async fn states(installation: &Installation) -> anyhow::Result<Vec<(u64, State)>> {
    let mut tx = installation.api.platform().await?;
    let rows = modules::versions(&mut tx, Some("lifecycle")).await?;
    Ok(rows.into_iter().map(|row| (row.version.minor, row.state)).collect())
}

#[tokio::test]
async fn what_was_released_stays_whoever_asks() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let mut tx = installation.owner.begin().await?;
    modules::upsert(&mut tx, [&version(0)]).await?;
    tx.commit().await?;
    assert_eq!(states(&installation).await?, [(0, Released)]);
    for attempt in [
        "UPDATE shared.module_versions SET document = '{}'",
        "UPDATE shared.module_versions SET checksum = 'other'",
        "UPDATE shared.module_versions SET parameters_schema = '{}'",
        "UPDATE shared.module_versions SET profile = 'deep_scan'",
        "UPDATE shared.module_versions SET version = '2.0.0'",
        "UPDATE shared.module_versions SET released_at = now() + interval '1 day'",
        "UPDATE shared.module_versions SET state = 'draft'",
        "UPDATE shared.module_versions SET state = 'qa'",
        "UPDATE shared.module_versions SET state = 'retired', sunset_at = now()",
        "UPDATE shared.module_versions SET state = 'deprecated'",
        "DELETE FROM shared.module_versions",
        "DELETE FROM shared.modules",
        "TRUNCATE shared.modules CASCADE",
        "TRUNCATE shared.control_mappings",
        "UPDATE shared.checks SET severity = 'low'",
        "DELETE FROM shared.checks",
        "INSERT INTO shared.checks SELECT module, version, 'x', title, severity, rationale, remediation, controls FROM shared.checks LIMIT 1",
        "UPDATE shared.control_mappings SET control = 'x'",
        "DELETE FROM shared.control_mappings",
        "INSERT INTO shared.module_versions SELECT module, '9.0.0', state, checksum, profile, document, parameters_schema FROM shared.module_versions",
    ] {
        assert!(installation.admin(attempt).await.is_err(), "{attempt}");
    }
    assert_eq!(states(&installation).await?, [(0, Released)]);

    let mut tx = installation.owner.begin().await?;
    assert_eq!(modules::upsert(&mut tx, [&version(0)]).await?.unchanged, 1);
    let changed = Entry { checksum: "other".to_owned(), ..version(0) };
    for refused in
        [modules::upsert(&mut tx, [&changed]).await.map(drop), modules::put_draft(&mut tx, &changed).await.map(drop)]
    {
        assert!(matches!(refused, Err(Error::ReleasedChanged { .. })), "{refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_draft_is_released_by_its_gates_and_only_for_the_content_they_saw() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let (draft, usual) = (version(0), Succession::default());
    let mut tx = installation.api.platform().await?;
    assert!(modules::put_draft(&mut tx, &draft).await?);
    assert!(!modules::put_draft(&mut tx, &draft).await?, "the same again writes nothing");
    tx.commit().await?;
    let promote = async || -> anyhow::Result<Result<Vec<modules::Change>, Error>> {
        let mut tx = installation.api.platform().await?;
        let outcome = modules::promote(&mut tx, "lifecycle", "1.0.0", usual, "user:tests").await;
        if outcome.is_ok() {
            tx.commit().await?;
        }
        Ok(outcome)
    };
    let record = async |report: GateReport| -> anyhow::Result<Result<(), Error>> {
        let mut tx = installation.api.platform().await?;
        let outcome = modules::record_gates(&mut tx, "lifecycle", "1.0.0", &report).await;
        if outcome.is_ok() {
            tx.commit().await?;
        }
        Ok(outcome)
    };
    assert!(matches!(promote().await?, Err(Error::NoGates { .. })), "none are on record");
    record(report(&draft, false)).await??;
    assert!(matches!(promote().await?, Err(Error::NoGates { .. })), "one was not passed");
    record(report(&draft, true)).await??;
    promote().await??;
    assert_eq!(states(&installation).await?, [(0, State::Qa)]);

    // Another content: what the gates saw is gone.
    let mut changed = Entry { checksum: "changed".to_owned(), ..draft.clone() };
    changed.module.checks.truncate(1);
    let mut tx = installation.api.platform().await?;
    assert!(modules::put_draft(&mut tx, &changed).await?);
    tx.commit().await?;
    assert_eq!(installation.number("SELECT count(*) FROM shared.checks").await?, 1);
    assert!(matches!(promote().await?, Err(Error::NoGates { .. })));
    assert!(matches!(record(report(&draft, true)).await?, Err(Error::Invalid(_))), "a report of the earlier content");
    record(report(&changed, true)).await??;
    promote().await??;
    assert_eq!(states(&installation).await?, [(0, Released)]);
    assert!(matches!(promote().await?, Err(Error::WrongState { .. })));
    assert!(matches!(record(report(&changed, false)).await?, Err(Error::Invalid(_))));

    let mut tx = installation.api.platform().await?;
    let row = modules::version(&mut tx, "lifecycle", "1.0.0").await?;
    assert_eq!((row.state_changed_by.as_str(), row.gates.unwrap().passed), ("user:tests", true));
    assert!(row.released_at.is_some());
    assert!(matches!(modules::version(&mut tx, "lifecycle", "9.0.0").await, Err(Error::NotFound(_))));
    // The API's login cannot make a released version out of nothing.
    let mut raw = sqlx::PgPool::connect(&installation.url_of("tenantra_api")?).await?.acquire().await?;
    let forged = sqlx::query(
        "INSERT INTO shared.module_versions (module, version, state, checksum, profile, document, parameters_schema)
         VALUES ('lifecycle', '3.0.0', 'released', '', '', '{}', '{}')",
    );
    assert!(forged.execute(&mut *raw).await.unwrap_err().to_string().contains("begins as draft"));
    Ok(())
}

#[tokio::test]
async fn a_release_deprecates_its_predecessors_and_the_oldest_retire() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let bring = async |minors: &[u64], succession| -> anyhow::Result<modules::Upserted> {
        let entries: Vec<Entry> = minors.iter().map(|minor| version(*minor)).collect();
        let mut tx = installation.owner.begin().await?;
        let done = modules::upsert_under(&mut tx, &entries, succession).await?;
        tx.commit().await?;
        Ok(done)
    };
    let usual = Succession::default();
    bring(&[0], usual).await?;
    assert_eq!(bring(&[0, 1], usual).await?.superseded, 1);
    assert_eq!(states(&installation).await?, [(0, Deprecated), (1, Released)]);
    bring(&[2], usual).await?;
    // 1.10.0 is newer than 1.9.0, whatever their letters say.
    bring(&[9, 10], usual).await?;
    assert_eq!(
        states(&installation).await?,
        [(0, Retired), (1, Retired), (2, Deprecated), (9, Deprecated), (10, Released)]
    );
    let sunset = installation
        .number(
            "SELECT extract(day FROM sunset_at - now())::bigint FROM shared.module_versions WHERE version = '1.9.0'",
        )
        .await?;
    assert!((89..=90).contains(&sunset), "{sunset}");

    // At the sunset, and not before; another sunset may be set meanwhile.
    let sweep = async |succession| -> anyhow::Result<usize> {
        let mut tx = installation.api.platform().await?;
        let changes = modules::retire_due(&mut tx, succession, "sweeper").await?;
        tx.commit().await?;
        Ok(changes.len())
    };
    assert_eq!(sweep(usual).await?, 0);
    let mut tx = installation.api.platform().await?;
    let past = Utc::now() - chrono::Duration::seconds(1);
    assert!(matches!(modules::deprecate(&mut tx, "lifecycle", "1.9.0", past, "x").await, Err(Error::Invalid(_))));
    modules::deprecate(&mut tx, "lifecycle", "1.9.0", Utc::now() + chrono::Duration::seconds(1), "x").await?;
    tx.commit().await?;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut tx = installation.api.platform().await?;
    let served = modules::schedulable(&mut tx).await?;
    let minors: Vec<u64> = served.versions.iter().map(|one| one.module.version.minor).collect();
    assert_eq!(minors, [2, 10], "past its sunset it is not schedulable, swept or not");
    tx.rollback().await?;
    assert_eq!(sweep(usual).await?, 1);
    assert_eq!(sweep(Succession { kept: 0, ..usual }).await?, 1, "the installation keeps fewer now");
    assert!(states(&installation).await?[..4].iter().all(|(_, state)| *state == Retired));
    Ok(())
}

#[tokio::test]
async fn only_what_may_run_is_queued_and_what_runs_finishes() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("alpha").await?;
    let agent = Uuid::now_v7();
    let mut tx = installation.owner.begin().await?;
    modules::upsert(&mut tx, [&version(0)]).await?;
    modules::put_draft(&mut tx, &version(1)).await?;
    tx.commit().await?;
    let job = |minor: u64| {
        let entry = version(minor);
        NewJob::now(agent, "lifecycle", &entry.module.version.to_string(), entry.module.profile, "tests")
    };
    let enqueue = async |job: NewJob| -> anyhow::Result<Result<u64, Error>> {
        let mut tx = installation.api.tenant::<Write>(&tenant).await?;
        let outcome = jobs::enqueue(&mut tx, &[job]).await;
        if outcome.is_ok() {
            tx.commit().await?;
        }
        Ok(outcome)
    };
    assert!(matches!(enqueue(job(1)).await?, Err(Error::NotSchedulable(_))), "a draft");
    assert!(matches!(enqueue(job(7)).await?, Err(Error::NotSchedulable(_))), "nothing");
    let mut tx = installation.owner.begin().await?;
    let refused = jobs::enqueue_for(&mut tx, &tenant, &[job(1)]).await;
    assert!(matches!(refused, Err(Error::NotSchedulable(_))), "nor by the operator: {refused:?}");
    drop(tx);
    let running = job(0);
    enqueue(running.clone()).await??;
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    assert_eq!(jobs::lease(&mut tx, agent, 1, Duration::from_mins(1)).await?.len(), 1);
    tx.commit().await?;

    let mut tx = installation.api.platform().await?;
    modules::deprecate(&mut tx, "lifecycle", "1.0.0", Utc::now() + chrono::Duration::hours(1), "x").await?;
    tx.commit().await?;
    enqueue(job(0)).await??;
    let mut tx = installation.api.platform().await?;
    modules::retire(&mut tx, "lifecycle", "1.0.0", "x").await?;
    tx.commit().await?;
    assert!(matches!(enqueue(job(0)).await?, Err(Error::NotSchedulable(_))), "retired");
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    assert_eq!(jobs::finish(&mut tx, agent, &[running.run_id]).await?, 1, "what runs finishes");
    let leased = jobs::lease(&mut tx, agent, 1, Duration::from_mins(1)).await?;
    let refused = [(leased[0].job_id, "it is retired".to_owned())];
    assert_eq!(jobs::refuse(&mut tx, &refused).await?, 1);
    assert!(jobs::lease(&mut tx, agent, 1, Duration::from_mins(1)).await?.is_empty());
    tx.commit().await?;
    Ok(())
}
