//! Drift by cases: what a host does, what is said of it. The properties are in [`properties`].

mod hostile;
mod properties;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;

fn on(day: i64) -> DateTime<Utc> {
    DateTime::from_timestamp((20_000 * 7 + day) * 86_400, 0).unwrap()
}

fn port(subject: &str) -> Item {
    Item::new(Kind::Port, subject, None)
}

fn package(version: &str) -> Item {
    Item::new(Kind::Software, "openssl", Some(version))
}

fn inventory(items: &[Item]) -> Vec<Change> {
    items.iter().cloned().map(Change::Appeared).collect()
}

const CONTEXT: Context<'_> = Context { group: "web servers", approvals: &[], windows: &[] };

fn first(day: i64) -> Run<'static> {
    Run { at: on(day), previous: None, is_inventory: true, kinds: &Kind::ALL }
}

fn later(day: i64) -> Run<'static> {
    Run { at: on(day), previous: Some(on(day) - TimeDelta::hours(1)), is_inventory: false, kinds: &Kind::ALL }
}

/// A group of which every member was first looked at on day 0, and had the same things.
struct Servers {
    assets: Vec<Asset>,
    group: Group,
}

impl Servers {
    fn new(count: usize, items: &[Item]) -> Self {
        let mut servers = Self { assets: vec![Asset::default(); count], group: Group::default() };
        for asset in &mut servers.assets {
            let outcome = follow(asset, &mut servers.group, inventory(items), first(0), CONTEXT);
            assert_eq!((outcome.drifts.len(), outcome.inventory), (0, items.len()));
        }
        servers
    }

    fn run(&mut self, index: usize, day: i64, changes: &[Change]) -> Outcome {
        follow(&mut self.assets[index], &mut self.group, changes.to_vec(), later(day), CONTEXT)
    }

    fn one(&mut self, index: usize, day: i64, change: Change) -> (u8, String) {
        let outcome = self.run(index, day, &[change]);
        let [drift] = outcome.drifts.as_slice() else { panic!("one drift: {outcome:?}") };
        (drift.rarity, drift.sentence.clone())
    }
}

fn said(rarity: u8, sentence: &str) -> (u8, String) {
    (rarity, sentence.to_owned())
}

/// The numbers and the sentences of `docs/scoring.md`.
#[test]
fn the_worked_example_of_the_docs() {
    let mut servers = Servers::new(39, &[port("443/tcp")]);
    let rare = Change::Appeared(port("4444/tcp"));
    assert_eq!(servers.one(0, 60, rare), said(95, "listens on 4444/tcp; no other of 38 web servers ever did"));
    let gone = Change::Vanished(port("443/tcp"));
    assert_eq!(
        servers.one(1, 60, gone),
        said(95, "no longer listens on 443/tcp; all 38 other web servers do; it did in 8 of 8 weeks")
    );
}

#[test]
fn what_spreads_becomes_usual_and_then_more_so_with_time() {
    let mut servers = Servers::new(39, &[]);
    let appeared = || Change::Appeared(port("8443/tcp"));
    let mut before = 100;
    for index in 0..20 {
        let (rarity, sentence) = servers.one(index, 60, appeared());
        assert!(rarity <= before, "{index}: {rarity} after {before}");
        before = rarity;
        assert_eq!(sentence.contains("the first of them today"), index > 0, "{sentence}");
    }
    assert_eq!(
        servers.one(20, 63, appeared()),
        said(72, "listens on 8443/tcp; 20 of 38 other web servers do too, the first of them 3 days ago")
    );
    assert_eq!(servers.one(21, 67, appeared()), said(61, "listens on 8443/tcp; 21 of 38 other web servers do too"));
}

#[test]
fn what_others_had_is_forgotten_over_weeks_and_not_with_the_next_scan() {
    let mut servers = Servers::new(39, &[]);
    for index in 1..39 {
        servers.one(index, 60, Change::Appeared(port("9000/tcp")));
    }
    for index in 1..39 {
        servers.one(index, 70, Change::Vanished(port("9000/tcp")));
    }
    let mut rarities = Vec::new();
    for day in [70, 84, 105, 133] {
        let (rarity, sentence) = servers.clone_one(0, day);
        rarities.push(rarity);
        let expected = if day < 126 {
            "listens on 9000/tcp; none of 38 other web servers does now, 38 did in the last 8 weeks"
        } else {
            "listens on 9000/tcp; no other of 38 web servers did in the last 8 weeks"
        };
        assert_eq!(sentence, expected, "day {day}");
    }
    assert_eq!(rarities, [33, 49, 72, 95]);
}

