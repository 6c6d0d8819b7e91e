//! Drift: followed from what ingests leave, told once whoever is killed when, in a sentence, and silenced where somebody
//! allowed it.

use std::collections::{BTreeMap, BTreeSet};

use analysis::drift::{Group, Kind, Subject};
use analysis::grant::Grant;
use catalog::Catalog;
use catalog::envelope::Envelope;
use catalog::facts::{Fact, Facts};
use catalog::module::Module;
use chrono::{TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use store::drift::{self, DriftFilter, Followed, NewGrant, Purpose, Reach, StoredDrift};
use store::ingest::{self, IngestContext};
use store::{Error, Page, Read, Start, Write, agents};
use uuid::Uuid;

use crate::ingest::{Scene, envelope_of};

const ANY: &str = "0.0.0.0";
const ANY6: &str = "::";

/// Web servers of one tenant.
struct Fleet {
    scene: Scene,
    hosts: Vec<IngestContext>,
    module: Module,
}

impl Fleet {
    async fn new(count: usize) -> anyhow::Result<Self> {
        let scene = Scene::new().await?;
        let catalog = Catalog::embedded().map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let module = catalog.module("linux-inventory-network", None).unwrap().module.clone();
        let mut hosts = Vec::new();
        for number in 0..count {
            let enrollment = agents::Enrollment {
                identity: format!("state:web-{number}"),
                hostname: format!("web-{number}"),
                os: catalog::wire::OsInfo::default(),
                agent_version: "0.1.0".to_owned(),
                labels: BTreeMap::from([("group".to_owned(), "web servers".to_owned())]),
                source: agents::Source::Admin,
            };
            let mut tx = scene.installation.api.tenant::<Write>(&scene.tenant).await?;
            let enrolled = agents::enroll(&mut tx, &enrollment).await?;
            tx.commit().await?;
            let (agent_id, asset_id) = (enrolled.agent_id, enrolled.asset_id);
            hosts.push(IngestContext { agent_id, asset_id, ..scene.context.clone() });
        }
        Ok(Self { scene, hosts, module })
    }

    /// A host says on which ports and addresses it listens, whole.
    async fn report(&self, host: usize, sockets: &[(u16, &str)]) -> anyhow::Result<Envelope> {
        let facts = sockets.iter().map(|(port, address)| socket(*port, address)).collect();
        let facts = Facts::between(None, &BTreeMap::new(), facts);
        let envelope = Envelope { facts, ..envelope_of(&self.module, &[], &[]) };
        self.send(host, &envelope).await?;
        Ok(envelope)
    }

    async fn send(&self, host: usize, envelope: &Envelope) -> anyhow::Result<()> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        ingest::apply(&mut tx, &self.hosts[host], envelope).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn follow(&self) -> anyhow::Result<Followed> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        let followed = drift::follow(&mut tx).await?.unwrap();
        tx.commit().await?;
        Ok(followed)
    }

    /// Follows, and is killed before the end.
    async fn follow_in_vain(&self) -> anyhow::Result<Followed> {
        let mut tx = self.scene.installation.api.tenant::<Write>(&self.scene.tenant).await?;
        let followed = drift::follow(&mut tx).await?.unwrap();
        tx.rollback().await?;
        Ok(followed)
    }

    /// All found so far was found 60 days earlier.
    async fn age(&self) -> anyhow::Result<()> {
        self.scene
            .installation
            .admin("UPDATE tenant_acme.drift_runs SET found_at = found_at - interval '60 days'")
            .await
    }

    async fn list(&self, filter: &DriftFilter) -> anyhow::Result<Vec<StoredDrift>> {
        let mut tx = self.scene.installation.api.tenant::<Read>(&self.scene.tenant).await?;
        let (mut items, mut start) = (Vec::new(), Start::Page(Page::new(1, 3)));
        loop {
            let part = drift::list(&mut tx, filter, &start).await?;
            assert!(part.total.is_exact);
            items.extend(part.items);
            let Some(next) = part.next else {
                assert_eq!(part.total.count, i64::try_from(items.len())?);
                return Ok(items);
            };
            start = Start::after(Some(next), 3);
        }
    }

    async fn waiting(&self) -> anyhow::Result<i64> {
        self.scene.installation.number("SELECT count(*) FROM tenant_acme.drift_runs").await
    }
}

fn socket(port: u16, address: &str) -> Fact {
    let columns = [
        ("port", json!(port.to_string())),
        ("protocol", json!("6")),
        ("family", json!(if address.contains(':') { "10" } else { "2" })),
        ("address", json!(address)),
        ("process", json!("nginx")),
        ("path", json!("/usr/sbin/nginx")),
    ];
    let row = columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Fact::new("listening_ports", &["port".to_owned(), "protocol".to_owned(), "address".to_owned()], row)
}

