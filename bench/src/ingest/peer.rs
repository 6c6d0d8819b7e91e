//! The limit: the rows that an ingest left, read back from its tables in the order in which they were written, and brought by
//! binary COPY into tables with the same columns, constraints, foreign keys and indexes; in as many transactions, each with its
//! own commit that waits for the disk, over connections that stay open, in pieces of the same size as ours. Of each table as many
//! rows have to come as the source has of these hosts. Nothing parses, compares or decides here.
//!
//! Left out is what an ingest writes and nobody can read back: the queue of drift, from which a worker has taken its rows,
//! UPDATEs of rows that were there, and first versions of rows that it writes twice (`asset_modules`, `asset_scores`). The tables
//! have no rows of runs that ours took again, and the outbox has neither fill factor nor row security. All of it concerns few of
//! some ten thousand rows and makes the limit higher than it is.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::installation::Installation;
use crate::report::Figures;

/// The tables that an ingest writes, in an order that keys allow, and which of their rows belong to the runs `{runs}` of the
/// transaction `{xid}`. Rows that are written more than once in a run count once here.
const TABLES: [(&str, &str); 11] = [
    ("runs", "run_id IN {runs}"),
    ("asset_modules", "last_run_id IN {runs}"),
    ("facts", "(asset_id, module) IN {places}"),
    ("fact_changes", "run_id IN {runs}"),
    ("check_states", "run_id IN {runs}"),
    ("check_transitions", "run_id IN {runs}"),
    ("findings", "run_id IN {runs}"),
    // Workers write these rows again, in transactions of their own.
    ("asset_scores", "asset_id IN {assets}"),
    ("score_days", "scope = 'asset' AND scope_id IN {assets}"),
    ("audit_log", "subject IN (SELECT 'run:' || run_id FROM {source}.runs WHERE xmin = '{xid}'::xid)"),
    ("outbox", "subject_id IN {runs}"),
];
/// What others set later.
const LATER: [&str; 3] = ["sequence", "hash", "done_at"];
/// Bytes that are sent together, as the ingest sends them: Postgres takes in the first while the last are on their way.
const CHUNK: usize = 128 << 10;
/// Where the API writes.
pub const SOURCE: &str = "tenant_acme";
const TARGET: &str = "tenant_peer";

/// The tables that are copied into, and the connections that are open to them.
pub struct Peer {
    admin: PgPool,
    free: Mutex<Vec<PgConnection>>,
}

/// Writes one transaction, and says how many rows of each table were in it.
async fn write(connection: &mut PgConnection, transaction: &[Batch]) -> anyhow::Result<Vec<(&'static str, u64)>> {
    let mut written = Vec::new();
    let mut tx = connection.begin().await?;
    for Batch { table, statement, data } in transaction {
        let mut copy = tx.copy_in_raw(statement).await?;
        for chunk in data.chunks(CHUNK) {
            copy.send(chunk).await?;
        }
        written.push((*table, copy.finish().await?));
    }
    tx.commit().await?;
    Ok(written)
}

/// Which rows of a table are of the assets `$1`, whatever transaction wrote them.
fn of_assets(table: &str) -> &'static str {
    match table {
        "score_days" => "scope = 'asset' AND scope_id = ANY($1)",
        "audit_log" => "subject IN (SELECT 'run:' || run_id FROM {source}.runs WHERE asset_id = ANY($1))",
        "outbox" => "subject_id IN (SELECT run_id FROM {source}.runs WHERE asset_id = ANY($1))",
        _ => "asset_id = ANY($1)",
    }
}

/// The schema that a table is read from.
fn source_of(table: &str) -> &'static str {
    if table == "outbox" { "shared" } else { SOURCE }
}

/// The rows of one table in one transaction.
struct Batch {
    table: &'static str,
    statement: String,
    data: Vec<u8>,
}

impl Peer {
    /// Makes the tables, and so many connections.
    pub async fn new(installation: &Installation, at_once: usize) -> anyhow::Result<Self> {
        installation.schema("peer").await?;
        let admin = installation.admin.clone();
        let like = format!("CREATE TABLE {TARGET}.outbox (LIKE shared.outbox INCLUDING ALL)");
        sqlx::query(AssertSqlSafe(like)).execute(&admin).await?;
        let own = format!("ALTER TABLE {TARGET}.outbox OWNER TO tenantra_owner");
        sqlx::query(AssertSqlSafe(own)).execute(&admin).await?;
        let mut free = Vec::new();
        for _ in 0..at_once {
            free.push(PgConnection::connect(&installation.owner_url).await?);
        }
        Ok(Self { admin, free: Mutex::new(free) })
    }

