//! CSV as RFC 4180 has it, in UTF-8, as a stream: rows go out as Postgres sends them, and neither waits in memory. A text that
//! a spreadsheet would take for a formula gets an apostrophe in front, which spreadsheets show as text.
//!
//! A task reads the rows, so that a client that stops reading is noticed: whoever reads nothing for [`STALLED`], or is not done
//! after [`LIMIT`], is cut off in the middle of a chunk, which no client can take for the end of the file. Until then such a
//! client holds a place, so one tenant never has all of them.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chrono::{DateTime, Datelike, Timelike, Utc};
use futures::{StreamExt, stream};
use http::{HeaderValue, header, request::Parts};
use serde::Serialize;
use serde_json::{Value, json};
use store::{
    Read, TenantTx, Write, audit,
    export::{self, Cell, Column, Export, Record},
};
use tokio::{sync::mpsc, time::timeout};
use uuid::Uuid;

use crate::{
    auth::{Allow, Scope, roles::Permission},
    error::{Error, Result, chain},
    state::App,
};

/// The longest that an export takes, and with it one connection to Postgres.
const LIMIT: Duration = Duration::from_mins(10);
/// The longest that a client takes nothing.
const STALLED: Duration = Duration::from_secs(30);
/// Exports at one time on one replica: each takes one of its connections.
const AT_ONCE: usize = 4;
/// Of these, one tenant's.
const OF_ONE_TENANT: usize = 2;
/// Bytes that leave together.
const CHUNK: usize = 64 * 1024;
/// Chunks that wait for the client: with the one in the making about 320 KiB for an export.
const WAITING: usize = 4;

/// The exports that run, by tenant.
#[derive(Debug, Clone, Default)]
pub struct Exports(Arc<Mutex<HashMap<Uuid, usize>>>);

/// A place among them, until it is dropped.
#[derive(Debug)]
struct Place {
    exports: Exports,
    tenant_id: Uuid,
}

impl Exports {
    /// Takes a place for an export of the tenant.
    fn enter(&self, tenant_id: Uuid) -> Result<Place> {
        let mut running = self.lock();
        if running.get(&tenant_id).is_some_and(|own| *own >= OF_ONE_TENANT) {
            return Err(Error::TooManyAtOnce(
                "Two exports of this tenant are running already, which is as many as may run at one time. Try again when one of them is done.",
            ));
        }
        if running.values().sum::<usize>() >= AT_ONCE {
            return Err(Error::Unavailable("Four exports are running already. Try again when one of them is done."));
        }
        *running.entry(tenant_id).or_default() += 1;
        drop(running);
        Ok(Place { exports: self.clone(), tenant_id })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.exports.lock();
        if let Some(own) = running.get_mut(&self.tenant_id) {
            *own -= 1;
            if *own == 0 {
                running.remove(&self.tenant_id);
            }
        }
    }
}

/// Who asks for a file, and of which tenant; `P` allows it.
#[derive(Debug)]
pub struct Exporter<P> {
    /// The program.
    pub app: App,
    /// The tenant.
    pub scope: Scope,
    allowed: Allow<P>,
}

impl<P: Permission> FromRequestParts<App> for Exporter<P> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let allowed = Allow::<P>::from_request_parts(parts, app).await?;
        let scope = Scope::of(parts, app).await?;
        Ok(Self { app: app.clone(), scope, allowed })
    }
}

/// What is exported.
#[derive(Debug)]
pub struct What {
    /// The list, and the file's name.
    pub name: &'static str,
    /// What it is part of, for the audit log; empty for a list of the tenant itself.
    pub subject: String,
    /// Filters and sort, for the audit log.
    pub filter: Value,
    /// The file's columns.
    pub columns: &'static [Column],
}

impl What {
    /// A list of the tenant itself, as it was asked for.
    pub fn list(name: &'static str, filter: &impl Serialize, columns: &'static [Column]) -> Self {
        Self { name, subject: String::new(), filter: json!(filter), columns }
    }
}

