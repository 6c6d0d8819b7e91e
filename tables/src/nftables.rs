//! The rules of the kernel's packet filter (`nf_tables`), as netlink lists them: those of `nft` and those that `iptables` has
//! written since Debian 10 and RHEL 8. The kernel shows a rule as steps of a small machine (load a field, compare it); here
//! they become conditions again. What is not known stays as the name of its step. Asking takes `CAP_NET_ADMIN`.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::kernel::Netlink;
use crate::netlink::{attributes, dump};

/// `NFNL_SUBSYS_NFTABLES` in the upper byte of each kind of message (`linux/netfilter/nfnetlink.h`).
const SUBSYSTEM: u16 = 10 << 8;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
/// Family, version and a number, in front of the attributes.
const GENERIC_BYTES: usize = 4;

/// More rules say no more to a person.
const MAX_RULES: usize = 100_000;

pub(crate) const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// A chain of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    pub family: u8,
    pub table: String,
    pub name: String,
    /// Where packets enter it, by number; none for one that only other chains call.
    pub hook: Option<u32>,
    pub priority: Option<i32>,
    /// What happens to a packet that no rule decides.
    pub policy: Option<&'static str>,
}

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub family: u8,
    pub table: String,
    pub chain: String,
    pub handle: u64,
    pub conditions: Vec<Condition>,
    /// What happens to a packet: `ACCEPT`, `DROP`, a chain, or a target of iptables.
    pub target: String,
    pub packets: u64,
    pub bytes: u64,
}

/// What a packet must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub field: Field,
    pub comparison: &'static str,
    /// As text; of an address without its mask.
    pub value: String,
    /// The mask of an address.
    pub mask: String,
}

/// A part of a packet, or what the kernel knows about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Source,
    Destination,
    Protocol,
    SourcePort,
    DestinationPort,
    InputInterface,
    OutputInterface,
    ConnectionState,
    /// Whether the packet is of IPv4 or IPv6, where a chain sees both.
    Family,
    /// Some other step, by its name.
    Other(&'static str),
}

impl Field {
    pub const fn name(self) -> &'static str {
        match self {
            Field::Source => "saddr",
            Field::Destination => "daddr",
            Field::Protocol => "protocol",
            Field::SourcePort => "sport",
            Field::DestinationPort => "dport",
            Field::InputInterface => "iifname",
            Field::OutputInterface => "oifname",
            Field::ConnectionState => "ct state",
            Field::Family => "nfproto",
            Field::Other(name) => name,
        }
    }
}

/// All chains of the network that this process is in.
pub(crate) fn chains() -> io::Result<Vec<Chain>> {
    let mut chains = Vec::new();
    dump(Netlink::Netfilter, GET_CHAIN, &[0; GENERIC_BYTES], |kind, message| {
        if kind == NEW_CHAIN {
            chains.extend(parse_chain(message));
        }
    })?;
    Ok(chains)
}

/// All rules, in their order.
pub(crate) fn rules() -> io::Result<Vec<Rule>> {
    let mut rules = Vec::new();
    dump(Netlink::Netfilter, GET_RULE, &[0; GENERIC_BYTES], |kind, message| {
        if kind == NEW_RULE && rules.len() < MAX_RULES {
            rules.extend(parse_rule(message));
        }
    })?;
    Ok(rules)
}

fn parse_chain(message: &[u8]) -> Option<Chain> {
    let mut chain = Chain { family: *message.first()?, ..Chain::default() };
    for (kind, value) in attributes(message.get(GENERIC_BYTES..)?) {
        match kind {
            1 => chain.table = text(value),
            3 => chain.name = text(value),
            4 => {
                for (kind, value) in attributes(value) {
                    match kind {
                        1 => chain.hook = number(value),
                        2 => chain.priority = number(value).map(u32::cast_signed),
                        _ => {}
                    }
                }
            }
            5 => chain.policy = Some(if number(value) == Some(0) { "DROP" } else { "ACCEPT" }),
            _ => {}
        }
    }
    Some(chain)
}

fn parse_rule(message: &[u8]) -> Option<Rule> {
    let mut rule = Rule { family: *message.first()?, ..Rule::default() };
    for (kind, value) in attributes(message.get(GENERIC_BYTES..)?) {
        match kind {
            1 => rule.table = text(value),
            2 => rule.chain = text(value),
            3 => rule.handle = long(value).unwrap_or(0),
            4 => Machine::of(rule.family).run(value, &mut rule),
            _ => {}
        }
    }
    Some(rule)
}

