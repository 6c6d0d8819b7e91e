//! The rules of PAM as libpam reads them (`pam.d(5)`, `pam_handlers.c`): lines cut into words, what a control makes of a
//! module's success and of its failure, and whether the rules before one lead to it at all. What `@include`, `include` and
//! `substack` name is not followed; a jump is taken to end there, for how many rules it passes over is not known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;

use crate::paths;
use crate::reader::Scan;

/// Of files with one name the first counts.
const FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
const ONE_FILE: &str = "/etc/pam.conf";
/// What divides words; other white space is part of them.
const BLANKS: [char; 3] = [' ', '\n', '\t'];
/// The types of rules, and the codes by which their modules refuse.
const TYPES: [(&str, &[&str]); 4] = [
    ("auth", &["auth_err", "perm_denied"]),
    ("account", &["perm_denied", "auth_err", "acct_expired"]),
    ("password", &["authtok_err", "maxtries"]),
    ("session", &["session_err"]),
];

/// Whether a file is about one service, or names one in each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    OfOneService,
    OfAll,
}

/// What follows from what a module says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Ignore,
    Ok,
    Done,
    Bad,
    Die,
    Reset,
    /// So many rules are passed over.
    Jump(u32),
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ignore" => Action::Ignore,
            "ok" => Action::Ok,
            "done" => Action::Done,
            "bad" => Action::Bad,
            "die" => Action::Die,
            "reset" => Action::Reset,
            number => Action::Jump(number.parse::<u32>().ok().filter(|count| *count > 0)?),
        })
    }

    fn refuses(self) -> bool {
        matches!(self, Action::Bad | Action::Die)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Ignore => formatter.write_str("ignore"),
            Action::Ok => formatter.write_str("ok"),
            Action::Done => formatter.write_str("done"),
            Action::Bad => formatter.write_str("bad"),
            Action::Die => formatter.write_str("die"),
            Action::Reset => formatter.write_str("reset"),
            Action::Jump(count) => write!(formatter, "{count}"),
        }
    }
}

/// Whether the rules before one lead to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Unless the request is refused before.
    Always,
    /// What an earlier module says can pass over it.
    Sometimes,
    Never,
}

impl Reached {
    pub fn as_str(self) -> &'static str {
        match self {
            Reached::Always => "always",
            Reached::Sometimes => "sometimes",
            Reached::Never => "never",
        }
    }
}

/// A rule; of `@include` the type is `@include` and the module the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub line: i64,
    /// Empty where the file is about one service.
    service: String,
    pub kind: String,
    pub control: String,
    pub module: String,
    pub arguments: Vec<String>,
    /// None for what includes other rules.
    pub on_success: Option<Action>,
    pub on_failure: Option<Action>,
    pub reached: Reached,
}

impl Rule {
    /// The module without its folder.
    pub fn module_name(&self) -> &str {
        self.module.rsplit('/').next().unwrap_or_default()
    }

    /// The arguments in one text; one with blanks in it has its brackets.
    pub fn shown_arguments(&self) -> String {
        let shown = |argument: &String| {
            if argument.is_empty() || argument.contains(BLANKS) { format!("[{argument}]") } else { argument.clone() }
        };
        self.arguments.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    /// What follows from each thing that the module can say. Two say always the same.
    fn outcomes(&self) -> [Option<Action>; 2] {
        match self.module_name() {
            "pam_permit.so" => [self.on_success, None],
            "pam_deny.so" => [None, self.on_failure],
            _ => [self.on_success, self.on_failure],
        }
    }
}

/// The files that libpam reads, and their form.
pub(crate) fn files(scan: &Scan) -> (Form, Vec<PathBuf>) {
    if !FOLDERS.iter().any(|folder| scan.exists(folder)) {
        return (Form::OfAll, vec![PathBuf::from(ONE_FILE)]);
    }
    let mut names = HashSet::new();
    let mut files: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| scan.paths(folder, "")).collect();
    files.retain(|path| path.file_name().is_some_and(|name| names.insert(name.to_owned())));
    (Form::OfOneService, files)
}

/// The rules of the files, each with the file as it is shown.
pub(crate) fn rules(scan: &Scan, form: Form, files: Vec<PathBuf>) -> impl Iterator<Item = (String, Rule)> + use<> {
    let scan = scan.clone();
    files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        parse(&scan.text(&file).unwrap_or_default(), form).into_iter().map(move |rule| (shown.clone(), rule))
    })
}

/// The rules in the text of a file.
pub(crate) fn parse(text: &str, form: Form) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        let mut whole = without_comment(first).to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            whole.push(' ');
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(without_comment(next));
        }
        let (service, content) = match form {
            Form::OfOneService => (String::new(), whole.trim()),
            Form::OfAll => match next_word(whole.trim()) {
                Some((service, content)) => (service.text.to_ascii_lowercase(), content),
                None => continue,
            },
        };
        rules.extend(parse_rule(line, service, content));
    }
    find_reached(&mut rules, form);
    rules
}

/// A comment ends with its line: a backslash in it continues nothing.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

