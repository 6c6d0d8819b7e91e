//! From outcomes to a status, by the rules of kstatus. Pure: the caller brings the time and what was there before, and
//! writes the result only if it differs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use crate::provision::{Class, Note};
use crate::runtime::lanes::Outcome;
use crate::tenant::validate::ValidTenant;
use crds::conditions::{
    ConditionType, REASON_DEGRADED, REASON_PROGRESSING, REASON_SUSPENDED, Status, clear, get, is_true, set,
};
use crds::tenant::{AgentCounts, OpenFindings, TenantStatus};

/// A tenant that was ready stays so while an outside system fails for less than this, in seconds.
pub const GRACE_SECONDS: i64 = 120;

/// Figures of a tenant, from its rollup and the nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// 0 to 100.
    pub score: Option<i32>,
    /// Agents, counted.
    pub agents: AgentCounts,
    /// Open findings, counted.
    pub findings: OpenFindings,
}

/// What a pass found out.
#[derive(Debug)]
pub enum Situation<'a> {
    /// The provisioners ran.
    Provisioned {
        /// The tenant.
        tenant: &'a ValidTenant,
        /// What they came to.
        outcomes: &'a [(ConditionType, Outcome)],
        /// Its figures.
        figures: Figures,
        /// The last migration of a schema that is ready.
        schema_version: i64,
    },
    /// A person has to act before anything is provisioned.
    Stalled {
        /// Why, in a word.
        reason: &'a str,
        /// Why, in a sentence.
        message: &'a str,
    },
    /// Something outside has to answer before anything is provisioned.
    Blocked {
        /// Why, in a word.
        reason: &'a str,
        /// Why, in a sentence.
        message: &'a str,
    },
    /// The controller was told to leave it alone.
    Paused,
    /// It is being taken back.
    Offboarding {
        /// How far it is.
        message: &'a str,
    },
}

/// What a status is made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The status before.
    pub previous: Option<&'a TenantStatus>,
    /// The generation that the pass saw.
    pub generation: Option<i64>,
    /// The request for a pass that it answers.
    pub requested_at: Option<&'a str>,
    /// Tenants directly below.
    pub children: usize,
    /// What the pass found out.
    pub situation: Situation<'a>,
    /// Now.
    pub now: Timestamp,
}

/// The status that the facts give.
pub fn next(facts: &Facts<'_>) -> TenantStatus {
    let mut status = facts.previous.cloned().unwrap_or_default();
    status.observed_generation = facts.generation;
    status.last_handled_reconcile_at = facts.requested_at.map(str::to_owned).or(status.last_handled_reconcile_at);
    status.children = Some(i32::try_from(facts.children).unwrap_or(i32::MAX));
    let mut sheet =
        Sheet { conditions: std::mem::take(&mut status.conditions), generation: facts.generation, now: facts.now };
    if !matches!(facts.situation, Situation::Paused) {
        sheet.clear(ConditionType::Paused);
    }
    match &facts.situation {
        Situation::Provisioned { tenant, outcomes, figures, schema_version } => {
            identity(&mut status, tenant);
            status.agents = Some(figures.agents);
            status.score = figures.score;
            status.open_findings = Some(figures.findings);
            if outcomes
                .iter()
                .any(|(kind, outcome)| *kind == ConditionType::DatabaseReady && matches!(outcome, Outcome::Done(_)))
            {
                status.schema_version = Some(*schema_version);
            }
            provisioned(&mut sheet, tenant, outcomes, *figures);
        }
        Situation::Stalled { reason, message } => {
            sheet.set(ConditionType::Ready, Status::False, reason, message);
            sheet.clear(ConditionType::Reconciling);
            sheet.set(ConditionType::Stalled, Status::True, reason, message);
        }
        Situation::Blocked { reason, message } => {
            sheet.clear(ConditionType::Stalled);
            if is_true(&sheet.conditions, ConditionType::Ready) {
                let (now_ready, reason, message) = (Status::False, REASON_DEGRADED, *message);
                sheet.set(ConditionType::Ready, now_ready, reason, message);
            } else if get(&sheet.conditions, ConditionType::Ready).is_none_or(|ready| ready.reason != REASON_DEGRADED) {
                sheet.set(ConditionType::Ready, Status::Unknown, reason, message);
            }
            sheet.set(ConditionType::Reconciling, Status::True, reason, message);
        }
        Situation::Paused => {
            sheet.set(
                ConditionType::Paused,
                Status::True,
                "Disabled",
                "tenantra.io/reconcile: disabled leaves this tenant alone",
            );
            if get(&sheet.conditions, ConditionType::Ready).is_none() {
                sheet.set(ConditionType::Ready, Status::Unknown, "Paused", "");
            }
            sheet.clear(ConditionType::Reconciling);
        }
        Situation::Offboarding { message } => {
            sheet.set(ConditionType::Ready, Status::False, "Offboarding", message);
            sheet.clear(ConditionType::Stalled);
            sheet.set(ConditionType::Reconciling, Status::True, "Offboarding", message);
        }
    }
    status.conditions = sheet.conditions;
    status
}

