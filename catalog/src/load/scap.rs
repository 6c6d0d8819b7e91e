//! The rules for modules that the scanner of OpenSCAP answers. Names and identifiers become arguments of a program, so
//! nothing in them may be taken for an option or a path.

use crate::module::{Check, Engine, Module, ScapFile};
use crate::problem::Report;
use crate::scap::{is_file_name, is_identifier};

/// Files of plain XCCDF: itself and the OVAL beside it.
const MAX_FILES: usize = 16;

/// The module's content, whole where the engine is `oscap` and absent otherwise.
pub(super) fn content(report: &mut Report<'_>, module: &Module) {
    let scap = match (module.engine, &module.scap) {
        (Engine::Tables, None) => return,
        (Engine::Tables, Some(_)) => {
            return report.add("scap", "is for `engine: oscap`", "remove it, or name the engine");
        }
        (Engine::Oscap, None) => {
            return report.add("scap", "is missing", "let `tenantra module import CONTENT.xml --profile …` write it");
        }
        (Engine::Oscap, Some(scap)) => scap,
    };
    if scap.files.is_empty() || scap.files.len() > MAX_FILES {
        report.add("scap.files", format!("has {} files", scap.files.len()), format!("name 1 to {MAX_FILES}"));
    }
    for (index, ScapFile { name, sha256 }) in scap.files.iter().enumerate() {
        let field = format!("scap.files[{index}]");
        if !is_file_name(name) || scap.files[..index].iter().any(|other| other.name == *name) {
            report.add(
                format!("{field}.name"),
                format!("`{name}` is no name of a file of its own"),
                "write a name without a path, such as ssg-debian12-ds.xml",
            );
        }
        if sha256.len() != 64 || !sha256.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)) {
            report.add(format!("{field}.sha256"), "is not 64 hexadecimal digits", "write what `sha256sum` prints");
        }
    }
    for (field, id) in [
        ("scap.data_stream", scap.data_stream.as_ref()),
        ("scap.component", scap.component.as_ref()),
        ("scap.benchmark", Some(&scap.benchmark)),
        ("scap.profile", Some(&scap.profile)),
    ] {
        if let Some(id) = id.filter(|id| !is_identifier(id)) {
            report.add(field, format!("`{id}` is no identifier"), "copy it from the content");
        }
    }
    if !module.collect.is_empty() {
        report.add("collect", "is not for `engine: oscap`", "collect in a module of its own");
    }
    if module.parameters != crate::module::no_parameters() {
        report.add("parameters", "are not for `engine: oscap`", "remove them: the profile says all");
    }
}

/// What decides a check of such a module.
pub(super) fn rule(report: &mut Report<'_>, field: &str, check: &Check) {
    if !check.query.is_empty() || check.applies.is_some() {
        report.add(
            format!("{field}.query"),
            "is not for `engine: oscap`",
            "remove query and applies: the rule says both",
        );
    }
    if !check.rule.as_deref().is_some_and(is_identifier) {
        report.add(format!("{field}.rule"), "is no identifier of an XCCDF rule", "write it in full: xccdf_…_rule_…");
    }
}
