//! Conditions by the rules of kstatus: `Ready` always there, `Reconciling` and `Stalled` only while true, and a time of
//! transition that moves only when the status does. Pure: the caller brings the time and writes the result.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The conditions that the four kinds carry.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConditionType {
    /// The object is what its spec asks for.
    Ready,
    /// The controller is at work on it; only while true.
    Reconciling,
    /// A person must act; only while true.
    Stalled,
    /// The annotation `tenantra.io/reconcile: disabled` is set; only while true.
    Paused,
    /// The tenant's namespaces are there.
    NamespaceReady,
    /// Quota and limit range are there.
    QuotaReady,
    /// The network policies are there.
    NetworkReady,
    /// Roles and bindings of the tenant's groups are there.
    AccessReady,
    /// The Postgres schema, its role and its migrations are there.
    DatabaseReady,
    /// The tenant's place in Vault or OpenBao is there.
    SecretsReady,
    /// The Keycloak realm is there.
    IdentityReady,
    /// The Grafana organisation is there.
    DashboardsReady,
    /// The tenant's domain answers with its certificate.
    DomainReady,
    /// The tenant's agents run and have enrolled.
    AgentsReady,
}

impl ConditionType {
    /// All of them, in the order in which a status lists them.
    pub const ALL: [Self; 14] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Paused,
        Self::NamespaceReady,
        Self::QuotaReady,
        Self::NetworkReady,
        Self::AccessReady,
        Self::DatabaseReady,
        Self::SecretsReady,
        Self::IdentityReady,
        Self::DashboardsReady,
        Self::DomainReady,
        Self::AgentsReady,
    ];

    /// The condition's `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Paused => "Paused",
            Self::NamespaceReady => "NamespaceReady",
            Self::QuotaReady => "QuotaReady",
            Self::NetworkReady => "NetworkReady",
            Self::AccessReady => "AccessReady",
            Self::DatabaseReady => "DatabaseReady",
            Self::SecretsReady => "SecretsReady",
            Self::IdentityReady => "IdentityReady",
            Self::DashboardsReady => "DashboardsReady",
            Self::DomainReady => "DomainReady",
            Self::AgentsReady => "AgentsReady",
        }
    }
}

impl fmt::Display for ConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The three states of a condition.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// The condition's `status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// What a call changed. Only a transition is worth an Event; only `Unchanged` needs no write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Change {
    /// Nothing at all.
    Unchanged,
    /// Reason, message or generation, not the status.
    Updated,
    /// The status, or the condition came or went.
    Transition,
}

/// The reason that `Ready` has while a pass is on its way.
pub const REASON_PROGRESSING: &str = "Progressing";
/// The reason that `Ready` has where it is true and the object is suspended.
pub const REASON_SUSPENDED: &str = "Suspended";
/// The reason of an outside system that failed for longer than it may.
pub const REASON_DEGRADED: &str = "Degraded";
/// The reason of a namespaced object that lives in no tenant's namespace.
pub const REASON_NO_TENANT: &str = "NoTenant";

/// The longest `message` that the schema lets through.
const MESSAGE_MAX: usize = 32_768;

/// The condition of that type, if it is there.
pub fn get(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

/// Whether the condition is there and true.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.status == Status::True.as_str())
}

/// Sets a condition. `lastTransitionTime` becomes `now` (whole seconds, as Kubernetes keeps it) only when the status differs
/// from what was there. A new condition takes its place in the order of [`ConditionType::ALL`], so that an unchanged status
/// is also unchanged in its bytes.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    status: Status,
    reason: &str,
    message: &str,
    observed_generation: Option<i64>,
    now: Timestamp,
) -> Change {
    let message = truncated(message);
    if let Some(there) = conditions.iter_mut().find(|condition| condition.type_ == kind.as_str()) {
        let change = if there.status != status.as_str() {
            Change::Transition
        } else if there.reason != reason || there.message != message || there.observed_generation != observed_generation
        {
            Change::Updated
        } else {
            Change::Unchanged
        };
        if change == Change::Transition {
            status.as_str().clone_into(&mut there.status);
            there.last_transition_time = whole_seconds(now);
        }
        reason.clone_into(&mut there.reason);
        message.clone_into(&mut there.message);
        there.observed_generation = observed_generation;
        return change;
    }
    let made = Condition {
        type_: kind.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: whole_seconds(now),
        observed_generation,
    };
    let place = conditions
        .iter()
        .position(|condition| rank(&condition.type_) > rank(kind.as_str()))
        .unwrap_or(conditions.len());
    conditions.insert(place, made);
    Change::Transition
}

