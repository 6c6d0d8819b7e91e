//! Events: one for each transition that a person wants to know of, and nothing else. They are best effort; a status that
//! was written is the truth.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tokio::time::timeout;

use crate::systems::kubernetes::REQUEST_LIMIT;
use crds::conditions::{ConditionType, get};
use crds::names::OPERATOR;

/// Writes Events.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

/// A transition worth an Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Whether it is bad.
    pub is_warning: bool,
    /// The reason of the condition.
    pub reason: String,
    /// What people read.
    pub note: String,
}

impl Events {
    /// Events that `instance` reports.
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter { controller: OPERATOR.to_owned(), instance: Some(instance.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Writes an Event for each transition.
    pub async fn publish<K: Resource<DynamicType = ()>>(&self, object: &K, transitions: Vec<Transition>) {
        let reference = object.object_ref(&());
        for transition in transitions {
            let event = Event {
                type_: if transition.is_warning { EventType::Warning } else { EventType::Normal },
                reason: transition.reason,
                note: Some(transition.note.chars().take(1000).collect()),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            match timeout(REQUEST_LIMIT, self.recorder.publish(&event, &reference)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!(%error, "an Event could not be written"),
                Err(_) => tracing::info!("an Event could not be written in time"),
            }
        }
    }
}

/// What happened between two lists of conditions: Ready changed its status or reason, a person has to act, or a system
/// failed or came back. What came up well the first time is no news beside Ready.
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Transition> {
    let mut news = Vec::new();
    for kind in ConditionType::ALL {
        let (was, is) = (get(before, kind), get(after, kind));
        let Some(is) = is else { continue };
        let same_status = was.is_some_and(|was| was.status == is.status);
        let same_reason = was.is_some_and(|was| was.reason == is.reason);
        let tells = match kind {
            ConditionType::Ready => is.status != "Unknown" && !(same_status && same_reason),
            ConditionType::Stalled | ConditionType::Paused => !(same_status && same_reason),
            ConditionType::Reconciling => false,
            _ => !same_status && (is.status == "False" || was.is_some_and(|was| was.status == "False")),
        };
        if tells {
            let is_warning = kind == ConditionType::Stalled || is.status == "False";
            let note =
                format!("{kind} is {}{}{}", is.status, if is.message.is_empty() { "" } else { ": " }, is.message);
            news.push(Transition { is_warning, reason: is.reason.clone(), note });
        }
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::conditions::{Status, set};
    use k8s_openapi::jiff::Timestamp;

    fn list(conditions: &[(ConditionType, Status, &str)]) -> Vec<Condition> {
        let mut made = Vec::new();
        for (kind, status, reason) in conditions {
            let _ = set(&mut made, *kind, *status, reason, "", None, Timestamp::UNIX_EPOCH);
        }
        made
    }

    #[test]
    fn only_transitions_are_news() {
        use ConditionType::{DatabaseReady, Ready, Stalled};
        let fresh = list(&[(Ready, Status::Unknown, "Progressing")]);
        let good = list(&[(Ready, Status::True, "Succeeded"), (DatabaseReady, Status::True, "Succeeded")]);
        let bad = list(&[(Ready, Status::True, "Succeeded"), (DatabaseReady, Status::False, "PostgresUnavailable")]);
        let stuck = list(&[(Ready, Status::False, "NamespaceTaken"), (Stalled, Status::True, "NamespaceTaken")]);
        let reasons = |before: &[Condition], after: &[Condition]| {
            transitions(before, after).into_iter().map(|t| t.reason).collect::<Vec<_>>()
        };
        assert!(transitions(&[], &fresh).is_empty());
        assert_eq!(reasons(&fresh, &good), ["Succeeded"]);
        assert!(transitions(&good, &good).is_empty());
        assert_eq!(reasons(&good, &bad), ["PostgresUnavailable"]);
        assert_eq!(reasons(&bad, &good), ["Succeeded"]);
        assert_eq!(reasons(&good, &stuck), ["NamespaceTaken", "NamespaceTaken"]);
    }
}
