//! What there is to follow, in one statement and so of one moment: the runs that wait, what each moved, the facts as they are
//! after the last of them, and what the assets are.

use std::collections::{BTreeMap, HashMap};

use catalog::facts::Row;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use serde::Deserialize;
use sqlx::types::Json;
use uuid::Uuid;

use super::items::{FOLLOWED, item_of};
use super::replay::{Counts, Moved, count};
use crate::error::Result;
use crate::tx::{Mode, TenantTx};

/// Rows that are read at once; a batch that has more is made smaller.
const MAX_ROWS: usize = 200_000;
/// Runs among which assets are picked, the longest waiting first.
const PICKED_FROM: i64 = 2_000;
/// Labels that say which assets are alike, the first before the second.
const GROUP_LABELS: [&str; 2] = ["group", "role"];
/// Characters of a group's name.
const MAX_GROUP: usize = 256;

/// A run that waits.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) run_id: Uuid,
    pub(super) module: String,
    pub(super) version: String,
    pub(super) at: DateTime<Utc>,
    pub(super) previous: Option<DateTime<Utc>>,
    /// The module looks at other things than it did the last time, perhaps.
    pub(super) is_new_version: bool,
    queued_at: DateTime<Utc>,
}

/// The runs of a module on an asset, in their order, and the rows of its facts as they are now.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) looks: Vec<Look>,
    pub(super) moved: Vec<Moved>,
    pub(super) now: Counts,
}

/// An asset with runs that wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The group of its like.
    pub(super) group: String,
    pub(super) modules: BTreeMap<String, Module>,
}

/// A batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) assets: BTreeMap<Uuid, Waiting>,
    /// It was cut off: nothing can be said of what its runs changed.
    pub(super) is_too_large: bool,
}

impl Batch {
    /// Every run of it.
    pub(super) fn looks(&self) -> impl Iterator<Item = &Look> {
        self.assets.values().flat_map(|asset| asset.modules.values()).flat_map(|module| &module.looks)
    }
}

impl Look {
    /// Runs of different modules in the order in which they came.
    pub(super) const fn place(&self) -> (DateTime<Utc>, Uuid) {
        (self.queued_at, self.run_id)
    }
}

#[derive(sqlx::FromRow)]
struct Read {
    part: String,
    asset_id: Uuid,
    module: Option<String>,
    run_id: Option<Uuid>,
    module_version: Option<String>,
    found_at: Option<DateTime<Utc>>,
    previous_at: Option<DateTime<Utc>>,
    previous_version: Option<String>,
    queued_at: Option<DateTime<Utc>>,
    is_inventory: Option<bool>,
    table_name: Option<String>,
    before: Option<Json<Row>>,
    after: Option<Json<Row>>,
    about: Option<Json<About>>,
}

/// What makes assets alike.
#[derive(Deserialize)]
struct About {
    kind: String,
    os: Option<String>,
    labels: HashMap<String, String>,
}

impl About {
    fn group(&self) -> String {
        let label =
            GROUP_LABELS.iter().filter_map(|label| self.labels.get(*label)).find(|text| !text.trim().is_empty());
        let group = match (label, self.os.as_deref().filter(|os| !os.is_empty())) {
            (Some(label), _) => label.trim().to_owned(),
            (None, Some(os)) => format!("{os} {}s", self.kind),
            (None, None) => format!("{}s", self.kind),
        };
        group.chars().take(MAX_GROUP).collect()
    }
}

