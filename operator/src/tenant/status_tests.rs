//! Tables of cases: outcomes to conditions.

use super::*;
use crate::provision::Report;
use crate::tenant::validate::tests::tenant_with;
use ConditionType::{AgentsReady, DatabaseReady, NamespaceReady, Ready, Reconciling, SecretsReady, Stalled};
use serde_json::json;

fn done() -> Outcome {
    Outcome::Done(Note::succeeded(""))
}

fn failed(class: Class, reason: &str) -> Outcome {
    Outcome::Failed(Report { reason: reason.into(), message: "it says why".into(), class })
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn run(previous: Option<&TenantStatus>, outcomes: &[(ConditionType, Outcome)], second: i64) -> TenantStatus {
    let tenant = tenant_with(json!({ "displayName": "A" }));
    with(previous, &tenant, outcomes, Figures::default(), second)
}

fn with(
    previous: Option<&TenantStatus>,
    tenant: &ValidTenant,
    outcomes: &[(ConditionType, Outcome)],
    figures: Figures,
    second: i64,
) -> TenantStatus {
    let situation = Situation::Provisioned { tenant, outcomes, figures, schema_version: 7 };
    next(&Facts { previous, generation: Some(1), requested_at: None, children: 0, situation, now: at(second) })
}

fn says(status: &TenantStatus, kind: ConditionType) -> Option<(&str, &str)> {
    get(&status.conditions, kind).map(|c| (c.status.as_str(), c.reason.as_str()))
}

#[test]
fn a_first_visit_is_unknown_and_progressing() {
    let status = run(None, &[(NamespaceReady, done()), (DatabaseReady, Outcome::Underway)], 0);
    assert_eq!(says(&status, Ready), Some(("Unknown", "Progressing")));
    assert_eq!(says(&status, Reconciling), Some(("True", "Progressing")));
    assert_eq!(says(&status, DatabaseReady), Some(("Unknown", "Progressing")));
    assert_eq!(status.schema_version, None);
}

#[test]
fn all_done_is_ready_and_nothing_else() {
    let status = run(None, &[(NamespaceReady, done()), (DatabaseReady, done())], 0);
    assert_eq!(says(&status, Ready), Some(("True", "Succeeded")));
    assert_eq!((says(&status, Reconciling), says(&status, Stalled)), (None, None));
    assert_eq!((status.schema_version, status.schema.as_deref()), (Some(7), Some("tenant_acme")));
}

#[test]
fn the_same_again_is_the_same_status() {
    let outcomes = [(NamespaceReady, done()), (DatabaseReady, failed(Class::Silent, "PostgresUnavailable"))];
    let first = run(None, &outcomes, 0);
    assert_eq!(run(Some(&first), &outcomes, 50), first);
}

#[test]
fn a_ready_tenant_survives_two_minutes_of_silence_then_degrades_and_heals() {
    let good = run(None, &[(SecretsReady, done())], 0);
    let silent = [(SecretsReady, failed(Class::Silent, "OpenBaoUnavailable"))];
    let within = run(Some(&good), &silent, 10);
    assert_eq!(says(&within, Ready), Some(("True", "Succeeded")));
    assert_eq!(says(&within, SecretsReady), Some(("False", "OpenBaoUnavailable")));
    assert_eq!(grace_left(&within, at(20)), Some(110));
    let still = run(Some(&within), &silent, 10 + GRACE_SECONDS - 1);
    assert_eq!(says(&still, Ready), Some(("True", "Succeeded")));
    let after = run(Some(&still), &silent, 10 + GRACE_SECONDS);
    assert_eq!(says(&after, Ready), Some(("False", "Degraded")));
    assert_eq!(says(&run(Some(&after), &silent, 500), Ready), Some(("False", "Degraded")));
    assert_eq!(says(&run(Some(&after), &[(SecretsReady, done())], 600), Ready), Some(("True", "Succeeded")));
}

#[test]
fn a_tenant_that_never_was_ready_says_what_fails() {
    let status = run(None, &[(SecretsReady, failed(Class::Silent, "OpenBaoUnavailable"))], 0);
    assert_eq!(says(&status, Ready), Some(("False", "OpenBaoUnavailable")));
    assert!(says(&status, Reconciling).is_some());
}

#[test]
fn only_what_a_person_must_change_is_stalled() {
    let good = run(None, &[(NamespaceReady, done())], 0);
    let status = run(Some(&good), &[(NamespaceReady, failed(Class::Stalled, "NamespaceTaken"))], 5);
    assert_eq!(says(&status, Ready), Some(("False", "NamespaceTaken")));
    assert_eq!(says(&status, Stalled), Some(("True", "NamespaceTaken")));
    assert_eq!(says(&status, Reconciling), None);
}

#[test]
fn agents_do_not_decide_whether_a_tenant_is_ready() {
    let tenant = tenant_with(json!({ "displayName": "A" }));
    let outcomes = [(NamespaceReady, done()), (AgentsReady, done())];
    let cases = [(0, 0, ("True", "NoNodes")), (2, 1, ("False", "WaitingForAgents")), (2, 2, ("True", "Succeeded"))];
    for (desired, ready, says_agents) in cases {
        let figures = Figures { agents: AgentCounts { desired, ready, stale: 0 }, ..Figures::default() };
        let status = with(None, &tenant, &outcomes, figures, 0);
        assert_eq!(says(&status, AgentsReady), Some(says_agents));
        assert_eq!(says(&status, Ready), Some(("True", "Succeeded")));
    }
}

#[test]
fn a_suspended_tenant_is_ready_for_that_reason() {
    let tenant = tenant_with(json!({ "displayName": "A", "suspend": true }));
    let status = with(None, &tenant, &[(NamespaceReady, done())], Figures::default(), 0);
    assert_eq!(says(&status, Ready), Some(("True", "Suspended")));
}

#[test]
fn looking_again_at_what_was_ready_changes_nothing() {
    let good = run(None, &[(DatabaseReady, done())], 0);
    assert_eq!(run(Some(&good), &[(DatabaseReady, Outcome::Underway)], 30), good);
}

#[test]
fn a_system_that_is_no_longer_configured_leaves_its_condition_out() {
    let good = run(None, &[(NamespaceReady, done()), (SecretsReady, done())], 0);
    assert_eq!(says(&run(Some(&good), &[(NamespaceReady, done())], 1), SecretsReady), None);
}

#[test]
fn a_pause_is_said_once_and_taken_back() {
    let good = run(None, &[(NamespaceReady, done())], 0);
    let facts = |previous, second| Facts {
        previous: Some(previous),
        generation: Some(1),
        requested_at: None,
        children: 0,
        situation: Situation::Paused,
        now: at(second),
    };
    let paused = next(&facts(&good, 1));
    assert_eq!(says(&paused, ConditionType::Paused), Some(("True", "Disabled")));
    assert_eq!(next(&facts(&paused, 2)), paused);
    assert_eq!(says(&run(Some(&paused), &[(NamespaceReady, done())], 3), ConditionType::Paused), None);
}
