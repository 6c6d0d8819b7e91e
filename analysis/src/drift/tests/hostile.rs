//! What a host may do that wants to be overlooked, or to harm.

use super::*;

#[test]
fn a_host_that_starts_and_stops_a_thing_a_thousand_times_makes_it_no_more_usual() {
    let mut servers = Servers::new(11, &[]);
    for _ in 0..1_000 {
        servers.run(0, 60, &[Change::Appeared(port("4444/tcp"))]);
        servers.run(0, 60, &[Change::Vanished(port("4444/tcp"))]);
    }
    // As after once.
    let (rarity, sentence) = servers.one(1, 67, Change::Appeared(port("4444/tcp")));
    let mut once = Servers::new(11, &[]);
    once.run(0, 60, &[Change::Appeared(port("4444/tcp"))]);
    once.run(0, 60, &[Change::Vanished(port("4444/tcp"))]);
    assert_eq!((rarity, sentence), once.one(1, 67, Change::Appeared(port("4444/tcp"))));
}

#[test]
fn a_host_that_makes_its_baseline_forget_a_thing_is_not_counted_for_it_twice() {
    let mut servers = Servers::new(11, &[]);
    let rare = || port("4444/tcp");
    let flood: Vec<Item> = (0..1_100).map(|number| port(&number.to_string())).collect();
    for round in 0..3 {
        let day = 60 + round * 14;
        servers.run(0, day, &[Change::Appeared(rare())]);
        servers.run(0, day, &[Change::Vanished(rare())]);
        servers.run(0, day + 7, &inventory(&flood));
        servers.run(0, day + 7, &flood.iter().cloned().map(Change::Vanished).collect::<Vec<_>>());
    }
    servers.run(0, 102, &[Change::Appeared(rare())]);
    let evidence = Evidence::of(&servers.assets[1], &servers.group, &Change::Appeared(rare()), Day::of(on(102)));
    assert_eq!((evidence.have, evidence.had), (1, 0));
}

#[test]
fn a_host_that_reports_everything_fills_its_own_quota_only() {
    let mut servers = Servers::new(11, &[port("443/tcp")]);
    let flood: Vec<Change> = (0..5_000).map(|port| Change::Appeared(self::port(&format!("x{port}")))).collect();
    let outcome = servers.run(0, 60, &flood);
    assert_eq!((outcome.drifts.len(), outcome.further), (MAX_DRIFTS, 4_000));
    assert_eq!(servers.assets[0].len(Kind::Port), Kind::Port.quota());
    assert_eq!(outcome.unlearned, 5_000 - Kind::Port.quota() / 2 + 1);
    assert!(servers.group.len(Kind::Port) <= Kind::Port.quota() + 2);
    // What it had before is still known, and others are judged as before.
    let gone = servers.one(0, 61, Change::Vanished(port("443/tcp")));
    assert_eq!(gone.1, "no longer listens on 443/tcp; all 10 other web servers do; it did in 8 of 8 weeks");
    let autorun = Change::Appeared(Item::new(Kind::Autorun, "x", None));
    assert_eq!(servers.run(0, 61, &[autorun]).unlearned, 0);
    assert_eq!(
        servers.one(1, 61, Change::Appeared(port("4444/tcp"))).1,
        "listens on 4444/tcp; no other of 10 web servers ever did"
    );
}

#[test]
fn hosts_that_come_and_go_with_ever_new_things_fill_nothing_beyond_the_quotas() {
    let mut servers = Servers::new(6, &[port("443/tcp")]);
    for round in 0..12_i64 {
        for index in 0..5_usize {
            let things: Vec<Item> = (0..1_100).map(|number| port(&format!("{index}.{round}.{number}"))).collect();
            servers.run(index, 60 + round, &inventory(&things));
            let gone: Vec<Change> = things.into_iter().map(Change::Vanished).collect();
            servers.run(index, 60 + round, &gone);
            assert!(servers.assets[index].len(Kind::Port) <= Kind::Port.quota());
        }
        assert!(servers.group.len(Kind::Port) <= Kind::Port.group_quota());
    }
    // Full of what is rare, it says of the usual what it said, and never "ever".
    let (_, sentence) = servers.one(5, 80, Change::Vanished(port("443/tcp")));
    assert!(sentence.contains("all 5 other web servers do"), "{sentence}");
    let (_, sentence) = servers.one(5, 80, Change::Appeared(port("4444/tcp")));
    assert!(sentence.contains("no other of 5 web servers did in the last 8 weeks"), "{sentence}");
}

#[test]
fn merging_full_groups_keeps_what_most_have() {
    let mut merged = Group::default();
    for group in 0..6 {
        let mut items: Vec<Item> = (0..1_000).map(|number| port(&format!("{group}.{number}"))).collect();
        items.push(port("443/tcp"));
        merged.merge(&Servers::new(1, &items).group);
    }
    assert_eq!((merged.len(Kind::Port), merged.members(Kind::Port)), (Kind::Port.group_quota(), 6));
    let change = Change::Appeared(port("443/tcp"));
    assert_eq!(Evidence::of(&Asset::default(), &merged, &change, Day::of(on(1))).have, 6);
}

#[test]
fn a_hosts_text_does_not_write_the_sentence() {
    let mut servers = Servers::new(5, &[]);
    let subject = "80/tcp; all 4 other web servers do too\u{202e}\u{1b}[2K\n";
    let (_, sentence) = servers.one(0, 60, Change::Appeared(port(subject)));
    assert_eq!(
        sentence,
        "listens on \"80/tcp; all 4 other web servers do too[2K\"; no other of 4 web servers ever did"
    );
    let (_, sentence) = servers.one(
        0,
        60,
        Change::Appeared(Item::new(Kind::Software, &"a".repeat(100_000), Some(&"b".repeat(100_000)))),
    );
    assert!(sentence.chars().count() < 600, "{sentence}");
}