#[tokio::test]
async fn what_no_other_web_server_ever_did_is_said_so_and_told_once() -> anyhow::Result<()> {
    let fleet = Fleet::new(39).await?;
    for host in 0..39 {
        fleet.report(host, &[(443, ANY)]).await?;
    }
    fleet.age().await?;
    let first = fleet.follow().await?;
    assert_eq!((first.runs, first.drifts, first.has_more), (39, 0, false), "the first look is an inventory");
    assert_eq!(fleet.waiting().await?, 0);

    let envelope = fleet.report(0, &[(443, ANY), (4444, ANY)]).await?;
    for _ in 0..3 {
        assert_eq!(fleet.follow_in_vain().await?.drifts, 1);
        assert_eq!((fleet.list(&DriftFilter::default()).await?.len(), fleet.waiting().await?), (0, 1));
    }
    // While one follows the tenant no other does.
    let mut one = fleet.scene.installation.api.tenant::<Write>(&fleet.scene.tenant).await?;
    assert!(drift::follow(&mut one).await?.is_some());
    let mut other = fleet.scene.installation.api.tenant::<Write>(&fleet.scene.tenant).await?;
    assert_eq!(drift::follow(&mut other).await?, None);
    other.rollback().await?;
    one.commit().await?;
    fleet.send(0, &envelope).await?;
    assert_eq!(fleet.follow().await?, Followed::default(), "the same result again is nothing new");
    let told = fleet.list(&DriftFilter::default()).await?;
    let [drift] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(drift.sentence, "listens on 4444/tcp; no other of 38 web servers ever did");
    assert_eq!((drift.rarity, drift.asset_name.as_str(), drift.group_name.as_str()), (95, "web-0", "web servers"));
    assert_eq!((drift.kind.as_str(), drift.change.as_str(), drift.subject.as_str()), ("port", "appeared", "4444/tcp"));
    assert_eq!((drift.run_id, &drift.silenced_by), (envelope.run_id, &None));

    // Another address of the same port is nothing new, nor is it gone with one of two.
    fleet.report(0, &[(443, ANY), (4444, ANY), (4444, ANY6)]).await?;
    fleet.report(0, &[(443, ANY), (4444, ANY6)]).await?;
    assert_eq!(fleet.follow().await?.drifts, 0);
    // Open and closed between two looks of the follower: both are told.
    fleet.report(0, &[(443, ANY), (4444, ANY6), (31337, ANY)]).await?;
    fleet.report(0, &[(443, ANY)]).await?;
    assert_eq!(fleet.follow().await?.drifts, 3);
    let found = fleet.list(&DriftFilter { kind: Some(Kind::Port), ..DriftFilter::default() }).await?;
    let said: BTreeSet<(&str, &str)> =
        found.iter().map(|drift| (drift.change.as_str(), drift.subject.as_str())).collect();
    let expected =
        [("appeared", "31337/tcp"), ("appeared", "4444/tcp"), ("vanished", "31337/tcp"), ("vanished", "4444/tcp")];
    assert_eq!(said, BTreeSet::from(expected));
    assert_eq!(found.len(), 4);

    let baseline: Vec<u8> = sqlx::query_scalar(
        "SELECT content FROM tenant_acme.drift_baselines WHERE scope = 'group' AND name = 'web servers'",
    )
    .fetch_one(&fleet.scene.installation.admin)
    .await?;
    assert_eq!(Group::decode(&baseline)?.members(Kind::Port), 39);
    Ok(())
}

#[tokio::test]
async fn every_change_is_told_once_whenever_it_is_followed() -> anyhow::Result<()> {
    let fleet = Fleet::new(4).await?;
    let mut random = StdRng::seed_from_u64(5);
    let mut before: Vec<Option<BTreeSet<u16>>> = vec![None; 4];
    let mut expected: Vec<(Uuid, String, String)> = Vec::new();
    for _ in 0..120 {
        let host = random.random_range(0..4);
        let mut sockets: BTreeSet<(u16, &str)> = BTreeSet::new();
        for _ in 0..random.random_range(0..10) {
            sockets.insert((random.random_range(1..8), if random.random_bool(0.5) { ANY } else { ANY6 }));
        }
        let sockets: Vec<(u16, &str)> = sockets.into_iter().collect();
        fleet.report(host, &sockets).await?;
        let ports: BTreeSet<u16> = sockets.iter().map(|(port, _)| *port).collect();
        let asset_id = fleet.hosts[host].asset_id;
        if let Some(before) = &before[host] {
            let change = |name: &str, port: &u16| (asset_id, name.to_owned(), format!("{port}/tcp"));
            expected.extend(ports.difference(before).map(|port| change("appeared", port)));
            expected.extend(before.difference(&ports).map(|port| change("vanished", port)));
        }
        before[host] = Some(ports);
        match random.random_range(0..6) {
            0 => {
                fleet.follow().await?;
            }
            1 => {
                fleet.follow_in_vain().await?;
            }
            _ => {}
        }
    }
    fleet.follow().await?;
    assert_eq!(fleet.waiting().await?, 0);
    let found = fleet.list(&DriftFilter::default()).await?;
    let mut found: Vec<(Uuid, String, String)> =
        found.into_iter().map(|drift| (drift.asset_id, drift.change, drift.subject)).collect();
    found.sort();
    expected.sort();
    assert!(expected.len() > 100, "{}", expected.len());
    assert_eq!(found, expected);
    Ok(())
}