/// Takes a condition away: for `Reconciling`, `Stalled` and `Paused`, which are there only while true, and for a system that
/// the installation no longer configures.
pub fn clear(conditions: &mut Vec<Condition>, kind: ConditionType) -> Change {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != kind.as_str());
    if conditions.len() == before { Change::Unchanged } else { Change::Transition }
}

/// Where a condition stands in a status; those of others come last.
fn rank(type_: &str) -> usize {
    ConditionType::ALL.iter().position(|kind| kind.as_str() == type_).unwrap_or(ConditionType::ALL.len())
}

fn truncated(message: &str) -> &str {
    match message.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => &message[..end],
        None => message,
    }
}

fn whole_seconds(now: Timestamp) -> Time {
    // Out of range is only what was out of range before.
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_a_new_status_moves_the_time_of_transition() {
        let mut conditions = Vec::new();
        assert_eq!(
            set(
                &mut conditions,
                ConditionType::Ready,
                Status::Unknown,
                REASON_PROGRESSING,
                "first visit",
                Some(1),
                at(10)
            ),
            Change::Transition
        );
        assert_eq!(
            set(
                &mut conditions,
                ConditionType::Ready,
                Status::Unknown,
                REASON_PROGRESSING,
                "first visit",
                Some(1),
                at(20)
            ),
            Change::Unchanged
        );
        assert_eq!(
            set(&mut conditions, ConditionType::Ready, Status::Unknown, "Waiting", "for Postgres", Some(2), at(30)),
            Change::Updated
        );
        assert_eq!(conditions[0].last_transition_time, Time(at(10)));
        assert_eq!(conditions[0].observed_generation, Some(2));
        assert_eq!(
            set(&mut conditions, ConditionType::Ready, Status::True, "Succeeded", "", Some(2), at(40)),
            Change::Transition
        );
        assert_eq!(conditions[0].last_transition_time, Time(at(40)));
        assert!(is_true(&conditions, ConditionType::Ready));
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn the_order_does_not_depend_on_who_came_first() {
        let mut forward = Vec::new();
        let mut backward = Vec::new();
        for kind in ConditionType::ALL {
            let _ = set(&mut forward, kind, Status::True, "Succeeded", "", None, at(1));
        }
        for kind in ConditionType::ALL.into_iter().rev() {
            let _ = set(&mut backward, kind, Status::True, "Succeeded", "", None, at(1));
        }
        assert_eq!(forward, backward);
    }

    #[test]
    fn conditions_of_others_stay_and_come_last() {
        let mut conditions = Vec::new();
        let _ = set(&mut conditions, ConditionType::Ready, Status::True, "Succeeded", "", None, at(1));
        conditions[0].type_ = "example.com/Theirs".to_owned();
        let _ = set(&mut conditions, ConditionType::AgentsReady, Status::False, "NoNodes", "", None, at(1));
        let types: Vec<_> = conditions.iter().map(|condition| condition.type_.as_str()).collect();
        assert_eq!(types, ["AgentsReady", "example.com/Theirs"]);
    }

    #[test]
    fn clearing_takes_one_away_and_says_so_once() {
        let mut conditions = Vec::new();
        let _ = set(&mut conditions, ConditionType::Stalled, Status::True, "SlugRetained", "", None, at(1));
        assert_eq!(clear(&mut conditions, ConditionType::Stalled), Change::Transition);
        assert_eq!(clear(&mut conditions, ConditionType::Stalled), Change::Unchanged);
        assert!(get(&conditions, ConditionType::Stalled).is_none());
    }

    #[test]
    fn a_message_too_long_is_cut_at_a_character_and_then_stable() {
        let long = "ä".repeat(MESSAGE_MAX + 5);
        let mut conditions = Vec::new();
        let _ = set(&mut conditions, ConditionType::Ready, Status::False, "Failed", &long, None, at(1));
        assert_eq!(conditions[0].message.chars().count(), MESSAGE_MAX);
        assert_eq!(
            set(&mut conditions, ConditionType::Ready, Status::False, "Failed", &long, None, at(2)),
            Change::Unchanged
        );
    }

    #[test]
    fn times_are_whole_seconds() {
        let mut conditions = Vec::new();
        let _ = set(
            &mut conditions,
            ConditionType::Ready,
            Status::True,
            "Succeeded",
            "",
            None,
            Timestamp::from_millisecond(1_999).unwrap(),
        );
        assert_eq!(conditions[0].last_transition_time, Time(at(1)));
    }
}
