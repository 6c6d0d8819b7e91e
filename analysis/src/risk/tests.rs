//! The numbers of `docs/scoring.md`, and the properties: kept equals recomputed, worse is never lower, order does not
//! matter, the parts sum to what is shown.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const EXPOSED: Exposure = Exposure { listens: true, privileged: false, internet_facing: true };

fn kev() -> Exploitability {
    Exploitability { known_exploited: true, epss: None }
}

/// The numbers of `docs/scoring.md`.
#[test]
fn the_worked_example_of_the_docs() {
    let weights = Weights::default();
    let findings = [
        ("openssl", Finding { severity: Severity::Critical, exposure: EXPOSED, exploitability: kev() }),
        ("sshd", Finding { exposure: EXPOSED, ..Finding::plain(Severity::High) }),
        ("banner", Finding::plain(Severity::Low)),
    ];
    let sums = AssetSums::of(findings.iter().map(|(_, finding)| finding), &weights);
    assert_eq!(sums, AssetSums { points: 635_000, findings: 3 });
    let load = sums.load(Criticality::High, &weights);
    assert_eq!((load, load.risk()), (Load(1_905_000), 66));

    let explained = asset(&sums, Criticality::High, &weights, findings).unwrap();
    let shares: Vec<_> = explained.parts.iter().map(|part| (part.key, part.share)).collect();
    assert_eq!(shares, [("openssl", 52), ("sshd", 13), ("banner", 1)]);
    assert_eq!(
        explained.parts[0].why.to_string(),
        "critical (10) × internet-facing and listening (2.5) × known to be exploited (2) × asset of high criticality (1.5) = 75 points"
    );

    let fleet_sums = FleetSums::of([load, Load(100_000), Load(0), Load(0)]);
    assert_eq!(fleet_sums.risk(), Some(33));
    let explained = fleet(&fleet_sums, [("web-1", load.into()), ("db-1", Load(100_000).into())]).unwrap();
    let shares: Vec<_> = explained.parts.iter().map(|part| (part.key, part.share)).collect();
    assert_eq!(shares, [("web-1", 31), ("db-1", 2)]);
    assert_eq!(explained.rest.map(|rest| (rest.count, rest.share)), Some((2, 0)));
}

#[test]
fn five_plain_findings_of_the_heaviest_severity_are_a_risk_of_fifty_on_every_scale() {
    for weights in [
        Weights::default(),
        Weights { critical: 1000, high: 50, medium: 2, low: 0 },
        Weights { critical: 1, high: 1, medium: 1, low: 1 },
    ] {
        let risk = |count| {
            AssetSums::of(&vec![Finding::plain(Severity::Critical); count], &weights)
                .load(Criticality::Normal, &weights)
                .risk()
        };
        assert_eq!([0, 1, 5, 20, 100_000].map(risk), [0, 17, 50, 80, 100]);
    }
}

#[test]
fn weights_of_nothing_or_upside_down_harm_nobody() {
    let none = Weights { critical: 0, high: 0, medium: 0, low: 0 };
    let finding = Finding::plain(Severity::Critical);
    assert_eq!(AssetSums::of([&finding], &none).load(Criticality::Critical, &none).risk(), 0);
    let upside_down = Weights { critical: 1, high: 2, medium: 5, low: 10 };
    assert_eq!(weight(&upside_down, Severity::Critical), 10);
    assert_eq!(FleetSums::default().risk(), None);
    assert_eq!(serde_json::from_str::<Load>("-5").unwrap(), Load(0));
}

#[test]
fn one_host_that_claims_a_million_findings_is_not_the_whole_fleet() {
    let weights = Weights { critical: u16::MAX, high: 0, medium: 0, low: 0 };
    let worst = Finding {
        severity: Severity::Critical,
        exposure: Exposure { privileged: true, ..EXPOSED },
        exploitability: kev(),
    };
    let mut sums = AssetSums::default();
    for _ in 0..1_000_000 {
        sums.change(None, Some(&worst), &weights);
    }
    let load = sums.load(Criticality::Critical, &weights);
    assert_eq!((load, load.risk()), (Load::MAX, 100));
    let others = std::iter::repeat_n(Load(0), 999);
    assert_eq!(FleetSums::of(others.chain([load])).risk(), Some(17));
}

