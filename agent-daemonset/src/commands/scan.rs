//! `scan`: runs modules once, in workers as the daemon does, and reports. Needs no server and writes nothing.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::bail;
use catalog::Catalog;
use catalog::envelope::{CheckVerdict, Envelope, RunStatus, Severity, Verdict};
use catalog::module::{Engine, Module, Os};
use catalog::printable::printable_json;
use catalog::selection;
use clap::{Args, ValueEnum};

use super::cluster::ClusterArgs;
use super::folder;
use crate::cli::Outcome;
use crate::identity::Sources;
use crate::oscap::{self, Place, Scanner};
use crate::report::{Outline, Report, Scanned};
use crate::run::Task;
use crate::sandbox::{self, Sight};
use crate::usage;
use crate::worker::{Target, run_here};

/// What to scan, with what, and how to say it.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Modules by slug, glob or category, such as linux-sshd-hardening,linux-kernel-*; all if not given
    #[arg(long, value_name = "SLUG,…", value_delimiter = ',')]
    modules: Vec<String>,
    /// Only checks of this framework, such as cis-debian-12
    #[arg(long, value_name = "SLUG")]
    framework: Option<String>,
    /// Modules of this folder, which holds modules/ and may hold frameworks/, instead of those in this program
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Where the content of modules that the host's OpenSCAP decides lies
    #[arg(long, env = "TENA_SCAP_CONTENT", value_name = "DIR", default_value = oscap::CONTENT)]
    scap_content: PathBuf,
    /// Scan a mounted image or disk instead of this host
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Root of the running host, where this program sees it in a container
    #[arg(long, env = "TENA_HOST_ROOT", value_name = "DIR", default_value = "/", hide = true)]
    host_root: PathBuf,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// End with status 1 if there is a finding of this severity or worse, and with 3 if such a check was not decided
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    fail_on: Option<Severity>,
    /// Form of the result: a report for people, or an envelope a line
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
    /// Failed checks to show in the report, the worst first
    #[arg(long, value_name = "NUMBER", default_value = "10")]
    top: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Table,
    Json,
}

fn severity(text: &str) -> Result<Severity, String> {
    text.to_lowercase().parse::<Severity>().map_err(|error| error.to_string())
}

/// Scans once.
pub fn scan(args: &ScanArgs) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let (target, root) = match (&args.root, args.cluster.access()?) {
        (_, Some(access)) => (Target::Cluster(access), &args.host_root),
        (Some(root), None) => (Target::Image(root.clone()), root),
        (None, None) => (Target::Running(args.host_root.clone()), &args.host_root),
    };
    let catalog = match &args.dir {
        Some(folder) => folder::catalog(folder)?,
        None => Catalog::embedded()?,
    };
    // Before this process confines itself: the host's scanner has to write its report somewhere.
    let scanner = catalog.latest().any(|entry| entry.module.engine == Engine::Oscap).then(|| {
        let folder = std::env::temp_dir();
        Scanner::start(Place { folder, content: args.scap_content.clone(), target: target.clone() })
    });
    // The workers confine themselves further; this process only prints.
    sandbox::confine_reader()?;
    if let Err(error) = std::fs::read_dir(root) {
        bail!("cannot scan {}: {error}", root.display());
    }
    let os = target.host().os();
    if args.root.is_some() && os == Os::Linux && !is_linux(root) {
        bail!(
            "{} holds no system: none of etc/os-release, usr/lib/os-release and Windows/System32/config is below it; \
             give --root the folder that is the root of the image or disk",
            root.display()
        );
    }
    let modules = choose(&catalog, args, &target)?;
    drop(catalog);

    let mut progress = Progress::new(modules.len());
    let mut runs: Vec<Outline> = Vec::with_capacity(modules.len());
    let mut broken: io::Result<()> = Ok(());
    for group in groups(&modules, !matches!(target, Target::Running(_))) {
        progress.starts(group.first().map(|module| module.slug.as_str()));
        let mut next = group.iter().skip(1).map(|module| module.slug.as_str());
        let tasks: Vec<Task> = group.iter().map(|module| Task::of((*module).clone())).collect();
        run_here(&target, sandbox::has_landlock(), &tasks, |finished| {
            progress.finished(next.next());
            if args.output == Form::Json && broken.is_ok() {
                broken = print_line(&finished.envelope);
            }
            runs.push(Outline::of(finished.envelope));
        });
    }
    for module in modules.iter().filter(|module| module.engine == Engine::Oscap) {
        let Some(scanner) = &scanner else { continue };
        progress.starts(Some(&module.slug));
        let finished = scanner.run_here(Task::of(module.clone()));
        progress.finished(None);
        if args.output == Form::Json && broken.is_ok() {
            broken = print_line(&finished.envelope);
        }
        runs.push(Outline::of(finished.envelope));
    }
    progress.clear();
    broken?;

    if args.output == Form::Table {
        let sources = Sources::running(root);
        let report = Report {
            host: match &target {
                Target::Cluster(access) => access.context().to_owned(),
                Target::Image(root) => root.display().to_string(),
                Target::Running(_) => sources.hostname(None),
            },
            os: match &target {
                Target::Cluster(_) => "Kubernetes".to_owned(),
                Target::Running(_) | Target::Image(_) if os == Os::Windows => "Windows".to_owned(),
                Target::Running(_) | Target::Image(_) => sources.os().name,
            },
            is_root: matches!(target, Target::Cluster(_)) || rustix::process::geteuid().is_root(),
            scanned: modules
                .iter()
                .filter_map(|module| {
                    let outline = runs.iter().find(|outline| outline.run.module == module.slug)?;
                    Some(Scanned { module, outline })
                })
                .collect(),
            wall: begun.elapsed(),
            own_cpu: usage::cpu_time(),
            top: args.top,
        };
        report.print(&mut anstream::stdout().lock())?;
    }
    let outlines = runs.iter().filter_map(|outline| {
        let module = modules.iter().find(|module| module.slug == outline.run.module)?;
        Some((module, &outline.run))
    });
    Ok(outcome(args.fail_on, &outlines.collect::<Vec<_>>()))
}

