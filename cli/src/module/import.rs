//! `tenantra module import`: drafts made of other engines' files, written below a folder of modules. SCAP content is read
//! as a stream, because it has tens of megabytes; the others are small and read whole.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Component, Path, PathBuf};

use catalog::import::{self as convert, Imported, Note, Options, Rows, ScapContent};
use catalog::load::{self, Controls};
use catalog::module::{Category, Engine, ScapFile};
use catalog::{Catalog, Problem, Problems, scap};
use clap::{Args, ValueEnum};
use semver::Version;
use serde::Serialize;

use super::engine::Tables;
use super::source::{self, Files, plain_file};
use crate::outcome::{Error, Outcome};
use crate::output::{Format, cell, counted, grid, rendered};

/// What happens, at the end of the help.
pub const HELP: &str = "\
The module is written as a draft: fixtures cannot be invented. Give every check a test that passes and one that
fails, then run `tenantra module promote`. What could not be brought over is listed, with the reason.
Of SCAP content (a data stream, or XCCDF with its OVAL beside it) a profile becomes a module whose checks the
host's OpenSCAP decides; without --profile its profiles are listed. The content itself stays where it is.";

/// `tenantra module import FILE --dir FOLDER`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file
    file: PathBuf,
    /// What it is; left out, told from its content
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Source>,
    /// Where modules/ is, or is made
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// The module's slug; left out, made of the source's name
    #[arg(long, value_name = "SLUG")]
    slug: Option<String>,
    /// Its version
    #[arg(long, default_value = "1.0.0", value_name = "VERSION")]
    module_version: Version,
    /// Its category
    #[arg(long, value_name = "NAME", value_parser = category, default_value = "compliance")]
    category: Category,
    /// Of SCAP content: the profile, in full or its last part, such as `cis_level1_server`
    #[arg(long, value_name = "ID")]
    profile: Option<String>,
    /// What rows of a pack's queries are: facts to keep, or findings
    #[arg(long, value_enum, default_value = "facts", value_name = "WHAT")]
    rows: RowsAre,
    /// Only say what would be written
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    OsqueryPack,
    Fleet,
    WazuhSca,
    Scap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowsAre {
    Facts,
    Findings,
}

#[derive(Debug, Serialize)]
struct Line {
    file: String,
    module: String,
    version: String,
    state: &'static str,
    checks: usize,
    collects: usize,
    /// Fixtures that it lacks before it can be promoted: two for each check.
    missing_fixtures: usize,
    notes: Vec<Note>,
}

/// Runs it.
pub fn run(arguments: &Import, format: Format) -> Result<Outcome, Error> {
    let controls = controls(&arguments.dir)?;
    let options = Options {
        slug: arguments.slug.as_deref(),
        version: arguments.module_version.clone(),
        category: arguments.category,
        rows: match arguments.rows {
            RowsAre::Facts => Rows::Facts,
            RowsAre::Findings => Rows::Findings,
        },
        controls: &controls,
    };
    let failed = |problems: Problems| Error::from(source::Error::Import(problems));
    let modules = match format_of(arguments)? {
        Some(kind) => {
            let name = arguments.file.display().to_string();
            convert::import(&name, &read(&arguments.file)?, kind, &options, &Tables::open()?).map_err(failed)?
        }
        None => vec![from_scap(arguments, &options)?],
    };
    let mut lines = Vec::new();
    for imported in &modules {
        let path = arguments.dir.join(source::MODULES).join(imported.path());
        let text = imported.yaml().map_err(failed)?;
        if !arguments.dry_run {
            write(&path, &text)?;
        }
        lines.push(line(&path, imported));
    }
    format.print(&lines, || self::text(&lines, arguments.dry_run))?;
    Ok(Outcome::Done)
}

/// What the file is; none for SCAP content, which is read as a stream.
fn format_of(arguments: &Import) -> Result<Option<convert::Format>, Error> {
    let path = &arguments.file;
    let kind = match arguments.format {
        Some(Source::OsqueryPack) => Some(convert::Format::OsqueryPack),
        Some(Source::Fleet) => Some(convert::Format::Fleet),
        Some(Source::WazuhSca) => Some(convert::Format::WazuhSca),
        Some(Source::Scap) => None,
        None => {
            let failed = |source| Error::from(source::Error::ReadSource { path: path.clone(), source });
            let mut head = Vec::new();
            plain_file(path, scap::MAX_CONTENT_BYTES)
                .map_err(failed)?
                .take(1_024)
                .read_to_end(&mut head)
                .map_err(failed)?;
            let is_scap = convert::is_scap(&head);
            let known = if is_scap { None } else { convert::Format::of(&read(path)?) };
            if known.is_none() && !is_scap {
                return Err(Error::Usage(format!(
                    "{} is no file that is known: give --format osquery-pack, fleet, wazuh-sca or scap",
                    path.display()
                )));
            }
            known
        }
    };
    match (&arguments.profile, kind) {
        (Some(_), Some(_)) => Err(Error::Usage("--profile is for SCAP content: leave it out".to_owned())),
        _ => Ok(kind),
    }
}

