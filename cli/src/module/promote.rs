//! `tenantra module promote`: the quality gates, then the steps from draft to qa to released. A draft's file loses its mark
//! `state: draft` on the way, because a released version's file never changes.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use catalog::Entry;
use catalog::lifecycle::{GateReport, State};
use catalog::module::Module;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use store::{OwnerDb, OwnerTx, audit, modules};

use super::source::{self, Files};
use super::{database, gates};
use crate::db::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, cell, good, grid, rendered};

/// `tenantra module promote MODULE[@VERSION]`.
#[derive(Debug, Args)]
pub struct Promote {
    /// The version: a slug for the newest one, or slug@version
    module: String,
    /// Take it from this folder, which holds modules/ and frameworks/; else from this program, else from the database
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// How far
    #[arg(long, value_enum, default_value = "released", value_name = "STATE")]
    to: Target,
    /// Run it on this machine too, within its profile
    #[arg(long)]
    on_this_host: bool,
    /// Only run the gates; needs no database
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    Qa,
    Released,
}

#[derive(Debug, Serialize)]
struct Answer {
    module: String,
    version: String,
    /// None where nothing was written.
    state: Option<State>,
    #[serde(flatten)]
    report: GateReport,
    /// Older versions that are deprecated or retired now.
    superseded: Vec<Superseded>,
}

#[derive(Debug, Serialize)]
struct Superseded {
    version: String,
    state: State,
}

/// A version with its file, if its mark has to be taken from it.
struct Candidate {
    entry: Entry,
    file: Option<(PathBuf, Vec<u8>)>,
}

/// Runs it.
pub async fn run(arguments: &Promote, format: Format) -> Result<Outcome, Error> {
    let succession = database::succession()?;
    let address = if arguments.dry_run { None } else { Some(Address::owner()?) };
    let mut db = None;
    let candidate = match from_files(arguments)? {
        Ok(candidate) => candidate,
        Err(unknown) => {
            let Some(address) = Address::named()? else { return Err(unknown.into()) };
            let connected = database::connect(&address).await?;
            let entry = from_database(&connected, &arguments.module).await;
            db = Some(connected);
            Candidate { entry: entry.map_err(|error| database::explain(&address, error))?, file: None }
        }
    };
    let (entry, report) = {
        let Candidate { entry, .. } = &candidate;
        (entry, gates::run(entry, arguments.on_this_host))
    };
    let mut answer = Answer {
        module: entry.module.slug.clone(),
        version: entry.module.version.to_string(),
        state: None,
        report,
        superseded: Vec::new(),
    };
    if let Some(address) = address.filter(|_| answer.report.passed) {
        let db = match db {
            Some(db) => db,
            None => database::connect(&address).await?,
        };
        let done = store(&db, &candidate, arguments.to, &mut answer, succession).await;
        db.close().await;
        done.map_err(|error| match error {
            Failure::Store(error) => database::explain(&address, error),
            Failure::File(error) => error,
        })?;
    }
    format.print(&answer, || text(&answer))?;
    Ok(Outcome::differs_if(!answer.report.passed))
}

/// The candidate in the folder or in this program; the inner error if this program does not have it, the database may.
fn from_files(arguments: &Promote) -> Result<Result<Candidate, source::Error>, Error> {
    let Some(folder) = &arguments.dir else {
        let catalog = source::embedded()?;
        let found = source::find(&catalog, &arguments.module);
        return Ok(found.map(|entry| Candidate { entry: entry.clone(), file: None }));
    };
    let failed = |problems| source::Error::Files { path: folder.clone(), problems };
    let mut files = Files::read(folder)?;
    let catalog = files.clone().catalog().map_err(failed)?;
    let found = source::find(&catalog, &arguments.module)?;
    if !found.module.is_draft() {
        return Ok(Ok(Candidate { entry: found.clone(), file: None }));
    }
    // As it will be without its mark: then it has to have every fixture.
    let (path, reference) = (found.path.clone(), found.module.reference());
    let unmarked = files.modules.iter_mut().find(|(name, _)| *name == path).and_then(|(_, bytes)| {
        *bytes = without_mark(bytes)?;
        Some(bytes.clone())
    });
    let bytes = unmarked.ok_or_else(|| {
        Error::NotDone(format!(
            "{path} is a draft by a mark that is not on a line of its own: remove `state: draft` from it"
        ))
    })?;
    let catalog = files.catalog().map_err(failed)?;
    let entry = source::find(&catalog, &reference)?.clone();
    Ok(Ok(Candidate { entry, file: Some((folder.join(source::MODULES).join(path), bytes)) }))
}

/// The file without its line `state: draft`; none if it has no such line.
fn without_mark(bytes: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_mark = |line: &str| line.trim_end().replace(['"', '\''], "") == "state: draft";
    let mark = text.split_inclusive('\n').position(is_mark)?;
    let kept = text.split_inclusive('\n').enumerate().filter(|(number, _)| *number != mark);
    // The comment that an import put at the head speaks of a draft.
    let kept = kept.filter(|(number, line)| *number != 0 || !line.starts_with("# A draft:"));
    Some(kept.map(|(_, line)| line).collect::<String>().into_bytes())
}

