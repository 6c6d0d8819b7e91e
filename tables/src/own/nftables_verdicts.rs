//! Maps of verdicts of nftables. A rule that looks its verdict up (`ct state vmap { established : accept, new : jump services }`)
//! stands for a rule with each element, as if it were written so. What follows the map is done for those alone whose verdict is
//! `continue`: the rule ends where nothing is found, and with every other verdict. Maps with a name have the elements that they
//! are defined with and those that are added; what is taken from them again is not looked at.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::own::nftables_configured::table_and_rest;

/// Lookups in one rule.
const MAX_LOOKUPS: usize = 16;
/// The most that may stand around a map: each element has what stands before it, and may have what follows.
const MAX_AROUND_BYTES: usize = 2_048;
/// The longest element: many rules may look it up.
const MAX_ELEMENT_BYTES: usize = 1_024;
/// Words that say something of an element, behind what is looked up.
const OPTIONS: [&str; 7] = ["comment", "counter", "expires", "last", "limit", "quota", "timeout"];
const VERDICTS: [&str; 6] = ["accept", CONTINUE, "drop", "goto", "jump", "return"];
/// Goes on with what follows the map.
const CONTINUE: &str = "continue";

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
        let element = Element { key: key.join(" "), verdict: verdict.join(" ") };
        let is_short = element.key.len() + element.verdict.len() <= MAX_ELEMENT_BYTES;
        (is_verdict && is_short && !element.key.is_empty()).then_some(element)
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
    /// That is more than there is room for, or what stands around its map is too long.
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

    /// The rules that a rule of a table stands for, in their order, and no more of them than there is room for.
    pub fn unfold(&self, table: &str, rule: &str, room: usize) -> Unfolded {
        let Some(lookup) = self.lookup(table, rule) else { return Unfolded::AsWritten };
        let mut rules = Vec::new();
        if self.add(table, &lookup, MAX_LOOKUPS, room, &mut rules) {
            Unfolded::Rules(rules)
        } else {
            Unfolded::TooLarge
        }
    }

    /// Adds the rules that a lookup stands for, which may lead to so many lookups; says whether there was room for them.
    fn add(&self, table: &str, lookup: &Lookup<'_, '_>, lookups: usize, room: usize, rules: &mut Vec<String>) -> bool {
        let Lookup { before, elements, behind } = lookup;
        let elements: &[Element] = elements;
        let goes_on = |element: &Element| element.verdict == CONTINUE && !behind.is_empty();
        let around = before.len() + if elements.iter().any(goes_on) { behind.len() } else { 0 };
        if lookups == 0 || around > MAX_AROUND_BYTES || elements.len() > room.saturating_sub(rules.len()) {
            return false;
        }
        for element in elements {
            let Element { key, verdict } = element;
            let rule = format!("{before} {key} {}", if goes_on(element) { behind } else { verdict.as_str() });
            let next = if goes_on(element) { self.lookup(table, &rule) } else { None };
            let has_room = if let Some(next) = next {
                self.add(table, &next, lookups - 1, room, rules)
            } else {
                rules.push(rule);
                rules.len() <= room
            };
            if !has_room {
                return false;
            }
        }
        true
    }

    /// The first lookup of a rule; none where its elements are not known, or there are none.
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
        (!elements.is_empty()).then_some(Lookup { before, elements, behind })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 100;

    /// The rules that one in `inet filter` stands for, with signs between them; one that stays as it is has none.
    fn shown(maps: &Maps, rule: &str) -> String {
        match maps.unfold("inet filter", rule, ROOM) {
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
            ("log prefix \"a vmap { b : accept }\" drop", "as written"),
            ("ct state new accept", "as written"),
            ("ip saddr vmap @unknown", "as written"),
            ("ct state vmap $variable", "as written"),
            ("ct state vmap { new }", "as written"),
            ("ct state vmap { new : accept", "as written"),
            ("dnat to tcp dport map { 80 : 10.0.0.1 }", "as written"),
        ] {
            assert_eq!(shown(&Maps::default(), rule), expected, "{rule}");
        }
    }

    #[test]
    fn what_follows_a_map_is_done_for_those_alone_that_go_on() {
        for (rule, expected) in [
            ("ct state vmap { invalid : drop } accept", "ct state invalid drop"),
            ("ct state vmap { new : accept } ip saddr vmap @unknown", "ct state new accept"),
            ("ct state vmap { new : continue } accept", "ct state new accept"),
            ("ct state vmap { new : continue } comment \"x\"", "ct state new continue"),
            (
                "tcp dport vmap { 22 : drop, * : continue } counter accept",
                "tcp dport 22 drop|tcp dport * counter accept",
            ),
            ("ct state vmap { new : continue } ip saddr vmap @unknown", "ct state new ip saddr vmap @unknown"),
            (
                "ip saddr 10.0.0.0/8 ct state vmap { new : continue, invalid : drop, related : continue } counter \
                 iifname . tcp dport vmap { \"a\" . 22 : drop, \"a\" . 80 : continue } accept",
                "ip saddr 10.0.0.0/8 ct state new counter iifname . tcp dport \"a\" . 22 drop|\
                 ip saddr 10.0.0.0/8 ct state new counter iifname . tcp dport \"a\" . 80 accept|\
                 ip saddr 10.0.0.0/8 ct state invalid drop|\
                 ip saddr 10.0.0.0/8 ct state related counter iifname . tcp dport \"a\" . 22 drop|\
                 ip saddr 10.0.0.0/8 ct state related counter iifname . tcp dport \"a\" . 80 accept",
            ),
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
        assert_eq!(shown(&maps, "ip saddr vmap @b drop"), "ip saddr 10.0.0.0/8 drop");
        maps.take("inet filter", "map empty { type ipv4_addr : verdict }");
        assert_eq!(shown(&maps, "ip saddr vmap @empty"), "as written");
        maps.take("inet other", &format!("map c {body}"));
        assert_eq!(shown(&maps, "ip saddr vmap @c"), "as written", "it is another table's");
        maps.take("", "add element inet filter a { nonsense }");
        assert_eq!(shown(&maps, "ip saddr vmap @a"), "as written", "not all of it is known");
    }

    #[test]
    fn what_would_take_too_much_is_left() {
        let maps = Maps::default();
        let wide = "9".repeat(MAX_ELEMENT_BYTES);
        assert_eq!(shown(&maps, &format!("mark vmap {{ {wide} : drop }}")), "as written");
        let of = |count: usize| format!("mark vmap {{ {} }}", "1 : drop, ".repeat(count));
        assert_eq!(shown(&maps, &of(ROOM)).matches("mark 1 drop").count(), ROOM);
        assert_eq!(shown(&maps, &of(ROOM + 1)), "too large");
        let long = "counter ".repeat(MAX_AROUND_BYTES / 8 + 1);
        assert_eq!(shown(&maps, &format!("{long}mark vmap {{ 1 : drop }}")), "too large");
        assert_eq!(shown(&maps, &format!("mark vmap {{ 1 : continue }} {long}drop")), "too large");
        assert_eq!(shown(&maps, &format!("mark vmap {{ 1 : drop }} {long}drop")), "mark 1 drop", "nothing has it");
        let many = "mark vmap { 1 : continue } ".repeat(MAX_LOOKUPS + 1);
        assert_eq!(shown(&maps, &many), "too large");
        let grows = "mark vmap { 1 : continue, 2 : continue } ".repeat(MAX_LOOKUPS);
        assert_eq!(shown(&maps, &grows), "too large");
    }

    #[test]
    fn a_map_that_leads_to_itself_has_an_end() {
        let mut maps = Maps::default();
        maps.take("inet filter", "map a { elements = { vmap @a : continue, 1 : continue } }");
        assert_eq!(shown(&maps, "mark vmap @a accept"), "too large");
    }

    proptest! {
        #[test]
        fn any_rule_is_read_without_panic(words in prop::collection::vec("vmap|map|element|elements|continue|drop|=|[{}:,@*é\"]|[a-z]", 0..20)) {
            let text = words.join(" ");
            let mut maps = Maps::default();
            maps.take("inet filter", &text);
            maps.take("", &text);
            maps.unfold("inet filter", &text, ROOM);
        }
    }
}