#[tokio::test]
async fn what_a_new_version_of_a_module_finds_is_learned_and_not_told() -> anyhow::Result<()> {
    let fleet = Fleet::new(1).await?;
    fleet.report(0, &[(443, ANY)]).await?;
    fleet.follow().await?;
    // As if that had been an older version's.
    fleet.scene.installation.admin("UPDATE tenant_acme.runs SET module_version = '0.0.1'").await?;
    fleet.report(0, &[(443, ANY), (8443, ANY)]).await?;
    let learned = fleet.follow().await?;
    assert_eq!((learned.runs, learned.drifts), (1, 0));
    fleet.report(0, &[(443, ANY)]).await?;
    assert_eq!(fleet.follow().await?.drifts, 1);
    let told = fleet.list(&DriftFilter::default()).await?;
    assert_eq!((told[0].change.as_str(), told[0].subject.as_str()), ("vanished", "8443/tcp"));
    Ok(())
}

#[tokio::test]
async fn an_asset_is_counted_in_the_group_that_its_label_names() -> anyhow::Result<()> {
    let fleet = Fleet::new(6).await?;
    for host in 0..6 {
        fleet.report(host, &[(443, ANY)]).await?;
    }
    fleet.follow().await?;
    let asset_id = fleet.hosts[5].asset_id;
    fleet
        .scene
        .installation
        .admin(&format!(
            "UPDATE tenant_acme.assets SET labels = '{{\"group\": \"databases\"}}' WHERE asset_id = '{asset_id}'"
        ))
        .await?;
    fleet.report(5, &[(443, ANY), (5432, ANY)]).await?;
    assert_eq!(fleet.follow().await?.drifts, 1);
    let told = fleet.list(&DriftFilter::default()).await?;
    assert_eq!(told[0].group_name, "databases");
    assert!(told[0].sentence.contains("there is no other of its group"), "{}", told[0].sentence);
    let groups: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT name, content FROM tenant_acme.drift_baselines WHERE scope = 'group' ORDER BY name")
            .fetch_all(&fleet.scene.installation.admin)
            .await?;
    let mut members = Vec::new();
    for (name, content) in groups {
        members.push((name, Group::decode(&content)?.members(Kind::Port)));
    }
    assert_eq!(members, [("databases".to_owned(), 1), ("web servers".to_owned(), 5)]);
    Ok(())
}