/// A module of one profile of SCAP content.
fn from_scap(arguments: &Import, options: &Options<'_>) -> Result<Imported, Error> {
    let path = &arguments.file;
    let name = path.display().to_string();
    let unreadable = |source| Error::from(source::Error::ReadSource { path: path.clone(), source });
    let refused = |wrong: String, advice: &str| {
        let problem = Problem { file: name.clone(), field: String::new(), wrong, advice: advice.to_owned() };
        Error::from(source::Error::Import(Problems(vec![problem])))
    };
    let mut file = plain_file(path, scap::MAX_CONTENT_BYTES).map_err(unreadable)?;
    let sha256 = scap::sha256(&file).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    let benchmarks = scap::benchmark::read(BufReader::new(file))
        .map_err(|error| refused(error.to_string(), "give a SCAP source data stream or an XCCDF benchmark"))?;
    let (mut beside, mut missing) = (Vec::new(), Vec::new());
    // A data stream holds what it refers to.
    for href in benchmarks.iter().filter(|one| one.data_stream.is_none()).flat_map(|one| &one.beside) {
        let is_name = Path::new(href).components().eq([Component::Normal(href.as_ref())]);
        let open = || plain_file(&path.with_file_name(href), scap::MAX_CONTENT_BYTES);
        match is_name.then(|| open().and_then(scap::sha256)) {
            Some(Ok(sha256)) => beside.push(ScapFile { name: href.clone(), sha256 }),
            _ => missing.push(Note {
                subject: href.clone(),
                text: "its rules are not decided: it does not lie beside the file, and nothing is fetched".to_owned(),
            }),
        }
    }
    let content = ScapContent {
        file: &name,
        sha256: &sha256,
        benchmarks: &benchmarks,
        profile: arguments.profile.as_deref(),
        beside: &beside,
    };
    let mut imported =
        convert::scap(&content, options).map_err(|problems| Error::from(source::Error::Import(problems)))?;
    imported.notes.extend(missing);
    Ok(imported)
}

/// Reads no more than may be imported.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::from(source::Error::ReadSource { path: path.to_owned(), source });
    let mut bytes = Vec::new();
    let most = u64::try_from(convert::MAX_BYTES).unwrap_or(u64::MAX);
    // One byte more, so that the converter says that it is too large.
    let file = plain_file(path, scap::MAX_CONTENT_BYTES).map_err(failed)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The controls that checks may map to: of the folder's frameworks, else of this program's.
fn controls(folder: &Path) -> Result<Controls, Error> {
    let failed = |problems| source::Error::Files { path: folder.to_owned(), problems };
    let catalog = Catalog::load(Files::frameworks(folder)?, Vec::new()).map_err(failed)?;
    Ok(load::controls(catalog.frameworks()))
}

/// Writes a new file; one that is there with another content stays.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::from(source::Error::Write { path: path.to_owned(), source });
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    match File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut there = Vec::new();
            plain_file(path, u64::MAX)
                .map_err(failed)?
                .take(text.len() as u64 + 1)
                .read_to_end(&mut there)
                .map_err(failed)?;
            if there == text.as_bytes() {
                return Ok(());
            }
            Err(Error::NotDone(format!(
                "{} is there with another content, which stays: give another --slug, or a higher --module-version",
                path.display()
            )))
        }
        Err(error) => Err(failed(error)),
    }
}

fn line(path: &Path, imported: &Imported) -> Line {
    let module = &imported.module;
    Line {
        file: path.display().to_string(),
        module: module.slug.clone(),
        version: module.version.to_string(),
        state: "draft",
        checks: module.checks.len(),
        collects: module.collect.len(),
        missing_fixtures: if module.engine == Engine::Tables { module.checks.len() * 2 } else { 0 },
        notes: imported.notes.clone(),
    }
}

fn text(lines: &[Line], is_dry: bool) -> String {
    let mut told = Vec::new();
    for Line { file, module, version, state, checks, collects, missing_fixtures, notes } in lines {
        let verb = if is_dry { "would be written to" } else { "written to" };
        told.push(format!(
            "{module}@{version}: {}, {} {verb} {file}",
            counted(*checks, "check"),
            counted(*collects, "collection")
        ));
        if *missing_fixtures > 0 {
            told.push(format!(
                "It is a {state} and stays one until each check has a test that passes and one that fails ({missing_fixtures} to write)."
            ));
        } else {
            told.push(format!("It is a {state}; `tenantra module promote {module}@{version}` runs the gates."));
        }
        if !notes.is_empty() {
            let mut table = grid(&["NOT BROUGHT OVER AS IT IS", "WHY"]);
            for Note { subject, text } in notes {
                table.add_row(vec![cell(subject), cell(text)]);
            }
            told.push(format!("\n{}\n", rendered(&table)));
        }
    }
    told.join("\n")
}

fn category(name: &str) -> Result<Category, String> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).map_err(|_| {
        format!("there is no category '{name}': write one such as compliance, inventory, identity, network")
    })
}
