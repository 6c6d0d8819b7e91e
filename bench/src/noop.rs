//! What a pass over tenants that are as they should be does, as the three systems that it asks count it themselves.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};

use serde_json::Value;
use sqlx::PgPool;
use url::Url;

use crate::raw::{self, Writes};
use crate::tenants::Prepared;

/// Statements that change something; the row that says who leads is the exception. The statement that reads the grants begins
/// with WITH and only speaks of GRANT.
const WRITING: &str =
    "SELECT COALESCE(sum(calls), 0)::float8 FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname = 'tenantra_owner' AND query !~* 'shared.fencing'
        AND (query ~* '^\\s*(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|COMMENT)'
            OR query ~* '(INSERT INTO|UPDATE shared|DELETE FROM)')";
/// Statements about a tenant, without those that begin and end a transaction.
const READING: &str = "SELECT COALESCE(sum(calls), 0)::float8 FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname = 'tenantra_owner' AND query !~* '^(BEGIN|ROLLBACK|COMMIT|SET)' AND query ~ 'nspname|schema_migrations'";

/// What was asked before the pass.
pub struct Watch {
    admin: PgPool,
    kubernetes: Writes,
    audit_log_bytes: u64,
}

/// What the pass asked.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Of Kubernetes (Leases excepted), Postgres and OpenBao, together.
    pub writes: f64,
    /// Statements that read a tenant's part of Postgres.
    pub statements: f64,
    /// Requests that read something of OpenBao.
    pub reads: f64,
}

impl Watch {
    /// Begins, once nobody writes any more.
    pub async fn begin(prepared: &Prepared) -> anyhow::Result<Self> {
        let mut inside = Url::parse(prepared.world.postgres.url())?;
        inside.set_path("/tenantra");
        let admin = PgPool::connect(inside.as_str()).await?;
        sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&admin).await?;
        let kubernetes = raw::quiet(&prepared.world.cluster.client).await?;
        let audit_log_bytes = std::fs::metadata(prepared.world.openbao.audit_log())?.len();
        sqlx::query("SELECT pg_stat_statements_reset()").execute(&admin).await?;
        Ok(Self { admin, kubernetes, audit_log_bytes })
    }

    /// Ends, and tells what was written where.
    pub async fn end(self, prepared: &Prepared) -> anyhow::Result<Counted> {
        let Self { admin, kubernetes, audit_log_bytes } = self;
        let mut writes = 0.0;
        for (request, count) in raw::writes(&prepared.world.cluster.client).await? {
            let more = count - kubernetes.get(&request).copied().unwrap_or_default();
            if more > 0.0 {
                eprintln!("a pass that changed nothing: {more} {request}");
                writes += more;
            }
        }
        let written: f64 = sqlx::query_scalar(WRITING).fetch_one(&admin).await?;
        let statements: f64 = sqlx::query_scalar(READING).fetch_one(&admin).await?;
        admin.close().await;
        let openbao = openbao(prepared, audit_log_bytes)?;
        for (place, count) in [("statements that write", written), ("writes to OpenBao", openbao.writes)] {
            if count > 0.0 {
                eprintln!("a pass that changed nothing: {count} {place}");
            }
        }
        Ok(Counted { writes: writes + written + openbao.writes, statements, reads: openbao.reads })
    }
}

struct OpenBao {
    reads: f64,
    writes: f64,
}

/// Requests that the audit device has written down from a place of its file on; a sign-in is none of them.
fn openbao(prepared: &Prepared, from: u64) -> anyhow::Result<OpenBao> {
    let mut file = File::open(prepared.world.openbao.audit_log())?;
    file.seek(SeekFrom::Start(from))?;
    let mut asked = OpenBao { reads: 0.0, writes: 0.0 };
    for line in BufReader::new(file).lines() {
        // The last line may be half written.
        let Ok(entry) = serde_json::from_str::<Value>(&line?) else { continue };
        let is_sign_in = entry["request"]["path"].as_str().is_some_and(|path| path.starts_with("auth/"));
        if entry["type"] != "request" {
            continue;
        }
        match entry["request"]["operation"].as_str() {
            Some("read" | "list" | "help") => asked.reads += 1.0,
            Some("create" | "update" | "delete" | "patch") if !is_sign_in => asked.writes += 1.0,
            _ => {}
        }
    }
    Ok(asked)
}
