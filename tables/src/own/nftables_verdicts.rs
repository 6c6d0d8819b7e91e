//! Maps of verdicts of nftables. A rule that looks its verdict up (`ct state vmap { established : accept, new : jump services }`)
//! stands for a rule with each element, as if it were written so, and for what follows it without that condition. Maps with a
//! name have the elements that they are defined with and those that are added; what is taken from them again is not looked at.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::own::nftables_configured::table_and_rest;

/// Lookups in one rule.
const MAX_LOOKUPS: usize = 16;
/// The longest beginning of a rule; each element of its map has it.
const MAX_BEGINNING_BYTES: usize = 1_024;
/// Elements of the maps of one rule.
const MAX_ELEMENTS: usize = 10_000;
/// Words that say something of an element, behind what is looked up.
const OPTIONS: [&str; 7] = ["comment", "counter", "expires", "last", "limit", "quota", "timeout"];
const VERDICTS: [&str; 6] = ["accept", "continue", "drop", "goto", "jump", "return"];
/// What a field is named behind: `tcp dport`, but `iifname`.
const HEADERS: [&str; 14] =
    ["arp", "ct", "ether", "icmp", "icmpv6", "ip", "ip6", "meta", "sctp", "tcp", "th", "udp", "udplite", "vlan"];

/// What is looked up, `*` for all others, and the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    key: String,
    verdict: String,
}

impl Element {
    /// A verdict has no colon in it, an address may.
    fn parse(text: &str) -> Option<Self> {
        let (key, verdict) = text.rsplit_once(':')?;
        let key: Vec<&str> = key.split_whitespace().take_while(|word| !OPTIONS.contains(word)).collect();
        let verdict: Vec<&str> = verdict.split_whitespace().collect();
        let is_verdict = verdict.first().is_some_and(|word| VERDICTS.contains(word));
        (is_verdict && !key.is_empty()).then(|| Element { key: key.join(" "), verdict: verdict.join(" ") })
    }
}

/// The maps with a name.
#[derive(Debug, Default)]
pub(super) struct Maps {
    /// By table and name; none where elements cannot be read.
    known: HashMap<(String, String), Option<Vec<Element>>>,
}

/// What a rule stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfolded {
    /// It looks no verdict up that is known.
    AsWritten,
    Rules(Vec<String>),
    /// Its elements, or what stands before its map, are more than what is held.
    TooLarge,
}

/// A rule in the parts that its first lookup makes of it.
struct Lookup<'a, 'b> {
    before: &'b str,
    elements: Cow<'a, [Element]>,
    /// Empty where nothing but a comment follows.
    behind: &'b str,
}

impl Maps {
    /// Takes what a statement outside of chains defines, `map services { … }`, or adds, `add element inet filter services { … }`.
    pub fn take(&mut self, table: &str, text: &str) {
        let Some((header, _)) = text.split_once('{') else { return };
        let words: Vec<&str> = header.split_whitespace().collect();
        let words = match words.as_slice() {
            ["add" | "create", rest @ ..] => rest,
            all => all,
        };
        let Some((kind, rest)) = words.split_first() else { return };
        let (table, name) = match (*kind, rest) {
            ("map", [name]) if !table.is_empty() => (table.to_owned(), *name),
            ("map" | "element", rest) => match table_and_rest(rest) {
                (table, [name]) => (table, *name),
                _ => return,
            },
            _ => return,
        };
        let body = braced(&text[header.len()..]).map(|(body, _)| body);
        let listed = if *kind == "map" { body.and_then(listed_in_map) } else { body };
        let found = listed.and_then(elements);
        let known = self.known.entry((table, name.to_owned())).or_insert_with(|| Some(Vec::new()));
        *known = known.take().zip(found).map(|(mut all, more)| {
            all.extend(more);
            all
        });
    }

