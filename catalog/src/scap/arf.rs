//! The scanner's report (ARF 1.1): what it says of each rule, and from the OVAL results beside it what it found. Results
//! that the content itself brings along, in the request that the report repeats, are not read.

use std::collections::BTreeSet;
use std::io::BufRead;

use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Proof};
use super::xml::{Element, Error, Token, Xml};
use super::{MAX_REPORT_BYTES, one_line};

/// Results of one report: rules times the checks of each.
const MAX_RESULTS: usize = 50_000;
const MAX_MESSAGES: usize = 5;
const MAX_MESSAGE_CHARS: usize = 300;
const MAX_TEXT_BYTES: usize = 4 << 10;

/// What a scanner says (XCCDF 1.2 §6.6.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it should be.
    Pass,
    /// It is not.
    Fail,
    /// It was not, and the scanner mended it. This agent never asks for that.
    Fixed,
    /// What it is about is not there.
    NotApplicable,
    /// The profile does not choose it.
    NotSelected,
    /// It tells something and decides nothing.
    Informational,
    /// The scanner has no way to check it.
    NotChecked,
    /// The scanner could not decide.
    Unknown,
    /// The check broke.
    Error,
}

impl Outcome {
    /// From XCCDF's word; one that XCCDF does not have decides nothing.
    fn of(word: &str) -> Self {
        match word {
            "pass" => Self::Pass,
            "fail" => Self::Fail,
            "fixed" => Self::Fixed,
            "notapplicable" => Self::NotApplicable,
            "notselected" => Self::NotSelected,
            "informational" => Self::Informational,
            "notchecked" => Self::NotChecked,
            "error" => Self::Error,
            _ => Self::Unknown,
        }
    }
}

/// What a report says of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleResult {
    /// The rule's identifier.
    pub rule: String,
    /// The word.
    pub outcome: Outcome,
    /// What the scanner adds to it.
    pub messages: Vec<String>,
    /// What was found, of a rule that failed.
    pub proofs: Vec<Proof>,
}

/// Reads a report.
pub fn read(input: impl BufRead) -> Result<Vec<RuleResult>, Error> {
    let mut state = State::default();
    state.pass(input, (b"asset-report-collection", Frame::Collection))?;
    state.finish()
}

/// Reads what a report is made of: the results that a scanner adds to a benchmark (XCCDF), and its OVAL results.
pub fn read_parts<R: BufRead>(
    results: impl BufRead,
    oval: impl IntoIterator<Item = R>,
) -> Result<Vec<RuleResult>, Error> {
    let mut state = State::default();
    state.pass(results, (b"Benchmark", Frame::Report))?;
    for input in oval {
        state.pass(input, (b"oval_results", Frame::Oval))?;
    }
    state.finish()
}

/// An element that is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Collection,
    Reports,
    Report,
    TestResult,
    RuleResult,
    Result,
    Message,
    /// Within OVAL's results: their reader's.
    Oval,
    Other,
}

/// A result whose evidence is not known yet.
struct Open {
    rule: String,
    outcome: Outcome,
    messages: Vec<String>,
    definitions: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    frames: Vec<Frame>,
    text: String,
    has_results: bool,
    results: Vec<Open>,
    evidence: Evidence,
}

