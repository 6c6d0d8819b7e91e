//! Who waits while schemas are migrated. One task looks at Postgres' own list of locks again and again, for how long a schema
//! is locked against writers; two others write into tenants' tables all the while, for what a tenant notices.
//!
//! A lock counts from the look before the first that shows it to the first that does not: the figure is too large by up to
//! two looks, never too small.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const BETWEEN_LOOKS: Duration = Duration::from_millis(4);
const BETWEEN_WRITES: Duration = Duration::from_millis(5);
const WRITERS: u64 = 2;

/// Relations of tenants that are locked against writers. What a migration makes itself nobody else sees yet, and it is not
/// in the list, because this statement does not see it either.
const LOCKED: &str = "SELECT DISTINCT l.pid, n.nspname::text FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
     JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE l.granted AND l.locktype = 'relation' AND n.nspname LIKE 'tenant\\_%'
         AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";

/// What was seen, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// The longest that a schema was locked against writers.
    pub locked_ms: f64,
    /// The longest that a write into a tenant's table took.
    pub write_ms: f64,
}

/// Looks and writes until it is told to end.
pub struct Watch {
    is_over: Arc<AtomicBool>,
    looking: JoinHandle<anyhow::Result<f64>>,
    writing: Vec<JoinHandle<anyhow::Result<f64>>>,
}

impl Watch {
    /// Begins, as the superuser of `url`, on these schemas.
    pub async fn begin(url: &str, schemas: Vec<String>) -> anyhow::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let looking = tokio::spawn(look(PgConnection::connect(url).await?, Arc::clone(&is_over)));
        let schemas: Arc<[String]> = schemas.into();
        let mut writing = Vec::new();
        for seed in 0..WRITERS {
            let connection = PgConnection::connect(url).await?;
            writing.push(tokio::spawn(write(connection, Arc::clone(&schemas), seed, Arc::clone(&is_over))));
        }
        Ok(Self { is_over, looking, writing })
    }

    /// Ends it.
    pub async fn end(self) -> anyhow::Result<Waits> {
        self.is_over.store(true, Ordering::Relaxed);
        let locked_ms = self.looking.await??;
        let mut write_ms = 0.0_f64;
        for writer in self.writing {
            write_ms = write_ms.max(writer.await??);
        }
        Ok(Waits { locked_ms, write_ms })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

async fn look(mut connection: PgConnection, is_over: Arc<AtomicBool>) -> anyhow::Result<f64> {
    let mut longest = Duration::ZERO;
    let mut held: HashMap<(i32, String), Instant> = HashMap::new();
    let mut before = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let seen: Vec<(i32, String)> = sqlx::query_as(LOCKED).fetch_all(&mut connection).await?;
        let answered = Instant::now();
        held.retain(|lock, since| {
            let is_held = seen.contains(lock);
            if !is_held {
                longest = longest.max(answered.duration_since(*since));
            }
            is_held
        });
        for lock in seen {
            held.entry(lock).or_insert(before);
        }
        before = asked;
        sleep(BETWEEN_LOOKS).await;
    }
    Ok(milliseconds(longest))
}

async fn write(
    mut connection: PgConnection,
    schemas: Arc<[String]>,
    seed: u64,
    is_over: Arc<AtomicBool>,
) -> anyhow::Result<f64> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut longest = Duration::ZERO;
    while !is_over.load(Ordering::Relaxed) {
        let schema = schemas.get(random.random_range(0..schemas.len())).context("there are schemas")?;
        let statement = format!(
            "INSERT INTO {schema}.assets (asset_id, identity, kind, name)
             SELECT id, id::text, 'host', 'a host' FROM gen_random_uuid() id"
        );
        let begun = Instant::now();
        sqlx::query(AssertSqlSafe(statement)).persistent(false).execute(&mut connection).await?;
        longest = longest.max(begun.elapsed());
        sleep(BETWEEN_WRITES).await;
    }
    Ok(milliseconds(longest))
}
