//! Follows what runs changed, after the ingest: judges it by the baselines, teaches it to them, and stores what is to be told.
//! All of that, and that the runs were followed, is one transaction; one process at a time does it for a tenant. Whoever is
//! killed leaves everything as it was.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use analysis::drift::{self, Asset, Change, Context, Day, Drift, Group, Kind, Run};
use sqlx::types::Json;
use uuid::Uuid;

use super::grants::InForce;
use super::items::{kind_of, name_of};
use super::read::{self, Batch, Look, Module, Waiting};
use super::replay;
use crate::error::{Error, Result};
use crate::tx::{TenantTx, Write};

/// Assets whose runs are followed in one transaction: they share the reading and writing of their groups' baselines, which
/// can take a megabyte each.
const ASSETS: u32 = 100;

/// What following came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Followed {
    /// Runs that wait no longer.
    pub runs: usize,
    /// Drifts that were stored.
    pub drifts: usize,
    /// Of these, those that nobody is told of.
    pub silenced: usize,
    /// Runs that moved more than is looked at: nothing is known of what they changed.
    pub skipped: usize,
    /// There may be more to follow.
    pub has_more: bool,
}

/// Follows the runs of the assets that wait longest, in six statements, and one more each time that they are too much to be
/// looked at together, three at most. None where another process does so now.
pub async fn follow(tx: &mut TenantTx<Write>) -> Result<Option<Followed>> {
    let key = format!("drift {}", tx.tenant().id);
    let is_mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(key)
        .fetch_one(tx.connection()?)
        .await?;
    if !is_mine {
        return Ok(None);
    }
    let mut most = ASSETS;
    let mut batch = read::batch(tx, most).await?;
    while batch.is_too_large && most > 1 {
        most = (most / 5).max(1);
        batch = read::batch(tx, most).await?;
    }
    let runs: Vec<Uuid> = batch.looks().map(|look| look.run_id).collect();
    if runs.is_empty() {
        return Ok(Some(Followed::default()));
    }
    let has_more = batch.assets.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    let mut followed = Followed { runs: runs.len(), has_more, ..Followed::default() };
    let mut learned = Learned::default();
    if batch.is_too_large {
        followed.skipped = runs.len();
    } else {
        let kinds = kinds(tx, &batch).await?;
        let until = batch.looks().map(|look| look.at).max().unwrap_or_default();
        let from = batch.looks().map(|look| look.previous.unwrap_or(look.at).min(look.at)).min().unwrap_or_default();
        let grants = InForce::read(tx, from, until).await?;
        let stored = stored(tx, &batch).await?;
        // Megabytes are decoded, judged and encoded: up to seconds, for which no thread is kept that others' answers wait for.
        let span = tracing::Span::current();
        learned = tokio::task::spawn_blocking(move || span.in_scope(|| learn(batch, &kinds, &stored, &grants)))
            .await
            .map_err(Error::Task)?;
    }
    followed.drifts = learned.told.len();
    followed.silenced = learned.told.iter().filter(|told| told.drift.silence.is_some()).count();
    store(tx, &runs, learned).await?;
    Ok(Some(followed))
}

/// The kinds of things that a module looks at, by its slug and version.
type Kinds = HashMap<(String, String), Vec<Kind>>;

/// Of the modules that report for the first time, or the first time in a version: they looked also where they found nothing.
async fn kinds(tx: &mut TenantTx<Write>, batch: &Batch) -> Result<Kinds> {
    let modules = batch.assets.values().flat_map(|asset| asset.modules.values());
    let firsts: BTreeSet<(&str, &str)> = modules
        .flat_map(|module| module.looks.iter().zip(&module.moved))
        .filter(|(look, moved)| moved.is_inventory || look.is_new_version)
        .map(|(look, _)| (look.module.as_str(), look.version.as_str()))
        .collect();
    if firsts.is_empty() {
        return Ok(Kinds::new());
    }
    let rows: Vec<(String, String, Json<Vec<String>>)> = sqlx::query_as(
        "SELECT v.module, v.version, jsonb_path_query_array(v.document, '$.collect[*].table')
         FROM unnest($1::text[], $2::text[]) AS u(module, version) JOIN shared.module_versions v USING (module, version)",
    )
    .bind(firsts.iter().map(|(module, _)| *module).collect::<Vec<_>>())
    .bind(firsts.iter().map(|(_, version)| *version).collect::<Vec<_>>())
    .fetch_all(tx.connection()?)
    .await?;
    let of = |tables: &[String]| -> Vec<Kind> {
        let kinds: BTreeSet<Kind> = tables.iter().filter_map(|table| kind_of(table)).collect();
        kinds.into_iter().collect()
    };
    Ok(rows.into_iter().map(|(module, version, Json(tables))| ((module, version), of(&tables))).collect())
}

/// A baseline as it is stored.
#[derive(sqlx::FromRow)]
struct Stored {
    scope: String,
    name: String,
    group_name: Option<String>,
    content: Vec<u8>,
}

