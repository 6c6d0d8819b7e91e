//! Quality gates on request. This program has no SQL engine, so `tenantra` runs them: a process of its own for each look, with
//! limits of memory, CPU and wall time, and few at once, so that no draft can keep this server from anything. What it says
//! is stored with the version, also when it had to be ended.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use catalog::lifecycle::{Gate, GateReport};
use chrono::Utc;
use serde_json::{Value, json};
use store::{modules, modules::VersionRow};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    modules::service::note,
    state::App,
};

/// Looks at once: each may take a core and 512 MiB.
const AT_ONCE: usize = 2;
/// A look that takes longer is ended; every module that ships takes less than a second.
const LIMIT: Duration = Duration::from_secs(90);
/// How long a request waits for the end of its look. Below the time that a request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest report: four gates with a few sentences each.
const MAX_REPORT_BYTES: u64 = 256 * 1024;
/// The program's name, beside this one.
const PROGRAM: &str = "tenantra";
const NO_PROGRAM: &str = "This server has no program to run quality gates with. Put `tenantra` beside it or name it with \
                          TENA_GATES_PROGRAM; or run `tenantra module promote --to qa` from a terminal.";
const BUSY: &str = "Quality gates of other modules are being run. Try again in a moment.";

/// What runs gates, and how many at once.
#[derive(Debug)]
pub struct Gates {
    program: Option<PathBuf>,
    slots: Arc<Semaphore>,
}

impl Gates {
    /// With this program, or the one beside the running one.
    pub fn new(program: Option<&Path>) -> Self {
        let beside = || std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
        let program = program.map(Path::to_owned).or_else(beside).filter(|path| path.is_file());
        Self { program, slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// What was looked at.
struct Look {
    slug: String,
    version: String,
    checksum: String,
    document: Value,
    actor: Uuid,
}

/// Runs the gates on a version that is not released yet; the version with their report, or nothing if the look goes on.
///
/// # Errors
/// There is no such version, it is released, or no gates can be run now.
pub async fn run(app: &App, slug: &str, version: &str, actor: Uuid) -> Result<Option<VersionRow>> {
    let mut tx = app.db.platform().await?;
    let row = modules::version(&mut tx, slug, version).await?;
    let document = modules::document(&mut tx, slug, version).await?.ok_or(Error::NotFound("module version"))?;
    tx.rollback().await?;
    if !row.state.is_open() {
        let (slug, version) = (slug.to_owned(), version.to_owned());
        return Err(store::Error::WrongState { slug, version, state: row.state, needed: "draft or qa" }.into());
    }
    let program = app.gates.program.clone().ok_or(Error::Unavailable(NO_PROGRAM))?;
    let slot = app.gates.slots.clone().try_acquire_owned().map_err(|_| Error::Unavailable(BUSY))?;
    let look = Look { slug: slug.to_owned(), version: version.to_owned(), checksum: row.checksum, document, actor };
    // Not cut off with the request: it has a limit of its own, and ends with the server.
    let mut task = tokio::spawn(look_and_store(app.clone(), slot, program, look));
    match timeout(PATIENCE, &mut task).await {
        Ok(done) => done.map_err(Error::internal)?.map(Some),
        Err(_) => Ok(None),
    }
}

async fn look_and_store(app: App, slot: OwnedSemaphorePermit, program: PathBuf, look: Look) -> Result<VersionRow> {
    let report = tokio::select! {
        report = report(&program, &look) => report?,
        () = app.shutdown.cancelled() => return Err(Error::Unavailable("The server is ending. Try again.")),
    };
    drop(slot);
    let Look { slug, version, actor, .. } = look;
    let mut tx = app.db.platform().await?;
    // Refused where the draft has another content by now.
    modules::record_gates(&mut tx, &slug, &version, &report).await?;
    let details = json!({ "passed": report.passed, "checksum": report.checksum });
    note(&mut tx, actor, "module.tests_run", &slug, &version, details).await?;
    let row = modules::version(&mut tx, &slug, &version).await?;
    tx.commit().await?;
    Ok(row)
}

/// What the program says, or that it could not within its limits.
async fn report(program: &Path, look: &Look) -> Result<GateReport> {
    let order = serde_json::to_vec(&json!({ "checksum": look.checksum, "module": look.document }));
    let mut child = Command::new(program)
        .args(["module", "run-gates"])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::internal(format!("{} cannot be started: {error}", program.display())))?;
    let order = order.map_err(Error::internal)?;
    let failed = |detail: String| GateReport {
        checksum: look.checksum.clone(),
        passed: false,
        at: Utc::now(),
        by: concat!("tenantra-api ", env!("CARGO_PKG_VERSION")).to_owned(),
        gates: vec![Gate { name: "budget".to_owned(), passed: false, detail }],
    };
    match timeout(LIMIT, converse(&mut child, &order)).await {
        Err(_) => Ok(failed(format!("the gates took more than {} s and were stopped", LIMIT.as_secs()))),
        Ok(Err(error)) => Err(Error::internal(error)),
        Ok(Ok((true, answer))) => {
            let report: GateReport = serde_json::from_slice(&answer).map_err(Error::internal)?;
            if report.checksum == look.checksum { Ok(report) } else { Err(Error::internal("a report of another look")) }
        }
        Ok(Ok((false, _))) => {
            Ok(failed("the gates were ended at their limit: 512 MiB of memory, 60 s of CPU time".to_owned()))
        }
    }
}

/// Gives the order and reads the answer; whether the program ended well, and what it said.
async fn converse(child: &mut Child, order: &[u8]) -> std::io::Result<(bool, Vec<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early says so by its status.
        let _ = stdin.write_all(order).await;
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_REPORT_BYTES).read_to_end(&mut answer).await?;
    }
    Ok((child.wait().await?.success(), answer))
}
