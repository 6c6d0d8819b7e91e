//! Results that come together: stored in one transaction, with as many statements as one of them takes, or refused as one.

use std::collections::BTreeMap;

use catalog::Catalog;
use catalog::envelope::{Envelope, Verdict};
use catalog::facts::Facts;
use store::ingest::{self, IngestOutcome, Submission};
use store::{Error, Write};
use uuid::Uuid;

use crate::ingest::{Scene, envelope_of, fact};

/// Results of as many modules, each with findings of these resources and facts of these ports.
fn envelopes(count: usize, resources: &[&str], ports: std::ops::Range<u16>) -> anyhow::Result<Vec<Envelope>> {
    let catalog = Catalog::embedded().map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let with_checks = catalog.latest().filter(|entry| entry.module.checks.len() > 2).take(count);
    let facts = || Facts::between(None, &BTreeMap::new(), ports.clone().map(|port| fact(port, "x")).collect());
    Ok(with_checks
        .map(|entry| Envelope {
            facts: facts(),
            ..envelope_of(&entry.module, &[Verdict::Fail, Verdict::Fail], resources)
        })
        .collect())
}

async fn apply_all(scene: &Scene, envelopes: &[Envelope]) -> store::Result<Vec<IngestOutcome>> {
    let submissions: Vec<Submission<'_>> =
        envelopes.iter().map(|envelope| Submission { job_id: None, envelope }).collect();
    let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
    let outcomes = ingest::apply_all(&mut tx, &scene.context, &submissions).await?;
    tx.commit().await?;
    Ok(outcomes)
}

fn again(envelopes: &[Envelope]) -> Vec<Envelope> {
    envelopes.iter().map(|envelope| Envelope { run_id: Uuid::now_v7(), ..envelope.clone() }).collect()
}

#[tokio::test]
async fn many_results_together_take_as_many_statements_as_one() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let names: Vec<String> = (0..500).map(|number| format!("/srv/{number}")).collect();
    let resources: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = envelopes(11, &resources, 0..50)?;
    assert_eq!(all.len(), 11);
    let (one, ten) = all.split_at(1);
    scene.installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    let sum = "SELECT sum(calls)::bigint FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname IN ('tenantra_api', 'tenant_acme')";
    let mut statements = Vec::new();
    let mut opened = Vec::new();
    for results in [one, ten] {
        for results in [results.to_vec(), again(results), results.to_vec()] {
            scene.installation.admin("SELECT pg_stat_statements_reset()").await?;
            let outcomes = apply_all(&scene, &results).await?;
            statements.push(scene.installation.number(sum).await?);
            opened.push(outcomes.iter().map(|one| one.opened).sum::<u64>());
        }
    }
    // New, the same as new runs, the same runs; BEGIN, COMMIT and what sets role and path are among them. Of new failures one
    // asks which are waived.
    assert_eq!(opened, [1_000, 0, 0, 10_000, 0, 0]);
    let (of_one, of_ten) = statements.split_at(3);
    assert_eq!(of_one, of_ten);
    assert!(of_ten.iter().zip([13, 10, 7]).all(|(number, most)| *number <= most), "{of_ten:?}");
    scene.assert_kept_is_recomputed().await
}

#[tokio::test]
async fn results_together_come_to_what_each_comes_to_alone() -> anyhow::Result<()> {
    let (together, alone) = (Scene::new().await?, Scene::new().await?);
    let rounds = [(["a", "b"], 0..5), (["b", "c"], 2..8), (["c", "d"], 2..3), (["a", "b"], 0..5)];
    for (resources, ports) in rounds {
        let results = envelopes(6, &resources, ports)?;
        let outcomes = apply_all(&together, &results).await?;
        for (envelope, outcome) in results.iter().zip(outcomes) {
            assert_eq!(alone.apply(envelope).await?, outcome, "{}", envelope.module);
        }
        // Some that are stored and some that are new: each is told for what it is.
        let mixed: Vec<Envelope> = results[..3].iter().cloned().chain(again(&results[3..])).collect();
        let duplicates: Vec<bool> = apply_all(&together, &mixed).await?.iter().map(|one| one.duplicate).collect();
        assert_eq!(duplicates, [true, true, true, false, false, false]);
    }
    for table in ["findings", "check_states", "facts", "asset_modules"] {
        let count = format!("SELECT count(*) FROM tenant_acme.{table}");
        let both = (together.installation.number(&count).await?, alone.installation.number(&count).await?);
        assert_eq!(both.0, both.1, "{table}");
    }
    together.assert_kept_is_recomputed().await?;
    alone.assert_kept_is_recomputed().await
}

#[tokio::test]
async fn one_that_is_refused_refuses_all_and_two_of_a_module_are_not_taken_together() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let mut results = envelopes(3, &["a"], 0..3)?;
    results[1].facts.base = Some("f".repeat(32));
    let refused = apply_all(&scene, &results).await.unwrap_err();
    assert!(matches!(refused, Error::SnapshotMismatch { .. }), "{refused}");
    for table in ["runs", "findings", "facts", "check_states"] {
        assert_eq!(
            scene.installation.number(&format!("SELECT count(*) FROM tenant_acme.{table}")).await?,
            0,
            "{table}"
        );
    }
    let twice = [results[0].clone(), again(&results[..1]).remove(0)];
    assert!(matches!(apply_all(&scene, &twice).await, Err(Error::Invalid(_))));
    Ok(())
}
