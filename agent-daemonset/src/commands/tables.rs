//! `tables`: what can be asked, and what each table's columns are.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use tables::{Engine, Table};

use crate::cli::Outcome;

/// Which table.
#[derive(Debug, Args)]
pub struct TablesArgs {
    /// Show the columns of this table
    name: Option<String>,
}

/// Lists tables or columns.
pub fn tables(args: &TablesArgs) -> anyhow::Result<Outcome> {
    let mut output = std::io::stdout().lock();
    match &args.name {
        None => list(&mut output)?,
        Some(name) => describe(&mut output, name)?,
    }
    Ok(Outcome::Done)
}

/// One line a table.
pub fn list(output: &mut impl Write) -> anyhow::Result<()> {
    let mut tables: Vec<&Table> = Engine::tables().to_vec();
    tables.sort_by_key(|table| table.name);
    let width = tables.iter().map(|table| table.name.len()).max().unwrap_or_default();
    for table in &tables {
        writeln!(output, "{:width$}  {}", table.name, table.description.trim())?;
    }
    writeln!(output, "\n{} tables. Columns of one: tenantra-agent tables NAME", tables.len())?;
    Ok(())
}

/// The columns of one table.
pub fn describe(output: &mut impl Write, name: &str) -> anyhow::Result<()> {
    let Some(table) = Engine::tables().iter().find(|table| table.name.eq_ignore_ascii_case(name)) else {
        let near: Vec<&str> =
            Engine::tables().iter().map(|table| table.name).filter(|candidate| candidate.contains(name)).collect();
        let hint = if near.is_empty() {
            "tenantra-agent tables lists them all".to_owned()
        } else {
            format!("there is {}", near.join(", "))
        };
        bail!("there is no table {name}; {hint}");
    };
    writeln!(output, "{}: {}", table.name, table.description.trim())?;
    if table.is_live_only {
        writeln!(output, "Empty for an image (--root): it shows the running kernel.")?;
    }
    let required: Vec<&str> = table.required().map(|(_, column)| column.name).collect();
    if !required.is_empty() {
        let joined = required.join(if table.any_required { " or " } else { " and " });
        writeln!(output, "Needs a condition on {joined}, such as WHERE {} = '…'.", required[0])?;
    }
    writeln!(output)?;
    let width = table.columns.iter().map(|column| column.name.len()).max().unwrap_or_default();
    for column in table.columns {
        let notes: Vec<&str> = [
            (column.is_required, "required"),
            (column.is_index && !column.is_required, "a condition on it reads less"),
            (column.is_hidden, "not in SELECT *"),
        ]
        .into_iter()
        .filter_map(|(holds, note)| holds.then_some(note))
        .collect();
        let line = format!("  {:width$}  {:15}  {}", column.name, column.kind.sql().to_lowercase(), notes.join(", "));
        writeln!(output, "{}", line.trim_end())?;
    }
    Ok(())
}