/// What is in the machine's registers while a rule is read.
struct Machine {
    registers: HashMap<u32, Loaded>,
    /// Which packets get so far: it decides where in them an address lies.
    family: u8,
}

#[derive(Clone)]
struct Loaded {
    field: Field,
    mask: Option<Vec<u8>>,
}

impl Machine {
    fn of(family: u8) -> Self {
        Machine { registers: HashMap::new(), family }
    }

    fn run(&mut self, steps: &[u8], rule: &mut Rule) {
        for (_, step) in attributes(steps) {
            let mut name = String::new();
            let mut data: &[u8] = &[];
            for (kind, value) in attributes(step) {
                match kind {
                    1 => name = text(value),
                    2 => data = value,
                    _ => {}
                }
            }
            self.step(&name, &Attributes::of(data), rule);
        }
    }

    fn step(&mut self, name: &str, data: &Attributes<'_>, rule: &mut Rule) {
        match name {
            "meta" => self.load(data.number(1), meta(data.number(2))),
            "payload" => self.load(data.number(1), payload(self.family, data.number(2), data.number(3))),
            "ct" => {
                let is_state = data.number(2) == Some(0);
                self.load(data.number(1), if is_state { Field::ConnectionState } else { Field::Other("ct") });
            }
            "bitwise" => {
                let loaded = data.number(1).and_then(|register| self.registers.get(&register).cloned());
                if let (Some(loaded), Some(register)) = (loaded, data.number(2)) {
                    let mask = data.nested(4).get(1).map(<[u8]>::to_vec);
                    self.registers.insert(register, Loaded { mask, ..loaded });
                }
            }
            "cmp" => {
                let comparison = match data.number(2) {
                    Some(0) => "==",
                    Some(1) => "!=",
                    Some(2) => "<",
                    Some(3) => "<=",
                    Some(4) => ">",
                    _ => ">=",
                };
                let value = data.nested(3).get(1).unwrap_or_default().to_vec();
                self.compare(data.number(1), comparison, &value, rule);
            }
            "range" => {
                let (from, to) = (data.nested(3).get(1).unwrap_or_default(), data.nested(4).get(1).unwrap_or_default());
                if let Some(loaded) = self.loaded(data.number(1)) {
                    let shown = |bytes| shown(loaded.field, None, bytes).0;
                    let value = format!("{}:{}", shown(from), shown(to));
                    let comparison = if data.number(2) == Some(1) { "!=" } else { "==" };
                    rule.conditions.push(Condition { field: loaded.field, comparison, value, mask: String::new() });
                }
            }
            "lookup" => {
                if let Some(loaded) = self.loaded(data.number(2)) {
                    let value = format!("@{}", data.get(1).map(text).unwrap_or_default());
                    let comparison = if data.number(5) == Some(1) { "!=" } else { "==" };
                    rule.conditions.push(Condition { field: loaded.field, comparison, value, mask: String::new() });
                }
            }
            "counter" => {
                rule.bytes = data.get(1).and_then(long).unwrap_or(0);
                rule.packets = data.get(2).and_then(long).unwrap_or(0);
            }
            "immediate" => {
                let verdict = data.nested(2);
                let verdict = verdict.nested(2);
                if let Some(code) = verdict.number(1) {
                    rule.target = target(code.cast_signed(), verdict.get(2).map(text));
                }
            }
            "target" => rule.target = data.get(1).map(text).unwrap_or_default(),
            "reject" => "REJECT".clone_into(&mut rule.target),
            "log" if rule.target.is_empty() => "LOG".clone_into(&mut rule.target),
            "masq" => "MASQUERADE".clone_into(&mut rule.target),
            "nat" => {
                let is_source = data.number(1) == Some(0);
                (if is_source { "SNAT" } else { "DNAT" }).clone_into(&mut rule.target);
            }
            "redir" => "REDIRECT".clone_into(&mut rule.target),
            "match" => {
                let value = data.get(1).map(text).unwrap_or_default();
                let field = Field::Other("match");
                rule.conditions.push(Condition { field, comparison: "==", value, mask: String::new() });
            }
            other => {
                let (field, value) = (Field::Other("step"), other.to_owned());
                rule.conditions.push(Condition { field, comparison: "==", value, mask: String::new() });
            }
        }
    }

