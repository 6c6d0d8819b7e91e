//! Our verdicts and OpenSCAP's, rule by rule: on a fresh Debian 12, on copies of it in each of which one setting is broken
//! or mended, and on this machine. A rule is compared where both decide (pass or fail); a difference counts as explained
//! if `docs/agreement.md` names the rule, the root and what we say there.

mod explained;
mod mutations;
pub mod oscap;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use catalog::Catalog;
use serde_json::Value;

use self::explained::Explained;
use self::mutations::{Copy, Mutation};
use crate::process;
use crate::report::{Figures, Report};

/// Roots that are no mutation.
const AS_INSTALLED: &str = "as installed";
const THIS_MACHINE: &str = "this machine";

const EXPLAINED: &str = include_str!("../../../docs/agreement.md");

/// Covers the folder of its first argument with an empty one, for what it becomes: the rest of its arguments.
const COVER: &str = r#"mount -t tmpfs -o mode=755 tmpfs "$0" && exec "$@""#;

/// Rule to whether it passes.
type Verdicts = BTreeMap<String, bool>;

/// Where the fresh system and the content are; `hack/bench.sh` makes them.
struct Places {
    agent: PathBuf,
    root: PathBuf,
    content: PathBuf,
    /// What neither side sees of this machine: the build caches, whose million files OpenSCAP walks for half an hour.
    hidden: PathBuf,
}

/// Compares the verdicts on the fresh system and on the roots whose names contain `wanted`.
pub fn run(wanted: &str) -> anyhow::Result<()> {
    let place = |name: &str| std::env::var_os(name).map(PathBuf::from).with_context(|| format!("{name} is not set"));
    let places = Places {
        agent: ::tests::harness::program("tenantra-agent")?,
        root: place("TENA_BENCH_ROOT")?,
        content: place("TENA_BENCH_SCAP_CONTENT")?,
        hidden: place("TENA_BENCH_HIDDEN")?,
    };
    let same = same_rules()?;
    let mutations = mutations::all()?;
    let mut total = Tally::default();
    let as_installed = Copy::of(&places.root, &Mutation::none())?;
    total.add(AS_INSTALLED, places.compare(&as_installed.root(), &same)?);
    drop(as_installed);
    for mutation in mutations.iter().filter(|mutation| mutation.name.contains(wanted)) {
        let copy = Copy::of(&places.root, mutation)?;
        total.add(&mutation.name, places.compare(&copy.root(), &same)?);
    }
    if THIS_MACHINE.contains(wanted) {
        total.add(THIS_MACHINE, places.compare(Path::new("/"), &same)?);
    }
    total.print();
    Ok(())
}

/// Module and check to the rule that asks the same.
fn same_rules() -> anyhow::Result<BTreeMap<(String, String), String>> {
    let catalog = Catalog::embedded()?;
    let checks = catalog.latest().flat_map(|entry| entry.module.checks.iter().map(move |check| (&entry.module, check)));
    Ok(checks
        .filter_map(|(module, check)| {
            let rule = check.same_as.oscap.clone()?;
            Some(((module.slug.clone(), check.id.clone()), rule))
        })
        .collect())
}

/// What both sides said of one root, and what each took.
struct Compared {
    ours: Verdicts,
    theirs: Verdicts,
    wall_s: (f64, f64),
}

impl Places {
    fn compare(&self, root: &Path, same: &BTreeMap<(String, String), String>) -> anyhow::Result<Compared> {
        let (ours, our_wall) = self.agent(root, same)?;
        let (theirs, their_cost) = oscap::evaluate(root, &self.content, self.over(root, Path::new("chroot")))?;
        Ok(Compared { ours, theirs, wall_s: (our_wall, their_cost.wall_s) })
    }

