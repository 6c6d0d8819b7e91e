//! `file_integrity`: what differs from the baseline that the agent keeps of this host. The agent hands the baseline over
//! as an open file ([`crate::integrity::Kept`]), because what reads a host may not open a file for writing.

use std::sync::Arc;
use std::time::Duration;

use crate::constraints::Operator;
use crate::functions::hex;
use crate::integrity::{Change, Content, Differences, Limits, Record as Entry, Survey};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::{Row, Value};

table! {
    /// What differs from the baseline that the agent keeps; needs `paths` (=, a JSON list) and takes `excludes` (=, a JSON list of patterns).
    file_integrity {
        path: Text,
        change: Text,
        fields: Text,
        r#type: Text,
        mode: Text,
        uid: BigInt,
        gid: BigInt,
        size: BigInt,
        mtime: DateTime,
        sha256: Text,
        target: Text,
        before_type: Text,
        before_mode: Text,
        before_uid: BigInt,
        before_gid: BigInt,
        before_size: BigInt,
        before_mtime: DateTime,
        before_sha256: Text,
        before_target: Text,
        paths: Text [required],
        excludes: Text [index],
    }
}

/// What is left of a query's time for SQLite.
const SPARE: Duration = Duration::from_millis(500);
/// A baseline of more would fill the agent's disk: an entry takes about a hundred bytes.
const MAX_ENTRIES: u64 = 2_000_000;

fn rows(scan: &Scan) -> Rows {
    let none = || -> Rows { Box::new(std::iter::empty()) };
    let Some(kept) = &scan.host().baseline else {
        scan.warn_of_no_subject("an agent that runs as a daemon keeps a baseline; here is none");
        return none();
    };
    let paths = scan.texts("paths", Operator::Equals);
    let excludes = scan.texts("excludes", Operator::Equals);
    let (Some(asked), without) = (paths.first(), excludes.first()) else { return none() };
    let list = |column: &str, text: &str| {
        serde_json::from_str::<Vec<String>>(text)
            .inspect_err(|_| scan.refuse(format!("{column} is no JSON list of texts; write '[\"/etc\"]'")))
            .ok()
    };
    let Some(surveyed) = list("paths", asked) else { return none() };
    let Some(left_out) = without.map_or_else(|| Some(Vec::new()), |text| list("excludes", text)) else {
        return none();
    };
    let limits = Limits { time: scan.budget().left().saturating_sub(SPARE), entries: MAX_ENTRIES, ..Limits::default() };
    let survey = Survey { excludes: left_out, limits, ..Survey::of(surveyed) };
    match kept.differences(&scan.source.root, &survey) {
        Ok(differences) => {
            tell_gaps(scan, &differences);
            let (asked, without) = (asked.clone(), without.cloned());
            Box::new(
                (0..differences.changes.len())
                    .map(move |index| describe(&differences.changes[index], &asked, without.as_deref())),
            )
        }
        Err(error) => {
            scan.warn(error.to_string());
            none()
        }
    }
}

fn tell_gaps(scan: &Scan, differences: &Arc<Differences>) {
    if differences.is_anew {
        scan.warn(
            "the baseline that the agent kept is gone; a new one is made of what is there now, and nothing was compared",
        );
    }
    if differences.is_cut {
        scan.warn("there are more differences than are kept; the list is not complete");
    }
    if differences.summary.entries == 0 && !differences.summary.missing.is_empty() {
        scan.warn("none of the paths is there, so nothing is compared");
    }
    for gap in &differences.summary.gaps {
        scan.warn(format!("{}: {}", gap.path, gap.reason));
    }
}

fn describe(change: &Change, paths: &str, excludes: Option<&str>) -> Row {
    let fields: Vec<&str> = change.fields.iter().map(|field| field.as_str()).collect();
    let (after, before) = (Side::of(change.after.as_ref()), Side::of(change.before.as_ref()));
    row! {
        path: change.path_text(),
        change: change.kind.as_str(),
        fields: fields.join(","),
        r#type: after.kind,
        mode: after.mode,
        uid: after.uid,
        gid: after.gid,
        size: after.size,
        mtime: after.mtime,
        sha256: after.sha256,
        target: after.target,
        before_type: before.kind,
        before_mode: before.mode,
        before_uid: before.uid,
        before_gid: before.gid,
        before_size: before.size,
        before_mtime: before.mtime,
        before_sha256: before.sha256,
        before_target: before.target,
        paths: paths,
        excludes: excludes,
    }
}

/// An entry in cells; NULLs where there is none.
#[derive(Default)]
struct Side {
    kind: Value,
    mode: Value,
    uid: Value,
    gid: Value,
    size: Value,
    mtime: Value,
    sha256: Value,
    target: Value,
}

impl Side {
    fn of(entry: Option<&Entry>) -> Self {
        let Some(entry) = entry else { return Self::default() };
        let (sha256, target) = match &entry.content {
            Content::Digest(digest, _) => (Value::from(hex(digest)), Value::Null),
            Content::Target(target) => (Value::Null, Value::from(String::from_utf8_lossy(target).into_owned())),
            Content::None | Content::Device(_) | Content::Unknown => (Value::Null, Value::Null),
        };
        Self {
            kind: Value::from(entry.kind.as_str()),
            mode: Value::from(format!("{:04o}", entry.mode)),
            uid: Value::from(entry.uid),
            gid: Value::from(entry.gid),
            size: Value::from(entry.size),
            mtime: Value::from(entry.modified.0),
            sha256,
            target,
        }
    }
}
