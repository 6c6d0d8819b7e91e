//! OpenSCAP's verdicts on a root.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::Verdicts;
use crate::process::{self, Cost};

const PROFILE: &str = "xccdf_org.ssgproject.content_profile_cis_level2_server";
const RULE: &str = "xccdf_org.ssgproject.content_rule_";

/// Evaluates the profile of CIS level 2 for a server.
pub fn evaluate(root: &Path, content: &Path) -> anyhow::Result<(Verdicts, Cost)> {
    let folder = tempfile::Builder::new().prefix("oscap").tempdir_in(root.join("tmp"))?;
    fs::copy(content, folder.path().join("content.xml"))?;
    let inside = Path::new("/tmp").join(folder.path().file_name().unwrap_or_default());
    let mut command = Command::new("chroot");
    // Its own way to look into another root (OSCAP_PROBE_ROOT) asks the package database of this system.
    command.arg(root).args(["oscap", "xccdf", "eval", "--profile", PROFILE, "--results"]);
    command.arg(inside.join("results.xml")).arg(inside.join("content.xml"));
    let (cost, output) = process::measure(&mut command)
        .context("OpenSCAP is the peer of this benchmark, and this system's chroot takes it into another root")?;
    // 2: a rule failed.
    ensure!(matches!(output.status.code(), Some(0 | 2)), "oscap on {} ended with {}", root.display(), output.status);
    Ok((read(&fs::read_to_string(folder.path().join("results.xml"))?)?, cost))
}

/// The rules that were decided.
fn read(text: &str) -> anyhow::Result<Verdicts> {
    let mut reader = Reader::from_str(text);
    let mut verdicts = Verdicts::new();
    let (mut rule, mut in_result) = (None, false);
    loop {
        match reader.read_event()? {
            Event::Eof => return Ok(verdicts),
            Event::Start(element) => match element.local_name().as_ref() {
                b"rule-result" => {
                    let id = element.try_get_attribute("idref")?.context("a rule-result has an idref")?;
                    rule = std::str::from_utf8(&id.value)?.strip_prefix(RULE).map(str::to_owned);
                }
                b"result" => in_result = true,
                _ => {}
            },
            Event::Text(text) if in_result => {
                let passes = match text.as_ref() {
                    b"pass" => Some(true),
                    b"fail" => Some(false),
                    _ => None,
                };
                if let (Some(rule), Some(passes)) = (rule.take(), passes) {
                    verdicts.insert(rule, passes);
                }
            }
            Event::End(element) => match element.local_name().as_ref() {
                b"rule-result" => rule = None,
                b"result" => in_result = false,
                _ => {}
            },
            _ => {}
        }
    }
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
        assert_eq!(read(&text).unwrap(), Verdicts::from(expected));
    }
}