#[test]
fn a_list_that_gives_more_than_the_kept_sum_is_refused() {
    let weights = Weights::default();
    let findings = [(1, Finding::plain(Severity::High)), (2, Finding::plain(Severity::Low))];
    let kept = AssetSums::of([&findings[0].1], &weights);
    assert_eq!(asset(&kept, Criticality::Normal, &weights, findings), Err(ExplanationError::MoreThanKept));
    let without_count =
        AssetSums { findings: 1, ..AssetSums::of(findings.iter().map(|(_, finding)| finding), &weights) };
    assert_eq!(
        asset(&without_count, Criticality::Normal, &weights, [findings[0]]),
        Err(ExplanationError::MoreThanKept)
    );
}

#[test]
fn points_that_are_missing_after_rounding_go_to_the_largest_remainders() {
    for (total, amounts, expected) in [
        (100, &[1_i64, 1, 1][..], &[34_u8, 33, 33][..]),
        (10, &[5, 3, 1], &[6, 3, 1]),
        (1, &[1, 2], &[0, 1]),
        (0, &[1, 2], &[0, 0]),
        (50, &[0, 0], &[0, 0]),
        (7, &[-3, 5], &[0, 7]),
        (3, &[], &[]),
    ] {
        assert_eq!(divide(total, amounts), expected, "{total} among {amounts:?}");
    }
}

fn severity() -> impl Strategy<Value = Severity> {
    prop_oneof![Just(Severity::Low), Just(Severity::Medium), Just(Severity::High), Just(Severity::Critical)]
}

fn criticality() -> impl Strategy<Value = Criticality> {
    prop_oneof![Just(Criticality::Low), Just(Criticality::Normal), Just(Criticality::High), Just(Criticality::Critical)]
}

fn finding() -> impl Strategy<Value = Finding> {
    let exposure = any::<[bool; 3]>().prop_map(|[listens, privileged, internet_facing]| Exposure {
        listens,
        privileged,
        internet_facing,
    });
    let exploitability = (any::<bool>(), proptest::option::of(0_u16..=Epss::MAX))
        .prop_map(|(known_exploited, epss)| Exploitability { known_exploited, epss: epss.and_then(Epss::new) });
    (severity(), exposure, exploitability).prop_map(|(severity, exposure, exploitability)| Finding {
        severity,
        exposure,
        exploitability,
    })
}

fn weights() -> impl Strategy<Value = Weights> {
    (0_u16..=1000, 0_u16..=1000, 0_u16..=1000, 0_u16..=1000).prop_map(|(critical, high, medium, low)| Weights {
        critical,
        high,
        medium,
        low,
    })
}

/// The same finding, with one thing about it as bad or worse.
fn worse(finding: Finding, other: Finding, which: u8) -> Finding {
    let mut worse = finding;
    match which % 6 {
        0 => worse.severity = finding.severity.max(other.severity),
        1 => worse.exposure.listens = true,
        2 => worse.exposure.privileged = true,
        3 => worse.exposure.internet_facing = true,
        4 => worse.exploitability.known_exploited = true,
        _ => worse.exploitability.epss = finding.exploitability.epss.max(other.exploitability.epss),
    }
    worse
}