/// The runs of up to `most` assets that wait longest.
pub(super) async fn batch<M: Mode>(tx: &mut TenantTx<M>, most: u32) -> Result<Batch> {
    let mut rows = sqlx::query_as::<_, Read>(
        "WITH picked AS MATERIALIZED (
             SELECT asset_id FROM (SELECT asset_id, queued_at FROM drift_runs ORDER BY queued_at LIMIT $1) q
             GROUP BY asset_id ORDER BY min(queued_at) LIMIT $2
         ), waiting AS MATERIALIZED (
             SELECT d.* FROM drift_runs d JOIN picked USING (asset_id)
         )
         SELECT 'run' AS part, w.asset_id, w.module, w.run_id, w.module_version, w.found_at, p.received_at AS previous_at,
             p.module_version AS previous_version, w.queued_at, w.is_inventory, NULL::text AS table_name, NULL::jsonb AS before, NULL::jsonb AS after,
             NULL::jsonb AS about
         FROM waiting w LEFT JOIN runs r USING (run_id) LEFT JOIN LATERAL (
             SELECT e.received_at, e.module_version FROM runs e WHERE NOT w.is_inventory AND e.asset_id = w.asset_id
                 AND e.received_at <= r.received_at AND e.run_id <> w.run_id AND e.module = w.module AND e.status <> 'failed'
             ORDER BY e.received_at DESC LIMIT 1
         ) p ON true
         UNION ALL
         SELECT 'asset', a.asset_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
             jsonb_build_object('kind', a.kind, 'os', a.os ->> 'id', 'labels', a.labels)
         FROM picked JOIN assets a USING (asset_id)
         UNION ALL
         SELECT 'change', w.asset_id, w.module, w.run_id, NULL, NULL, NULL, NULL, NULL, NULL, c.table_name, c.before, c.after, NULL
         FROM waiting w JOIN fact_changes c ON c.asset_id = w.asset_id AND c.changed_at = w.found_at AND c.run_id = w.run_id
         WHERE c.table_name = ANY($3)
         UNION ALL
         SELECT 'fact', f.asset_id, f.module, NULL, NULL, NULL, NULL, NULL, NULL, NULL, f.table_name, NULL, f.content, NULL
         FROM (SELECT DISTINCT asset_id, module FROM waiting) w JOIN facts f USING (asset_id, module)
         WHERE f.table_name = ANY($3)
         LIMIT $4",
    )
    .bind(PICKED_FROM)
    .bind(i64::from(most))
    .bind(FOLLOWED.to_vec())
    .bind(i64::try_from(MAX_ROWS).unwrap_or(i64::MAX).saturating_add(1))
    .fetch(tx.connection()?);
    let mut gathered = Gathered::default();
    while let Some(read) = rows.try_next().await? {
        gathered.add(read);
    }
    Ok(gathered.batch())
}

/// What was read so far. Of a row only what it tells of is kept: rows are larger than that by far, and there are many.
#[derive(Default)]
struct Gathered {
    batch: Batch,
    moves: HashMap<Uuid, Moved>,
    rows: usize,
}

impl Gathered {
    /// Takes a row; the parts of a union come in no order.
    fn add(&mut self, read: Read) {
        self.rows += 1;
        let asset = self.batch.assets.entry(read.asset_id).or_default();
        let table = read.table_name.unwrap_or_default();
        let item = |row: Option<Json<Row>>| row.and_then(|Json(row)| item_of(&table, &row));
        match (read.part.as_str(), read.module, read.run_id) {
            ("asset", ..) => asset.group = read.about.map(|Json(about)| about.group()).unwrap_or_default(),
            ("run", Some(name), Some(run_id)) => {
                let (Some(version), Some(at), Some(queued_at)) = (read.module_version, read.found_at, read.queued_at)
                else {
                    return;
                };
                self.moves.entry(run_id).or_default().is_inventory = read.is_inventory.unwrap_or(false);
                let look = Look {
                    run_id,
                    module: name.clone(),
                    is_new_version: read.previous_version.is_some_and(|previous| previous != version),
                    version,
                    at,
                    previous: read.previous_at,
                    queued_at,
                };
                asset.modules.entry(name).or_default().looks.push(look);
            }
            ("change", _, Some(run_id)) => {
                let by = &mut self.moves.entry(run_id).or_default().by;
                for (item, sign) in [(item(read.before), -1), (item(read.after), 1)] {
                    if let Some(item) = item {
                        count(by, item, sign);
                    }
                }
            }
            ("fact", Some(name), _) => {
                if let Some(item) = item(read.after) {
                    count(&mut asset.modules.entry(name).or_default().now, item, 1);
                }
            }
            _ => {}
        }
    }

    /// Puts together what was read.
    fn batch(self) -> Batch {
        let Self { mut batch, mut moves, rows } = self;
        batch.is_too_large = rows > MAX_ROWS;
        for module in batch.assets.values_mut().flat_map(|asset| asset.modules.values_mut()) {
            module.looks.sort_by_key(Look::place);
            module.moved = module.looks.iter().map(|look| moves.remove(&look.run_id).unwrap_or_default()).collect();
        }
        batch
    }
}