    /// The rules that a rule of a table stands for, in their order.
    pub fn unfold(&self, table: &str, rule: &str) -> Unfolded {
        let mut rules = Vec::new();
        let mut left = rule.to_owned();
        for _ in 0..=MAX_LOOKUPS {
            let Some(Lookup { before, elements, behind }) = self.lookup(table, &left) else {
                if !left.is_empty() && left != rule {
                    rules.push(left.clone());
                }
                return if rules.is_empty() { Unfolded::AsWritten } else { Unfolded::Rules(rules) };
            };
            if rules.len() + elements.len() > MAX_ELEMENTS || before.len() > MAX_BEGINNING_BYTES {
                return Unfolded::TooLarge;
            }
            rules.extend(elements.iter().map(|Element { key, verdict }| format!("{before} {key} {verdict}")));
            left = if behind.is_empty() {
                String::new()
            } else {
                format!("{} {behind}", without_key(before)).trim_start().to_owned()
            };
        }
        Unfolded::TooLarge
    }

    fn lookup<'a, 'b>(&'a self, table: &str, rule: &'b str) -> Option<Lookup<'a, 'b>> {
        const WORD: &str = "vmap";
        let at = find(rule, WORD)?;
        let (before, rest) = (rule[..at].trim_end(), rule[at + WORD.len()..].trim_start());
        let (elements, behind) = if let Some(name) = rest.strip_prefix('@') {
            let (name, behind) = name.split_at(name.find(' ').unwrap_or(name.len()));
            let known = self.known.get(&(table.to_owned(), name.to_owned()))?.as_ref()?;
            (Cow::Borrowed(known.as_slice()), behind)
        } else {
            let (listed, behind) = braced(rest)?;
            (Cow::Owned(elements(listed)?), behind)
        };
        let behind = behind.trim();
        let behind = if behind.starts_with("comment ") { "" } else { behind };
        Some(Lookup { before, elements, behind })
    }
}

/// What stands in the braces behind `elements =`; nothing where a map is defined without any.
fn listed_in_map(body: &str) -> Option<&str> {
    const WORD: &str = "elements";
    let Some(at) = find(body, WORD) else { return Some("") };
    let rest = body[at + WORD.len()..].trim_start().strip_prefix('=')?;
    braced(rest.trim_start()).map(|(listed, _)| listed)
}

/// None where one of them cannot be read.
fn elements(listed: &str) -> Option<Vec<Element>> {
    let commas = outside_quotes(listed).filter(|(_, letter)| *letter == ',').map(|(at, _)| at);
    let mut elements = Vec::new();
    let mut begin = 0;
    for end in commas.chain([listed.len()]) {
        let element = listed[begin..end].trim();
        begin = end + 1;
        if !element.is_empty() {
            elements.push(Element::parse(element)?);
        }
    }
    Some(elements)
}

/// What stands in the braces that a text begins with, and what follows them.
fn braced(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('{')?;
    let mut depth = 1_usize;
    let end = outside_quotes(inner).find_map(|(at, letter)| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    Some((&inner[..end], &inner[end + 1..]))
}

/// Where a word stands that is part of no other.
fn find(text: &str, word: &str) -> Option<usize> {
    let is_in_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    outside_quotes(text).map(|(at, _)| at).find(|at| {
        let behind = text[*at..].strip_prefix(word);
        behind.is_some_and(|behind| !behind.starts_with(is_in_word)) && !text[..*at].ends_with(is_in_word)
    })
}

/// The letters of a text, but for those between quotation marks.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut is_quoted = false;
    text.char_indices().filter(move |(_, letter)| {
        is_quoted ^= *letter == '"';
        !is_quoted
    })
}