/// A draft that was sent to the API: its document is in the database only.
async fn from_database(db: &OwnerDb, name: &str) -> Result<Entry, store::Error> {
    let (slug, version) = name.split_once('@').map_or((name, None), |(slug, version)| (slug, Some(version)));
    let mut tx = db.begin().await?;
    let rows = modules::versions(&mut tx, Some(slug)).await?;
    let row = rows.into_iter().rfind(|row| version.is_none_or(|version| row.version.to_string() == version));
    let row = row.ok_or(store::Error::NotFound("module: `tenantra module list` shows those of this program"))?;
    let version = row.version.to_string();
    let document = modules::document(&mut tx, slug, &version).await?.ok_or(store::Error::NotFound("module version"))?;
    tx.rollback().await?;
    let module: Module = serde_json::from_value(document).map_err(|error| {
        store::Error::Invalid(format!("this program does not understand {slug} {version}: {error}"))
    })?;
    Ok(Entry { module, checksum: row.checksum, path: String::new() })
}

enum Failure {
    Store(store::Error),
    File(Error),
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

async fn store(
    db: &OwnerDb,
    candidate: &Candidate,
    target: Target,
    answer: &mut Answer,
    succession: modules::Succession,
) -> Result<(), Failure> {
    let mut tx = db.begin().await?;
    let actor = database::actor();
    if !candidate.entry.path.is_empty() {
        modules::put_draft(&mut tx, &candidate.entry).await?;
    }
    let (slug, version) = (answer.module.as_str(), answer.version.as_str());
    let mut state = modules::version(&mut tx, slug, version).await?.state;
    let goal = match target {
        Target::Qa => State::Qa,
        Target::Released => State::Released,
    };
    if state >= goal {
        return Err(store::Error::WrongState {
            slug: slug.to_owned(),
            version: version.to_owned(),
            state,
            needed: if goal == State::Qa { "draft" } else { "draft or qa" },
        }
        .into());
    }
    modules::record_gates(&mut tx, slug, version, &answer.report).await?;
    while state < goal {
        let changes = modules::promote(&mut tx, slug, version, succession, &actor).await?;
        state = changes[0].state;
        let others = changes[1..].iter();
        answer
            .superseded
            .extend(others.map(|change| Superseded { version: change.version.clone(), state: change.state }));
    }
    note(&mut tx, &actor, answer, state).await?;
    // The file first: with the database ahead of it, the two would differ for good.
    if let Some((path, bytes)) = &candidate.file {
        replace(path, bytes).map_err(Failure::File)?;
    }
    tx.commit().await?;
    answer.state = Some(state);
    Ok(())
}

async fn note(tx: &mut OwnerTx, actor: &str, answer: &Answer, state: State) -> Result<(), store::Error> {
    let entry = audit::Entry {
        actor: actor.to_owned(),
        action: "module.promoted".to_owned(),
        subject: format!("{}@{}", answer.module, answer.version),
        details: json!({ "state": state, "checksum": answer.report.checksum, "superseded": answer.superseded }),
    };
    audit::write_platform(tx, None, &entry).await
}

/// Whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::from(source::Error::Write { path: path.to_owned(), source });
    let new = path.with_extension("yaml.new");
    let mut file = std::fs::File::create(&new).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, path).map_err(failed)
}

fn text(answer: &Answer) -> String {
    let Answer { module, version, state, report, superseded } = answer;
    let mut table = grid(&["GATE", "RESULT", "DETAIL"]);
    for gate in &report.gates {
        let result = if gate.passed { good("passed") } else { bad("failed") };
        table.add_row(vec![cell(&gate.name), result, cell(&gate.detail)]);
    }
    let mut told = vec![rendered(&table), String::new()];
    told.push(match state {
        Some(state) => format!("{module}@{version} is {state}"),
        None if report.passed => format!("{module}@{version} passes every gate; nothing was written"),
        None => format!("{module}@{version} does not pass every gate; nothing was written"),
    });
    told.extend(superseded.iter().map(|older| format!("{module}@{} is {} now", older.version, older.state)));
    told.join("\n")
}

#[cfg(test)]
mod tests {
    use super::without_mark;

    #[test]
    fn only_the_mark_goes() {
        let text = |bytes: &str| without_mark(bytes.as_bytes()).map(|made| String::from_utf8(made).unwrap());
        assert_eq!(text("slug: a\nstate: draft\ntitle: x\n").as_deref(), Some("slug: a\ntitle: x\n"));
        assert_eq!(text("# A draft: …\nstate: 'draft'\nslug: a").as_deref(), Some("slug: a"));
        assert_eq!(text("slug: a\n  state: draft\n"), None);
    }
}
