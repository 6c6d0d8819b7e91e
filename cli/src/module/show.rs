//! `tenantra module show`: a module and its checks, or one check with its query.

use std::fmt::Write as _;
use std::path::PathBuf;

use catalog::Severity;
use catalog::module::{Check, Module, Scap};
use catalog::printable::{printable, printable_line};
use clap::Args;
use comfy_table::Cell;

use super::source;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, cell, counted, doubtful, grid, rendered};

/// `tenantra module show MODULE [CHECK]`.
#[derive(Debug, Args)]
pub struct Show {
    /// The module: its slug, or slug@version
    module: String,
    /// One of its checks
    check: Option<String>,
    /// Show it as it is in this folder, which holds modules/ and frameworks/, instead of in this program
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Runs it.
pub fn run(arguments: &Show, format: Format) -> Result<Outcome, Error> {
    let catalog = source::open(arguments.dir.as_deref())?;
    let module = &source::find(&catalog, &arguments.module)?.module;
    match &arguments.check {
        None => format.print(module, || module_text(module))?,
        Some(id) => {
            let unknown = || source::Error::UnknownCheck { module: module.slug.clone(), check: id.clone() };
            let check = module.check(id).ok_or_else(unknown)?;
            format.print(check, || check_text(module, check))?;
        }
    }
    Ok(Outcome::Done)
}

fn module_text(module: &Module) -> String {
    let Module {
        title,
        category,
        description,
        requires,
        profile,
        scap,
        prerequisites,
        limits,
        privileges,
        data_sensitivity,
        parameters,
        checks,
        collect,
        tests,
        ..
    } = module;
    let mut text =
        format!("{}: {}\n\n{}\n\n", module.reference(), printable_line(title), printable(description.trim()));
    let facts = [
        ("Category", category.as_str().to_owned()),
        ("Profile", format!("{} (at most {} s)", profile.as_str(), profile.budget().wall.as_secs())),
        ("Needs root", if requires.admin { "yes" } else { "no" }.to_owned()),
        ("Tables", requires.tables.join(", ")),
        ("Decided by", scap.as_ref().map(decided_by).unwrap_or_default()),
        ("Connects to", requires.network.join(", ")),
        ("Parameters", parameter_names(parameters)),
        ("Prerequisites", one_line(prerequisites)),
        ("Limits", one_line(limits)),
        ("Privileges", one_line(privileges)),
        ("Data", one_line(data_sensitivity)),
        ("Tests", tests.len().to_string()),
    ];
    for (name, value) in facts {
        if !value.is_empty() {
            let _ = writeln!(text, "{:14}  {}", format!("{name}:"), printable_line(&value));
        }
    }
    if !checks.is_empty() {
        let mut table = grid(&["CHECK", "SEVERITY", "TITLE", "CONTROLS"]);
        for check in checks {
            table.add_row(vec![cell(&check.id), severity(check.severity), cell(&check.title), cell(controls(check))]);
        }
        let _ = write!(text, "\n{}\n\n{}\n", rendered(&table), counted(checks.len(), "check"));
    }
    if !collect.is_empty() {
        let mut table = grid(&["COLLECTS", "KEY"]);
        for kept in collect {
            table.add_row(vec![cell(&kept.table), cell(kept.key.join(", "))]);
        }
        let _ = writeln!(text, "\n{}", rendered(&table));
    }
    text
}

/// The content that the host's scanner evaluates.
fn decided_by(scap: &Scap) -> String {
    let files: Vec<&str> = scap.files.iter().map(|file| file.name.as_str()).collect();
    format!("the host's OpenSCAP, profile {} of {}", scap.profile, files.join(", "))
}

fn check_text(module: &Module, check: &Check) -> String {
    let Check { id, title, severity, query, rule, applies, rationale, remediation, same_as, controls: _ } = check;
    let mut text = format!("{} of {}: {}\n\n", printable_line(id), module.reference(), printable_line(title));
    let facts = [
        ("Severity", Some(severity.as_str().to_owned())),
        ("Controls", Some(controls(check))),
        ("Why", Some(one_line(rationale))),
        ("What to do", Some(one_line(&remediation.text))),
        ("In OpenSCAP", same_as.oscap.clone()),
    ];
    for (name, value) in facts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let _ = writeln!(text, "{:12}  {}", format!("{name}:"), printable_line(&value));
        }
    }
    match rule {
        Some(rule) => {
            let _ = writeln!(text, "\nDecided by the host's OpenSCAP, rule {}", printable_line(rule));
        }
        None => {
            let _ = write!(text, "\nFailing rows:\n{}\n", printable(&indented(query)));
        }
    }
    if let Some(applies) = applies {
        let _ = write!(text, "\nApplies where there is a row of:\n{}\n", printable(&indented(applies)));
    }
    text
}

fn severity(severity: Severity) -> Cell {
    match severity {
        Severity::Critical | Severity::High => bad(severity.as_str()),
        Severity::Medium => doubtful(severity.as_str()),
        Severity::Low => cell(severity.as_str()),
    }
}

/// `cis-debian-12 5.1.16, nist-800-53-r5 AC-7 AC-8`.
fn controls(check: &Check) -> String {
    let lists: Vec<String> =
        check.controls.iter().map(|(framework, ids)| format!("{framework} {}", ids.join(" "))).collect();
    lists.join(", ")
}

/// `max_auth_tries (4)`: names with their defaults.
fn parameter_names(schema: &serde_json::Value) -> String {
    let properties = schema.get("properties").and_then(serde_json::Value::as_object);
    let names: Vec<String> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| match schema.get("default") {
            Some(default) => format!("{name} ({default})"),
            None => name.clone(),
        })
        .collect();
    names.join(", ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn indented(sql: &str) -> String {
    let lines: Vec<String> = sql.trim().lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}
