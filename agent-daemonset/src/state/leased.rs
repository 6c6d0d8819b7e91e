//! The jobs that this agent holds, on the disk: an agent that was ended goes on with them when it starts again. Without it
//! they would wait until their leases run out, and each such end counts as one of the few attempts that a job has.

use catalog::wire::AgentJob;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, StateDir};

const FILE: &str = "jobs.json";
/// Starts with the same jobs of which none was finished. Then one of them is what ends the agent, and they are left to their
/// leases and attempts.
const STARTS: u32 = 3;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    starts: u32,
    jobs: Vec<AgentJob>,
}

/// Keeps what is still to be done; nothing is kept of nothing.
pub fn save<'a>(state: &StateDir, jobs: impl IntoIterator<Item = &'a AgentJob>) -> Result<(), Error> {
    write(state, &Stored { starts: 0, jobs: jobs.into_iter().cloned().collect() })
}

/// The jobs of the process before this one, without those that are finished. Where the list cannot be read or written (a full
/// disk), leases do what it would have done.
pub fn resume(state: &StateDir, is_finished: impl Fn(Uuid) -> bool) -> Vec<AgentJob> {
    let stored = match read(state) {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!(error_code = "jobs", %error, "the list of jobs is not used; the server leases them again");
            Stored::default()
        }
    };
    let before = stored.jobs.len();
    let mut jobs = stored.jobs;
    jobs.retain(|job| !is_finished(job.run_id));
    let starts = if jobs.len() < before { 1 } else { stored.starts + 1 };
    if starts > STARTS && !jobs.is_empty() {
        tracing::error!(
            error_code = "jobs_given_up",
            jobs = jobs.len(),
            first = jobs.first().map(|job| job.module.as_str()),
            "this agent ended again and again over the same jobs; they are left until their leases run out"
        );
        jobs.clear();
    }
    let stored = Stored { starts, jobs };
    if let Err(error) = write(state, &stored) {
        tracing::warn!(error_code = "jobs", %error, "the list of jobs was not written");
    }
    stored.jobs
}

fn read(state: &StateDir) -> Result<Stored, Error> {
    let Some(bytes) = state.read(FILE)? else { return Ok(Stored::default()) };
    serde_json::from_slice(&bytes).map_err(|error| Error::Damaged {
        path: state.path().join(FILE),
        reason: error.to_string(),
        advice: "it is written anew",
    })
}

fn write(state: &StateDir, stored: &Stored) -> Result<(), Error> {
    if stored.jobs.is_empty() {
        return state.remove(FILE);
    }
    let bytes = serde_json::to_vec(stored)
        .map_err(|error| Error::Write { path: state.path().join(FILE), source: error.into() })?;
    state.write(FILE, &bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use catalog::module::Profile;

    use super::*;

    fn job(number: u128) -> AgentJob {
        AgentJob {
            job_id: Uuid::from_u128(number),
            run_id: Uuid::from_u128(number),
            module: format!("module-{number}"),
            version: "1.0.0".to_owned(),
            parameters: BTreeMap::new(),
            profile: Profile::BaselineFast,
            lease_seconds: 600,
        }
    }

    #[test]
    fn a_start_goes_on_with_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert_eq!(resume(&state, |_| false), []);
        let jobs = [job(1), job(2), job(3)];
        save(&state, &jobs).unwrap();
        assert_eq!(resume(&state, |run| run == jobs[0].run_id), jobs[1..]);
        save(&state, []).unwrap();
        assert!(!state.path().join(FILE).exists());
    }

    #[test]
    fn jobs_that_end_the_agent_are_given_up_and_progress_counts() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        save(&state, &[job(1), job(2)]).unwrap();
        for _ in 0..STARTS {
            assert_eq!(resume(&state, |_| false).len(), 2);
        }
        assert_eq!(resume(&state, |run| run == job(1).run_id).len(), 1, "one was finished");
        for _ in 1..STARTS {
            assert_eq!(resume(&state, |_| false).len(), 1);
        }
        assert_eq!(resume(&state, |_| false).len(), 0);
        assert!(!state.path().join(FILE).exists());
    }

    #[test]
    fn a_damaged_list_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        state.write(FILE, b"{").unwrap();
        assert_eq!(resume(&state, |_| false), []);
        assert!(!state.path().join(FILE).exists());
    }
}
