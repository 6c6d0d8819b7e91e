//! SCAP content: a check for each rule that a profile of XCCDF chooses. The module names its content by file, checksum, benchmark
//! and profile; the content stays where the distribution installs it, and the scanner of the host evaluates it.

use std::collections::BTreeMap;

use serde_json::json;

use super::draft::{Answer, Draft, NewCheck, bound};
use super::{Imported, Options, Source};
use crate::Severity;
use crate::load::{self, Controls};
use crate::module::{Engine, Profile as Cost, Scap, ScapFile};
use crate::problem::Problems;
use crate::scap::benchmark::{Benchmark, Profile, Rule};
use crate::scap::{is_file_name, is_identifier, short};

const LIMITS: &str = "Sees what the installed OpenSCAP sees. Rules that are scripts are not checked, because the agent lets \
                      the scanner start no other program. On the host itself only: not in a container, not on an image.";
const PREREQUISITES: &str =
    "OpenSCAP's scanner and exactly this content are installed on the host (Debian: openscap-scanner, ssg-debian).";
const PRIVILEGES: &str = "Starts the host's oscap as root, which reads what its rules name; it can write in one folder of its \
                          own, start no program and reach no network.";
const SENSITIVITY: &str =
    "What the scanner collected for failed rules: lines of configuration, paths, names. Passwords are left out.";

/// Publications that rules refer to: a part of the address, what the benchmark's id has to hold (nothing: any), the framework.
const PUBLICATIONS: [(&str, &str, &str); 6] = [
    ("cisecurity.org/benchmark/debian", "DEBIAN-12", "cis-debian-12"),
    ("cisecurity.org/benchmark/ubuntu", "UBUNTU_24-04", "cis-ubuntu-24-04"),
    ("NIST.SP.800-53", "", "nist-800-53-r5"),
    ("PCI-DSS-v4", "", "pci-dss-4"),
    ("CFR-2007-title45", "", "hipaa"),
    ("NIST.CSWP.29", "", "nist-csf-2"),
];

/// Content that was read, and what the module records of its files.
#[derive(Debug, Clone)]
pub struct ScapContent<'a> {
    /// As it is named in messages; its last part is the name that is recorded.
    pub file: &'a str,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: &'a str,
    /// What [`crate::scap::benchmark::read`] gave.
    pub benchmarks: &'a [Benchmark],
    /// The profile, in full or by its short name.
    pub profile: Option<&'a str>,
    /// The files that plain XCCDF refers to.
    pub beside: &'a [ScapFile],
}

