//! New findings, by far most of what an ingest can bring, as rows of a binary COPY: Postgres takes in the first while the last
//! are still written out here, and inserts many at a time. The statement is a constant; what an agent sent is only data in it.
//!
//! No conflict has to be looked for: all that is open of a module and asset, and all that came in, was read after the lock.

use serde::Serialize;
use sqlx::PgConnection;

use super::plan::FindingWrite;
use super::{Place, Planned, exposure};
use crate::error::{Error, Result};

/// Bytes that are gathered before they are sent.
const CHUNK: usize = 128 << 10;
const STATEMENT: &str =
    "COPY findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status,
    evidence, content_hash, run_id, first_seen_at, opened_at, exposure) FROM STDIN (FORMAT binary)";
const COLUMNS: i16 = 14;
/// Signature, flags, length of the extension (PostgreSQL, `COPY`, "Binary Format").
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// From 1970 to 2000, where Postgres begins to count.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// Stores the findings that no row is stored of: one statement, none if there are none.
pub(super) async fn new_findings(connection: &mut PgConnection, place: Place, planned: &[Planned<'_>]) -> Result<()> {
    if planned.iter().all(|one| one.plan.new.is_empty()) {
        return Ok(());
    }
    let mut copy = connection.copy_in_raw(STATEMENT).await?;
    let mut rows = Rows(Vec::with_capacity(CHUNK + CHUNK / 8));
    rows.0.extend_from_slice(HEADER);
    for one in planned {
        for finding in &one.plan.new {
            rows.finding(place, one, finding)?;
            if rows.0.len() >= CHUNK {
                copy.send(rows.0.as_slice()).await?;
                rows.0.clear();
            }
        }
    }
    rows.0.extend_from_slice(&(-1_i16).to_be_bytes());
    copy.send(rows.0.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

/// Rows as they are sent.
struct Rows(Vec<u8>);

impl Rows {
    fn finding(&mut self, place: Place, planned: &Planned<'_>, finding: &FindingWrite<'_>) -> Result<()> {
        let FindingWrite { finding_id, check, resource, severity, evidence, content, exposure } = finding;
        let envelope = planned.run.envelope;
        let at = (place.at.timestamp_micros() - EPOCH_MICROSECONDS).to_be_bytes();
        self.0.extend_from_slice(&COLUMNS.to_be_bytes());
        self.field(finding_id.as_bytes())?;
        self.field(place.asset_id.as_bytes())?;
        self.field(envelope.module.as_bytes())?;
        self.field(envelope.version.as_bytes())?;
        self.field(check.as_bytes())?;
        self.field(resource.as_bytes())?;
        self.field(severity.as_str().as_bytes())?;
        self.field(b"open")?;
        self.json(evidence.as_ref())?;
        self.field(content.as_bytes())?;
        self.field(envelope.run_id.as_bytes())?;
        self.field(&at)?;
        self.field(&at)?;
        self.field(&exposure::code(*exposure).to_be_bytes())
    }

    fn field(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(&length(bytes.len())?);
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// `jsonb`: the version of its format, then the text.
    fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let begin = self.0.len();
        self.0.extend_from_slice(&[0, 0, 0, 0, 1]);
        serde_json::to_writer(&mut self.0, value).map_err(|error| Error::Invalid(error.to_string()))?;
        let length = length(self.0.len() - begin - 4)?;
        self.0[begin..begin + 4].copy_from_slice(&length);
        Ok(())
    }
}

fn length(bytes: usize) -> Result<[u8; 4]> {
    i32::try_from(bytes).map(i32::to_be_bytes).map_err(|_| Error::Invalid("a value is larger than 2 GiB".to_owned()))
}