/// The baselines of the batch's assets, of their groups, and of the groups in which they were counted last.
async fn stored(tx: &mut TenantTx<Write>, batch: &Batch) -> Result<Vec<Stored>> {
    let assets: Vec<String> = batch.assets.keys().map(Uuid::to_string).collect();
    let groups: BTreeSet<&str> = batch.assets.values().map(|asset| asset.group.as_str()).collect();
    Ok(sqlx::query_as(
        "SELECT scope, name, group_name, content FROM drift_baselines
         WHERE (scope = 'asset' AND name = ANY($1)) OR (scope = 'group' AND (name = ANY($2) OR name IN (
             SELECT group_name FROM drift_baselines WHERE scope = 'asset' AND name = ANY($1))))",
    )
    .bind(assets)
    .bind(groups.into_iter().collect::<Vec<_>>())
    .fetch_all(tx.connection()?)
    .await?)
}

/// What is usual of an asset, and in which group it was counted last.
#[derive(Debug, Default)]
struct Known {
    asset: Asset,
    group: Option<String>,
}

/// The baselines that a batch needs, and which of them it changed.
#[derive(Debug, Default)]
struct Baselines {
    assets: HashMap<Uuid, Known>,
    groups: HashMap<String, Group>,
    changed_assets: BTreeSet<Uuid>,
    changed_groups: BTreeSet<String>,
}

impl Baselines {
    /// One that cannot be read is learned anew.
    fn decode(stored: &[Stored]) -> Self {
        let mut all = Self::default();
        let lost = |name: &str, error: drift::DecodeError| {
            tracing::warn!(name, %error, "a baseline of drift cannot be read; it is learned anew");
        };
        for Stored { scope, name, group_name, content } in stored {
            if scope == "group" {
                let decoded = Group::decode(content).inspect_err(|error| lost(name, *error));
                all.groups.insert(name.clone(), decoded.unwrap_or_default());
            } else if let Ok(asset_id) = Uuid::try_parse(name) {
                let asset = Asset::decode(content).inspect_err(|error| lost(name, *error)).unwrap_or_default();
                all.assets.insert(asset_id, Known { asset, group: group_name.clone() });
            }
        }
        all
    }

    /// Counts the asset in that group, and no longer in another.
    fn enter(&mut self, asset_id: Uuid, group: &str, day: Day) {
        let known = self.assets.entry(asset_id).or_default();
        if known.group.as_deref() == Some(group) {
            return;
        }
        if let Some(left) = known.group.replace(group.to_owned()) {
            if let Some(baseline) = self.groups.get_mut(&left) {
                baseline.leave(&known.asset, day);
            }
            self.changed_groups.insert(left);
            self.groups.entry(group.to_owned()).or_default().join(&known.asset, day);
            self.changed_groups.insert(group.to_owned());
        }
        self.changed_assets.insert(asset_id);
    }
}

/// A drift with where it was found.
struct Told {
    asset_id: Uuid,
    look: Look,
    group: String,
    drift: Drift,
}

/// What a batch came to: what there is to tell, and the baselines that it changed, in columns.
#[derive(Default)]
struct Learned {
    told: Vec<Told>,
    /// Groups that have nobody any more.
    gone: Vec<String>,
    scopes: Vec<&'static str>,
    names: Vec<String>,
    groups: Vec<Option<String>>,
    contents: Vec<Vec<u8>>,
}

/// Judges a batch by the stored baselines and teaches it to them. Computes only.
fn learn(batch: Batch, kinds: &Kinds, stored: &[Stored], grants: &InForce) -> Learned {
    let mut baselines = Baselines::decode(stored);
    let mut learned = Learned { told: judge(batch, kinds, &mut baselines, grants), ..Learned::default() };
    let Baselines { assets, groups, changed_assets, changed_groups } = baselines;
    for name in changed_groups {
        let group = groups.get(&name);
        match group.filter(|group| Kind::ALL.into_iter().any(|kind| group.members(kind) > 0)) {
            Some(group) => learned.keep("group", name, None, group.encode()),
            None => learned.gone.push(name),
        }
    }
    for (asset_id, known) in changed_assets.iter().filter_map(|id| Some((id, assets.get(id)?))) {
        learned.keep("asset", asset_id.to_string(), known.group.clone(), known.asset.encode());
    }
    learned
}

impl Learned {
    fn keep(&mut self, scope: &'static str, name: String, group: Option<String>, content: Vec<u8>) {
        self.scopes.push(scope);
        self.names.push(name);
        self.groups.push(group);
        self.contents.push(content);
    }
}