impl Servers {
    /// The same, without learning it.
    fn clone_one(&self, index: usize, day: i64) -> (u8, String) {
        let mut copy = Self { assets: self.assets.clone(), group: self.group.clone() };
        copy.one(index, day, Change::Appeared(port("9000/tcp")))
    }
}

#[test]
fn a_small_group_says_that_it_is_small_and_pretends_nothing() {
    for (count, expected) in [
        (1, "listens on 4444/tcp; there is no other of its group to compare with"),
        (2, "listens on 4444/tcp; its group has only 1 other, too few to compare with"),
        (3, "listens on 4444/tcp; its group has only 2 others, too few to compare with"),
    ] {
        let mut servers = Servers::new(count, &[]);
        assert_eq!(servers.one(0, 60, Change::Appeared(port("4444/tcp"))), said(67, expected));
    }
    let (rarity, sentence) = Servers::new(4, &[]).one(0, 60, Change::Appeared(port("4444/tcp")));
    assert_eq!((rarity, sentence.as_str()), (67, "listens on 4444/tcp; no other of 3 web servers ever did"));
}

#[test]
fn a_young_group_does_not_say_ever_and_a_young_asset_is_believed_less() {
    let mut servers = Servers::new(39, &[]);
    for (index, day, expected) in [
        (0, 0, "listens on 4444/tcp; no other of 38 web servers did since today, when looking began"),
        (1, 20, "listens on 4444/tcp; 1 of 38 other web servers does too"),
        (2, 20, "listens on 4445/tcp; no other of 38 web servers did in the 20 days that are known"),
    ] {
        let subject = if index == 2 { "4445/tcp" } else { "4444/tcp" };
        assert_eq!(servers.one(index, day, Change::Appeared(port(subject))).1, expected);
    }
    let rarity = |day| Servers::new(39, &[]).one(0, day, Change::Appeared(port("4444/tcp"))).0;
    assert_eq!([0, 7, 28, 49, 300].map(rarity), [66, 70, 83, 95, 95]);
}

#[test]
fn the_first_look_is_inventory_and_a_kind_of_which_it_found_nothing_is_known() {
    let mut servers = Servers::new(5, &[port("443/tcp")]);
    let mut asset = Asset::default();
    let outcome = follow(&mut asset, &mut servers.group, inventory(&[port("4444/tcp")]), first(60), CONTEXT);
    assert_eq!((outcome.drifts.len(), outcome.inventory), (0, 1));
    assert_eq!(servers.group.members(Kind::Port), 6);
    // Another module's first look at the same kind, and then a real change of a kind that was empty.
    let outcome = follow(&mut asset, &mut servers.group, inventory(&[port("53/udp")]), first(61), CONTEXT);
    assert_eq!((outcome.drifts.len(), servers.group.members(Kind::Port)), (0, 6));
    let autorun = Item::new(Kind::Autorun, "* * * * * root /tmp/x", None);
    let outcome = follow(&mut asset, &mut servers.group, inventory(&[autorun]), later(62), CONTEXT);
    assert_eq!(
        outcome.drifts[0].sentence,
        "starts \"* * * * * root /tmp/x\" by itself; no other of 5 web servers ever did"
    );
}

#[test]
fn an_update_is_compared_with_the_others_that_have_the_software() {
    let mut servers = Servers::new(39, &[package("3.0.11")]);
    let update = || Change::Changed { before: package("3.0.11"), after: package("3.0.13") };
    assert_eq!(
        servers.one(0, 60, update()),
        said(
            95,
            "the software openssl went from 3.0.11 to 3.0.13; no other of the 38 web servers that have it has it in this form"
        )
    );
    for index in 1..38 {
        // The two rows of one update may come as two changes.
        let outcome =
            servers.run(index, 60, &[Change::Vanished(package("3.0.11")), Change::Appeared(package("3.0.13"))]);
        assert_eq!(outcome.drifts.len(), 1);
    }
    let (rarity, sentence) = servers.one(38, 68, update());
    assert_eq!(
        (rarity, sentence.as_str()),
        (
            33,
            "the software openssl went from 3.0.11 to 3.0.13; all 38 other web servers that have it have it in this form"
        )
    );
    let unique = Item::new(Kind::File, "/etc/hostname", Some("a"));
    let mut servers = Servers::new(5, &[]);
    servers.one(0, 10, Change::Appeared(unique.clone()));
    let changed = Change::Changed { before: unique, after: Item::new(Kind::File, "/etc/hostname", Some("b")) };
    let expected =
        "the file /etc/hostname changed; no other of its group has it; it came, went or changed here in 1 of 8 weeks";
    assert_eq!(servers.one(0, 80, changed.clone()).1, "the file /etc/hostname changed; no other of its group has it");
    let mut servers = Servers::new(5, &[]);
    servers.one(0, 40, Change::Appeared(Item::new(Kind::File, "/etc/hostname", Some("a"))));
    assert_eq!(servers.one(0, 80, changed).1, expected);
}