    fn load(&mut self, register: Option<u32>, field: Field) {
        // Without a register the step writes: it is no condition.
        if let Some(register) = register {
            self.registers.insert(register, Loaded { field, mask: None });
        }
    }

    fn loaded(&self, register: Option<u32>) -> Option<Loaded> {
        self.registers.get(&register?).cloned()
    }

    fn compare(&mut self, register: Option<u32>, comparison: &'static str, value: &[u8], rule: &mut Rule) {
        let Some(Loaded { field, mask }) = self.loaded(register) else { return };
        if let (Field::Family, "==", [family]) = (field, comparison, value) {
            self.family = *family;
        }
        // "The state, of which only these bits count, is not nothing" means: it is one of these.
        let is_any_of = field == Field::ConnectionState && comparison == "!=" && value.iter().all(|byte| *byte == 0);
        let (bytes, comparison) = match &mask {
            Some(mask) if is_any_of => (mask.clone(), "=="),
            _ => (value.to_vec(), comparison),
        };
        let (value, mask) = shown(field, mask.as_deref(), &bytes);
        rule.conditions.push(Condition { field, comparison, value, mask });
    }
}

/// The attributes of a step by their kind.
struct Attributes<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Attributes<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Attributes(attributes(bytes).collect())
    }

    fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value)
    }

    fn number(&self, kind: u16) -> Option<u32> {
        self.get(kind).and_then(number)
    }

    fn nested(&self, kind: u16) -> Attributes<'a> {
        Attributes::of(self.get(kind).unwrap_or_default())
    }
}

const fn meta(key: Option<u32>) -> Field {
    match key {
        Some(6) => Field::InputInterface,
        Some(7) => Field::OutputInterface,
        Some(16) => Field::Protocol,
        Some(15) => Field::Family,
        Some(3) => Field::Other("mark"),
        _ => Field::Other("meta"),
    }
}

/// A part of a header, by the header (1 network, 2 transport) and the offset in it.
const fn payload(family: u8, base: Option<u32>, offset: Option<u32>) -> Field {
    match (family, base, offset) {
        (IPV4, Some(1), Some(12)) | (_, Some(1), Some(8)) => Field::Source,
        (IPV4, Some(1), Some(16)) | (_, Some(1), Some(24)) => Field::Destination,
        (IPV4, Some(1), Some(9)) | (_, Some(1), Some(6)) => Field::Protocol,
        (_, Some(2), Some(0)) => Field::SourcePort,
        (_, Some(2), Some(2)) => Field::DestinationPort,
        _ => Field::Other("payload"),
    }
}

fn target(code: i32, chain: Option<String>) -> String {
    match (code, chain) {
        (-3, Some(chain)) => chain,
        (-4, Some(chain)) => format!("goto {chain}"),
        (0, _) => "DROP".to_owned(),
        (1, _) => "ACCEPT".to_owned(),
        (3, _) => "QUEUE".to_owned(),
        (-5, _) => "RETURN".to_owned(),
        (-1, _) => "CONTINUE".to_owned(),
        (other, _) => other.to_string(),
    }
}

/// A value as text, and the mask of an address. A comparison of fewer bytes than an address has is one with a network.
fn shown(field: Field, mask: Option<&[u8]>, value: &[u8]) -> (String, String) {
    match field {
        Field::Source | Field::Destination => address(value, mask),
        Field::InputInterface | Field::OutputInterface => {
            // Without its zero at the end it is the beginning of a name.
            let name = text(value);
            (if value.contains(&0) { name } else { format!("{name}*") }, String::new())
        }
        Field::SourcePort | Field::DestinationPort => {
            let port = value.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
            (port.map(|port| port.to_string()).unwrap_or_default(), String::new())
        }
        Field::Protocol => (value.first().map(ToString::to_string).unwrap_or_default(), String::new()),
        Field::ConnectionState => (states(value), String::new()),
        Field::Family => (family(value), String::new()),
        Field::Other(_) => (crate::functions::hex(value), String::new()),
    }
}

fn address(value: &[u8], mask: Option<&[u8]>) -> (String, String) {
    fn padded<const N: usize>(bytes: &[u8], with: u8) -> [u8; N] {
        let mut all = [0; N];
        for (place, byte) in all.iter_mut().zip(bytes.iter().chain(std::iter::repeat(&with))) {
            *place = *byte;
        }
        all
    }
    let whole: Vec<u8> = vec![0xff; value.len()];
    let mask = mask.unwrap_or(&whole);
    if value.len() <= 4 {
        return (Ipv4Addr::from(padded(value, 0)).to_string(), Ipv4Addr::from(padded(mask, 0)).to_string());
    }
    (Ipv6Addr::from(padded(value, 0)).to_string(), Ipv6Addr::from(padded(mask, 0)).to_string())
}

