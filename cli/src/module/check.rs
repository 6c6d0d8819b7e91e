//! `tenantra module check`: a folder of modules, the catalog in this program, and the database, each against the others. A
//! version that was released never changes, so any difference is told and fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use catalog::lifecycle::State;
use catalog::{Catalog, Entry, Problems};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use store::frameworks;
use store::modules::{self, VersionRow};
use tables::fixtures;

use super::source::{self, Files};
use super::{database, parallel};
use crate::db::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, cell, counted, doubtful, grid, rendered};

const DEFAULT_FOLDER: &str = "catalog";

/// `tenantra module check [FOLDER]`.
#[derive(Debug, Args)]
pub struct Check {
    /// The folder that holds modules/ and frameworks/; left out, catalog if it is there
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Leave the database alone, even if a variable names one
    #[arg(long)]
    files_only: bool,
}

/// What is compared with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// The folder with this program.
    Program,
    /// The folder, or else this program, with the database.
    Database,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    /// Only the files have it.
    Added,
    /// The files do not have it.
    Missing,
    /// The same version with another content.
    Changed,
    /// The file cannot be used.
    Wrong,
}

#[derive(Debug, Serialize)]
struct Line {
    file: String,
    place: Place,
    difference: Difference,
    message: String,
}

/// Runs it.
pub async fn run(arguments: &Check, format: Format) -> Result<Outcome, Error> {
    let embedded = source::embedded()?;
    let folder = match &arguments.folder {
        Some(folder) => Some(folder.as_path()),
        None => Some(Path::new(DEFAULT_FOLDER)).filter(|folder| folder.join(source::MODULES).is_dir()),
    };
    let address = if arguments.files_only { None } else { Address::named()? };
    if folder.is_none() && address.is_none() {
        return Err(Error::Usage(
            "there is nothing to compare with: give the folder that holds modules/, or name a database in TENA_DB_OWNER_URL".to_owned(),
        ));
    }
    let mut lines = Vec::new();
    let mut files = folder.map(Files::read).transpose()?;
    if let Some(files) = &mut files {
        lines.extend(std::mem::take(&mut files.unread).into_iter().map(unread));
    }
    let catalog = match files.map(Files::catalog) {
        Some(Err(Problems(problems))) => {
            lines.extend(problems.into_iter().map(|problem| Line {
                file: problem.file.clone(),
                place: Place::Program,
                difference: Difference::Wrong,
                message: problem.to_string().trim_start_matches(&format!("{}: ", problem.file)).to_owned(),
            }));
            None
        }
        Some(Ok(catalog)) => {
            lines.extend(with_program(&catalog, &embedded));
            lines.extend(frameworks_with_program(&catalog, &embedded));
            Some(catalog)
        }
        None => None,
    };
    // Files that cannot be read are compared with nothing; the program still is.
    let here = catalog.as_ref().unwrap_or(&embedded);
    if let Some(address) = &address {
        lines.extend(with_database(here, address).await?);
    } else if !arguments.files_only {
        eprintln!("tenantra: no database is named (TENA_DB_OWNER_URL), so only the files are compared");
    }
    let compared = Compared { entries: here.entries().len(), folder, has_database: address.is_some() };
    format.print(&lines, || text(&lines, &compared))?;
    Ok(Outcome::differs_if(!lines.is_empty()))
}