/// When a status that rests on the grace of a failing system has to be looked at again, in seconds from now.
pub fn grace_left(status: &TenantStatus, now: Timestamp) -> Option<i64> {
    if !is_true(&status.conditions, ConditionType::Ready) {
        return None;
    }
    let failing = status.conditions.iter().filter(|c| c.status == "False" && counts_for_ready(&c.type_));
    failing.map(|c| (GRACE_SECONDS - age(c, now)).max(1)).min()
}

fn identity(status: &mut TenantStatus, tenant: &ValidTenant) {
    status.tenant_id = Some(tenant.reference.id.to_string());
    status.namespace = Some(tenant.namespace.clone());
    status.agent_namespace = tenant.agent.enabled.then(|| tenant.agent_namespace.clone());
    status.schema = Some(tenant.reference.schema().to_string());
    status.vault_path = tenant.vault_path();
}

struct Sheet {
    conditions: Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
}

impl Sheet {
    fn set(&mut self, kind: ConditionType, status: Status, reason: &str, message: &str) {
        // What changed is found by comparing the whole status.
        let _ = set(&mut self.conditions, kind, status, reason, message, self.generation, self.now);
    }

    fn clear(&mut self, kind: ConditionType) {
        let _ = clear(&mut self.conditions, kind);
    }
}

