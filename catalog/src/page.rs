//! A module as a page of Markdown: what it decides and keeps, what it needs, and what leaves the host.

use std::fmt::{self, Write};

use crate::module::{Check, Collect, Module};

/// The page of a module, for `docs/modules/<slug>.md`.
pub fn markdown(module: &Module) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut page, module);
    page
}

fn write_page(page: &mut String, module: &Module) -> fmt::Result {
    writeln!(page, "# {}\n", module.title)?;
    writeln!(page, "`{}` · {} · {}\n", module.reference(), module.category.as_str(), module.profile.as_str())?;
    writeln!(page, "{}\n", module.description.trim())?;
    writeln!(page, "| | |\n| --- | --- |")?;
    for (name, text) in [
        ("Needs", &module.prerequisites),
        ("Does not see", &module.limits),
        ("Privileges", &module.privileges),
        ("What leaves the host", &module.data_sensitivity),
    ] {
        writeln!(page, "| {name} | {} |", cell(text))?;
    }
    let privilege = if module.requires.admin { "root" } else { "any account" };
    writeln!(page, "| Runs as | {privilege} |")?;
    let (by, whom) = match &module.scap {
        None => ("Tables", module.requires.tables.join(", ")),
        Some(scap) => ("Decided by", format!("the host's OpenSCAP: `{}` of `{}`", scap.profile, scap.benchmark)),
    };
    writeln!(page, "| {by} | {whom} |")?;
    write_parameters(page, module)?;
    write_checks(page, &module.checks)?;
    write_collections(page, &module.collect)?;
    writeln!(page, "\n## Changes\n")?;
    for change in &module.changelog {
        writeln!(page, "- **{}** {}", change.version, change.text.trim())?;
    }
    Ok(())
}

fn write_parameters(page: &mut String, module: &Module) -> fmt::Result {
    let defaults = module.default_parameters();
    if defaults.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## Parameters\n\n| name | default |\n| --- | --- |")?;
    for (name, default) in defaults {
        writeln!(page, "| `{name}` | {default} |")?;
    }
    Ok(())
}

fn write_checks(page: &mut String, checks: &[Check]) -> fmt::Result {
    if checks.is_empty() {
        return Ok(());
    }
    writeln!(
        page,
        "\n## Checks\n\n| check | severity | why | what to do | controls |\n| --- | --- | --- | --- | --- |"
    )?;
    for check in checks {
        let controls: Vec<String> =
            check.controls.iter().map(|(framework, ids)| format!("{framework}: {}", ids.join(", "))).collect();
        writeln!(
            page,
            "| **{}**<br>`{}` | {} | {} | {} | {} |",
            cell(&check.title),
            check.id,
            check.severity,
            cell(&check.rationale),
            cell(&check.remediation.text),
            controls.join("<br>"),
        )?;
    }
    Ok(())
}

fn write_collections(page: &mut String, collections: &[Collect]) -> fmt::Result {
    if collections.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n## What is kept\n\n| facts | told apart by |\n| --- | --- |")?;
    for collect in collections {
        writeln!(page, "| `{}` | {} |", collect.table, collect.key.join(", "))?;
    }
    Ok(())
}

/// A text in a cell of a table: one line, and no character that Markdown takes for the cell's end or for HTML.
fn cell(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut escaped = String::with_capacity(one_line.len());
    let mut is_code = false;
    for letter in one_line.chars() {
        match letter {
            '`' => {
                is_code = !is_code;
                escaped.push(letter);
            }
            '|' => escaped.push_str("\\|"),
            '<' if !is_code => escaped.push_str("&lt;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_stays_a_cell() {
        assert_eq!(cell("a | b\n  <user> `chown <user>`"), "a \\| b &lt;user> `chown <user>`");
    }
}