fn unread((file, why): (String, &'static str)) -> Line {
    Line { file, place: Place::Program, difference: Difference::Wrong, message: why.to_owned() }
}

fn framework_file(slug: &str) -> String {
    format!("frameworks/{slug}.yaml")
}

/// The frameworks of the files against those of this program.
fn frameworks_with_program(files: &Catalog, embedded: &Catalog) -> Vec<Line> {
    let line = |slug: &str, difference, message: &str| Line {
        file: framework_file(slug),
        place: Place::Program,
        difference,
        message: message.to_owned(),
    };
    let mut lines = Vec::new();
    for framework in files.frameworks() {
        match embedded.framework(&framework.slug) {
            Some(known) if known == framework => {}
            Some(_) => lines.push(line(&framework.slug, Difference::Changed, "another content than in this program")),
            None => lines.push(line(&framework.slug, Difference::Added, "not in this program yet")),
        }
    }
    let gone = embedded.frameworks().filter(|framework| files.framework(&framework.slug).is_none());
    lines.extend(
        gone.map(|framework| line(&framework.slug, Difference::Missing, "in this program, but not in the folder")),
    );
    lines
}

/// The frameworks of the files against what the database holds: their checksums, and the controls behind them.
fn frameworks_with_database(files: &Catalog, stored: &StoredFrameworks) -> Result<Vec<Line>, store::Error> {
    let line = |slug: &str, difference, message: &str| Line {
        file: framework_file(slug),
        place: Place::Database,
        difference,
        message: message.to_owned(),
    };
    let mut lines = Vec::new();
    for framework in files.frameworks() {
        let slug = &framework.slug;
        let ids: BTreeSet<String> = framework.controls.iter().map(|control| control.id.clone()).collect();
        match stored.checksums.get(slug) {
            None => lines.push(line(slug, Difference::Added, "not in the database: run `tenantra db migrate`")),
            Some(checksum) if *checksum != frameworks::checksum(framework)? => {
                lines.push(line(
                    slug,
                    Difference::Changed,
                    "another content in the database: run `tenantra db migrate`",
                ));
            }
            Some(_) if stored.controls.get(slug) != Some(&ids) => {
                let message = "the database has other controls under the same checksum: restore it from a backup";
                lines.push(line(slug, Difference::Changed, message));
            }
            Some(_) => {}
        }
    }
    let gone = stored.checksums.keys().filter(|slug| files.framework(slug).is_none());
    lines.extend(gone.map(|slug| line(slug, Difference::Missing, "in the database, but no file has it")));
    Ok(lines)
}

/// What the database has of frameworks.
struct StoredFrameworks {
    checksums: BTreeMap<String, String>,
    controls: BTreeMap<String, BTreeSet<String>>,
}

/// The files against this program.
fn with_program(files: &Catalog, embedded: &Catalog) -> Vec<Line> {
    let line = |file: &str, difference, message: &str| Line {
        file: file.to_owned(),
        place: Place::Program,
        difference,
        message: message.to_owned(),
    };
    let entries: Vec<&Entry> = files.entries().iter().collect();
    let linted = parallel::map(&entries, |entry| fixtures::lint(&entry.module), |_| {});
    let mut lines = Vec::new();
    let mut here: BTreeMap<&str, &str> =
        embedded.entries().iter().map(|entry| (entry.path.as_str(), entry.checksum.as_str())).collect();
    for (entry, problems) in entries.iter().zip(linted) {
        lines.extend(problems.iter().map(|problem| line(&entry.path, Difference::Wrong, problem)));
        match here.remove(entry.path.as_str()) {
            Some(checksum) if checksum == entry.checksum => {}
            Some(_) => lines.push(line(
                &entry.path,
                Difference::Changed,
                "another content under a version that is in this program: raise the version",
            )),
            None => lines.push(line(&entry.path, Difference::Added, "not in this program yet")),
        }
    }
    lines
        .extend(here.into_keys().map(|path| line(path, Difference::Missing, "in this program, but not in the folder")));
    lines
}

async fn with_database(files: &Catalog, address: &Address) -> Result<Vec<Line>, Error> {
    let db = database::connect(address).await?;
    let read = async {
        let mut tx = db.begin().await?;
        let rows = modules::versions(&mut tx, None).await?;
        let documents = modules::documents(&mut tx).await?;
        let stored = StoredFrameworks {
            checksums: frameworks::checksums(&mut tx).await?,
            controls: frameworks::controls(&mut tx).await?,
        };
        tx.rollback().await?;
        let lines = frameworks_with_database(files, &stored)?;
        Ok::<_, store::Error>((rows, documents, lines))
    };
    let read = read.await.map_err(|error| database::explain(address, error));
    db.close().await;
    let (rows, documents, lines) = read?;
    Ok(compared(files, &rows, &documents).into_iter().chain(lines).collect())
}

/// The files against what the database holds.
fn compared(files: &Catalog, rows: &[VersionRow], documents: &BTreeMap<(String, String), Value>) -> Vec<Line> {
    let line = |file: &str, difference, message: String| Line {
        file: file.to_owned(),
        place: Place::Database,
        difference,
        message,
    };
    let mut stored: BTreeMap<(&str, String), &VersionRow> =
        rows.iter().map(|row| ((row.module.as_str(), row.version.to_string()), row)).collect();
    let mut lines = Vec::new();
    for entry in files.entries() {
        let module = &entry.module;
        let version = module.version.to_string();
        let Some(row) = stored.remove(&(module.slug.as_str(), version.clone())) else {
            lines.push(line(
                &entry.path,
                Difference::Added,
                "not in the database: run `tenantra db migrate`".to_owned(),
            ));
            continue;
        };
        if row.checksum != entry.checksum {
            let message = format!(
                "the database has the checksum {}, the file {}: {}",
                short(&row.checksum),
                short(&entry.checksum),
                if row.state.is_open() {
                    "run `tenantra db migrate`"
                } else {
                    "a released version never changes, raise the version"
                }
            );
            lines.push(line(&entry.path, Difference::Changed, message));
            continue;
        }
        // Behind the same checksum, the document has to be the same too.
        let document = documents.get(&(module.slug.clone(), version));
        if document != serde_json::to_value(module).ok().as_ref() {
            let message =
                "the database has another document under the same checksum: restore it from a backup".to_owned();
            lines.push(line(&entry.path, Difference::Changed, message));
        }
        if row.state.is_open() && !module.is_draft() {
            let message = format!("the file is whole, the database has it as {}: run `tenantra db migrate`", row.state);
            lines.push(line(&entry.path, Difference::Changed, message));
        }
    }
    // What a newer version has replaced needs no file any more; the database keeps it.
    let left = stored.into_iter().filter(|(_, row)| row.state <= State::Released);
    lines.extend(left.map(|((slug, version), row)| {
        line(
            &format!("{slug}@{version}"),
            Difference::Missing,
            format!("in the database ({}), but no file has it", row.state),
        )
    }));
    lines
}

fn short(checksum: &str) -> &str {
    checksum.get(..12).unwrap_or(checksum)
}

struct Compared<'a> {
    entries: usize,
    folder: Option<&'a Path>,
    has_database: bool,
}

fn text(lines: &[Line], compared: &Compared<'_>) -> String {
    let Compared { entries, folder, has_database } = compared;
    let number = match folder {
        Some(_) => counted(*entries, "module version"),
        None => format!("{} of this program", counted(*entries, "module version")),
    };
    if lines.is_empty() {
        return match (folder, has_database) {
            (Some(_), true) => format!("{number}: all are as in this program and in the database"),
            (Some(_), false) => format!("{number}: all are as in this program"),
            (None, _) => format!("{number}: all are as in the database"),
        };
    }
    let mut table = grid(&["FILE", "AGAINST", "DIFFERENCE", "MESSAGE"]);
    for Line { file, place, difference, message } in lines {
        let place = match place {
            Place::Program => "program",
            Place::Database => "database",
        };
        let difference = match difference {
            Difference::Added => doubtful("added"),
            Difference::Missing => doubtful("missing"),
            Difference::Changed => bad("changed"),
            Difference::Wrong => bad("wrong"),
        };
        table.add_row(vec![cell(file), cell(place), difference, cell(message)]);
    }
    format!("{}\n\n{number}, {}", rendered(&table), counted(lines.len(), "difference"))
}
