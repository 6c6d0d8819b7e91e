//! Leader election on a Lease. The number of its transitions is the epoch that fences every write in Postgres; systems
//! that know no such token are protected by time: a call starts only while more than its own limit is left on the lease.
//!
//! A leader that loses the lead ends its process: what it still had in memory belongs to somebody else now.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use store::fencing::Epoch;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// A request about the Lease may take so long.
const REQUEST_LIMIT: Duration = Duration::from_secs(2);
/// How often the leader renews and a standby looks.
const PERIOD: Duration = Duration::from_secs(1);

/// The lead is not ours (any more), or too little of it is left for the call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("this replica does not lead, or its lease ends before the call would")]
pub struct NotLeading;

#[derive(Debug, Clone, Copy)]
struct Term {
    epoch: i64,
    /// Until when nobody else can have taken over, by this machine's monotonic clock.
    until: Instant,
}

/// What the rest of the program knows of the lead.
#[derive(Debug, Clone)]
pub struct Lead {
    term: watch::Receiver<Option<Term>>,
    raise: Arc<watch::Sender<i64>>,
}

impl Lead {
    /// Leave to start a call that ends within `limit`, and the epoch it belongs to.
    pub fn permit(&self, limit: Duration) -> Result<Epoch, NotLeading> {
        match *self.term.borrow() {
            Some(term) if term.until > Instant::now() + limit => Ok(Epoch(term.epoch)),
            _ => Err(NotLeading),
        }
    }

    /// Whether this replica leads.
    pub fn is_held(&self) -> bool {
        self.permit(Duration::ZERO).is_ok()
    }

    /// Waits until this replica leads.
    pub async fn won(&self) {
        let mut term = self.term.clone();
        // An error means that the elector is gone, and with it the program.
        let _ = term.wait_for(Option::is_some).await;
    }

    /// Waits until this replica has lost the lead.
    pub async fn lost(&self) {
        let mut term = self.term.clone();
        let _ = term.wait_for(Option::is_none).await;
    }

    /// Asks for an epoch above `stored`: a Lease that was deleted and made anew counts from the start again, Postgres
    /// remembers more. Only the holder of the Lease can raise it.
    pub fn raise_above(&self, stored: i64) {
        self.raise.send_if_modified(|floor| {
            let higher = stored > *floor;
            *floor = (*floor).max(stored);
            higher
        });
    }

    /// A lead that is always held, for what a person starts at a terminal and for tests of single parts.
    pub fn for_tool() -> Self {
        let far = Instant::now() + Duration::from_hours(365 * 24);
        let (_, term) = watch::channel(Some(Term { epoch: 0, until: far }));
        Self { term, raise: Arc::new(watch::channel(0).0) }
    }
}

/// Takes the lead when it is free, and keeps it.
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    term: watch::Sender<Option<Term>>,
    floor: watch::Receiver<i64>,
    seen: Option<Seen>,
}

/// What a standby saw of the Lease, and when by its own clock: clocks of two machines need not agree.
struct Seen {
    version: Option<String>,
    at: Instant,
}

enum Step {
    Standby,
    Leading(Box<Lease>, Instant),
}

