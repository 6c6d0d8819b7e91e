//! The report of a scan for a terminal: a line a module, the worst failed checks with what to do about each, and a summary.
//! Text of the host is shown without control characters.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use catalog::envelope::{Envelope, Finding, LogLevel, RunStatus, Severity, Summary, Verdict};
use catalog::module::{Check, Module};
use catalog::printable::printable_line as printable;
use owo_colors::{OwoColorize, Style};
use rustix::termios::tcgetwinsize;
use serde_json::Value;

const DEFAULT_WIDTH: usize = 100;
const WIDTHS: std::ops::RangeInclusive<usize> = 60..=120;
/// Resources that are named for one failed check.
const RESOURCES: usize = 3;
/// Checks without a verdict that are named.
const UNDECIDED: usize = 10;

/// What is kept of a run for the report: a host can make a run say megabytes.
#[derive(Debug)]
pub struct Outline {
    /// The run without its facts, and with the first findings of each check only.
    pub run: Envelope,
    /// The facts that there were.
    pub facts: usize,
    /// The findings that there were, by check.
    found: BTreeMap<String, usize>,
}

impl Outline {
    /// The outline of a run.
    pub fn of(mut run: Envelope) -> Self {
        let facts = std::mem::take(&mut run.facts).added.len();
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        run.findings.retain(|finding| {
            let count = found.entry(finding.check.clone()).or_default();
            *count += 1;
            *count <= RESOURCES
        });
        run.findings.shrink_to_fit();
        Outline { run, facts, found }
    }
}

/// A module and what its run found.
#[derive(Debug, Clone, Copy)]
pub struct Scanned<'a> {
    /// The module.
    pub module: &'a Module,
    /// Its run.
    pub outline: &'a Outline,
}

/// All that a report says.
#[derive(Debug)]
pub struct Report<'a> {
    /// The host's name, or the image's path.
    pub host: String,
    /// Its operating system.
    pub os: String,
    /// Whether the scan could read what only root can.
    pub is_root: bool,
    /// The modules, in the order they are shown.
    pub scanned: Vec<Scanned<'a>>,
    /// Wall time of the whole scan.
    pub wall: Duration,
    /// CPU time of this process; the workers' is in the runs.
    pub own_cpu: Duration,
    /// Failed checks to show.
    pub top: usize,
}

