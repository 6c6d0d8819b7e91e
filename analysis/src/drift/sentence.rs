//! A drift in a sentence: what is there now, and how that compares, with what is not known said as not known.

use std::fmt::Write as _;

use super::item::{Change, Item, Kind};
use super::rarity::{Evidence, MATURE_DAYS};
use super::time::WEEKS;
use crate::text::{named, shown};

/// Characters of a group's name that are shown.
const MAX_LABEL: usize = 60;

/// Verbs and nouns of a kind.
struct Words {
    /// "listens on", before the subject.
    now: &'static str,
    /// After the subject.
    after: &'static str,
    /// "no longer listens on".
    no_longer: &'static str,
    /// "the port".
    noun: &'static str,
    /// Past, plural and singular: did, do, does.
    verbs: [&'static str; 3],
}

const fn words(kind: Kind) -> Words {
    const DO: [&str; 3] = ["did", "do", "does"];
    const HAVE: [&str; 3] = ["had it", "have it", "has it"];
    let (now, no_longer, noun, verbs) = match kind {
        Kind::Process => ("runs", "no longer runs", "the program", DO),
        Kind::Port => ("listens on", "no longer listens on", "the port", DO),
        Kind::File => ("has the file", "no longer has the file", "the file", HAVE),
        Kind::Account => ("has the account", "no longer has the account", "the account", HAVE),
        Kind::Software => ("has the software", "no longer has the software", "the software", HAVE),
        Kind::Service => ("has the service", "no longer has the service", "the service", HAVE),
        Kind::Autorun => ("starts", "no longer starts", "the autorun", DO),
    };
    Words { now, after: if matches!(kind, Kind::Autorun) { " by itself" } else { "" }, no_longer, noun, verbs }
}

/// The sentence, without a full stop, and without the asset's name: that stands before it.
pub(super) fn sentence(change: &Change, evidence: &Evidence, group: &str) -> String {
    let label = shown(group, MAX_LABEL);
    let label = if label.is_empty() { "assets" } else { &label };
    let words = words(change.kind());
    let mut out = what(change, &words);
    out.push_str("; ");
    out.push_str(&match change {
        Change::Changed { .. } => compared_form(evidence, label),
        Change::Vanished(_) => compared_going(evidence, label, &words),
        Change::Appeared(_) => compared(evidence, label, &words),
    });
    history(&mut out, change, evidence, &words);
    out
}

fn what(change: &Change, Words { now, after, no_longer, noun, .. }: &Words) -> String {
    match change {
        Change::Appeared(item) => format!("{now} {}{after}", full_name(item)),
        Change::Vanished(item) => format!("{no_longer} {}{after}", full_name(item)),
        Change::Changed { before, after } => match (before.detail(), after.detail()) {
            (Some(from), Some(to)) if after.kind() == Kind::Software => {
                format!("{noun} {} went from {} to {}", named(after.subject()), named(from), named(to))
            }
            _ => format!("{noun} {} changed", named(after.subject())),
        },
    }
}

/// Of software the version is part of what a reader wants; digests are not.
fn full_name(item: &Item) -> String {
    match item.detail() {
        Some(version) if item.kind() == Kind::Software => format!("{} {}", named(item.subject()), named(version)),
        _ => named(item.subject()),
    }
}

fn too_few(others: u32) -> String {
    match others {
        0 => "there is no other of its group to compare with".to_owned(),
        1 => "its group has only 1 other, too few to compare with".to_owned(),
        others => format!("its group has only {others} others, too few to compare with"),
    }
}

fn compared(evidence: &Evidence, label: &str, Words { verbs: [did, plural, singular], .. }: &Words) -> String {
    let Evidence { others, have, had, known_days, .. } = *evidence;
    if evidence.is_small_group() {
        return too_few(others);
    }
    match (have, had) {
        (0, 0) => {
            let span = span(evidence);
            if span == "ever" {
                format!("no other of {others} {label} ever {did}")
            } else {
                format!("no other of {others} {label} {did} {span}")
            }
        }
        (0, had) => format!("none of {others} other {label} {singular} now, {had} {did} in the last {WEEKS} weeks"),
        (have, _) => {
            let mut out = if have >= others {
                format!("all {others} other {label} {plural} too")
            } else {
                format!("{have} of {others} other {label} {} too", if have == 1 { singular } else { plural })
            };
            match known_days {
                Some(0) => out.push_str(", the first of them today"),
                Some(1) => out.push_str(", the first of them yesterday"),
                Some(days) if days < MATURE_DAYS => {
                    let _ = write!(out, ", the first of them {days} days ago");
                }
                _ => {}
            }
            out
        }
    }
}

/// Since when "no other did" is known.
fn span(evidence: &Evidence) -> String {
    let Evidence { group_days, known_days, has_gaps, .. } = *evidence;
    if group_days < u32::from(WEEKS) * 7 {
        return match group_days {
            0 => "since today, when looking began".to_owned(),
            1 => "since yesterday, when looking began".to_owned(),
            days => format!("in the {days} days that are known"),
        };
    }
    // What the group has met before, it may have met on another asset longer ago than it remembers.
    if known_days.is_none() && !has_gaps { "ever".to_owned() } else { format!("in the last {WEEKS} weeks") }
}

fn compared_going(evidence: &Evidence, label: &str, Words { verbs: [_, plural, singular], .. }: &Words) -> String {
    let Evidence { others, have, .. } = *evidence;
    match have {
        _ if evidence.is_small_group() => too_few(others),
        0 => format!("none of {others} other {label} {singular}"),
        have if have >= others => format!("all {others} other {label} {plural}"),
        have => format!("{have} of {others} other {label} {}", if have == 1 { singular } else { plural }),
    }
}

fn compared_form(evidence: &Evidence, label: &str) -> String {
    let Evidence { others, have, .. } = *evidence;
    match (others, have) {
        (0, _) => "no other of its group has it".to_owned(),
        (1, _) if evidence.is_small_group() => "only 1 other of its group has it, too few to compare with".to_owned(),
        _ if evidence.is_small_group() => format!("only {others} others of its group have it, too few to compare with"),
        (_, 0) => format!("no other of the {others} {label} that have it has it in this form"),
        (_, have) if have >= others => format!("all {others} other {label} that have it have it in this form"),
        (_, have) => {
            let has = if have == 1 { "has" } else { "have" };
            format!("{have} of the {others} other {label} that have it {has} it in this form")
        }
    }
}

fn history(out: &mut String, change: &Change, evidence: &Evidence, Words { verbs: [did, ..], .. }: &Words) {
    let Evidence { weeks_known, weeks_seen, weeks_stirred, .. } = *evidence;
    let weeks = if weeks_known == 1 { "the 1 week that is known".to_owned() } else { format!("{weeks_known} weeks") };
    let _ = match change {
        Change::Appeared(_) if weeks_seen > 0 => {
            write!(out, "; it {did} before, in {weeks_seen} of {weeks}")
        }
        Change::Vanished(_) if weeks_seen > 0 => write!(out, "; it {did} in {weeks_seen} of {weeks}"),
        Change::Changed { .. } if weeks_stirred > 0 => {
            write!(out, "; it came, went or changed here in {weeks_stirred} of {weeks}")
        }
        _ => Ok(()),
    };
}