fn family(value: &[u8]) -> String {
    match value.first() {
        Some(&IPV4) => "ipv4".to_owned(),
        Some(&IPV6) => "ipv6".to_owned(),
        _ => crate::functions::hex(value),
    }
}

/// The states of a connection by bit, in the machine's own order.
fn states(value: &[u8]) -> String {
    const STATES: [(u32, &str); 5] =
        [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    let bits = value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let names: Vec<&str> = STATES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    names.join(",")
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn long(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len() + 4).unwrap();
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn number_of(kind: u16, number: u32) -> Vec<u8> {
        attribute(kind, &number.to_be_bytes())
    }

    fn step(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
        let name = attribute(1, format!("{name}\0").as_bytes());
        attribute(1, &[name, attribute(2, &data.concat())].concat())
    }

    fn value(kind: u16, bytes: &[u8]) -> Vec<u8> {
        attribute(kind, &attribute(1, bytes))
    }

    #[test]
    fn steps_become_conditions() {
        let established = [6_u32.to_ne_bytes(), [0; 4]];
        let steps = [
            step("meta", &[number_of(1, 1), number_of(2, 16)]),
            step("cmp", &[number_of(1, 1), number_of(2, 0), value(3, &[6])]),
            step("payload", &[number_of(1, 1), number_of(2, 1), number_of(3, 12), number_of(4, 3)]),
            step("cmp", &[number_of(1, 1), number_of(2, 1), value(3, &[10, 1, 2])]),
            step("payload", &[number_of(1, 1), number_of(2, 2), number_of(3, 2), number_of(4, 2)]),
            step("cmp", &[number_of(1, 1), number_of(2, 0), value(3, &[0, 22])]),
            step("ct", &[number_of(1, 1), number_of(2, 0)]),
            step("bitwise", &[number_of(1, 1), number_of(2, 1), value(4, &established[0]), value(5, &established[1])]),
            step("cmp", &[number_of(1, 1), number_of(2, 1), value(3, &[0; 4])]),
            step("counter", &[attribute(1, &84_u64.to_be_bytes()), attribute(2, &1_u64.to_be_bytes())]),
            step("immediate", &[number_of(1, 0), attribute(2, &attribute(2, &number_of(1, 1)))]),
        ];
        let message = [
            vec![IPV4, 0, 0, 0],
            attribute(1, b"filter\0"),
            attribute(2, b"INPUT\0"),
            attribute(3, &7_u64.to_be_bytes()),
            attribute(4, &steps.concat()),
        ]
        .concat();
        let rule = parse_rule(&message).unwrap();
        let shown: Vec<String> = rule
            .conditions
            .iter()
            .map(|one| format!("{} {} {} {}", one.field.name(), one.comparison, one.value, one.mask))
            .collect();
        assert_eq!(
            shown,
            ["protocol == 6 ", "saddr != 10.1.2.0 255.255.255.0", "dport == 22 ", "ct state == established,related "]
        );
        assert_eq!((rule.table.as_str(), rule.chain.as_str(), rule.handle), ("filter", "INPUT", 7));
        assert_eq!((rule.target.as_str(), rule.packets, rule.bytes), ("ACCEPT", 1, 84));
    }

    #[test]
    fn a_chain_has_a_hook_and_a_policy() {
        let hook = attribute(4, &[number_of(1, 1), number_of(2, 0)].concat());
        let message = [vec![IPV4, 0, 0, 0], attribute(1, b"filter\0"), attribute(3, b"INPUT\0"), hook, number_of(5, 0)];
        let chain = parse_chain(&message.concat()).unwrap();
        assert_eq!((chain.hook, chain.priority, chain.policy), (Some(1), Some(0), Some("DROP")));
    }

    proptest! {
        #[test]
        fn any_message_is_read_without_panic(bytes in proptest::collection::vec(0_u8..24, 0..200)) {
            parse_chain(&bytes);
            parse_rule(&bytes);
            let steps = attribute(4, &step("cmp", &[number_of(1, 1), bytes]));
            parse_rule(&[vec![IPV4, 0, 0, 0], steps].concat());
        }
    }
}