fn judge(batch: Batch, kinds: &Kinds, baselines: &mut Baselines, grants: &InForce) -> Vec<Told> {
    let mut told = Vec::new();
    for (asset_id, Waiting { group, modules }) in batch.assets {
        let looks = in_order(modules);
        let Some(first) = looks.first() else { continue };
        baselines.enter(asset_id, &group, Day::of(first.look.at));
        let (approvals, windows) = grants.of(asset_id, &group);
        let context = Context { group: &group, approvals: &approvals, windows: &windows };
        let asset = &mut baselines.assets.entry(asset_id).or_default().asset;
        let of_group = baselines.groups.entry(group.clone()).or_default();
        let mut has_learned = false;
        for Judged { look, is_inventory, mut changes } in looks {
            // A new version may look at more than the one before: what it finds was there, as in a first look.
            let is_inventory = is_inventory || look.is_new_version;
            let looked_at: &[Kind] = if is_inventory {
                let module = (look.module.clone(), look.version.clone());
                kinds.get(&module).map(Vec::as_slice).unwrap_or_default()
            } else {
                changes.retain(|change| is_news(asset, change));
                &[]
            };
            if changes.is_empty() && looked_at.is_empty() {
                continue;
            }
            has_learned = true;
            let run = Run { at: look.at, previous: look.previous, is_inventory, kinds: looked_at };
            let outcome = drift::follow(asset, of_group, changes, run, context);
            if outcome.further > 0 {
                tracing::warn!(%asset_id, run_id = %look.run_id, further = outcome.further, "a run changed more than is stored as drift");
            }
            told.extend(outcome.drifts.into_iter().map(|drift| Told {
                asset_id,
                look: look.clone(),
                group: group.clone(),
                drift,
            }));
        }
        if has_learned {
            baselines.changed_assets.insert(asset_id);
            baselines.changed_groups.insert(group);
        }
    }
    told
}

/// A run with what it changed.
struct Judged {
    look: Look,
    is_inventory: bool,
    changes: Vec<Change>,
}

/// The runs of an asset's modules in the order in which they came.
fn in_order(modules: BTreeMap<String, Module>) -> Vec<Judged> {
    let mut all = Vec::new();
    for Module { looks, moved, now } in modules.into_values() {
        let changes = replay::changes(now, &moved);
        all.extend(looks.into_iter().zip(moved).zip(changes).map(|((look, moved), changes)| Judged {
            look,
            is_inventory: moved.is_inventory,
            changes,
        }));
    }
    all.sort_by_key(|one| one.look.place());
    all
}

/// Two modules may look at the same things: what one has told of, the other does not tell again.
fn is_news(asset: &Asset, change: &Change) -> bool {
    match change {
        Change::Appeared(item) => !asset.has(item),
        Change::Vanished(item) => asset.has(item),
        Change::Changed { .. } => true,
    }
}

/// Stores drifts and baselines and takes the runs from those that wait: one statement.
async fn store(tx: &mut TenantTx<Write>, runs: &[Uuid], learned: Learned) -> Result<()> {
    let Learned { told, gone, scopes, names, groups, contents } = learned;
    let parts: Vec<Parts<'_>> = told.iter().map(|told| Parts::of(&told.drift.change)).collect();
    sqlx::query(
        "WITH done AS (
             DELETE FROM drift_runs WHERE run_id = ANY($1)
         ), left_groups AS (
             DELETE FROM drift_baselines WHERE scope = 'group' AND name = ANY($2)
         ), learned AS (
             INSERT INTO drift_baselines AS b (scope, name, group_name, content)
             SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
             ON CONFLICT (scope, name) DO UPDATE SET group_name = excluded.group_name, content = excluded.content, updated_at = now()
         )
         INSERT INTO drifts (drift_id, asset_id, run_id, module, group_name, found_at, kind, change, subject, before, after, rarity,
             sentence, evidence, silenced_by)
         SELECT * FROM unnest($7::uuid[], $8::uuid[], $9::uuid[], $10::text[], $11::text[], $12::timestamptz[], $13::text[],
             $14::text[], $15::text[], $16::text[], $17::text[], $18::smallint[], $19::text[], $20::jsonb[], $21::jsonb[])",
    )
    .bind(runs)
    .bind(gone)
    .bind(scopes)
    .bind(names)
    .bind(groups)
    .bind(contents)
    .bind(told.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.asset_id).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.look.run_id).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.look.module.as_str()).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.group.as_str()).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.look.at).collect::<Vec<_>>())
    .bind(told.iter().map(|told| name_of(told.drift.change.kind())).collect::<Vec<_>>())
    .bind(parts.iter().map(|parts| parts.change).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.drift.change.item().subject()).collect::<Vec<_>>())
    .bind(parts.iter().map(|parts| parts.before).collect::<Vec<_>>())
    .bind(parts.iter().map(|parts| parts.after).collect::<Vec<_>>())
    .bind(told.iter().map(|told| i16::from(told.drift.rarity)).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.drift.sentence.as_str()).collect::<Vec<_>>())
    .bind(told.iter().map(|told| Json(&told.drift.evidence)).collect::<Vec<_>>())
    .bind(told.iter().map(|told| told.drift.silence.as_ref().map(Json)).collect::<Vec<_>>())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// A change in columns.
struct Parts<'a> {
    change: &'static str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(change: &'a Change) -> Self {
        match change {
            Change::Appeared(item) => Self { change: "appeared", before: None, after: item.detail() },
            Change::Changed { before, after } => {
                Self { change: "changed", before: before.detail(), after: after.detail() }
            }
            Change::Vanished(item) => Self { change: "vanished", before: item.detail(), after: None },
        }
    }
}
