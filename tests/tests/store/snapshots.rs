//! Facts in any order of changes, repeats and resends: what is stored is the last snapshot that was taken, on its own asset
//! alone, and the history leads there.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use catalog::envelope::{Envelope, Verdict};
use catalog::facts::{Fact, Facts};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use store::ingest::{self, IngestContext, IngestOutcome};
use store::{Error, Write, agents};
use uuid::Uuid;

use crate::ingest::{Scene, enrollment, fact};

const ROUNDS: usize = 180;

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

/// A host with its module: what it sent, and what of that was taken.
struct Host {
    context: IngestContext,
    held: Snapshot,
    past: Vec<Snapshot>,
    sent: Vec<Envelope>,
    first: BTreeMap<String, Fact>,
}

impl Host {
    fn new(context: IngestContext) -> Self {
        Self { context, held: Snapshot::default(), past: Vec::new(), sent: Vec::new(), first: BTreeMap::new() }
    }

    async fn send(&self, scene: &Scene, envelope: &Envelope) -> store::Result<IngestOutcome> {
        let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
        let outcome = ingest::apply(&mut tx, &self.context, envelope).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    fn took(&mut self, envelope: Envelope, now: BTreeMap<String, Fact>) {
        if self.sent.is_empty() {
            self.first = now.clone();
        }
        let id = Some(envelope.facts.snapshot.clone());
        self.past.push(mem::replace(&mut self.held, Snapshot { id, facts: now }));
        self.sent.push(envelope);
    }

    async fn assert_stored(&self, scene: &Scene, round: usize) -> anyhow::Result<()> {
        let stored: Vec<(String, Value)> = sqlx::query_as(
            "SELECT replace(row_hash::text, '-', ''), content FROM tenant_acme.facts WHERE asset_id = $1 ORDER BY row_hash",
        )
        .bind(self.context.asset_id)
        .fetch_all(&scene.installation.admin)
        .await?;
        let expected: Vec<(String, Value)> =
            self.held.facts.iter().map(|(hash, fact)| (hash.clone(), serde_json::json!(fact.row))).collect();
        assert_eq!(stored, expected, "round {round}");
        Ok(())
    }

    /// What the history says is there, from the first inventory on.
    async fn replayed(&self, scene: &Scene) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut rows = rows_of(&self.first);
        let changes: Vec<(String, String, Option<Value>, Option<Value>)> = sqlx::query_as(
            "SELECT kind, row_key, before, after FROM tenant_acme.fact_changes WHERE asset_id = $1 ORDER BY changed_at, change_id",
        )
        .bind(self.context.asset_id)
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
}

fn rows_of(facts: &BTreeMap<String, Fact>) -> BTreeMap<String, Value> {
    facts.values().map(|fact| (fact.key.clone(), serde_json::json!(fact.row))).collect()
}

/// A run that found these facts and tells what changed since `base`.
fn run(whole: &Envelope, base: &Snapshot, now: &BTreeMap<String, Fact>) -> Envelope {
    let facts = Facts::between(base.id.clone(), &base.tables(), now.values().cloned().collect());
    Envelope { run_id: Uuid::now_v7(), facts, ..whole.clone() }
}

/// Two runs at once that build on the same: one of them is refused, unless the other changed nothing. Gives how many were.
async fn race(scene: &Scene, host: &mut Host, whole: &Envelope, random: &mut StdRng) -> anyhow::Result<usize> {
    let found = [some_facts(random), some_facts(random)];
    let runs = found.each_ref().map(|now| run(whole, &host.held, now));
    let (one, other) = tokio::join!(host.send(scene, &runs[0]), host.send(scene, &runs[1]));
    let mut taken = Vec::new();
    let mut refused = 0;
    for ((outcome, envelope), now) in [one, other].into_iter().zip(runs).zip(found) {
        match outcome {
            Ok(_) => taken.push((envelope, now)),
            Err(Error::SnapshotMismatch { .. }) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    // Of two that were taken, the one that changed nothing came first.
    taken.sort_by_key(|(envelope, _)| envelope.facts.base.as_ref() != Some(&envelope.facts.snapshot));
    assert!(taken.len() == 1 || taken[0].0.facts.base.as_ref() == Some(&taken[0].0.facts.snapshot));
    for (envelope, now) in taken {
        host.took(envelope, now);
    }
    Ok(refused)
}

#[tokio::test]
async fn facts_are_those_of_the_last_snapshot_after_any_order_of_deltas_repeats_and_resends() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let whole = scene.envelope(&[Verdict::Fail], &["a"]);
    let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
    let enrolled = agents::enroll(&mut tx, &enrollment("host-2")).await?;
    tx.commit().await?;
    let (agent_id, asset_id) = (enrolled.agent_id, enrolled.asset_id);
    let second = IngestContext { agent_id, asset_id, ..scene.context.clone() };
    let mut hosts = [Host::new(scene.context.clone()), Host::new(second)];
    let mut random = StdRng::seed_from_u64(41);
    let (mut deltas, mut refused, mut resent, mut repeats, mut lost_races) = (0, 0, 0, 0, 0);
    for round in 0..ROUNDS {
        let host = &mut hosts[random.random_range(0..2)];
        if !host.sent.is_empty() && random.random_bool(0.2) {
            // A result whose answer was lost, be it the last one or an old one.
            let envelope = &host.sent[random.random_range(0..host.sent.len())];
            let again = host.send(&scene, envelope).await?;
            assert_eq!((again.duplicate, &again.snapshot), (true, &host.held.id), "round {round}");
            repeats += 1;
        }
        if host.held.id.is_some() && random.random_bool(0.1) {
            lost_races += race(&scene, host, &whole, &mut random).await?;
        } else {
            let now = some_facts(&mut random);
            // The agent builds on what is held, on something older, or on nothing.
            let base = match random.random_range(0..4) {
                0 => Snapshot::default(),
                1 if !host.past.is_empty() => host.past[random.random_range(0..host.past.len())].clone(),
                _ => host.held.clone(),
            };
            let mut envelope = run(&whole, &base, &now);
            let mut taken = host.send(&scene, &envelope).await;
            if base.id.is_some() && base.id != host.held.id {
                assert!(matches!(taken, Err(Error::SnapshotMismatch { .. })), "round {round}");
                refused += 1;
                if random.random_bool(0.5) {
                    // The same run again, with everything, as an agent does; the others find out at their next run.
                    envelope = Envelope { run_id: envelope.run_id, ..run(&whole, &Snapshot::default(), &now) };
                    taken = host.send(&scene, &envelope).await;
                    resent += 1;
                }
            }
            match taken {
                Ok(outcome) => {
                    assert_eq!(
                        (outcome.duplicate, outcome.snapshot.as_deref()),
                        (false, Some(envelope.facts.snapshot.as_str())),
                        "round {round}"
                    );
                    deltas += usize::from(envelope.facts.base.is_some());
                    host.took(envelope, now);
                }
                Err(Error::SnapshotMismatch { .. })
                    if envelope.facts.base.is_some() && envelope.facts.base != host.held.id => {}
                Err(error) => return Err(error.into()),
            }
        }
        for host in &hosts {
            host.assert_stored(&scene, round).await?;
        }
    }
    for host in &hosts {
        assert_eq!(host.replayed(&scene).await?, rows_of(&host.held.facts));
    }
    let counts = [deltas, refused, resent, repeats, lost_races];
    println!("deltas, refused, resent, repeats, lost races: {counts:?}");
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
    Ok(())
}