/// A beginning without what is looked up at its end: `tcp dport`, or `iifname . tcp dport`.
fn without_key(before: &str) -> String {
    let mut words: Vec<&str> = before.split(' ').collect();
    loop {
        words.pop();
        if words.last().is_some_and(|word| HEADERS.contains(word)) {
            words.pop();
        }
        if words.last() != Some(&".") {
            return words.join(" ");
        }
        words.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rules that one in `inet filter` stands for, with signs between them; one that stays as it is has none.
    fn shown(maps: &Maps, rule: &str) -> String {
        match maps.unfold("inet filter", rule) {
            Unfolded::AsWritten => "as written".to_owned(),
            Unfolded::Rules(rules) => rules.join("|"),
            Unfolded::TooLarge => "too large".to_owned(),
        }
    }

    #[test]
    fn a_rule_that_looks_its_verdict_up_is_one_for_each_element() {
        for (rule, expected) in [
            ("ct state vmap { established : accept, new : jump a }", "ct state established accept|ct state new jump a"),
            ("ct state vmap{new:accept,}", "ct state new accept"),
            ("ip6 saddr vmap {fe80::/10:drop, ::/0 : accept}", "ip6 saddr fe80::/10 drop|ip6 saddr ::/0 accept"),
            (
                "iif eth0 tcp dport vmap { 22 : drop, * : accept } comment \"x\"",
                "iif eth0 tcp dport 22 drop|iif eth0 tcp dport * accept",
            ),
            ("iifname . tcp dport vmap { \"a\" . 22 : accept }", "iifname . tcp dport \"a\" . 22 accept"),
            ("ct state vmap { invalid : drop } accept", "ct state invalid drop|accept"),
            (
                "ip saddr 10.0.0.0/8 ct state vmap { new : drop } counter iifname . tcp dport vmap { \"a\" . 22 : drop } accept",
                "ip saddr 10.0.0.0/8 ct state new drop|ip saddr 10.0.0.0/8 counter iifname . tcp dport \"a\" . 22 drop|\
                 ip saddr 10.0.0.0/8 counter accept",
            ),
            ("log prefix \"a vmap { b : accept }\" drop", "as written"),
            ("ct state new accept", "as written"),
            ("ip saddr vmap @unknown", "as written"),
            ("ct state vmap { new : accept } ip saddr vmap @unknown", "ct state new accept|ip saddr vmap @unknown"),
            ("ct state vmap $variable", "as written"),
            ("ct state vmap { new }", "as written"),
            ("ct state vmap { new : accept", "as written"),
            ("dnat to tcp dport map { 80 : 10.0.0.1 }", "as written"),
        ] {
            assert_eq!(shown(&Maps::default(), rule), expected, "{rule}");
        }
    }

    #[test]
    fn a_map_with_a_name_has_what_it_is_defined_with_and_what_is_added() {
        let mut maps = Maps::default();
        let body = "{ type ipv4_addr : verdict; comment \"elements = { }\"; elements = { 10.0.0.0/8 comment \"a:b, c\" : drop } }";
        maps.take("inet filter", &format!("map a {body}"));
        assert_eq!(shown(&maps, "ip saddr vmap @a"), "ip saddr 10.0.0.0/8 drop");
        maps.take("", "add element inet filter a { 0.0.0.0/0 timeout 1h : accept }");
        assert_eq!(
            shown(&maps, "ip saddr vmap @a comment \"x\""),
            "ip saddr 10.0.0.0/8 drop|ip saddr 0.0.0.0/0 accept"
        );
        maps.take("", &format!("add map inet filter b {body}"));
        assert_eq!(shown(&maps, "ip saddr vmap @b drop"), "ip saddr 10.0.0.0/8 drop|drop");
        maps.take("inet filter", "map empty { type ipv4_addr : verdict }");
        assert_eq!(shown(&maps, "ip saddr vmap @empty"), "as written");
        maps.take("inet other", &format!("map c {body}"));
        assert_eq!(shown(&maps, "ip saddr vmap @c"), "as written", "it is another table's");
        maps.take("", "add element inet filter a { nonsense }");
        assert_eq!(shown(&maps, "ip saddr vmap @a"), "as written", "not all of it is known");
    }

    #[test]
    fn what_would_take_too_much_is_left() {
        let listed = "1 : drop, ".repeat(MAX_ELEMENTS + 1);
        assert_eq!(shown(&Maps::default(), &format!("mark vmap {{ {listed} }}")), "too large");
        let long = "counter ".repeat(MAX_BEGINNING_BYTES);
        assert_eq!(shown(&Maps::default(), &format!("{long}mark vmap {{ 1 : drop }}")), "too large");
        let many = "mark vmap { 1 : drop } ".repeat(MAX_LOOKUPS + 1);
        assert_eq!(shown(&Maps::default(), &many), "too large");
    }

    proptest! {
        #[test]
        fn any_rule_is_read_without_panic(words in prop::collection::vec("vmap|map|element|elements|=|[{}:,@*é\"]|[a-z]", 0..20)) {
            let text = words.join(" ");
            let mut maps = Maps::default();
            maps.take("inet filter", &text);
            maps.take("", &text);
            maps.unfold("inet filter", &text);
        }
    }
}