fn provisioned(sheet: &mut Sheet, tenant: &ValidTenant, outcomes: &[(ConditionType, Outcome)], figures: Figures) {
    let was_ready = is_true(&sheet.conditions, ConditionType::Ready);
    let was_degraded =
        get(&sheet.conditions, ConditionType::Ready).is_some_and(|ready| ready.reason == REASON_DEGRADED);
    let reported = outcomes.iter().map(|(kind, _)| kind.as_str());
    let unreported: Vec<ConditionType> =
        components().filter(|kind| !reported.clone().any(|r| r == kind.as_str())).collect();
    for kind in unreported {
        sheet.clear(kind);
    }

    let mut stalled = None;
    let mut failing = None;
    let mut pending = None;
    for (kind, outcome) in outcomes {
        match outcome {
            Outcome::Done(note) => {
                let (holds, note) = settled(*kind, note, tenant, figures);
                sheet.set(*kind, holds.into(), note.reason, &note.message);
            }
            Outcome::Failed(report) => {
                sheet.set(*kind, Status::False, &report.reason, &report.message);
                if report.class == Class::Stalled {
                    stalled.get_or_insert((report.reason.clone(), report.message.clone()));
                } else if *kind != ConditionType::AgentsReady {
                    failing.get_or_insert((*kind, report.reason.clone(), report.message.clone()));
                }
            }
            Outcome::Underway | Outcome::Waiting(_) => {
                let waiting = match outcome {
                    Outcome::Waiting(need) => format!("waiting for {need}"),
                    _ => "at work".to_owned(),
                };
                // One that is only looked at again keeps what it said.
                let is_news = get(&sheet.conditions, *kind)
                    .is_none_or(|c| c.observed_generation != sheet.generation || c.status == "Unknown");
                if is_news {
                    sheet.set(*kind, Status::Unknown, REASON_PROGRESSING, &waiting);
                }
                if *kind != ConditionType::AgentsReady && !is_true(&sheet.conditions, *kind) {
                    pending.get_or_insert(format!("{kind}: {waiting}"));
                }
            }
        }
    }

    let (status, reason, message) = if let Some((reason, message)) = &stalled {
        (Status::False, reason.clone(), message.clone())
    } else if let Some((kind, reason, message)) = &failing {
        let within_grace = get(&sheet.conditions, *kind).is_some_and(|c| age(c, sheet.now) < GRACE_SECONDS);
        if was_ready && within_grace {
            let (reason, note) = ready_reason(tenant);
            (Status::True, reason, format!("{note}{kind} fails: {message}"))
        } else if was_ready || was_degraded {
            (Status::False, REASON_DEGRADED.to_owned(), format!("{kind} fails: {message}"))
        } else {
            (Status::False, reason.clone(), format!("{kind}: {message}"))
        }
    } else if let Some(message) = &pending {
        (Status::Unknown, REASON_PROGRESSING.to_owned(), message.clone())
    } else {
        let (reason, note) = ready_reason(tenant);
        (Status::True, reason, note)
    };
    let is_working = stalled.is_none() && (failing.is_some() || pending.is_some());
    let (why, what) = (if pending.is_some() { REASON_PROGRESSING.to_owned() } else { reason.clone() }, message.clone());
    sheet.set(ConditionType::Ready, status, &reason, &message);
    if is_working {
        sheet.set(ConditionType::Reconciling, Status::True, &why, &what);
    } else {
        sheet.clear(ConditionType::Reconciling);
    }
    match stalled {
        Some((reason, message)) => sheet.set(ConditionType::Stalled, Status::True, &reason, &message),
        None => sheet.clear(ConditionType::Stalled),
    }
}

fn ready_reason(tenant: &ValidTenant) -> (String, String) {
    if tenant.is_suspended {
        (REASON_SUSPENDED.to_owned(), "suspended; everything is kept and repaired. ".to_owned())
    } else {
        ("Succeeded".to_owned(), String::new())
    }
}

/// What a finished provisioner's condition says; for agents that is a matter of how many have enrolled.
fn settled(kind: ConditionType, note: &Note, tenant: &ValidTenant, figures: Figures) -> (bool, Note) {
    if kind != ConditionType::AgentsReady {
        return (true, note.clone());
    }
    let AgentCounts { desired, ready, stale: _ } = figures.agents;
    if !tenant.agent.enabled {
        (true, Note { reason: "Disabled", message: "spec.agent.enabled is false".into() })
    } else if desired == 0 {
        (
            true,
            Note {
                reason: "NoNodes",
                message: format!("no node carries the label tenantra.io/tenant={}", tenant.reference.slug),
            },
        )
    } else if ready >= desired {
        (true, Note::succeeded(format!("{ready} of {desired} nodes have an agent that reports")))
    } else {
        (
            false,
            Note {
                reason: "WaitingForAgents",
                message: format!("{ready} of {desired} nodes have an agent that reports"),
            },
        )
    }
}

fn components() -> impl Iterator<Item = ConditionType> {
    use ConditionType::{Paused, Ready, Reconciling, Stalled};
    ConditionType::ALL.into_iter().filter(|kind| !matches!(kind, Ready | Reconciling | Stalled | Paused))
}

fn counts_for_ready(kind: &str) -> bool {
    kind != ConditionType::AgentsReady.as_str() && components().any(|c| c.as_str() == kind)
}

fn age(condition: &Condition, now: Timestamp) -> i64 {
    now.as_second() - condition.last_transition_time.0.as_second()
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