    /// Copies what the ingest of these assets wrote. Reading it back is not part of the figures.
    pub async fn copy(
        &self,
        installation: &Installation,
        assets: &[Uuid],
        findings: f64,
        at_once: usize,
    ) -> anyhow::Result<Figures> {
        let transactions = self.read(assets).await?;
        let bring = format!("INSERT INTO {TARGET}.assets SELECT * FROM {SOURCE}.assets WHERE asset_id = ANY($1)");
        sqlx::query(AssertSqlSafe(bring)).bind(assets).execute(&self.admin).await?;
        // What the API does after it has answered would otherwise be done while this is measured.
        installation.settle(SOURCE).await?;
        let wal_before = installation.wal_bytes().await?;
        let before = installation.usage()?;
        let begun = Instant::now();
        let copied: Vec<Vec<(&'static str, u64)>> = stream::iter(&transactions)
            .map(|transaction| async {
                // No more at once than there are connections.
                let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let mut connection = free.context("a connection is free")?;
                let copied = write(&mut connection, transaction).await?;
                self.free.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                anyhow::Ok(copied)
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        let wall = begun.elapsed().as_secs_f64();
        let used = installation.usage()? - before;
        let wal = installation.wal_bytes().await? - wal_before;
        self.check_whole(assets, &copied.concat()).await?;
        #[expect(clippy::cast_precision_loss, reason = "some thousand statements")]
        let statements = transactions.iter().map(|batches| batches.len() + 2).sum::<usize>() as f64;
        #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
        let bytes = transactions.iter().flatten().map(|batch| batch.data.len()).sum::<usize>() as f64;
        Ok(Figures::from([
            ("per_s", findings / wall),
            ("wall_s", wall),
            ("postgres_cpu_s", used.postgres_s),
            ("statements", statements * 10_000.0 / findings),
            ("bytes", bytes * 10_000.0 / findings),
            ("wal_bytes", wal * 10_000.0 / findings),
        ]))
    }

    /// Of each table as many rows were copied as the ingest of these assets left.
    async fn check_whole(&self, assets: &[Uuid], copied: &[(&'static str, u64)]) -> anyhow::Result<()> {
        for (table, _) in TABLES {
            let condition = of_assets(table).replace("{source}", SOURCE);
            let count = format!("SELECT count(*) FROM {}.{table} WHERE {condition}", source_of(table));
            let left: i64 =
                sqlx::query_scalar(AssertSqlSafe(count)).bind(assets).fetch_one(&self.admin).await.context(table)?;
            let rows: u64 = copied.iter().filter(|(of, _)| *of == table).map(|(_, rows)| *rows).sum();
            ensure!(rows == left.unsigned_abs(), "{rows} rows of {table} were copied of {left}");
        }
        Ok(())
    }

    /// The rows of each transaction that stored runs of these assets.
    async fn read(&self, assets: &[Uuid]) -> anyhow::Result<Vec<Vec<Batch>>> {
        let xids = format!("SELECT DISTINCT xmin::text FROM {SOURCE}.runs WHERE asset_id = ANY($1) ORDER BY 1");
        let xids: Vec<String> = sqlx::query_scalar(AssertSqlSafe(xids)).bind(assets).fetch_all(&self.admin).await?;
        let mut transactions = Vec::new();
        for xid in xids {
            let mut batches = Vec::new();
            for (table, condition) in TABLES {
                let from = source_of(table);
                let columns = self.columns(from, table).await?;
                let of = |what: &str| format!("(SELECT {what} FROM {SOURCE}.runs WHERE xmin = '{xid}'::xid)");
                let condition = condition
                    .replace("{runs}", &of("run_id"))
                    .replace("{places}", &of("asset_id, module"))
                    .replace("{assets}", &of("asset_id"))
                    .replace("{source}", SOURCE)
                    .replace("{xid}", &xid);
                // In the order in which they were written, which is that of the table: nothing was deleted before.
                let read = format!(
                    "COPY (SELECT {columns} FROM {from}.{table} WHERE {condition} ORDER BY ctid) TO STDOUT (FORMAT binary)"
                );
                let mut connection = self.admin.acquire().await?;
                let chunks = connection.copy_out_raw(&read).await.with_context(|| read.clone())?;
                let data: Vec<u8> = chunks
                    .try_fold(Vec::new(), |mut all, chunk| async move {
                        all.extend_from_slice(&chunk);
                        Ok(all)
                    })
                    .await?;
                let statement = format!("COPY {TARGET}.{table} ({columns}) FROM STDIN (FORMAT binary)");
                batches.push(Batch { table, statement, data });
            }
            transactions.push(batches);
        }
        Ok(transactions)
    }

    /// The columns that are written, in their order.
    async fn columns(&self, schema: &str, table: &str) -> anyhow::Result<String> {
        let names = "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns
            WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER' AND column_name <> ALL($3)";
        let names: Option<String> =
            sqlx::query_scalar(names).bind(schema).bind(table).bind(LATER.as_slice()).fetch_one(&self.admin).await?;
        names.with_context(|| format!("{schema}.{table} has no columns"))
    }
}