proptest! {
    #[test]
    fn kept_sums_equal_a_recompute_at_every_level(
        weights in weights(),
        changes in proptest::collection::vec((0_usize..5, 0_usize..6, proptest::option::of(finding()), proptest::option::of(criticality())), 0..80),
    ) {
        const ASSETS: usize = 5;
        let mut findings: [BTreeMap<usize, Finding>; ASSETS] = Default::default();
        let mut criticalities = [Criticality::Normal; ASSETS];
        let mut kept = [AssetSums::default(); ASSETS];
        let mut tenant = FleetSums::of([Load(0); ASSETS]);
        for (index, slot, to, critical) in changes {
            let before = kept[index].load(criticalities[index], &weights);
            let from = match to {
                Some(to) => findings[index].insert(slot, to),
                None => findings[index].remove(&slot),
            };
            kept[index].change(from.as_ref(), to.as_ref(), &weights);
            if let Some(critical) = critical {
                criticalities[index] = critical;
            }
            let after = kept[index].load(criticalities[index], &weights);
            tenant.change(Some(before), Some(after));

            let sums = findings.each_ref().map(|findings| AssetSums::of(findings.values(), &weights));
            prop_assert_eq!(kept, sums);
            let loads = std::array::from_fn::<_, ASSETS, _>(|index| sums[index].load(criticalities[index], &weights));
            prop_assert_eq!(tenant, FleetSums::of(loads));
            let (some, others) = loads.split_at(2);
            let platform = FleetSums::of(some.iter().copied()).plus(FleetSums::of(others.iter().copied()));
            prop_assert_eq!(platform.risk(), tenant.risk());
        }
    }

    #[test]
    fn a_further_or_worse_finding_never_lowers_any_risk(
        weights in weights(), criticality in criticality(), others in proptest::collection::vec(finding(), 0..30),
        one in finding(), other in finding(), which in any::<u8>(), fleet in 0_i64..100, size in 0_i64..50,
    ) {
        let load = |more: &[Finding]| AssetSums::of(others.iter().chain(more), &weights).load(criticality, &weights);
        let levels = |load: Load| (load.risk(), FleetSums { load: fleet * 10_000, assets: size }.plus(load.into()).risk());
        let (none, with, with_worse) = (load(&[]), load(&[one]), load(&[worse(one, other, which)]));
        prop_assert!(none <= with && with <= with_worse);
        prop_assert!(levels(none).0 <= levels(with).0 && levels(with).0 <= levels(with_worse).0);
        prop_assert!(levels(none).1 <= levels(with).1 && levels(with).1 <= levels(with_worse).1);
        prop_assert!(with_worse.risk() <= 100);
    }

    #[test]
    fn a_more_critical_asset_never_has_less_risk(weights in weights(), findings in proptest::collection::vec(finding(), 0..30)) {
        let sums = AssetSums::of(&findings, &weights);
        let loads = [Criticality::Low, Criticality::Normal, Criticality::High, Criticality::Critical].map(|criticality| sums.load(criticality, &weights));
        prop_assert!(loads.is_sorted());
    }

    #[test]
    fn the_order_of_findings_changes_neither_the_risk_nor_its_explanation(
        weights in weights(), criticality in criticality(), findings in proptest::collection::vec(finding(), 1..30), turn in 0_usize..30,
    ) {
        let listed: Vec<(usize, Finding)> = findings.iter().copied().enumerate().collect();
        let mut turned = listed.clone();
        turned.rotate_left(turn % listed.len());
        turned.reverse();
        let sums = |listed: &[(usize, Finding)]| AssetSums::of(listed.iter().map(|(_, finding)| finding), &weights);
        prop_assert_eq!(sums(&listed), sums(&turned));
        prop_assert_eq!(
            asset(&sums(&listed), criticality, &weights, listed),
            asset(&sums(&turned), criticality, &weights, turned)
        );
    }

    #[test]
    fn the_parts_sum_exactly_to_the_shown_risk_however_many_are_listed(
        weights in weights(), criticality in criticality(), findings in proptest::collection::vec(finding(), 0..40), most in 0_usize..50,
    ) {
        let kept = AssetSums::of(&findings, &weights);
        let mut listed: Vec<(usize, Finding)> = findings.iter().copied().enumerate().collect();
        listed.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.points(&weights)));
        listed.truncate(most);
        let explained = asset(&kept, criticality, &weights, listed).unwrap();
        let rest = explained.rest.map_or(0, |rest| usize::from(rest.share));
        let sum = explained.parts.iter().map(|part| usize::from(part.share)).sum::<usize>() + rest;
        prop_assert_eq!(sum, usize::from(explained.risk));
        prop_assert_eq!(explained.risk, kept.load(criticality, &weights).risk());
        prop_assert_eq!(explained.rest.is_some(), findings.len() > most);
        prop_assert!(explained.parts.is_sorted_by(|a, b| a.share >= b.share));
    }

    #[test]
    fn every_share_is_its_exact_share_rounded_up_or_down(total in 0_u8..=100, amounts in proptest::collection::vec(0_i64..1_000_000, 1..40)) {
        let whole: i64 = amounts.iter().sum();
        let shares = divide(total, &amounts);
        if whole > 0 {
            prop_assert_eq!(shares.iter().map(|share| u64::from(*share)).sum::<u64>(), u64::from(total));
            for (share, amount) in shares.iter().zip(&amounts) {
                let exact = amount * i64::from(total);
                prop_assert!((i64::from(*share) * whole - exact).abs() < whole);
            }
        }
    }

    #[test]
    fn a_fleets_parts_sum_to_its_risk(loads in proptest::collection::vec(0_i64..3_000_000, 1..40), most in 0_usize..50) {
        let kept = FleetSums::of(loads.iter().copied().map(Load::from));
        let explained = fleet(&kept, loads.iter().copied().map(|load| FleetSums::from(Load::from(load))).enumerate().take(most)).unwrap();
        let rest = explained.rest.map_or(0, |rest| usize::from(rest.share));
        let sum = explained.parts.iter().map(|part| usize::from(part.share)).sum::<usize>() + rest;
        prop_assert_eq!(Some(sum), kept.risk().map(usize::from));
    }
}
