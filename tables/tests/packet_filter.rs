//! The kernel's packet filter, with rules that `nft` and `iptables` wrote: in a network of the test's own, so that the host's
//! is not touched. Where the tools or the rights for it are missing, nothing is shown and the test says so.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::process::Command;

mod made;

use tables::{Engine, Host, Limits};

/// Set in the process that runs inside the network.
const INSIDE: &str = "TABLES_TEST_INSIDE";

const RULES: &str = "
    nft add table inet guard
    nft add chain inet guard in '{ type filter hook input priority 5; policy drop; }'
    nft add rule inet guard in ip saddr 10.1.0.0/16 tcp dport 22 counter accept
    nft add rule inet guard in ct state established,related accept
    nft add rule inet guard in iifname lo accept
    nft add rule inet guard in udp dport 5000-6000 reject
    nft add table ip plain
    nft add chain ip plain INPUT '{ type filter hook input priority 0; policy accept; }'
    nft add chain ip plain extra
    nft add rule ip plain INPUT ip saddr != 192.0.2.7 tcp dport 443 counter accept
    nft add rule ip plain INPUT udp sport 5000-6000 drop
    nft add rule ip plain INPUT jump extra
";

#[test]
fn rules_are_shown_as_they_were_written() {
    if std::env::var_os(INSIDE).is_some() {
        return look();
    }
    let own = std::env::current_exe().unwrap();
    let script = format!("set -e\n{RULES}\nexec '{}' --exact rules_are_shown_as_they_were_written", own.display());
    let inside = Command::new("unshare").args(["--net", "sh", "-c", &script]).env(INSIDE, "1").output();
    match inside {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            // The tools said no before the test inside began.
            assert!(!said.contains("running 1 test"), "{said}{errors}");
            eprintln!("not shown here: {errors}");
        }
        Err(error) => eprintln!("not shown here: {error}"),
    }
}

fn look() {
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    let rules = made::ask(
        &engine,
        "SELECT family, table_name, chain, hook, priority, policy, conditions, target FROM nftables_rules ORDER BY family, table_name, chain, handle",
    );
    assert_eq!(
        made::lines(&rules),
        [
            "inet|guard|in|input|5|DROP|nfproto == ipv4, saddr == 10.1.0.0/255.255.0.0, protocol == 6, dport == 22|ACCEPT",
            "inet|guard|in|input|5|DROP|ct state == established,related|ACCEPT",
            "inet|guard|in|input|5|DROP|iifname == lo|ACCEPT",
            "inet|guard|in|input|5|DROP|protocol == 17, dport >= 5000, dport <= 6000|REJECT",
            "ip|plain|INPUT|input|0|ACCEPT|saddr != 192.0.2.7/255.255.255.255, protocol == 6, dport == 443|ACCEPT",
            "ip|plain|INPUT|input|0|ACCEPT|protocol == 17, sport >= 5000, sport <= 6000|DROP",
            "ip|plain|INPUT|input|0|ACCEPT||extra",
            "ip|plain|extra|||||",
        ]
    );
    let plain = made::ask(
        &engine,
        "SELECT chain, policy, target, protocol, src_ip, src_mask, dst_ip, dst_port, src_port FROM iptables WHERE filter_name = 'plain' ORDER BY chain, dst_port DESC, target",
    );
    assert_eq!(
        made::lines(&plain),
        [
            "INPUT|ACCEPT|ACCEPT|6|!192.0.2.7|255.255.255.255|0.0.0.0|443|",
            "INPUT|ACCEPT|DROP|17|0.0.0.0|0.0.0.0|0.0.0.0||5000:6000",
            "INPUT|ACCEPT|extra|0|0.0.0.0|0.0.0.0|0.0.0.0||",
            "extra|||0|0.0.0.0|0.0.0.0|0.0.0.0||",
        ]
    );
}
