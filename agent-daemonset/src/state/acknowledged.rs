//! What the server holds of each module's last run: the hashes of its facts, and a digest of everything else. From it the
//! agent sends changes only, and nothing at all for a run that found the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::envelope::{Envelope, Facts};
use catalog::facts::{FactRef, snapshot_id};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tables::scan::MAX_FACTS;

use super::{Error, StateDir};
use crate::run::FinishedRun;

const FOLDER: &str = "acknowledged";
const COMPRESSION_LEVEL: i32 = 3;
const MAX_FILE_BYTES: usize = 64 << 20;

/// What the server holds of one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The id of the facts.
    pub snapshot: String,
    /// Hash of each fact to its table.
    pub facts: BTreeMap<String, String>,
    /// Digest of version, status, verdicts and findings.
    outcome: String,
}

/// A run as it is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The envelope with facts as changes.
    pub envelope: Envelope,
    /// What the server will hold once it took it.
    pub after: Acknowledged,
    /// Nothing differs from what the server holds.
    pub is_unchanged: bool,
}

/// The records of all modules.
#[derive(Debug)]
pub struct Records {
    state: Arc<StateDir>,
}

impl Records {
    /// Opens the folder of records.
    pub fn open(state: Arc<StateDir>) -> Result<Self, Error> {
        state.folder(FOLDER)?;
        Ok(Records { state })
    }

    /// What the server holds of `module`. A damaged record counts as none: the next run is then sent whole.
    pub fn load(&self, module: &str) -> Result<Option<Acknowledged>, Error> {
        let Some(bytes) = self.state.read(&file(module))? else { return Ok(None) };
        let json = zstd::bulk::decompress(&bytes, MAX_FILE_BYTES).ok();
        let record = json.and_then(|json| serde_json::from_slice(&json).ok());
        if record.is_none() {
            tracing::warn!(module, "the record of what the server holds is damaged; the next result is sent whole");
        }
        Ok(record)
    }

    /// Keeps what the server now holds of `module`.
    pub fn save(&self, module: &str, record: &Acknowledged) -> Result<(), Error> {
        let name = file(module);
        let failed = |source| Error::Write { path: self.state.path().join(&name), source };
        let json = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        let bytes = zstd::bulk::compress(&json, COMPRESSION_LEVEL).map_err(failed)?;
        self.state.write(&name, &bytes)
    }

    /// The server holds something else: the next run is sent whole.
    pub fn forget(&self, module: &str) -> Result<(), Error> {
        self.state.remove(&file(module))
    }

    /// Forgets all, after enrolling anew.
    pub fn forget_all(&self) -> Result<(), Error> {
        let path = self.state.path().join(FOLDER);
        std::fs::remove_dir_all(&path).map_err(|source| Error::Write { path, source })?;
        self.state.folder(FOLDER).map(drop)
    }
}

/// A module's slug is kebab-case by its schema; a job of the server could name anything.
fn file(module: &str) -> String {
    let safe: String =
        module.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(120).collect();
    format!("{FOLDER}/{safe}")
}

/// Draws the difference between a finished run and what the server holds.
pub fn outgoing(run: FinishedRun, base: Option<&Acknowledged>) -> Outgoing {
    let FinishedRun { mut envelope, unread_tables } = run;
    let mut facts: BTreeMap<String, String> = BTreeMap::new();
    let mut added = Vec::new();
    for fact in std::mem::take(&mut envelope.facts.added) {
        let hash = fact.hash();
        let is_new = base.is_none_or(|base| !base.facts.contains_key(&hash));
        if facts.insert(hash, fact.table.clone()).is_none() && is_new {
            added.push(fact);
        }
    }
    let mut removed = Vec::new();
    for (hash, table) in base.iter().flat_map(|base| &base.facts) {
        if facts.contains_key(hash) {
            continue;
        }
        if unread_tables.contains(table) && facts.len() < MAX_FACTS {
            // Not seen is not gone.
            facts.insert(hash.clone(), table.clone());
        } else {
            removed.push(FactRef { table: table.clone(), hash: hash.clone() });
        }
    }
    let snapshot = snapshot_id(facts.keys().map(String::as_str));
    let after = Acknowledged { snapshot: snapshot.clone(), facts, outcome: outcome(&envelope) };
    let is_unchanged = base == Some(&after);
    envelope.facts = Facts { base: base.map(|base| base.snapshot.clone()), snapshot, added, removed };
    Outgoing { envelope, after, is_unchanged }
}