impl<P: Permission> Exporter<P> {
    /// Answers with a file. `open` begins to read, in a transaction of its own.
    ///
    /// # Errors
    /// 429 where too many of the tenant's own exports run, 503 where too many of all do; what the audit log or `open` say.
    pub async fn respond<F>(self, what: What, open: F) -> Result<Response>
    where
        F: for<'tx> FnOnce(&'tx mut TenantTx<Read>) -> store::Result<Export<'tx>> + Send + 'static,
    {
        let Self { app, scope, allowed } = self;
        let place = app.exports.enter(scope.tenant.id)?;
        let What { name, subject, filter, columns } = what;
        // Before the first row leaves: what is not on record does not happen.
        let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
        let entry = audit::Entry {
            actor: format!("user:{}", allowed.identity.user_id),
            action: format!("{name}.exported"),
            subject,
            details: json!({ "format": "csv", "filter": filter }),
        };
        audit::write(&mut tx, &entry).await?;
        tx.commit().await?;

        let tx = app.db.tenant::<Read>(&scope.tenant).await?;
        let (sender, receiver) = mpsc::channel(WAITING);
        // Its owner is the body: with the receiver gone, the task ends.
        tokio::spawn(run(place, sender.clone(), produce(tx, columns, open, sender)));
        let chunks = stream::unfold(Some(receiver), |receiver| async move {
            let mut receiver = receiver?;
            match receiver.recv().await {
                Some(Part::Rows(bytes)) => Some((Ok(bytes), Some(receiver))),
                Some(Part::End) => None,
                None => Some((Err(io::Error::other("the export was cut off")), None)),
            }
        });
        // Fused: what encodes a body asks once more after its end.
        let mut response = Body::from_stream(chunks.fuse()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        let disposition = format!("attachment; filename=\"{name}.csv\"");
        headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).map_err(Error::internal)?);
        Ok(response)
    }
}

/// What the task tells the body. A body that hears no end was cut off.
#[derive(Debug)]
enum Part {
    Rows(Bytes),
    End,
}

/// Why an export ended before its time.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the client took nothing for {} s", STALLED.as_secs())]
    Stalled,
    #[error("the client has gone")]
    Gone,
    #[error("it took longer than {} s", LIMIT.as_secs())]
    Late,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Does the work within its time, as long as there is a client.
async fn run(place: Place, client: mpsc::Sender<Part>, work: impl Future<Output = Result<(), Ended>>) {
    let ended = tokio::select! {
        ended = timeout(LIMIT, work) => ended.unwrap_or(Err(Ended::Late)),
        () = client.closed() => Err(Ended::Gone),
    };
    drop(place);
    if let Err(reason) = ended {
        tracing::warn!(reason = %chain(&reason), "an export was cut off");
    }
}

async fn produce<F>(
    mut tx: TenantTx<Read>,
    columns: &'static [Column],
    open: F,
    sender: mpsc::Sender<Part>,
) -> Result<(), Ended>
where
    F: for<'tx> FnOnce(&'tx mut TenantTx<Read>) -> store::Result<Export<'tx>> + Send + 'static,
{
    export::allow(&mut tx, LIMIT).await?;
    let mut rows = open(&mut tx)?;
    let mut file = File::new(columns);
    while let Some(record) = rows.next().await? {
        file.record(&record)?;
        if file.0.len() >= CHUNK {
            send(&sender, Part::Rows(file.take())).await?;
        }
    }
    drop(rows);
    tx.rollback().await?;
    send(&sender, Part::Rows(file.take())).await?;
    send(&sender, Part::End).await
}

async fn send(sender: &mpsc::Sender<Part>, part: Part) -> Result<(), Ended> {
    timeout(STALLED, sender.send(part)).await.map_err(|_| Ended::Stalled)?.map_err(|_| Ended::Gone)
}

/// The part of a file that has not left yet.
struct File(Vec<u8>);

impl File {
    fn new(columns: &[Column]) -> Self {
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let mut bytes = Vec::with_capacity(CHUNK + CHUNK / 8);
        bytes.extend_from_slice(names.join(",").as_bytes());
        bytes.extend_from_slice(b"\r\n");
        Self(bytes)
    }

    fn take(&mut self) -> Bytes {
        std::mem::replace(&mut self.0, Vec::with_capacity(CHUNK + CHUNK / 8)).into()
    }

