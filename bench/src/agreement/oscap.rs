//! OpenSCAP's verdicts on a root.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use catalog::scap::arf::{self, Outcome};

use super::Verdicts;
use crate::process::{self, Cost};

const PROFILE: &str = "xccdf_org.ssgproject.content_profile_cis_level2_server";
const RULE: &str = "xccdf_org.ssgproject.content_rule_";

/// The path that root has after signing in. OpenSCAP judges the path of its own process, which is the caller's.
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Evaluates the profile of CIS level 2 for a server, through a `chroot` that is given its arguments here.
pub fn evaluate(root: &Path, content: &Path, mut command: Command) -> anyhow::Result<(Verdicts, Cost)> {
    let folder = tempfile::Builder::new().prefix("oscap").tempdir_in(root.join("tmp"))?;
    fs::copy(content, folder.path().join("content.xml"))?;
    let inside = Path::new("/tmp").join(folder.path().file_name().unwrap_or_default());
    // Its own way to look into another root (OSCAP_PROBE_ROOT) asks the package database of this system.
    command.arg(root).args(["oscap", "xccdf", "eval", "--profile", PROFILE, "--results"]);
    command.env("PATH", ROOT_PATH).arg(inside.join("results.xml")).arg(inside.join("content.xml"));
    let (cost, output) = process::measure(&mut command)
        .context("OpenSCAP is the peer of this benchmark, and this system's chroot takes it into another root")?;
    // 2: a rule failed.
    ensure!(matches!(output.status.code(), Some(0 | 2)), "oscap on {} ended with {}", root.display(), output.status);
    Ok((read(BufReader::new(File::open(folder.path().join("results.xml"))?))?, cost))
}

/// The rules that were decided.
fn read(results: impl BufRead) -> anyhow::Result<Verdicts> {
    let decided = arf::read_parts::<&[u8]>(results, [])?.into_iter().filter_map(|result| {
        let passes = match result.outcome {
            Outcome::Pass => true,
            Outcome::Fail => false,
            _ => return None,
        };
        Some((result.rule.strip_prefix(RULE)?.to_owned(), passes))
    });
    Ok(decided.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_decided_is_a_verdict() {
        let one = |rule: &str, result: &str| {
            format!(
                "<rule-result idref=\"{RULE}{rule}\" severity=\"low\"><result>{result}</result><ident>x</ident></rule-result>"
            )
        };
        let rules = [one("a", "pass"), one("b", "fail"), one("c", "notapplicable"), one("d", "notselected")];
        let text = format!("<Benchmark xmlns=\"x\"><TestResult>{}</TestResult></Benchmark>", rules.concat());
        let expected = [("a".to_owned(), true), ("b".to_owned(), false)];
        assert_eq!(read(text.as_bytes()).unwrap(), Verdicts::from(expected));
    }
}
