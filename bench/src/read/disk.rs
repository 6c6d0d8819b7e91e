//! What the findings take on disk: told after each load. Whether the large load fits is asked before anything is measured: ten
//! million findings with their indexes are reckoned from the first million; one takes about 500 bytes.

use std::process::Command;

use anyhow::Context;
use sqlx::PgPool;

/// What the database, its log and the files of an index in the making may take together.
const MOST: f64 = 10e9;
/// The log between two checkpoints, and the files of an index in the making.
const BESIDE: f64 = 2.5e9;
/// What stays free.
const SPARE: f64 = 2e9;

/// The disk of the Postgres under load, asked as its superuser.
pub struct Disk {
    admin: PgPool,
}

/// In bytes.
#[derive(sqlx::FromRow)]
struct Taken {
    database: f64,
    log: f64,
    findings: f64,
    indexes: f64,
    folder: String,
}

impl Disk {
    pub const fn new(admin: PgPool) -> Self {
        Self { admin }
    }

    async fn taken(&self) -> anyhow::Result<Taken> {
        Ok(sqlx::query_as(
            "SELECT pg_database_size(current_database())::float8 AS database,
                 (SELECT COALESCE(sum(size), 0)::float8 FROM pg_ls_waldir()) AS log,
                 pg_table_size('tenant_acme.findings')::float8 AS findings,
                 pg_indexes_size('tenant_acme.findings')::float8 AS indexes, current_setting('data_directory') AS folder",
        )
        .fetch_one(&self.admin)
        .await?)
    }

    /// Writes out what Postgres holds back, and with it lets go of the log until here.
    pub async fn checkpoint(&self) -> anyhow::Result<()> {
        sqlx::query("CHECKPOINT").execute(&self.admin).await?;
        Ok(())
    }

    /// Says what is taken now.
    pub async fn tell(&self) -> anyhow::Result<()> {
        let Taken { database, log, findings, indexes, folder } = self.taken().await?;
        let free = free(&folder)?;
        eprintln!(
            "on disk: {:.2} GB and {:.2} GB of log; findings {:.2} GB, their indexes {:.2} GB; {:.1} GB are free",
            database / 1e9,
            log / 1e9,
            findings / 1e9,
            indexes / 1e9,
            free / 1e9
        );
        Ok(())
    }

    /// Whether so many times as many findings as there are now would fit; says so where they would not.
    pub async fn has_room(&self, times: f64) -> anyhow::Result<bool> {
        let Taken { database, log: _, findings, indexes, folder } = self.taken().await?;
        let further = (findings + indexes) * (times - 1.0) + BESIDE;
        let free = free(&folder)?;
        let all = database + further;
        eprintln!(
            "{:.1} GB more are reckoned with, {:.1} GB in all; {:.1} GB are free",
            further / 1e9,
            all / 1e9,
            free / 1e9
        );
        let has_room = all <= MOST && further + SPARE <= free;
        if !has_room {
            eprintln!(
                "{times} times as many findings are left out: they may take {:.1} GB on disk, and {:.1} GB stay free",
                MOST / 1e9,
                SPARE / 1e9
            );
        }
        Ok(has_room)
    }
}

/// Bytes that are free where this folder is.
fn free(folder: &str) -> anyhow::Result<f64> {
    let output = Command::new("df").args(["--output=avail", "--block-size=1", folder]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().with_context(|| format!("df says nothing of {folder}"))?;
    last.trim().parse().with_context(|| format!("df says {last} of {folder}"))
}