    fn record(&mut self, record: &Record) -> store::Result<()> {
        for (index, cell) in record.cells().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.cell(cell?);
        }
        self.0.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn cell(&mut self, cell: Cell<'_>) {
        match cell {
            Cell::Empty => {}
            Cell::Text(text) => self.text(text),
            Cell::Id(id) => {
                let mut buffer = uuid::Uuid::encode_buffer();
                self.0.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
            }
            Cell::Time(time) => self.time(time),
            Cell::Number(number) => {
                // Writing to a Vec cannot fail.
                let _ = write!(self.0, "{number}");
            }
        }
    }

    fn text(&mut self, text: &str) {
        let is_formula = is_formula(text);
        let needs_quotes = is_formula || text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
        if !needs_quotes {
            self.0.extend_from_slice(text.as_bytes());
            return;
        }
        self.0.push(b'"');
        if is_formula {
            self.0.push(b'\'');
        }
        for (index, part) in text.split('"').enumerate() {
            if index > 0 {
                self.0.extend_from_slice(b"\"\"");
            }
            self.0.extend_from_slice(part.as_bytes());
        }
        self.0.push(b'"');
    }

    /// RFC 3339 with microseconds, in UTC. A million rows have three million of them: written digit by digit.
    fn time(&mut self, time: DateTime<Utc>) {
        let date = time.date_naive();
        let year = u32::try_from(date.year()).unwrap_or(0);
        for (number, digits, end) in [
            (year, 4, b'-'),
            (date.month(), 2, b'-'),
            (date.day(), 2, b'T'),
            (time.hour(), 2, b':'),
            (time.minute(), 2, b':'),
            (time.second(), 2, b'.'),
            (time.nanosecond() / 1_000 % 1_000_000, 6, b'Z'),
        ] {
            let mut divisor = 10_u32.pow(digits - 1);
            for _ in 0..digits {
                // One digit, below ten.
                self.0.push(b'0' + u8::try_from(number / divisor % 10).unwrap_or(0));
                divisor = (divisor / 10).max(1);
            }
            self.0.push(end);
        }
    }
}

/// Whether a spreadsheet may take the text for a formula: it begins with a sign of one, with a control character that is
/// skipped on the way to one, or with a sign of full width, which some take for the usual one; blanks before do not matter.
fn is_formula(text: &str) -> bool {
    let first = text.trim_start_matches([' ', '\u{a0}', '\u{feff}']).chars().next();
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_leaves_places_to_others_and_gives_its_own_back() {
        let exports = Exports::default();
        let (one, other, third) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let mut places = vec![exports.enter(one).unwrap(), exports.enter(one).unwrap()];
        assert!(matches!(exports.enter(one), Err(Error::TooManyAtOnce(_))));
        places.push(exports.enter(other).unwrap());
        places.push(exports.enter(third).unwrap());
        assert!(matches!(exports.enter(other), Err(Error::Unavailable(_))));
        places.swap_remove(0);
        places.push(exports.enter(one).unwrap());
        assert!(exports.enter(other).is_err());
        drop(places);
        assert!(exports.lock().is_empty());
    }

    fn text(text: &str) -> String {
        let mut file = File(Vec::new());
        file.cell(Cell::Text(text));
        String::from_utf8(file.0).unwrap()
    }

    #[test]
    fn what_separates_is_quoted() {
        for (given, written) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("\"", "\"\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("Müller, 名", "\"Müller, 名\""),
        ] {
            assert_eq!(text(given), written);
        }
    }

    #[test]
    fn no_text_is_a_formula() {
        for start in ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＠", " =", "\u{a0}=", "\u{feff}="] {
            let given = format!("{start}cmd|' /C calc'!A0");
            assert_eq!(text(&given), format!("\"'{given}\""));
        }
        // After quoting as well: what stands in the cell once it is read begins with the apostrophe.
        assert_eq!(text("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
        for harmless in ["a=1", "{\"a\":-1}", "1-2"] {
            assert!(!text(harmless).contains('\''), "{harmless}");
        }
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        for written in ["2026-11-21T09:05:00.000001Z", "1970-01-01T00:00:00.000000Z", "2024-02-29T23:59:59.999999Z"] {
            let mut file = File(Vec::new());
            file.cell(Cell::Time(written.parse().unwrap()));
            assert_eq!(String::from_utf8(file.0).unwrap(), written);
        }
    }
}