impl Report<'_> {
    /// Writes it.
    pub fn print(&self, output: &mut impl Write) -> io::Result<()> {
        let width = tcgetwinsize(io::stdout()).map_or(DEFAULT_WIDTH, |size| usize::from(size.ws_col));
        let width = if width == 0 { DEFAULT_WIDTH } else { width.clamp(*WIDTHS.start(), *WIDTHS.end()) };
        let of = if self.os.is_empty() { String::new() } else { format!(" ({})", printable(&self.os)) };
        writeln!(output, "{}{of}\n", printable(&self.host).bold())?;
        self.modules(output)?;
        self.failed(output, width)?;
        self.undecided(output, width)?;
        self.summary(output)
    }

    fn modules(&self, output: &mut impl Write) -> io::Result<()> {
        let width = self.scanned.iter().map(|one| one.module.slug.len()).max().unwrap_or(0).max(6);
        let head = format!(
            "  {:width$}  {:>5}  {:>6}  {:>6}  {:>4}  {:>5}  {:>9}",
            "module", "score", "passed", "failed", "n/a", "error", "time"
        );
        writeln!(output, "{}", head.dimmed())?;
        for Scanned { module, outline: Outline { run, facts, .. } } in &self.scanned {
            let facts = *facts;
            let Summary { passed, failed, not_applicable, error, score } = run.summary;
            let (mark, style) = match run.status {
                RunStatus::Failed | RunStatus::Timeout => ("!", Style::new().red()),
                RunStatus::Partial => ("~", Style::new().yellow()),
                RunStatus::Succeeded if failed > 0 => ("✗", Style::new().yellow()),
                // Nothing was decided and nothing found: no praise for it.
                RunStatus::Succeeded if passed == 0 && facts == 0 => ("·", Style::new().dimmed()),
                RunStatus::Succeeded => ("✓", Style::new().green()),
            };
            let score = score.map_or_else(|| "–".to_owned(), |score| score.to_string());
            let mut note = match (run.status, facts) {
                (RunStatus::Failed, _) => "  failed".to_owned(),
                (RunStatus::Timeout, _) => "  timed out".to_owned(),
                (_, 0) => String::new(),
                (_, facts) => format!("  {facts} facts"),
            };
            if module.checks.is_empty() && facts == 0 && run.status == RunStatus::Succeeded {
                note.push_str("  nothing found");
            }
            writeln!(
                output,
                "{} {:width$}  {score:>5}  {:>6}  {:>6}  {:>4}  {:>5}  {:>9}{}",
                mark.style(style),
                module.slug,
                counted(passed),
                counted(failed),
                counted(not_applicable),
                counted(error),
                milliseconds(run.duration_ms),
                note.dimmed()
            )?;
        }
        writeln!(output)
    }

    fn failed(&self, output: &mut impl Write, width: usize) -> io::Result<()> {
        let mut failed: Vec<(&Module, &Check, Vec<&Finding>, usize)> = Vec::new();
        for Scanned { module, outline } in &self.scanned {
            let mut by_check: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
            for finding in &outline.run.findings {
                by_check.entry(&finding.check).or_default().push(finding);
            }
            failed.extend(module.checks.iter().filter_map(|check| {
                let count = outline.found.get(&check.id).copied().unwrap_or_default();
                Some((*module, check, by_check.remove(check.id.as_str())?, count))
            }));
        }
        failed.sort_by_key(|(_, check, ..)| std::cmp::Reverse(check.severity));
        if failed.is_empty() || self.top == 0 {
            return Ok(());
        }
        writeln!(output, "{}", if failed.len() > self.top { "Worst findings" } else { "Findings" }.bold())?;
        for (module, check, findings, count) in failed.iter().take(self.top) {
            writeln!(output)?;
            writeln!(
                output,
                "{} {}  {}",
                format!("{:8}", check.severity.as_str().to_uppercase()).style(colour(check.severity)),
                printable(&check.title).bold(),
                module.slug.dimmed()
            )?;
            for finding in findings {
                let evidence: Vec<String> = finding
                    .evidence
                    .iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, value)| format!("{} {}", printable(name), shown(value)))
                    .collect();
                let line = if evidence.is_empty() {
                    printable(&finding.resource).into_owned()
                } else {
                    format!("{}: {}", printable(&finding.resource), evidence.join(", "))
                };
                writeln!(output, "         {}", cut(&line, width - 9))?;
            }
            if *count > findings.len() {
                writeln!(output, "         {}", format!("and {} more", count - findings.len()).dimmed())?;
            }
            for (index, line) in wrap(&printable(&check.remediation.text), width - 11).iter().enumerate() {
                let lead = if index == 0 { "→" } else { " " };
                writeln!(output, "         {} {line}", lead.cyan())?;
            }
        }
        if failed.len() > self.top {
            let rest = format!(
                "\n{} more failed checks: --top {} shows all, -o json has every finding",
                failed.len() - self.top,
                failed.len()
            );
            writeln!(output, "{}", rest.dimmed())?;
        }
        writeln!(output)
    }

    fn undecided(&self, output: &mut impl Write, width: usize) -> io::Result<()> {
        let mut lines = Vec::new();
        for Scanned { module, outline: Outline { run, .. } } in &self.scanned {
            let errors = run.checks.iter().filter(|check| check.verdict == Verdict::Error);
            let before = lines.len();
            lines.extend(errors.map(|check| {
                format!("{}/{}: {}", module.slug, check.id, printable(check.message.as_deref().unwrap_or_default()))
            }));
            if lines.len() == before {
                let said = run.log.iter().filter(|line| line.level == LogLevel::Error);
                lines.extend(said.map(|line| format!("{}: {}", module.slug, printable(&line.message))));
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(output, "{}", "Not decided".bold())?;
        for line in lines.iter().take(UNDECIDED) {
            writeln!(output, "  {}", cut(line, width - 2))?;
        }
        if lines.len() > UNDECIDED {
            writeln!(output, "  {}", format!("and {} more", lines.len() - UNDECIDED).dimmed())?;
        }
        if !self.is_root {
            writeln!(output, "  {}", "This scan does not run as root; as root it can read everything.".yellow())?;
        }
        writeln!(output)
    }

    fn summary(&self, output: &mut impl Write) -> io::Result<()> {
        let mut counts = Summary::default();
        let mut findings: BTreeMap<Severity, usize> = BTreeMap::new();
        let mut cpu = self.own_cpu;
        let mut peak_kb = 0;
        for Scanned { module, outline: Outline { run, found, .. } } in &self.scanned {
            counts.passed += run.summary.passed;
            counts.failed += run.summary.failed;
            counts.not_applicable += run.summary.not_applicable;
            counts.error += run.summary.error;
            for (check, count) in found {
                if let Some(check) = module.check(check) {
                    *findings.entry(check.severity).or_default() += count;
                }
            }
            cpu += Duration::from_millis(run.resource.cpu_ms);
            peak_kb = peak_kb.max(run.resource.max_rss_kb);
        }
        let total = counts.passed + counts.failed + counts.not_applicable + counts.error;
        let score = score(&self.scanned).map_or_else(|| "no score".to_owned(), |score| format!("score {score} of 100"));
        writeln!(
            output,
            "{}   {total} checks: {} passed, {} failed, {} not applicable, {} not decided",
            score.bold(),
            counts.passed,
            counts.failed,
            counts.not_applicable,
            counts.error
        )?;
        let findings: Vec<String> = Severity::WORST_FIRST
            .iter()
            .filter_map(|severity| Some(format!("{} {severity}", findings.get(severity)?)))
            .collect();
        let findings =
            if findings.is_empty() { "no findings".to_owned() } else { format!("findings: {}", findings.join(", ")) };
        writeln!(
            output,
            "{findings}   {:.2} s, {:.2} s CPU, {} MiB at most",
            self.wall.as_secs_f64(),
            cpu.as_secs_f64(),
            peak_kb.div_ceil(1024)
        )
    }
}

/// The share of passed checks among those decided, by weight, as the platform computes it without overrides.
fn score(scanned: &[Scanned<'_>]) -> Option<u32> {
    let (mut passed, mut assessed) = (0_u32, 0_u32);
    for Scanned { module, outline } in scanned {
        for verdict in &outline.run.checks {
            let weight = match module.check(&verdict.id)?.severity {
                Severity::Critical => 10,
                Severity::High => 5,
                Severity::Medium => 2,
                Severity::Low => 1,
            };
            match verdict.verdict {
                Verdict::Pass => {
                    passed += weight;
                    assessed += weight;
                }
                Verdict::Fail => assessed += weight,
                Verdict::NotApplicable | Verdict::Error => {}
            }
        }
    }
    (passed * 200 + assessed).checked_div(assessed * 2)
}

fn colour(severity: Severity) -> Style {
    match severity {
        Severity::Critical => Style::new().white().on_red().bold(),
        Severity::High => Style::new().red().bold(),
        Severity::Medium => Style::new().yellow(),
        Severity::Low => Style::new().blue(),
    }
}

fn counted(number: u32) -> String {
    if number == 0 { "·".to_owned() } else { number.to_string() }
}

fn milliseconds(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1_000, ms % 1_000 / 100) }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => printable(text).into_owned(),
        other => printable(&other.to_string()).into_owned(),
    }
}

fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Breaks text at white space.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        if let Some(last) = lines.last_mut()
            && (last.is_empty() || last.chars().count() + 1 + word.chars().count() <= width)
        {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_broken_between_words() {
        assert_eq!(wrap("set PermitRootLogin to no", 12), ["set", "PermitRootLogin", "to no"]);
    }

    #[test]
    fn long_lines_are_cut_and_say_so() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
