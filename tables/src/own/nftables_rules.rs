//! `nftables_rules`: rules of the kernel's packet filter in every family, with the chain they stand in.

use std::collections::HashMap;

use crate::nftables::{self, Chain, Rule};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Rules of the kernel's packet filter (nf_tables), and chains without rules; takes the capability NET_ADMIN.
    nftables_rules: live_only {
        family: Text,
        table_name: Text,
        chain: Text,
        hook: Text,
        priority: Integer,
        policy: Text,
        handle: BigInt,
        conditions: Text,
        target: Text,
        packets: BigInt,
        bytes: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let found = nftables::chains().and_then(|chains| Ok((chains, nftables::rules()?)));
    let rows = match found {
        Ok((chains, rules)) => described(&chains, &rules),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            scan.warn("asking the packet filter takes the capability NET_ADMIN");
            Vec::new()
        }
        Err(error) => {
            scan.warn_of_no_subject(format!("the packet filter does not answer: {error}"));
            Vec::new()
        }
    };
    Box::new(rows.into_iter())
}

fn described(chains: &[Chain], rules: &[Rule]) -> Vec<Row> {
    let mut by_chain: HashMap<(u8, &str, &str), Vec<&Rule>> = HashMap::new();
    for rule in rules {
        by_chain.entry((rule.family, &rule.table, &rule.chain)).or_default().push(rule);
    }
    let mut rows = Vec::new();
    for chain in chains {
        match by_chain.get(&(chain.family, chain.table.as_str(), chain.name.as_str())) {
            Some(rules) => rows.extend(rules.iter().map(|rule| describe(chain, Some(rule)))),
            None => rows.push(describe(chain, None)),
        }
    }
    rows
}

fn describe(chain: &Chain, rule: Option<&Rule>) -> Row {
    let conditions = rule.map(|rule| {
        let shown = rule.conditions.iter().map(|one| {
            let mask = if one.mask.is_empty() { String::new() } else { format!("/{}", one.mask) };
            format!("{} {} {}{mask}", one.field.name(), one.comparison, one.value)
        });
        shown.collect::<Vec<_>>().join(", ")
    });
    row! {
        family: family(chain.family),
        table_name: chain.table.as_str(),
        chain: chain.name.as_str(),
        hook: chain.hook.map(|hook| self::hook(chain.family, hook)),
        priority: chain.priority,
        policy: chain.policy,
        handle: rule.map(|rule| rule.handle),
        conditions,
        target: rule.map(|rule| rule.target.as_str()),
        packets: rule.map(|rule| rule.packets),
        bytes: rule.map(|rule| rule.bytes),
    }
}

/// `NFPROTO_*` (`linux/netfilter.h`).
const fn family(number: u8) -> &'static str {
    match number {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "",
    }
}

const fn hook(family: u8, number: u32) -> &'static str {
    match (family, number) {
        (5, 0) => "ingress",
        (5, 1) => "egress",
        (3, 0) | (_, 1) if family != 3 || number == 0 => "input",
        (3, 1) | (_, 3) => "output",
        (_, 0) => "prerouting",
        (_, 2) => "forward",
        (_, 4) => "postrouting",
        _ => "",
    }
}
