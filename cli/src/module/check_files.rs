//! `tenantra module check-files`: a folder of modules against the catalog in this program. A version that was released
//! never changes, so any difference is told and fails.

use std::collections::BTreeMap;
use std::path::PathBuf;

use catalog::Problems;
use clap::Args;
use comfy_table::Cell;
use serde::Serialize;
use tables::fixtures;

use super::source::{self, Files};
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, counted, doubtful, grid, rendered};

/// `tenantra module check-files [FOLDER]`.
#[derive(Debug, Args)]
pub struct CheckFiles {
    /// The folder that holds modules/ and frameworks/
    #[arg(default_value = "catalog", value_name = "FOLDER")]
    folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Difference {
    /// Only the folder has it.
    Added,
    /// Only this program has it.
    Missing,
    /// The same version with another content.
    Changed,
    /// The file cannot be used.
    Wrong,
}

#[derive(Debug, Serialize)]
struct Line {
    file: String,
    difference: Difference,
    message: String,
}

/// Runs it.
pub fn run(arguments: &CheckFiles, format: Format) -> Result<Outcome, Error> {
    let embedded = source::embedded()?;
    let files = Files::read(&arguments.folder)?;
    let number = files.modules.len();
    let lines = match files.catalog() {
        Err(Problems(problems)) => problems
            .into_iter()
            .map(|problem| Line {
                file: problem.file.clone(),
                difference: Difference::Wrong,
                message: problem.to_string().trim_start_matches(&format!("{}: ", problem.file)).to_owned(),
            })
            .collect(),
        Ok(catalog) => {
            let mut lines = Vec::new();
            let mut here: BTreeMap<&str, &str> =
                embedded.entries().iter().map(|entry| (entry.path.as_str(), entry.checksum.as_str())).collect();
            for entry in catalog.entries() {
                for problem in fixtures::lint(&entry.module) {
                    lines.push(Line { file: entry.path.clone(), difference: Difference::Wrong, message: problem });
                }
                let (difference, message) = match here.remove(entry.path.as_str()) {
                    Some(checksum) if checksum == entry.checksum => continue,
                    Some(_) => (
                        Difference::Changed,
                        "another content under a version that is in this program: raise the version",
                    ),
                    None => (Difference::Added, "not in this program yet"),
                };
                lines.push(Line { file: entry.path.clone(), difference, message: message.to_owned() });
            }
            lines.extend(here.into_keys().map(|path| Line {
                file: path.to_owned(),
                difference: Difference::Missing,
                message: "in this program, but not in the folder".to_owned(),
            }));
            lines
        }
    };
    format.print(&lines, || text(&lines, number))?;
    Ok(Outcome::differs_if(!lines.is_empty()))
}

fn text(lines: &[Line], number: usize) -> String {
    if lines.is_empty() {
        return format!("{}: all are as in this program", counted(number, "module file"));
    }
    let mut table = grid(&["FILE", "DIFFERENCE", "MESSAGE"]);
    for Line { file, difference, message } in lines {
        let difference = match difference {
            Difference::Added => doubtful("added"),
            Difference::Missing => doubtful("missing"),
            Difference::Changed => bad("changed"),
            Difference::Wrong => bad("wrong"),
        };
        table.add_row(vec![Cell::new(file), difference, Cell::new(message)]);
    }
    format!("{}\n\n{}, {}", rendered(&table), counted(number, "module file"), counted(lines.len(), "difference"))
}
