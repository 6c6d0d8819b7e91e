//! `windows_firewall_rules`: the rules of the Windows Firewall of an image, those of the machine and those of its policy. A rule
//! is one line of fields between bars (Microsoft's `[MS-GPFAS]`, section 2.2.2).

use std::collections::BTreeSet;

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::machine::{Entry, Machine};

table! {
    /// Rules of the firewall of a Windows image.
    windows_firewall_rules {
        name: Text,
        app_name: Text,
        action: Text,
        enabled: Integer,
        grouping: Text,
        direction: Text,
        protocol: Text,
        local_addresses: Text,
        remote_addresses: Text,
        local_ports: Text,
        remote_ports: Text,
        icmp_types_codes: Text,
        profile_domain: Integer,
        profile_private: Integer,
        profile_public: Integer,
        service_name: Text,
    }
}

const OWN: &str = r"Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules";
const POLICY: &str = r"Policies\Microsoft\WindowsFirewall\FirewallRules";

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let lists = [machine.software(POLICY), machine.control_set(OWN)];
    let rules: Vec<Row> =
        lists.iter().flatten().flat_map(Entry::values).filter_map(|value| parse(&value.shown())).collect();
    Box::new(rules.into_iter())
}

fn parse(rule: &str) -> Option<Row> {
    let mut fields = rule.split('|');
    if !fields.next()?.starts_with('v') {
        return None;
    }
    let fields: Vec<(&str, &str)> = fields.filter_map(|field| field.split_once('=')).collect();
    let all = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value).collect()
    };
    let first = |name: &str| all(name).first().copied();
    let joined = |names: &[&str]| {
        let values: Vec<&str> = names.iter().flat_map(|name| all(name)).collect();
        if values.is_empty() { "Any".to_owned() } else { values.join(",") }
    };
    let profiles: BTreeSet<String> = all("Profile").iter().map(|profile| profile.to_ascii_lowercase()).collect();
    let applies_to = |profile: &str| profiles.is_empty() || profiles.contains(profile);
    Some(row! {
        name: first("Name"),
        app_name: first("App"),
        action: first("Action").map(|action| if action.eq_ignore_ascii_case("allow") { "Allow" } else { "Block" }),
        enabled: first("Active").is_some_and(|active| active.eq_ignore_ascii_case("true")),
        grouping: first("EmbedCtxt"),
        direction: first("Dir"),
        protocol: first("Protocol").map_or("Any", protocol),
        local_addresses: joined(&["LA4", "LA6"]),
        remote_addresses: joined(&["RA4", "RA6"]),
        local_ports: joined(&["LPort", "LPort2_10"]),
        remote_ports: joined(&["RPort", "RPort2_10"]),
        icmp_types_codes: joined(&["ICMP4", "ICMP6"]),
        profile_domain: applies_to("domain"),
        profile_private: applies_to("private"),
        profile_public: applies_to("public"),
        service_name: first("Svc"),
    })
}

/// The name of a protocol's number (IANA) that osquery shows by name.
fn protocol(number: &str) -> &str {
    match number {
        "1" => "ICMPv4",
        "2" => "IGMP",
        "6" => "TCP",
        "17" => "UDP",
        "41" => "IPv6",
        "47" => "GRE",
        "58" => "ICMPv6",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_from_its_fields() {
        let rule = parse(
            r"v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|LPort=3389|LPort=3390|App=C:\x.exe|Svc=TermService|Name=Remote|",
        )
        .unwrap();
        for expected in ["Remote", "Allow", "In", "TCP", "3389,3390", "TermService", "Any"] {
            assert!(rule.0.contains(&expected.into()), "{expected}");
        }
        assert_eq!(rule.0[12..15], [0_i64.into(), 1_i64.into(), 0_i64.into()]);
        assert!(parse("no rule").is_none());
    }
}
