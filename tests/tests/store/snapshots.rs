//! Facts in any order of changes, repeats and resends: what is stored is the last snapshot that was taken, and the history
//! leads there.

use std::collections::{BTreeMap, BTreeSet};

use catalog::envelope::{Envelope, Verdict};
use catalog::facts::{Fact, Facts};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use store::Error;
use uuid::Uuid;

use crate::ingest::{Scene, fact};

const ROUNDS: usize = 150;

/// What a side believes to be stored: the snapshot's id and its facts by hash.
#[derive(Clone, Default)]
struct Snapshot {
    id: Option<String>,
    facts: BTreeMap<String, Fact>,
}

impl Snapshot {
    fn tables(&self) -> BTreeMap<String, String> {
        self.facts.iter().map(|(hash, fact)| (hash.clone(), fact.table.clone())).collect()
    }
}

fn some_facts(random: &mut StdRng) -> BTreeMap<String, Fact> {
    let ports: BTreeSet<u16> = (0..random.random_range(0..12)).map(|_| random.random_range(1..15)).collect();
    let paths = ["/usr/sbin/a", "/usr/sbin/b"];
    ports
        .into_iter()
        .map(|port| fact(port, paths[random.random_range(0..paths.len())]))
        .map(|fact| (fact.hash(), fact))
        .collect()
}

/// What the history says is there, from the first inventory on.
async fn replayed(scene: &Scene, first: &BTreeMap<String, Fact>) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut rows: BTreeMap<String, Value> =
        first.values().map(|fact| (fact.key.clone(), serde_json::json!(fact.row))).collect();
    let changes: Vec<(String, String, Option<Value>, Option<Value>)> = sqlx::query_as(
        "SELECT kind, row_key, before, after FROM tenant_acme.fact_changes ORDER BY changed_at, change_id",
    )
    .fetch_all(&scene.installation.admin)
    .await?;
    for (kind, key, before, after) in changes {
        assert_eq!(rows.get(&key), before.as_ref(), "{kind} {key}");
        match after {
            Some(after) => rows.insert(key, after),
            None => rows.remove(&key),
        };
    }
    Ok(rows)
}

#[tokio::test]
async fn facts_are_those_of_the_last_snapshot_after_any_order_of_deltas_repeats_and_resends() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let whole = scene.envelope(&[Verdict::Fail], &["a"]);
    let mut random = StdRng::seed_from_u64(41);
    let mut held = Snapshot::default();
    let mut past: Vec<Snapshot> = Vec::new();
    let mut sent: Vec<Envelope> = Vec::new();
    let mut first: Option<BTreeMap<String, Fact>> = None;
    let (mut deltas, mut refused, mut repeats) = (0, 0, 0);
    for round in 0..ROUNDS {
        if round > 0 && random.random_bool(0.2) {
            // A result whose answer was lost, be it the last one or an old one.
            let envelope = &sent[random.random_range(0..sent.len())];
            let again = scene.apply(envelope).await?;
            assert_eq!((again.duplicate, &again.snapshot), (true, &held.id), "round {round}");
            repeats += 1;
        }
        let now = some_facts(&mut random);
        // The agent builds on what is held, on something older, or on nothing.
        let base = match random.random_range(0..4) {
            0 => Snapshot::default(),
            1 if !past.is_empty() => past[random.random_range(0..past.len())].clone(),
            _ => held.clone(),
        };
        let facts = Facts::between(base.id.clone(), &base.tables(), now.values().cloned().collect());
        let envelope = Envelope { run_id: Uuid::now_v7(), facts, ..whole.clone() };
        let taken = scene.apply(&envelope).await;
        if base.id.is_none() || base.id == held.id {
            deltas += usize::from(base.id.is_some());
            let snapshot = taken?.snapshot;
            assert_eq!(snapshot.as_deref(), Some(envelope.facts.snapshot.as_str()), "round {round}");
            past.push(std::mem::replace(&mut held, Snapshot { id: snapshot, facts: now.clone() }));
            first.get_or_insert(now);
            sent.push(envelope);
        } else {
            assert!(matches!(taken, Err(Error::SnapshotMismatch { .. })), "round {round}");
            refused += 1;
        }
        let stored: Vec<(String, Value)> =
            sqlx::query_as("SELECT replace(row_hash::text, '-', ''), content FROM tenant_acme.facts ORDER BY row_hash")
                .fetch_all(&scene.installation.admin)
                .await?;
        let expected: Vec<(String, Value)> =
            held.facts.iter().map(|(hash, fact)| (hash.clone(), serde_json::json!(fact.row))).collect();
        assert_eq!(stored, expected, "round {round}");
    }
    let expected: BTreeMap<String, Value> =
        held.facts.values().map(|fact| (fact.key.clone(), serde_json::json!(fact.row))).collect();
    assert_eq!(replayed(&scene, &first.unwrap_or_default()).await?, expected);
    assert!(deltas > 20 && refused > 5 && repeats > 5, "{deltas} {refused} {repeats}");
    Ok(())
}