fn parse_rule(line: i64, service: String, content: &str) -> Option<Rule> {
    let (kind, rest) = next_word(content)?;
    let kind = kind.text;
    if kind == "@include" {
        return Some(Rule {
            line,
            service,
            kind,
            control: String::new(),
            module: rest.trim().to_owned(),
            arguments: Vec::new(),
            on_success: None,
            on_failure: None,
            reached: Reached::Always,
        });
    }
    let (control, rest) = next_word(rest)?;
    let (module, mut rest) = next_word(rest)?;
    let mut arguments = Vec::new();
    while let Some((argument, after)) = next_word(rest) {
        arguments.push(argument.text);
        rest = after;
    }
    // A dash in front keeps the log quiet when the module is missing.
    let kind = kind.trim_start_matches('-').to_ascii_lowercase();
    let (control, [on_success, on_failure]) = parse_control(&kind, &control);
    let module = module.text;
    Some(Rule { line, service, kind, control, module, arguments, on_success, on_failure, reached: Reached::Always })
}

/// A control as it is shown, and what follows from success and from failure.
fn parse_control(kind: &str, control: &Word) -> (String, [Option<Action>; 2]) {
    let keyword = control.text.to_ascii_lowercase();
    let [success, failure] = match keyword.as_str() {
        "required" => [Action::Ok, Action::Bad],
        "requisite" => [Action::Ok, Action::Die],
        "sufficient" => [Action::Done, Action::Ignore],
        "optional" => [Action::Ok, Action::Ignore],
        "include" | "substack" => return (keyword, [None, None]),
        _ => {
            let shown = control.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown = if control.is_bracketed { format!("[{shown}]") } else { shown };
            return (shown, actions(kind, &control.text).map(Some));
        }
    };
    (keyword, [success, failure].map(Some))
}

