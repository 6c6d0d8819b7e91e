//! Kept equals recomputed, order does not matter, more usual is never rarer, bytes come back as they were.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const ASSETS: usize = 4;

fn item() -> impl Strategy<Value = Item> {
    let kind = prop_oneof![Just(Kind::Port), Just(Kind::Software)];
    (kind, 0_u8..4, proptest::option::of(0_u8..3)).prop_map(|(kind, subject, detail)| {
        Item::new(kind, &format!("s{subject}"), detail.map(|detail| format!("d{detail}")).as_deref())
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => item().prop_map(Change::Appeared),
        2 => item().prop_map(Change::Vanished),
        1 => (item(), item()).prop_map(|(before, after)| Change::Changed { before, after }),
    ]
}

/// Runs of several assets: how many days later, of which asset, whether it is an inventory, with which changes.
fn runs() -> impl Strategy<Value = Vec<(i64, usize, bool, Vec<Change>)>> {
    vec((0_i64..12, 0..ASSETS, proptest::bool::weighted(0.1), vec(change(), 0..6)), 0..40)
}

fn play(runs: &[(i64, usize, bool, Vec<Change>)]) -> (Vec<Asset>, Group, i64) {
    let (mut assets, mut group, mut day) = (vec![Asset::default(); ASSETS], Group::default(), 0);
    for (days, index, is_inventory, changes) in runs {
        day += days;
        let run = Run { is_inventory: *is_inventory, ..later(day) };
        follow(&mut assets[*index], &mut group, changes.clone(), run, CONTEXT);
    }
    (assets, group, day)
}

/// What a group says of everything that could be asked, to somebody outside it.
fn answers(group: &Group, day: i64) -> Vec<(u32, u32, u32, u64)> {
    let mut answers = Vec::new();
    for kind in [Kind::Port, Kind::Software] {
        for subject in 0..4 {
            for detail in [None, Some("d0"), Some("d1"), Some("d2")] {
                let item = Item::new(kind, &format!("s{subject}"), detail);
                for id in [item.name(), item.form()] {
                    let others = group.others(&Asset::default(), (kind, id), Day::of(on(day)));
                    answers.push((others.all, others.have, others.had, others.had_eighths));
                }
            }
        }
    }
    answers
}

proptest! {
    #[test]
    fn a_kept_group_says_what_one_made_anew_of_its_assets_says(runs in runs(), later in 0_i64..70) {
        let (assets, group, day) = play(&runs);
        let anew = Group::of(&assets, Day::of(on(day)));
        prop_assert_eq!(answers(&group, day), answers(&anew, day));
        prop_assert_eq!(answers(&group, day + later), answers(&anew, day + later));
    }

    #[test]
    fn groups_merge_in_any_order_and_an_asset_that_leaves_was_never_there(runs in runs(), cut in 0..=ASSETS) {
        let (assets, group, day) = play(&runs);
        let (left, right) = assets.split_at(cut);
        let [left_group, right_group] = [left, right].map(|assets| Group::of(assets, Day::of(on(day))));
        let (mut one, mut other) = (left_group.clone(), right_group.clone());
        one.merge(&right_group);
        other.merge(&left_group);
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(answers(&one, day), answers(&group, day));
        let mut without = group;
        for asset in left {
            without.leave(asset, Day::of(on(day)));
        }
        prop_assert_eq!(answers(&without, day), answers(&right_group, day));
    }

    #[test]
    fn the_order_of_changes_and_repeats_of_them_change_nothing(runs in runs(), changes in vec(change(), 0..12), turn in 0_usize..12) {
        let (assets, group, day) = play(&runs);
        let mut turned = changes.clone();
        turned.rotate_left(if changes.is_empty() { 0 } else { turn % changes.len() });
        turned.extend(changes.clone());
        turned.reverse();
        let follow = |changes| {
            let (mut asset, mut group) = (assets[0].clone(), group.clone());
            let outcome = follow(&mut asset, &mut group, changes, later(day), CONTEXT);
            (asset, group, outcome)
        };
        prop_assert_eq!(follow(changes), follow(turned));
    }

    #[test]
    fn each_asset_counts_for_one_and_no_form_outlives_its_thing(runs in runs()) {
        let (assets, group, day) = play(&runs);
        for (all, have, had, eighths) in answers(&group, day) {
            prop_assert!(have + had <= all);
            prop_assert!(eighths <= u64::from(had) * u64::from(WEEKS));
        }
        for asset in &assets {
            for shelf in asset.shelves.values() {
                let there = |least: u32| shelf.seen.values().filter(|seen| seen.copies >= least).count();
                prop_assert_eq!(shelf.gone, shelf.seen.len() - there(1));
            }
        }
    }

    #[test]
    fn baselines_come_back_from_their_bytes(runs in runs(), cut in 0_usize..2_000) {
        let (assets, group, _) = play(&runs);
        let bytes = group.encode();
        prop_assert_eq!(Group::decode(&bytes), Ok(group));
        prop_assert!(Asset::decode(&bytes).is_err());
        let bytes = assets[0].encode();
        prop_assert_eq!(Asset::decode(&bytes), Ok(assets[0].clone()));
        // A part of the bytes is an error, or ends between two kinds.
        if let Ok(part) = Asset::decode(&bytes[..cut.min(bytes.len())]) {
            prop_assert!(part.shelves.iter().all(|(kind, shelf)| assets[0].shelves.get(kind) == Some(shelf)));
        }
    }

    #[test]
    fn bytes_of_anybody_are_refused_or_bounded(mut bytes in vec(any::<u8>(), 0..300), is_group in any::<bool>()) {
        if let Some(first) = bytes.first_mut() {
            *first = if is_group { Group::default().encode()[0] } else { Asset::default().encode()[0] };
        }
        if let Ok(asset) = Asset::decode(&bytes) {
            prop_assert_eq!(Asset::decode(&asset.encode()), Ok(asset));
        }
        if let Ok(group) = Group::decode(&bytes) {
            prop_assert_eq!(Group::decode(&group.encode()), Ok(group));
        }
    }
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let group = (0_u32..200, 0_u32..200, 0_u32..200, proptest::option::of(0_u32..100), 0_u32..400, any::<bool>());
    (group, 1_u8..=WEEKS, 0_u8..=WEEKS, 0_u8..=WEEKS).prop_map(
        |((others, have, had, known_days, group_days, has_gaps), weeks_known, weeks_seen, weeks_stirred)| {
            let have = have.min(others);
            let had = had.min(others - have);
            let (weeks_seen, weeks_stirred) = (weeks_seen.min(weeks_known), weeks_stirred.min(weeks_known));
            let had_eighths = u64::from(had) * 3;
            Evidence {
                others,
                have,
                had,
                had_eighths,
                known_days,
                group_days,
                has_gaps,
                weeks_known,
                weeks_seen,
                weeks_stirred,
            }
        },
    )
}

fn kinds_of_change() -> [Change; 3] {
    let changed = Change::Changed { before: package("1"), after: package("2") };
    [Change::Appeared(package("1")), changed, Change::Vanished(package("1"))]
}

proptest! {
    #[test]
    fn the_more_usual_a_change_is_the_less_rare(evidence in evidence(), more in 1_u32..20) {
        let [appeared, changed, vanished] = kinds_of_change();
        let at_most = Evidence { have: (evidence.have + more).min(evidence.others), known_days: evidence.known_days.or(Some(0)), ..evidence };
        let longer = Evidence { known_days: evidence.known_days.map(|days| days + more), ..evidence };
        let weeks_seen = (evidence.weeks_seen + 1).min(evidence.weeks_known);
        let oftener = Evidence { weeks_seen, ..evidence };
        for change in [&appeared, &changed] {
            prop_assert!(rarity(change, &at_most) <= rarity(change, &evidence));
            prop_assert!(rarity(change, &longer) <= rarity(change, &evidence));
            prop_assert!(rarity(change, &oftener) <= rarity(change, &evidence));
        }
        prop_assert!(rarity(&vanished, &at_most) >= rarity(&vanished, &evidence));
        prop_assert!(rarity(&vanished, &oftener) >= rarity(&vanished, &evidence));
        let most = if evidence.is_small_group() { 67 } else { 100 };
        for change in [&appeared, &changed, &vanished] {
            prop_assert!(rarity(change, &evidence) <= most);
        }
    }

    #[test]
    fn whatever_a_host_writes_the_sentence_is_clean_and_bounded(
        subject in any::<String>(), detail in proptest::option::of(any::<String>()), group in any::<String>(), evidence in evidence(),
        kind in prop_oneof![Just(Kind::Process), Just(Kind::Software), Just(Kind::Autorun), Just(Kind::Account)],
    ) {
        let item = |detail: Option<&str>| Item::new(kind, &subject, detail);
        let changes = [
            Change::Appeared(item(detail.as_deref())),
            Change::Vanished(item(detail.as_deref())),
            Change::Changed { before: item(Some("1")), after: item(detail.as_deref()) },
        ];
        for change in changes {
            let sentence = sentence::sentence(&change, &evidence, &group);
            prop_assert!(sentence.chars().count() < 600);
            let is_unfit = |c: char| c.is_control() || matches!(u32::from(c), 0x200b..=0x200f | 0x2028..=0x202e);
            prop_assert!(!sentence.chars().any(is_unfit));
        }
    }
}
