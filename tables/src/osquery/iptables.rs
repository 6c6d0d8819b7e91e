//! `iptables`: rules of the packet filter for IPv4. osquery reads the tables of the old kernel interface; systems of the
//! last years keep the rules of `iptables` in `nf_tables`, and that is what is shown here. Where the old tables are in use as
//! well, a warning says so.

use std::collections::BTreeMap;

use crate::nftables::{self, Chain, Condition, Field, Rule};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Rules of iptables as the kernel has them (nf_tables); a negated value begins with `!`.
    iptables: live_only {
        filter_name: Text,
        chain: Text,
        policy: Text,
        target: Text,
        protocol: Integer,
        src_port: Text,
        dst_port: Text,
        src_ip: Text,
        src_mask: Text,
        iniface: Text,
        iniface_mask: Text,
        dst_ip: Text,
        dst_mask: Text,
        outiface: Text,
        outiface_mask: Text,
        r#match: Text,
        packets: Integer,
        bytes: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    // The kernel forgets a table of the old interface only with its module: that one is named means little by itself.
    if scan.net("ip_tables_names").is_some_and(|names| !names.trim().is_empty()) {
        scan.warn("this kernel also has tables of the old iptables interface, which are not read");
    }
    let found = nftables::chains().and_then(|chains| Ok((chains, nftables::rules()?)));
    let (chains, rules) = match found {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            scan.warn("asking the packet filter takes the capability NET_ADMIN");
            return Box::new(std::iter::empty());
        }
        // A kernel without nf_tables, or without netlink for it.
        Err(error) => {
            scan.warn_of_no_subject(format!("the packet filter does not answer: {error}"));
            return Box::new(std::iter::empty());
        }
    };
    let mut by_chain: BTreeMap<(String, String), Vec<Rule>> = BTreeMap::new();
    for rule in rules.into_iter().filter(|rule| rule.family == nftables::IPV4) {
        by_chain.entry((rule.table.clone(), rule.chain.clone())).or_default().push(rule);
    }
    Box::new(chains.into_iter().filter(|chain| chain.family == nftables::IPV4).flat_map(move |chain| {
        let rules = by_chain.remove(&(chain.table.clone(), chain.name.clone())).unwrap_or_default();
        let mut rows: Vec<Row> = rules.iter().map(|rule| describe(&chain, rule)).collect();
        if rows.is_empty() {
            rows.push(describe(&chain, &Rule::default()));
        }
        rows.into_iter()
    }))
}

fn describe(chain: &Chain, rule: &Rule) -> Row {
    let find = |field: Field| rule.conditions.iter().find(|condition| condition.field == field);
    let value = |field: Field| {
        let all: Vec<&Condition> = rule.conditions.iter().filter(|condition| condition.field == field).collect();
        match all[..] {
            // A range is kept as two comparisons.
            [from, to] if (from.comparison, to.comparison) == (">=", "<=") => format!("{}:{}", from.value, to.value),
            _ => all.into_iter().map(signed).collect::<Vec<_>>().join(","),
        }
    };
    let address = |field: Field| find(field).map_or_else(|| "0.0.0.0".to_owned(), signed);
    let mask = |field: Field| find(field).map_or("0.0.0.0", |condition| condition.mask.as_str()).to_owned();
    let others = rule
        .conditions
        .iter()
        .filter(|one| matches!(one.field, Field::ConnectionState | Field::Family | Field::Other(_)));
    let others: Vec<String> = others.map(|one| format!("{} {}", one.field.name(), signed(one))).collect();
    row! {
        filter_name: chain.table.as_str(),
        chain: chain.name.as_str(),
        policy: chain.policy.unwrap_or_default(),
        target: rule.target.as_str(),
        protocol: find(Field::Protocol).and_then(|one| one.value.parse::<i64>().ok()).unwrap_or(0),
        src_port: value(Field::SourcePort),
        dst_port: value(Field::DestinationPort),
        src_ip: address(Field::Source),
        src_mask: mask(Field::Source),
        iniface: value(Field::InputInterface),
        iniface_mask: "",
        dst_ip: address(Field::Destination),
        dst_mask: mask(Field::Destination),
        outiface: value(Field::OutputInterface),
        outiface_mask: "",
        r#match: others.join(" "),
        packets: rule.packets,
        bytes: rule.bytes,
    }
}

fn signed(condition: &Condition) -> String {
    match condition.comparison {
        "==" => condition.value.clone(),
        "!=" => format!("!{}", condition.value),
        other => format!("{other}{}", condition.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_osquery_s_columns() {
        let condition = |field, comparison, value: &str, mask: &str| Condition {
            field,
            comparison,
            value: value.to_owned(),
            mask: mask.to_owned(),
        };
        let chain = Chain { table: "filter".into(), name: "INPUT".into(), policy: Some("DROP"), ..Chain::default() };
        let rule = Rule {
            conditions: vec![
                condition(Field::Protocol, "==", "6", ""),
                condition(Field::Source, "!=", "10.0.0.0", "255.0.0.0"),
                condition(Field::DestinationPort, "==", "22", ""),
                condition(Field::ConnectionState, "==", "new", ""),
            ],
            target: "ACCEPT".into(),
            packets: 3,
            ..Rule::default()
        };
        let shown: Vec<String> = describe(&chain, &rule).0.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..9], ["filter", "INPUT", "DROP", "ACCEPT", "6", "", "22", "!10.0.0.0", "255.0.0.0"]);
        assert_eq!(shown[15..], ["ct state new", "3", "0"]);
    }
}