    /// The program, with this machine's caches hidden from it if it is this machine that it looks at.
    fn over(&self, root: &Path, program: &Path) -> Command {
        if root != Path::new("/") {
            return Command::new(program);
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", COVER]).arg(&self.hidden).arg(program);
        command
    }

    fn agent(&self, root: &Path, same: &BTreeMap<(String, String), String>) -> anyhow::Result<(Verdicts, f64)> {
        // A copy, because the programs of a build are in what is hidden.
        let copy = tempfile::NamedTempFile::new_in("/tmp")?.into_temp_path();
        std::fs::copy(&self.agent, &copy)?;
        let mut command = self.over(root, &copy);
        command.args(["scan", "-o", "json", "--framework", "cis-debian-12"]);
        if root != Path::new("/") {
            command.arg("--root").arg(root);
        }
        let (cost, output) = process::measure(&mut command)?;
        ensure!(output.status.success(), "tenantra-agent scan of {} ended with {}", root.display(), output.status);
        let mut verdicts = Verdicts::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let run: Value = serde_json::from_str(line)?;
            let module = run["module"].as_str().unwrap_or_default();
            for check in run["checks"].as_array().into_iter().flatten() {
                let id = check["id"].as_str().unwrap_or_default();
                let passes = match check["verdict"].as_str() {
                    Some("pass") => true,
                    Some("fail") => false,
                    _ => continue,
                };
                if let Some(rule) = same.get(&(module.to_owned(), id.to_owned())) {
                    // A rule that is several checks here passes if all of them do.
                    verdicts.entry(rule.clone()).and_modify(|all| *all &= passes).or_insert(passes);
                }
            }
        }
        Ok((verdicts, cost.wall_s))
    }
}

/// All roots together.
#[derive(Default)]
struct Tally {
    roots: usize,
    both_decide: usize,
    agree: usize,
    rules: BTreeSet<String>,
    /// Rule to the roots on which the sides differ, and what we say there.
    differences: BTreeMap<String, Vec<(String, bool)>>,
    /// Roots on which both sides changed at least one verdict against the root as installed.
    first: Option<Compared>,
    without_effect: Vec<String>,
    wall_s: (f64, f64),
}

impl Tally {
    fn add(&mut self, name: &str, compared: Compared) {
        let mut differing = Vec::new();
        self.roots += 1;
        for (rule, ours) in &compared.ours {
            let Some(theirs) = compared.theirs.get(rule) else { continue };
            self.both_decide += 1;
            self.rules.insert(rule.clone());
            if ours == theirs {
                self.agree += 1;
            } else {
                differing.push(rule.as_str());
                self.differences.entry(rule.clone()).or_default().push((name.to_owned(), *ours));
            }
        }
        eprintln!(
            "{name}: {} rules both decide, these differ: {} ({:.1} s, OpenSCAP {:.1} s)",
            compared.ours.keys().filter(|rule| compared.theirs.contains_key(*rule)).count(),
            if differing.is_empty() { "none".to_owned() } else { differing.join(", ") },
            compared.wall_s.0,
            compared.wall_s.1
        );
        self.wall_s.0 += compared.wall_s.0;
        self.wall_s.1 += compared.wall_s.1;
        match &self.first {
            None => self.first = Some(compared),
            Some(first) if first.ours == compared.ours && first.theirs == compared.theirs => {
                self.without_effect.push(name.to_owned());
            }
            Some(_) => {}
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of some ten thousand")]
    fn print(self) {
        let mut unexplained = 0;
        let explained = Explained::of(EXPLAINED);
        for (rule, roots) in &self.differences {
            let word = |passes: bool| if passes { "pass" } else { "fail" };
            let (example, ours) = &roots[0];
            println!("{rule}: we say {}, on {} roots, first on \"{example}\"", word(*ours), roots.len());
            for (root, ours) in roots.iter().filter(|(root, ours)| !explained.covers(rule, root, *ours)) {
                unexplained += 1;
                println!("  we say {} on \"{root}\" — NOT EXPLAINED in docs/agreement.md", word(*ours));
            }
        }
        for name in &self.without_effect {
            println!("\"{name}\" changed no verdict on either side");
        }
        let ours = Figures::from([
            ("agree_pct", 100.0 * self.agree as f64 / self.both_decide.max(1) as f64),
            ("compared", self.both_decide as f64),
            ("rules", self.rules.len() as f64),
            ("roots", self.roots as f64),
            ("unexplained", f64::from(unexplained)),
            ("wall_s", self.wall_s.0),
        ]);
        let peer = Figures::from([("wall_s", self.wall_s.1)]);
        let limit = Figures::from([("agree_pct", 98.0), ("unexplained", 0.0)]);
        Report { bench: "agreement", ours: vec![ours], peer: vec![peer], limit, ratio: "wall_s" }.print();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_roots_that_there_are() {
        let mutations = mutations::all().unwrap();
        let mut known: BTreeSet<&str> = mutations.iter().map(|mutation| mutation.name.as_str()).collect();
        known.extend([AS_INSTALLED, THIS_MACHINE]);
        let explained = Explained::of(EXPLAINED);
        let unknown: Vec<&str> = explained.roots().into_iter().filter(|root| !known.contains(root)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(explained.covers("accounts_tmout", "a shell ends when idle", true), "the table is read");
    }
}