/// `[success=1 default=ignore]`: what nothing is said of, and all of what cannot be read, refuses.
fn actions(kind: &str, control: &str) -> [Action; 2] {
    const UNREADABLE: [Action; 2] = [Action::Bad, Action::Bad];
    const OF_NO_TYPE: &[&str] = &["default"];
    let spaced = control.replace('=', " = ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut said: HashMap<&str, Action> = HashMap::new();
    for pair in words.chunks(3) {
        let [code, "=", action] = pair else { return UNREADABLE };
        let Some(action) = Action::parse(action) else { return UNREADABLE };
        said.insert(*code, action);
    }
    let of = |code: &str| said.get(code).or_else(|| said.get("default")).copied().unwrap_or(Action::Bad);
    let refusals = TYPES.iter().find(|(name, _)| *name == kind).map_or(OF_NO_TYPE, |(_, codes)| *codes);
    let mut failures = refusals.iter().copied().map(of);
    let first = failures.next().unwrap_or(Action::Bad);
    // The weakest of them is what a rule is worth.
    let failure = if first.refuses() { failures.find(|action| !action.refuses()).unwrap_or(first) } else { first };
    [of("success"), failure]
}

/// How far the rules of one service and type were followed.
#[derive(Debug)]
struct Stack {
    position: usize,
    /// Whether something that the rule before says leads to the next.
    goes_on: bool,
    /// Positions that jumps lead to.
    landings: BTreeSet<usize>,
    /// Rules before this position can be passed over.
    passed_until: usize,
}

impl Stack {
    fn new() -> Self {
        Stack { position: 0, goes_on: true, landings: BTreeSet::new(), passed_until: 0 }
    }

    fn follow(&mut self, rule: &Rule) -> Reached {
        let here = self.position;
        self.position += 1;
        let is_reached = self.landings.remove(&here) || self.goes_on;
        let reached = match (is_reached, here < self.passed_until) {
            (false, _) => Reached::Never,
            (true, true) => Reached::Sometimes,
            (true, false) => Reached::Always,
        };
        if rule.on_success.is_none() {
            self.position = here;
            self.pass_an_include();
            self.goes_on |= is_reached;
            return reached;
        }
        self.goes_on = false;
        if !is_reached {
            return reached;
        }
        let [success, failure] = rule.outcomes();
        for (action, is_success) in [(success, true), (failure, false)] {
            match action {
                Some(Action::Jump(count)) => {
                    let landing = here.saturating_add(1).saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
                    self.landings.insert(landing);
                    self.passed_until = self.passed_until.max(landing);
                }
                // A failure that ends the list is still one.
                Some(Action::Done) if is_success => self.passed_until = usize::MAX,
                Some(Action::Done | Action::Die) | None => {}
                Some(Action::Ignore | Action::Ok | Action::Bad | Action::Reset) => self.goes_on = true,
            }
        }
        reached
    }

    /// Rules follow whose number is not known.
    fn pass_an_include(&mut self) {
        self.position += 1;
        if !self.landings.is_empty() {
            self.landings.clear();
            self.goes_on = true;
        }
        if self.passed_until != usize::MAX {
            self.passed_until = 0;
        }
    }
}

fn find_reached(rules: &mut [Rule], form: Form) {
    let mut stacks: HashMap<(String, String), Stack> = HashMap::new();
    for rule in rules {
        if rule.kind == "@include" {
            // There are four lists then; a file of all services has no such line.
            if form == Form::OfOneService {
                for stack in stacks.values_mut() {
                    stack.pass_an_include();
                }
            }
        } else if TYPES.iter().any(|(kind, _)| *kind == rule.kind) {
            let stack = stacks.entry((rule.service.clone(), rule.kind.clone())).or_insert_with(Stack::new);
            rule.reached = stack.follow(rule);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    is_bracketed: bool,
}

/// The first word of a text, and what follows it (`_pam_StrTok`). Brackets hold together what has blanks in it and are no part
/// of the word; `\]` is a bracket in it.
fn next_word(text: &str) -> Option<(Word, &str)> {
    let text = text.trim_start_matches(BLANKS);
    let Some(inner) = text.strip_prefix('[') else {
        let end = text.find(BLANKS).unwrap_or(text.len());
        return (end > 0).then(|| (Word { text: text[..end].to_owned(), is_bracketed: false }, &text[end..]));
    };
    let mut word = String::new();
    let mut rest = "";
    let mut letters = inner.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            ']' => {
                rest = &inner[at + 1..];
                break;
            }
            '\\' if inner[at + 1..].starts_with(']') => {
                word.push(']');
                letters.next();
            }
            other => word.push(other),
        }
    }
    Some((Word { text: word, is_bracketed: true }, rest))
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for form in [Form::OfOneService, Form::OfAll] {
        for rule in parse(&text, form) {
            rule.shown_arguments();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Type, control, module, arguments, what follows from success and failure, and whether it is reached, of each rule.
    fn shown(text: &str) -> Vec<String> {
        let action = |action: Option<Action>| action.map(|action| action.to_string()).unwrap_or_default();
        let rules = parse(text, Form::OfOneService);
        rules
            .iter()
            .map(|rule| {
                let parts = [
                    rule.kind.clone(),
                    rule.control.clone(),
                    rule.module.clone(),
                    rule.shown_arguments(),
                    action(rule.on_success),
                    action(rule.on_failure),
                    rule.reached.as_str().to_owned(),
                ];
                format!("{}|{}", rule.line, parts.join("|"))
            })
            .collect()
    }

    #[test]
    fn a_rule_has_its_parts() {
        let text = "# x\nauth\t[success=1 default=ignore]\tpam_unix.so nullok  try_first_pass\n@include common-session\n\
                    -session optional \\\n pam_x.so\n";
        assert_eq!(
            shown(text),
            [
                "2|auth|[success=1 default=ignore]|pam_unix.so|nullok try_first_pass|1|ignore|always",
                "3|@include||common-session||||always",
                "4|session|optional|pam_x.so||ok|ignore|always",
            ]
        );
    }

    #[test]
    fn brackets_quote_every_word() {
        let text = "[auth] [Required] [pam_unix.so] [nullok] [deny=0] [a b] [x\\]y][z] un[touched] [open end\n";
        assert_eq!(
            shown(text),
            ["1|auth|required|pam_unix.so|nullok deny=0 [a b] x]y z un[touched] [open end]|ok|bad|always"]
        );
    }

    #[test]
    fn a_control_says_what_follows() {
        let of = |control: &str| actions("auth", control).map(|action| action.to_string());
        assert_eq!(of("default=die"), ["die", "die"]);
        assert_eq!(of("success = 2 default=ignore"), ["2", "ignore"]);
        assert_eq!(of("success=ok perm_denied=ignore default=bad"), ["ok", "ignore"]);
        assert_eq!(of("success=ok"), ["ok", "bad"], "what is not said refuses");
        assert_eq!(of("success=0 default=ignore"), ["bad", "bad"], "a jump over nothing is no control");
    }

    #[test]
    fn a_rule_that_others_pass_over_is_not_reached() {
        let reached = |text: &str| -> Vec<&'static str> {
            parse(text, Form::OfOneService).iter().map(|rule| rule.reached.as_str()).collect()
        };
        let debian = "auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so\n\
                      auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
        assert_eq!(reached(debian), ["always", "always", "sometimes", "never", "always"]);
        let jump =
            "auth [default=1] pam_permit.so\nauth requisite pam_faillock.so preauth\nauth required pam_unix.so\n";
        assert_eq!(reached(jump), ["always", "never", "always"]);
        let open = "auth sufficient pam_permit.so\naccount required pam_x.so\nauth required pam_wheel.so\n";
        assert_eq!(reached(open), ["always", "always", "never"], "a list for each type");
        let root =
            "auth sufficient pam_rootok.so\nauth required pam_wheel.so\n@include common-auth\nauth required pam_x.so\n";
        assert_eq!(reached(root), ["always", "sometimes", "always", "sometimes"]);
        let over = "auth [default=2] pam_permit.so\nauth required pam_a.so\n@include x\nauth required pam_b.so\n";
        assert_eq!(reached(over), ["always", "never", "always", "always"], "how much an include holds is not known");
        assert_eq!(reached("auth [default=4294967295] pam_deny.so\nauth required pam_a.so\n"), ["always", "never"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            fuzz(text.as_bytes());
        }
    }
}