impl State {
    /// Reads one file, whose outermost element has to be this one.
    fn pass(&mut self, input: impl BufRead, root: (&[u8], Frame)) -> Result<(), Error> {
        let mut xml = Xml::new(input, MAX_REPORT_BYTES);
        while let Some(token) = xml.token()? {
            match token {
                Token::Start(tag) => {
                    let frame = if self.frames.is_empty() { outermost(&tag, root)? } else { self.open(&tag)? };
                    self.frames.push(frame);
                }
                Token::End => self.close(),
                Token::Text(text) => self.gather(&text),
                Token::Other => {}
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<RuleResult>, Error> {
        let Self { results, evidence, has_results, .. } = self;
        if !has_results {
            return Err(Error::Kind("holds no results of a benchmark (a TestResult)"));
        }
        let whole = |Open { rule, outcome, messages, definitions }| {
            let proofs = if outcome == Outcome::Fail { evidence.of(&definitions) } else { Vec::new() };
            RuleResult { rule, outcome, messages, proofs }
        };
        Ok(results.into_iter().map(whole).collect())
    }

    fn open(&mut self, tag: &Element<'_>) -> Result<Frame, Error> {
        let around = self.frames.last().copied();
        Ok(match (around, tag.name()) {
            (Some(Frame::Collection), b"reports") => Frame::Reports,
            (Some(Frame::Report), b"oval_results") => Frame::Oval,
            (Some(Frame::Report), b"TestResult") => {
                self.has_results = true;
                Frame::TestResult
            }
            // Within a report is a wrapper or two, which standards name differently.
            (Some(Frame::Reports), b"report") | (Some(Frame::Report), _) => Frame::Report,
            (Some(Frame::Oval), _) => {
                self.evidence.open(tag)?;
                Frame::Oval
            }
            (Some(Frame::TestResult), b"rule-result") => {
                if self.results.len() >= MAX_RESULTS {
                    return Err(Error::Many { what: "results", most: MAX_RESULTS });
                }
                let rule = tag.attribute("idref")?.unwrap_or_default();
                let (messages, definitions) = (Vec::new(), BTreeSet::new());
                self.results.push(Open { rule, outcome: Outcome::Unknown, messages, definitions });
                Frame::RuleResult
            }
            (Some(Frame::RuleResult), b"result") => self.text_of(Frame::Result),
            (Some(Frame::RuleResult), b"message") => self.text_of(Frame::Message),
            (Some(Frame::RuleResult), b"check-content-ref") => {
                if let (Some(name), Some(open)) = (tag.attribute("name")?, self.results.last_mut())
                    && open.definitions.len() < MAX_MESSAGES
                {
                    open.definitions.insert(name);
                }
                Frame::Other
            }
            // The checks of a rule may be several, in each other.
            (Some(Frame::RuleResult), b"check" | b"complex-check") => Frame::RuleResult,
            _ => Frame::Other,
        })
    }

    fn text_of(&mut self, frame: Frame) -> Frame {
        self.text.clear();
        frame
    }

    fn close(&mut self) {
        match self.frames.pop() {
            Some(Frame::Oval) => self.evidence.close(),
            Some(Frame::Result) => {
                let outcome = Outcome::of(self.text.trim());
                if let Some(open) = self.results.last_mut() {
                    open.outcome = outcome;
                }
            }
            Some(Frame::Message) => {
                let message = one_line(&self.text, MAX_MESSAGE_CHARS);
                if let Some(open) = self.results.last_mut().filter(|open| open.messages.len() < MAX_MESSAGES)
                    && !message.is_empty()
                {
                    open.messages.push(message);
                }
            }
            _ => {}
        }
    }

    fn gather(&mut self, text: &str) {
        match self.frames.last() {
            Some(Frame::Result | Frame::Message) if self.text.len() < MAX_TEXT_BYTES => self.text.push_str(text),
            Some(Frame::Oval) => self.evidence.gather(text),
            _ => {}
        }
    }
}

fn outermost(tag: &Element<'_>, (name, frame): (&[u8], Frame)) -> Result<Frame, Error> {
    if tag.name() == name { Ok(frame) } else { Err(Error::Kind("is no report of a scanner")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVAL: &str = r#"<oval_results><oval_definitions><definitions><definition id="d:1"/></definitions>
      <tests><ind:textfilecontent54_test id="t:1" comment="PermitRootLogin is no"/></tests></oval_definitions>
      <results><system><definitions>
        <definition definition_id="d:1" result="false"><criteria operator="AND" result="false">
          <criterion test_ref="t:1" result="false"/><criterion test_ref="t:2" result="true"/>
          <extend_definition definition_ref="d:2" result="false"/></criteria></definition>
        <definition definition_id="d:2" result="false"><criteria><criterion test_ref="t:3" result="false"/></criteria></definition>
      </definitions>
      <tests><test test_id="t:1" result="false"><tested_item item_id="7" result="false"/></test>
        <test test_id="t:2" result="true"><tested_item item_id="8" result="true"/></test><test test_id="t:3" result="false"/></tests>
      <oval_system_characteristics><system_data>
        <ind:textfilecontent_item id="7" status="exists"><ind:filepath>/etc/ssh/sshd_config</ind:filepath><ind:text>PermitRootLogin yes</ind:text><ind:password>hidden</ind:password></ind:textfilecontent_item>
        <ind:textfilecontent_item id="8"><ind:text>not asked for</ind:text></ind:textfilecontent_item>
      </system_data></oval_system_characteristics></system></results></oval_results>"#;

    fn arf(requests: &str, results: &str) -> String {
        format!(
            "<arf:asset-report-collection xmlns:arf='a'><arf:report-requests>{requests}</arf:report-requests><arf:reports>
             <arf:report id='oval0'><arf:content>{OVAL}</arf:content></arf:report>
             <arf:report id='xccdf1'><arf:content><TestResult id='t'>{results}</TestResult></arf:content></arf:report>
             </arf:reports></arf:asset-report-collection>"
        )
    }

    fn result(rule: &str, word: &str, more: &str) -> String {
        format!("<rule-result idref='{rule}'><result>{word}</result>{more}</rule-result>")
    }

    #[test]
    fn each_word_is_taken_and_a_failure_comes_with_what_was_found() {
        use Outcome::{Error, Fixed, Informational, NotApplicable, NotChecked, NotSelected, Pass, Unknown};

        let check =
            "<message severity='info'>a\n b</message><check><check-content-ref href='#oval0' name='d:1'/></check>";
        let words =
            ["pass", "notapplicable", "notchecked", "notselected", "informational", "error", "unknown", "fixed", "?"];
        let others: String = words.iter().map(|word| result(word, word, "")).collect();
        let results = read(arf("", &(result("r", "fail", check) + &others)).as_bytes()).unwrap();
        assert_eq!(
            (results[0].outcome, results[0].messages.as_slice()),
            (Outcome::Fail, ["a b".to_owned()].as_slice())
        );
        let proofs: Vec<(&str, &[String])> =
            results[0].proofs.iter().map(|proof| (proof.test.as_str(), proof.found.as_slice())).collect();
        let found = ["filepath=/etc/ssh/sshd_config, text=PermitRootLogin yes".to_owned()];
        assert_eq!(proofs, [("PermitRootLogin is no", found.as_slice()), ("t:3", [].as_slice())]);
        let outcomes: Vec<Outcome> = results[1..].iter().map(|result| result.outcome).collect();
        assert_eq!(
            outcomes,
            [Pass, NotApplicable, NotChecked, NotSelected, Informational, Error, Unknown, Fixed, Unknown]
        );
        assert!(results[1..].iter().all(|result| result.proofs.is_empty()));
    }

    #[test]
    fn results_that_the_content_brings_along_are_not_taken() {
        let planted = format!(
            "<report><content><Benchmark><TestResult>{}</TestResult></Benchmark></content></report>",
            result("r", "pass", "")
        );
        let results = read(arf(&planted, &result("r", "fail", "")).as_bytes()).unwrap();
        assert_eq!(results.len(), 1);
        assert_eq!(results[0].outcome, Outcome::Fail);
    }

    #[test]
    fn the_parts_of_a_report_say_what_the_report_says() {
        let check = "<check><check-content-ref href='oval.xml' name='d:1'/></check>";
        let results = result("r", "pass", "") + &result("s", "fail", check);
        let text = format!("<Benchmark xmlns='x'><Rule id='r'/><TestResult>{results}</TestResult></Benchmark>");
        let parts = read_parts(text.as_bytes(), [OVAL.as_bytes()]).unwrap();
        assert_eq!(parts, read(arf("", &results).as_bytes()).unwrap());
        assert_eq!((parts[0].outcome, parts[1].proofs.len()), (Outcome::Pass, 2));
        assert!(read_parts(text.as_bytes(), ["<svg/>".as_bytes()]).is_err());
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        assert!(matches!(read("<Benchmark><TestResult/></Benchmark>".as_bytes()), Err(Error::Kind(_))));
        assert!(matches!(read("<asset-report-collection/>".as_bytes()), Err(Error::Kind(_))));
        let whole = arf("", &result("r", "pass", ""));
        assert!(read(&whole.as_bytes()[..whole.len() / 2]).is_err(), "a report that the scanner did not end");
        let many = result("r", "pass", "").repeat(MAX_RESULTS + 1);
        assert!(matches!(read(arf("", &many).as_bytes()), Err(Error::Many { .. })));
    }
}
