//! What the database says of modules: shipped, imported and promoted ones alike. Read whole every few seconds in one small
//! statement and kept, so that a pass over a schedule asks nobody; a change wakes every schedule once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::lifecycle::State;
use chrono::{DateTime, Utc};
use futures::Stream;
use store::OwnerDb;
use store::modules::{Standing, standings};
use tokio::sync::watch;

use crate::provision::Error;
use crate::satellite::Refusal;

/// How often the database is asked: some hundred short rows.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Where every version of every module stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<String, Vec<Standing>>);

/// The catalog as last read; nothing before the first time.
#[derive(Debug, Clone)]
pub struct Modules(Arc<watch::Sender<Option<Arc<Known>>>>);

impl Default for Modules {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Modules {
    /// Reads it anew.
    pub async fn refresh(&self, db: &OwnerDb) -> Result<(), Error> {
        let mut tx = db.begin().await?;
        let known = Known(standings(&mut tx).await?);
        tx.rollback().await?;
        self.0.send_if_modified(|last| {
            let is_new = last.as_deref() != Some(&known);
            if is_new {
                *last = Some(Arc::new(known));
            }
            is_new
        });
        Ok(())
    }

    /// What was read last.
    pub fn known(&self) -> Option<Arc<Known>> {
        self.0.borrow().clone()
    }

    /// An item for each change from now on.
    pub fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        futures::stream::unfold(self.0.subscribe(), |mut last| async move {
            last.changed().await.ok()?;
            Some(((), last))
        })
    }
}

impl Known {
    /// Whether jobs for a module can be queued: of one version, or of whichever is current. Gives what a person should know
    /// although they can.
    pub fn check(&self, slug: &str, version: Option<&str>, now: DateTime<Utc>) -> Result<Option<String>, Refusal> {
        let refuse = |reason, message| Err(Refusal { reason, message });
        let Some(versions) = self.0.get(slug) else {
            let message = format!(
                "there is no module '{slug}' in the catalog; `tenantra module list --database` shows what there is"
            );
            return refuse("UnknownModule", message);
        };
        let listed = || {
            let all: Vec<String> = versions.iter().map(|one| format!("{} ({})", one.version, one.state)).collect();
            all.join(", ")
        };
        let Some(version) = version else {
            // What a schedule without a version runs is the newest that is released.
            return if versions.iter().any(|one| one.state == State::Released) {
                Ok(None)
            } else {
                refuse(
                    reason(versions),
                    format!("no version of the module '{slug}' is released; there is {}", listed()),
                )
            };
        };
        let Some(standing) = versions.iter().find(|one| one.version.to_string() == version) else {
            let message = format!("the module '{slug}' has no version {version}; there is {}", listed());
            return refuse("UnknownModule", message);
        };
        match (standing.state.is_schedulable(standing.sunset_at, now), standing.state, standing.sunset_at) {
            (true, State::Deprecated, Some(sunset)) => Ok(Some(format!(
                "{slug} {version} is deprecated and runs until {}; choose a newer version",
                sunset.date_naive()
            ))),
            (true, ..) => Ok(None),
            (false, State::Deprecated, _) => {
                refuse("ModuleRetired", format!("{slug} {version} is past its sunset; there is {}", listed()))
            }
            (false, state, _) => refuse(
                reason(std::slice::from_ref(standing)),
                format!("{slug} {version} is {state} and cannot be scheduled; there is {}", listed()),
            ),
        }
    }
}

/// Why none of these can be scheduled: they are over, or not there yet.
fn reason(versions: &[Standing]) -> &'static str {
    if versions.iter().any(|one| one.state.is_open()) { "ModuleNotReleased" } else { "ModuleRetired" }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One module with a version in each state: 1.0.0 is retired … 5.0.0 a draft.
    pub fn known() -> Known {
        let at = |second| DateTime::<Utc>::from_timestamp(second, 0);
        let states = [
            (State::Retired, at(10)),
            (State::Deprecated, at(100)),
            (State::Released, None),
            (State::Qa, None),
            (State::Draft, None),
        ];
        let versions = states.into_iter().enumerate().map(|(number, (state, sunset_at))| Standing {
            version: format!("{}.0.0", number + 1).parse().unwrap(),
            state,
            sunset_at,
        });
        let all: Vec<Standing> = versions.collect();
        let of = |places: &[usize]| places.iter().map(|place| all[*place].clone()).collect::<Vec<_>>();
        Known(BTreeMap::from([
            ("ours".to_owned(), all.clone()),
            ("draft".to_owned(), of(&[4])),
            ("over".to_owned(), of(&[0])),
        ]))
    }

    #[test]
    fn what_can_be_scheduled_is_what_the_database_queues() {
        let reason = |slug: &str, version: Option<&str>, second: i64| {
            let now = DateTime::from_timestamp(second, 0).unwrap();
            known().check(slug, version, now).map_err(|refusal| refusal.reason)
        };
        assert_eq!(reason("ours", None, 50), Ok(None));
        assert_eq!(reason("ours", Some("3.0.0"), 50), Ok(None));
        let noted = reason("ours", Some("2.0.0"), 50).unwrap().unwrap();
        assert!(noted.contains("deprecated and runs until 1970-01-01"), "{noted}");
        for (slug, version, second, expected) in [
            ("nothing", None, 50, "UnknownModule"),
            ("ours", Some("9.0.0"), 50, "UnknownModule"),
            ("ours", Some("1.0.0"), 50, "ModuleRetired"),
            ("ours", Some("2.0.0"), 100, "ModuleRetired"),
            ("ours", Some("4.0.0"), 50, "ModuleNotReleased"),
            ("ours", Some("5.0.0"), 50, "ModuleNotReleased"),
            ("draft", None, 50, "ModuleNotReleased"),
            ("over", None, 50, "ModuleRetired"),
        ] {
            assert_eq!(reason(slug, version, second), Err(expected), "{slug} {version:?}");
        }
    }
}