impl Elector {
    /// An elector of the Lease `name` in `namespace`. `identity` must be another one in each process that runs at the
    /// same time; one that restarts under its old identity continues without waiting for the lease to end.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str, duration: Duration) -> (Self, Lead) {
        let (term, seen_term) = watch::channel(None);
        let (raise, floor) = watch::channel(0);
        let elector = Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            duration,
            term,
            floor,
            seen: None,
        };
        (elector, Lead { term: seen_term, raise: Arc::new(raise) })
    }

    /// Waits for the lead, holds it until it is lost or `stop` resolves (then it is given back), and returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let (mut lease, since) = loop {
            tokio::select! {
                () = &mut stop => return,
                tried = self.attempt() => match tried {
                    Ok(Step::Leading(lease, since)) => break (lease, since),
                    Ok(Step::Standby) => {}
                    Err(error) => tracing::warn!(%error, "the lease could not be read or taken"),
                },
            }
            tokio::select! { () = &mut stop => return, () = sleep(PERIOD) => {} }
        };
        let mut until = since + self.duration;
        self.publish(&lease, until);
        tracing::info!(epoch = transitions(&lease), "this replica leads");
        loop {
            tokio::select! {
                () = &mut stop => { self.release(*lease).await; break }
                () = sleep(PERIOD) => {}
            }
            let asked = Instant::now();
            match self.renew(&lease).await {
                Ok(Some(renewed)) => {
                    *lease = renewed;
                    until = asked + self.duration;
                    self.publish(&lease, until);
                }
                Ok(None) => {
                    tracing::error!("another replica has taken the lead");
                    break;
                }
                Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
            }
            if Instant::now() >= until {
                tracing::error!("the lease ran out before it could be renewed");
                break;
            }
        }
        self.term.send_replace(None);
    }

    fn publish(&self, lease: &Lease, until: Instant) {
        self.term.send_replace(Some(Term { epoch: i64::from(transitions(lease)), until }));
    }

    async fn attempt(&mut self) -> Result<Step, Error> {
        let asked = Instant::now();
        let Some(lease) = bounded(self.leases.get_opt(&self.name)).await? else {
            let fresh = self.filled(Lease::default(), *self.floor.borrow());
            return match bounded(self.leases.create(&PostParams::default(), &fresh)).await {
                Ok(made) => Ok(Step::Leading(Box::new(made), asked)),
                Err(error) if error.is_conflict() => Ok(Step::Standby),
                Err(error) => Err(error),
            };
        };
        if !self.may_take(&lease) {
            return Ok(Step::Standby);
        }
        let epoch = i64::from(transitions(&lease)).max(*self.floor.borrow());
        let taken = self.filled(lease, epoch);
        match bounded(self.leases.replace(&self.name, &PostParams::default(), &taken)).await {
            Ok(made) => Ok(Step::Leading(Box::new(made), asked)),
            Err(error) if error.is_conflict() => Ok(Step::Standby),
            Err(error) => Err(error),
        }
    }

    /// Free, given back, our own of an earlier life, or not renewed for its duration while we watched.
    fn may_take(&mut self, lease: &Lease) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let duration =
            Duration::from_secs(spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(15));
        let version = lease.metadata.resource_version.clone();
        match &self.seen {
            Some(seen) if seen.version == version => seen.at.elapsed() > duration,
            _ => {
                self.seen = Some(Seen { version, at: Instant::now() });
                false
            }
        }
    }

    async fn renew(&self, lease: &Lease) -> Result<Option<Lease>, Error> {
        let mut next = lease.clone();
        let floor = *self.floor.borrow();
        if let Some(spec) = next.spec.as_mut() {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            if i64::from(spec.lease_transitions.unwrap_or(0)) <= floor && floor > 0 {
                spec.lease_transitions = Some(above(floor));
            }
        }
        match bounded(self.leases.replace(&self.name, &PostParams::default(), &next)).await {
            Ok(renewed) => Ok(Some(renewed)),
            Err(error) if error.is_conflict() => {
                // Somebody wrote to the Lease; it is still ours if holder and epoch are unchanged.
                let current = bounded(self.leases.get_opt(&self.name)).await?;
                Ok(current.filter(|c| holder(c) == self.identity && transitions(c) == transitions(lease)))
            }
            // Deleted by hand: nobody holds it, so neither do we.
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the lead back, so that the standby need not wait.
    async fn release(&self, mut lease: Lease) {
        if let Some(spec) = lease.spec.as_mut() {
            spec.holder_identity = Some(String::new());
        }
        if let Err(error) = bounded(self.leases.replace(&self.name, &PostParams::default(), &lease)).await {
            tracing::info!(%error, "the lead was not given back; it ends by itself");
        }
    }

    fn filled(&self, mut lease: Lease, epoch: i64) -> Lease {
        let now = MicroTime(Timestamp::now());
        lease.metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: lease.metadata.resource_version.take(),
            ..lease.metadata
        };
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.duration.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(above(epoch)),
            ..LeaseSpec::default()
        });
        lease
    }
}

fn above(epoch: i64) -> i32 {
    i32::try_from(epoch.saturating_add(1)).unwrap_or(i32::MAX)
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).unwrap_or_default()
}

fn transitions(lease: &Lease) -> i32 {
    lease.spec.as_ref().and_then(|s| s.lease_transitions).unwrap_or(0)
}

/// What can go wrong with the Lease.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the API server refused: {0}")]
    Kube(#[from] kube::Error),
    #[error("the API server did not answer within {} s", REQUEST_LIMIT.as_secs())]
    TimedOut,
}

impl Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 409)
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.code == 404)
    }
}

async fn bounded<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    Ok(timeout(REQUEST_LIMIT, call).await.map_err(|_| Error::TimedOut)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_starts_with_less_than_its_limit_left() {
        let (sender, term) = watch::channel(None);
        let lead = Lead { term, raise: Arc::new(watch::channel(0).0) };
        assert!(lead.permit(Duration::ZERO).is_err());
        sender.send_replace(Some(Term { epoch: 7, until: Instant::now() + Duration::from_secs(12) }));
        assert_eq!(lead.permit(Duration::from_secs(8)).unwrap().0, 7);
        assert!(lead.permit(Duration::from_secs(13)).is_err());
        assert!(lead.is_held());
        sender.send_replace(None);
        assert!(!lead.is_held());
    }
}