/// What a run decided, without its id, times and log.
fn outcome(envelope: &Envelope) -> String {
    let mut findings: Vec<_> = envelope.findings.iter().collect();
    findings.sort_by(|a, b| (&a.check, &a.resource).cmp(&(&b.check, &b.resource)));
    let decided = serde_json::json!([envelope.version, envelope.status, envelope.checks, findings]);
    hex::encode(Sha256::digest(decided.to_string()))
}

#[cfg(test)]
mod tests {
    use catalog::envelope::{Fact, ResourceUse, RunStatus, Summary};
    use catalog::facts::Row;
    use uuid::Uuid;

    use super::*;

    fn run(rows: &[(&str, &str)], unread: &[&str]) -> FinishedRun {
        let added = rows
            .iter()
            .map(|(table, name)| {
                Fact::new(*table, &["name".to_owned()], Row::from([("name".to_owned(), (*name).into())]))
            })
            .collect();
        let envelope = Envelope {
            run_id: Uuid::new_v4(),
            module: "m".to_owned(),
            version: "1.0.0".to_owned(),
            status: RunStatus::Succeeded,
            started_at: chrono::Utc::now(),
            duration_ms: 1,
            resource: ResourceUse::default(),
            summary: Summary::default(),
            checks: Vec::new(),
            findings: Vec::new(),
            benchmarks: Vec::new(),
            facts: Facts { added, ..Facts::default() },
            artifacts: Vec::new(),
            log: Vec::new(),
        };
        FinishedRun { envelope, unread_tables: unread.iter().map(|&table| table.to_owned()).collect() }
    }

    #[test]
    fn the_first_run_is_sent_whole() {
        let first = outgoing(run(&[("users", "a"), ("users", "b")], &[]), None);
        assert_eq!(first.envelope.facts.base, None);
        assert_eq!(first.envelope.facts.added.len(), 2);
        assert!(!first.is_unchanged);
    }

    #[test]
    fn later_runs_are_sent_as_changes_and_equal_ones_not_at_all() {
        let first = outgoing(run(&[("users", "a"), ("users", "b")], &[]), None);
        let same = outgoing(run(&[("users", "b"), ("users", "a")], &[]), Some(&first.after));
        assert!(same.is_unchanged);
        let changed = outgoing(run(&[("users", "b"), ("users", "c")], &[]), Some(&first.after));
        assert!(!changed.is_unchanged);
        assert_eq!(changed.envelope.facts.base.as_ref(), Some(&first.after.snapshot));
        assert_eq!((changed.envelope.facts.added.len(), changed.envelope.facts.removed.len()), (1, 1));
        assert_eq!(changed.envelope.facts.snapshot, changed.after.snapshot);
    }

    #[test]
    fn a_table_that_could_not_be_read_keeps_its_facts() {
        let first = outgoing(run(&[("users", "a"), ("packages", "p")], &[]), None);
        let second = outgoing(run(&[("users", "a")], &["packages"]), Some(&first.after));
        assert!(second.envelope.facts.removed.is_empty());
        assert_eq!(second.after.snapshot, first.after.snapshot);
    }

    #[test]
    fn a_table_that_was_read_in_part_gains_what_is_new_and_loses_nothing() {
        let first = outgoing(run(&[("users", "a"), ("users", "b")], &[]), None);
        let second = outgoing(run(&[("users", "b"), ("users", "c")], &["users"]), Some(&first.after));
        assert_eq!((second.envelope.facts.added.len(), second.envelope.facts.removed.len()), (1, 0));
        assert_eq!(second.after.facts.len(), 3);
    }

    #[test]
    fn another_verdict_is_a_change_although_the_facts_are_equal() {
        let first = outgoing(run(&[("users", "a")], &[]), None);
        let mut second = run(&[("users", "a")], &[]);
        second.envelope.status = RunStatus::Partial;
        assert!(!outgoing(second, Some(&first.after)).is_unchanged);
    }

    #[test]
    fn records_survive_a_restart_and_damage_means_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDir::open(folder.path()).unwrap());
        let records = Records::open(Arc::clone(&state)).unwrap();
        let record = outgoing(run(&[("users", "a")], &[]), None).after;
        records.save("linux-users", &record).unwrap();
        assert_eq!(Records::open(Arc::clone(&state)).unwrap().load("linux-users").unwrap(), Some(record));
        state.write("acknowledged/linux-users", b"damaged").unwrap();
        assert_eq!(records.load("linux-users").unwrap(), None);
    }
}