/// Whether a file is XML.
pub fn is_scap(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

/// Makes a module of one profile.
pub fn scap(content: &ScapContent<'_>, options: &Options<'_>) -> Result<Imported, Problems> {
    let source = Source { file: content.file, text: "", title: "SCAP content" };
    let name = source.file.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
    if !is_file_name(&name) {
        return source.refuse(
            "",
            format!("`{name}` is no name that can be recorded"),
            "rename it to letters, digits, - _ and .",
        );
    }
    let (benchmark, profile) = chosen(&source, content)?;
    let rules = benchmark.selected(profile);
    bound(&source, "rules", rules.len())?;
    let mut draft = Draft::new(
        &format!("oscap {}", slug_of(benchmark, profile)),
        &profile.title,
        &format!("{} of {}, decided by the host's OpenSCAP.", profile.title, benchmark.title),
        LIMITS,
    );
    let mut unmapped = 0;
    let mut by_guess = 0;
    for rule in rules {
        if !is_identifier(rule.id()) {
            draft.note(rule.id(), "left out: its identifier is none that XCCDF allows");
            continue;
        }
        let (controls, is_whole) = controls(benchmark, rule, options.controls);
        unmapped += usize::from(!is_whole);
        let severity = severity(&rule.severity);
        by_guess += usize::from(severity.is_none());
        let fix = if rule.fix.is_empty() { &rule.description } else { &rule.fix };
        let name = short(rule.id(), "rule");
        draft.check(NewCheck {
            title: if rule.title.is_empty() { name.clone() } else { rule.title.clone() },
            severity: severity.unwrap_or(Severity::Medium),
            answer: Answer::Rule { id: rule.id().to_owned(), short: name.clone() },
            rationale: if rule.rationale.is_empty() { rule.description.clone() } else { rule.rationale.clone() },
            remediation: fix.clone(),
            controls,
            name,
        });
    }
    if unmapped > 0 {
        draft.note(
            "references",
            format!("of {unmapped} rules some name publications that the catalog has no framework for"),
        );
    }
    if by_guess > 0 {
        draft.note("severity", format!("{by_guess} rules give none: medium was written"));
    }
    let mut imported = draft.finish(
        &source,
        options,
        &json!({ "license": (!benchmark.notice.is_empty()).then_some(&benchmark.notice) }),
    )?;
    let module = &mut imported.module;
    module.engine = Engine::Oscap;
    // Some 20 to 60 s of a core, and not what every host runs by itself.
    module.profile = Cost::DeepScan;
    module.scap = Some(Scap {
        files: [ScapFile { name, sha256: content.sha256.to_owned() }]
            .into_iter()
            .chain(content.beside.iter().cloned())
            .collect(),
        data_stream: benchmark.data_stream.clone(),
        component: benchmark.component.clone(),
        benchmark: benchmark.id.clone(),
        profile: profile.id.clone(),
    });
    PREREQUISITES.clone_into(&mut module.prerequisites);
    PRIVILEGES.clone_into(&mut module.privileges);
    SENSITIVITY.clone_into(&mut module.data_sensitivity);
    load::module(&imported.path(), imported.yaml()?.as_bytes(), options.controls)?;
    Ok(imported)
}

/// The profile that is meant, with its benchmark; without one the message lists them.
fn chosen<'a>(source: &Source<'_>, content: &ScapContent<'a>) -> Result<(&'a Benchmark, &'a Profile), Problems> {
    let listed = || {
        let all = content.benchmarks.iter().flat_map(|benchmark| &benchmark.profiles);
        let lines: Vec<String> =
            all.map(|profile| format!("  {}  {}", short(&profile.id, "profile"), profile.title)).collect();
        if lines.is_empty() { "it has none".to_owned() } else { format!("it has\n{}", lines.join("\n")) }
    };
    let Some(wanted) = content.profile else {
        return source.refuse("", "has several choices of rules", format!("choose one with --profile; {}", listed()));
    };
    let mut found = content.benchmarks.iter().filter_map(|one| Some((one, one.profile(wanted)?)));
    match (found.next(), found.next()) {
        (Some(found), None) => Ok(found),
        // Collections of older content have the same benchmark twice, for two versions of the standard: the newer is last.
        (Some(_), Some(second)) => Ok(found.next_back().unwrap_or(second)),
        (None, _) => source.refuse("", format!("has no profile `{wanted}`"), format!("choose another; {}", listed())),
    }
}

/// `debian-12-cis-level1-server`.
fn slug_of(benchmark: &Benchmark, profile: &Profile) -> String {
    format!("{} {}", short(&benchmark.id, "benchmark"), short(&profile.id, "profile"))
}

fn severity(word: &str) -> Option<Severity> {
    match word {
        "high" => Some(Severity::High),
        "medium" => Some(Severity::Medium),
        "low" | "info" => Some(Severity::Low),
        _ => None,
    }
}

/// The controls that the catalog knows, and whether it knows every publication that the rule names.
fn controls(benchmark: &Benchmark, rule: &Rule, known: &Controls) -> (BTreeMap<String, Vec<String>>, bool) {
    let mut mapped: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut is_whole = true;
    let named = format!("{} {}", benchmark.id, benchmark.data_stream.as_deref().unwrap_or_default()).to_uppercase();
    for (address, place) in &rule.references {
        let publication = PUBLICATIONS
            .iter()
            .find(|(part, benchmark, _)| address.contains(part) && (benchmark.is_empty() || named.contains(benchmark)));
        let Some((_, _, framework)) = publication else {
            is_whole = false;
            continue;
        };
        let Some(ids) = known.get(*framework) else { continue };
        // AC-7(a) is a part of AC-7, which is what the framework lists.
        let whole = place.split('(').next().unwrap_or_default();
        if let Some(id) = [place.as_str(), whole].into_iter().find(|id| ids.contains(*id)) {
            let list = mapped.entry((*framework).to_owned()).or_default();
            if !list.iter().any(|known| known == id) {
                list.push(id.to_owned());
            }
        }
    }
    (mapped, is_whole)
}