#[test]
fn what_a_host_does_every_week_is_not_unusual_there() {
    let mut servers = Servers::new(1, &[]);
    let backup = || Item::new(Kind::Process, "/usr/bin/backup", None);
    let mut rarities = Vec::new();
    for week in 0..12 {
        let (rarity, _) = servers.one(0, 56 + week * 7, Change::Appeared(backup()));
        let (gone, _) = servers.one(0, 57 + week * 7, Change::Vanished(backup()));
        assert_eq!(gone, 0, "week {week}");
        rarities.push(rarity);
    }
    assert!(rarities.is_sorted_by(|a, b| a >= b), "{rarities:?}");
    assert_eq!((rarities[0], rarities[11]), (67, 8));
    let (_, sentence) = servers.one(0, 56 + 12 * 7, Change::Appeared(backup()));
    assert_eq!(
        sentence,
        "runs /usr/bin/backup; there is no other of its group to compare with; it did before, in 7 of 8 weeks"
    );
}

#[test]
fn approvals_and_windows_silence_and_the_drift_stays() {
    let grant = |from, until| Grant::new("anna", "change 4711", on(from), on(until)).unwrap();
    let approval = |subject, detail: Option<&str>, from, until| Approval {
        kind: Kind::Software,
        subject,
        detail: detail.map(ToOwned::to_owned),
        grant: grant(from, until),
    };
    let exact = Subject::exactly("openssl").unwrap();
    let update = Change::Changed { before: package("3.0.11"), after: package("3.0.13") };
    let silence = |approvals: &[Approval], windows: &[Grant]| {
        let mut servers = Servers::new(1, &[package("3.0.11")]);
        let context = Context { approvals, windows, ..CONTEXT };
        let run = Run { previous: Some(on(59)), ..later(60) };
        let outcome = follow(&mut servers.assets[0], &mut servers.group, vec![update.clone()], run, context);
        assert_eq!(outcome.drifts.len(), 1);
        outcome.drifts[0].silence.clone()
    };
    assert_eq!(silence(&[], &[]), None);
    let approved = Some(Silence::Approval(grant(50, 70)));
    assert_eq!(silence(&[approval(exact.clone(), None, 50, 70)], &[grant(0, 100)]), approved);
    assert_eq!(silence(&[approval(exact.clone(), Some("3.0.13"), 50, 70)], &[]), approved);
    assert_eq!(silence(&[approval(Subject::beginning_with("open").unwrap(), None, 50, 70)], &[]), approved);
    for refused in [
        approval(exact.clone(), Some("3.0.14"), 50, 70),
        approval(exact.clone(), None, 50, 59),
        approval(exact.clone(), None, 61, 70),
        approval(Subject::exactly("open").unwrap(), None, 50, 70),
        Approval { kind: Kind::File, ..approval(exact, None, 50, 70) },
    ] {
        assert_eq!(silence(std::slice::from_ref(&refused), &[]), None, "{refused:?}");
    }
    // The change may have happened in a window that ended before the run saw it, not in one before the run before.
    let window = |from: i64, until: i64| {
        let hours = |hours| on(59) + TimeDelta::hours(hours);
        Grant::new("ben", "patches", hours(from), hours(until)).unwrap()
    };
    assert_eq!(silence(&[], &[window(2, 4)]), Some(Silence::Maintenance(window(2, 4))));
    assert_eq!(silence(&[], &[window(-4, 0), window(25, 30)]), None);
    assert_eq!(Subject::beginning_with(" "), Err(PatternError::Empty));
    assert!(serde_json::from_str::<Subject>(r#"{"text":""}"#).is_err());
}

#[test]
fn an_asset_that_leaves_takes_its_counts_along() {
    let mut servers = Servers::new(5, &[port("443/tcp")]);
    servers.one(0, 60, Change::Vanished(port("443/tcp")));
    let (left, others) = servers.assets.split_at(2);
    for asset in left {
        servers.group.leave(asset, Day::of(on(61)));
    }
    let mut other = Group::of(left, Day::of(on(61)));
    let evidence = |group: &Group| {
        let evidence = Evidence::of(&Asset::default(), group, &Change::Appeared(port("443/tcp")), Day::of(on(61)));
        (evidence.others, evidence.have, evidence.had)
    };
    assert_eq!(evidence(&servers.group), (3, 3, 0));
    assert_eq!(evidence(&Group::of(others, Day::of(on(61)))), (3, 3, 0));
    assert_eq!(evidence(&other), (2, 1, 1));
    other.merge(&servers.group);
    assert_eq!(evidence(&other), (5, 4, 1));
}