#[tokio::test]
async fn approvals_and_windows_silence_what_they_cover_and_nothing_else() -> anyhow::Result<()> {
    let fleet = Fleet::new(3).await?;
    let other = fleet.scene.installation.tenant("other").await?;
    let api = &fleet.scene.installation.api;
    for host in 0..3 {
        fleet.report(host, &[(443, ANY)]).await?;
    }
    fleet.follow().await?;
    let now = Utc::now();
    let grant = Grant::new("anna", "upgrade", now - TimeDelta::hours(1), now + TimeDelta::hours(1))?;
    let new = |purpose: Purpose, reach: Reach| NewGrant {
        purpose,
        reach,
        grant: grant.clone(),
        created_by: "user:anna".to_owned(),
    };
    let approval = |subject: &str| -> anyhow::Result<Purpose> {
        Ok(Purpose::Approval { kind: Kind::Port, subject: Subject::exactly(subject)?, detail: None })
    };
    let mut tx = api.tenant::<Write>(&fleet.scene.tenant).await?;
    let approved =
        drift::create_grant(&mut tx, &new(approval("8443/tcp")?, Reach::Group("web servers".to_owned()))).await?;
    drift::create_grant(&mut tx, &new(approval("9000/tcp")?, Reach::Group("databases".to_owned()))).await?;
    let window = Reach::Asset(fleet.hosts[1].asset_id);
    let window = drift::create_grant(&mut tx, &new(Purpose::Maintenance, window)).await?;
    assert_eq!((approved.grant.who(), &window.purpose), ("anna", &Purpose::Maintenance));
    tx.commit().await?;

    fleet.report(0, &[(443, ANY), (8443, ANY), (9000, ANY)]).await?;
    fleet.report(1, &[(443, ANY), (9000, ANY)]).await?;
    let followed = fleet.follow().await?;
    assert_eq!((followed.drifts, followed.silenced), (3, 2));
    let silenced = fleet.list(&DriftFilter { is_silenced: Some(true), ..DriftFilter::default() }).await?;
    let by: BTreeSet<(String, String, String)> = silenced
        .iter()
        .map(|drift| {
            let silence = drift.silenced_by.clone().unwrap_or_default();
            let text = |key: &str| silence[key].as_str().unwrap_or_default().to_owned();
            (drift.subject.clone(), text("by"), text("why"))
        })
        .collect();
    let said = |subject: &str, by: &str| (subject.to_owned(), by.to_owned(), "upgrade".to_owned());
    assert_eq!(by, BTreeSet::from([said("8443/tcp", "approval"), said("9000/tcp", "maintenance")]));
    let told = fleet.list(&DriftFilter { is_silenced: Some(false), ..DriftFilter::default() }).await?;
    assert_eq!(told.iter().map(|drift| drift.subject.as_str()).collect::<Vec<_>>(), ["9000/tcp"]);

    // Taken back, it silences nothing that comes after.
    let mut tx = api.tenant::<Write>(&fleet.scene.tenant).await?;
    assert_eq!(drift::list_grants(&mut tx, true, false, Page::default()).await?.total, 2);
    assert_eq!(drift::remove_grant(&mut tx, true, approved.grant_id).await?.grant_id, approved.grant_id);
    let again = drift::remove_grant(&mut tx, true, approved.grant_id).await;
    assert!(matches!(again, Err(Error::NotFound("approval"))));
    let wrong = drift::remove_grant(&mut tx, true, window.grant_id).await;
    assert!(matches!(wrong, Err(Error::NotFound("approval"))), "a window is no approval");
    tx.commit().await?;
    fleet.report(2, &[(443, ANY), (8443, ANY)]).await?;
    assert_eq!(fleet.follow().await?.silenced, 0);

    let rare = fleet.list(&DriftFilter { min_rarity: Some(101), ..DriftFilter::default() }).await?;
    assert_eq!(rare, []);
    let of_one = DriftFilter { asset_id: Some(fleet.hosts[0].asset_id), since: Some(now), ..DriftFilter::default() };
    assert_eq!(fleet.list(&of_one).await?.len(), 2);
    let later = DriftFilter { since: Some(now + TimeDelta::hours(1)), ..DriftFilter::default() };
    assert_eq!(fleet.list(&later).await?, []);

    // Nothing of it is there for another tenant.
    let mut tx = api.tenant::<Write>(&other).await?;
    assert_eq!(drift::get(&mut tx, told[0].drift_id).await?, None);
    assert_eq!(drift::list(&mut tx, &DriftFilter::default(), &Page::default().into()).await?.total.count, 0);
    assert!(drift::remove_grant(&mut tx, false, window.grant_id).await.is_err());
    let abroad = drift::create_grant(&mut tx, &new(Purpose::Maintenance, Reach::Asset(fleet.hosts[0].asset_id))).await;
    assert!(matches!(abroad, Err(Error::NotFound("asset"))));
    Ok(())
}

#[tokio::test]
async fn many_runs_are_followed_in_as_many_statements_as_one() -> anyhow::Result<()> {
    let fleet = Fleet::new(30).await?;
    fleet.scene.installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    let sum = "SELECT sum(calls)::bigint FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname IN ('tenantra_api', 'tenant_acme')";
    let mut taken = Vec::new();
    for (hosts, ports) in [(0..1, 1_u16), (1..30, 1), (0..1, 2), (1..30, 40)] {
        for host in hosts {
            let sockets: Vec<(u16, &str)> = (0..ports).map(|port| (port + 1, ANY)).collect();
            fleet.report(host, &sockets).await?;
        }
        fleet.scene.installation.admin("SELECT pg_stat_statements_reset()").await?;
        fleet.follow().await?;
        taken.push(fleet.scene.installation.number(sum).await?);
    }
    println!("statements: {taken:?}");
    assert_eq!((taken[0], taken[2]), (taken[1], taken[3]), "{taken:?}");
    // The lock, the batch, what modules look at, grants, baselines, and what came of it; the others begin and end.
    assert!(taken.iter().all(|taken| *taken <= 12), "{taken:?}");
    Ok(())
}