/// Whether there is a Linux below a root. What a link there points to is resolved by the tables, below that root.
fn is_linux(root: &Path) -> bool {
    ["etc/os-release", "usr/lib/os-release"].iter().any(|file| root.join(file).symlink_metadata().is_ok())
}

/// Who asks for a failure takes the absence of one for a result: what could have failed and was not decided is none.
fn outcome(fail_on: Option<Severity>, runs: &[(&Module, &Envelope)]) -> Outcome {
    let is_found =
        |least: Severity| runs.iter().any(|(_, run)| run.findings.iter().any(|finding| finding.severity >= least));
    let was_cut_short = runs.iter().any(|(_, run)| matches!(run.status, RunStatus::Failed | RunStatus::Timeout));
    if fail_on.is_some_and(is_found) {
        Outcome::Findings
    } else if was_cut_short || fail_on.is_some_and(|least| is_undecided(least, runs)) {
        Outcome::Incomplete
    } else {
        Outcome::Done
    }
}

/// Whether a check of this severity or worse has no verdict, or no check of any has one.
fn is_undecided(least: Severity, runs: &[(&Module, &Envelope)]) -> bool {
    let has_error = |module: &Module, check: &CheckVerdict| {
        check.verdict == Verdict::Error && module.check(&check.id).is_none_or(|check| check.severity >= least)
    };
    let is_decided = |check: &CheckVerdict| matches!(check.verdict, Verdict::Pass | Verdict::Fail);
    let mut checks = runs.iter().flat_map(|(_, run)| &run.checks).peekable();
    let has_checks = checks.peek().is_some();
    runs.iter().any(|(module, run)| run.checks.iter().any(|check| has_error(module, check)))
        || (has_checks && !checks.any(is_decided))
}

/// The newest version of each module that is meant, by slug.
fn choose(catalog: &Catalog, args: &ScanArgs, target: &Target) -> anyhow::Result<Vec<Module>> {
    for pattern in &args.modules {
        if !catalog.latest().any(|entry| selection::names(pattern, &entry.module)) {
            let known: Vec<&str> = catalog.latest().map(|entry| entry.module.slug.as_str()).collect();
            bail!("no module is named \"{pattern}\"; there is {}", known.join(", "));
        }
    }
    if let Some(slug) = args.framework.as_deref().filter(|slug| catalog.framework(slug).is_none()) {
        let known: Vec<&str> = catalog.frameworks().map(|framework| framework.slug.as_str()).collect();
        bail!("no framework is named \"{slug}\"; there is {}", known.join(", "));
    }
    let mut modules: Vec<Module> = catalog
        .enabled(&args.modules, &[])
        .map(|entry| Module { tests: Vec::new(), ..entry.module.clone() })
        .filter(|module| target.is_fit_for(module))
        .collect();
    if let Some(framework) = &args.framework {
        for module in &mut modules {
            module.checks.retain(|check| check.controls.contains_key(framework));
            module.collect.clear();
        }
        modules.retain(|module| !module.checks.is_empty());
    }
    let mut seen = BTreeSet::new();
    modules.sort_by(|a, b| a.slug.cmp(&b.slug).then(b.version.cmp(&a.version)));
    modules.retain(|module| seen.insert(module.slug.clone()));
    if modules.is_empty() {
        bail!("no module is left to run; loosen --modules or --framework (modules for clusters need --kubeconfig)");
    }
    Ok(modules)
}

/// Modules that may share a worker, so that the walk of the file system is done once: those whose tables need the same sight,
/// the cheap ones first.
fn groups(modules: &[Module], are_files_enough: bool) -> Vec<Vec<&Module>> {
    let by_tables = modules.iter().filter(|module| module.engine == Engine::Tables);
    let (mut files, mut processes): (Vec<&Module>, Vec<&Module>) = by_tables.partition(|module| {
        are_files_enough || Sight::of(module.requires.tables.iter().map(String::as_str)) == Sight::Files
    });
    files.sort_by_key(|module| module.profile);
    processes.sort_by_key(|module| module.profile);
    [processes, files].into_iter().filter(|group| !group.is_empty()).collect()
}

fn print_line(envelope: &Envelope) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", printable_json(&serde_json::to_string(envelope)?))?;
    output.flush()
}

/// One line on standard error that says what runs, on a terminal only.
struct Progress {
    total: usize,
    done: usize,
    is_shown: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        Progress { total, done: 0, is_shown: io::stderr().is_terminal() }
    }

    fn starts(&self, module: Option<&str>) {
        if let (true, Some(module)) = (self.is_shown, module) {
            eprint!("\r\u{1b}[K[{}/{}] {module} …", self.done + 1, self.total);
        }
    }

    fn finished(&mut self, next: Option<&str>) {
        self.done += 1;
        self.starts(next);
    }

    fn clear(&self) {
        if self.is_shown {
            eprint!("\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNDECIDED: &str = r#"{"id": "a", "verdict": "error"}"#;
    const ELSEWHERE: &str = r#"{"id": "b", "verdict": "not_applicable"}"#;
    const PASSED: &str = r#"{"id": "b", "verdict": "pass"}"#;

    fn checks(texts: &[&str]) -> Vec<CheckVerdict> {
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    #[test]
    fn what_was_not_decided_is_no_pass_for_who_asks_for_failures() {
        let catalog = Catalog::embedded().unwrap();
        let mut module = catalog.latest().find(|entry| entry.module.checks.len() > 1).unwrap().module.clone();
        (module.checks[0].id, module.checks[0].severity) = ("a".to_owned(), Severity::Medium);
        (module.checks[1].id, module.checks[1].severity) = ("b".to_owned(), Severity::Low);
        let ended = |fail_on, verdicts: &[&str]| {
            let run = Envelope { status: RunStatus::Partial, checks: checks(verdicts), ..envelope() };
            outcome(fail_on, &[(&module, &run)])
        };
        assert_eq!(ended(None, &[UNDECIDED, PASSED]), Outcome::Done);
        assert_eq!(ended(Some(Severity::High), &[UNDECIDED, PASSED]), Outcome::Done);
        assert_eq!(ended(Some(Severity::Medium), &[UNDECIDED, PASSED]), Outcome::Incomplete);
        assert_eq!(ended(Some(Severity::Critical), &[ELSEWHERE]), Outcome::Incomplete);
        assert_eq!(ended(Some(Severity::Low), &[PASSED]), Outcome::Done);
        assert_eq!(ended(Some(Severity::Low), &[]), Outcome::Done);
    }

    fn envelope() -> Envelope {
        let text = serde_json::json!({
            "run_id": uuid::Uuid::nil(), "module": "m", "version": "1.0.0", "status": "partial",
            "started_at": "2026-11-22T00:00:00Z", "duration_ms": 1, "resource": { "cpu_ms": 1, "max_rss_kb": 1 },
            "summary": { "passed": 0, "failed": 0, "not_applicable": 0, "error": 0, "score": null },
            "checks": [], "findings": [], "benchmarks": [], "facts": { "base": null, "snapshot": "", "added": [], "removed": [] },
            "artifacts": [], "log": [],
        });
        serde_json::from_str(&text.to_string()).unwrap()
    }
}
