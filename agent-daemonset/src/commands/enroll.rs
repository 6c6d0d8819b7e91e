//! `enroll`: makes the key, enrols once and says who this agent is now.

use std::io::Write;
use std::sync::Arc;

use catalog::printable::printable_line;

use crate::cli::Outcome;
use crate::client::{Client, Trust};
use crate::config::{Error, ServerArgs};
use crate::daemon::enroll::enroll as enroll_once;
use crate::state::registration::Registration;
use crate::state::{StateDir, keys};

/// Enrols with the server.
pub fn enroll(args: &ServerArgs) -> anyhow::Result<Outcome> {
    let server = args.server()?.ok_or(Error::NoServer)?;
    let trust = Trust::from_file(args.ca_file.as_deref())?;
    args.credential()?;
    let state = Arc::new(StateDir::open(&args.state_dir)?);
    let mut output = std::io::stdout().lock();
    if let Some(registration) = Registration::load(&state, Some(&server))? {
        writeln!(
            output,
            "Already enrolled with {} as agent {} of tenant {}. Remove {} to enrol anew.",
            registration.server,
            registration.agent_id,
            printable_line(&registration.tenant),
            state.path().display()
        )?;
        return Ok(Outcome::Done);
    }
    let key = keys::load_or_make(&state)?;
    let client = Client::new(server, &trust)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let enrolled = runtime.block_on(enroll_once(args, &client, &state, &key))?;
    writeln!(
        output,
        "Enrolled with {} as agent {} of tenant {}. Start it with: tenantra-agent run --state-dir {}",
        enrolled.registration.server,
        enrolled.registration.agent_id,
        printable_line(&enrolled.registration.tenant),
        state.path().display()
    )?;
    Ok(Outcome::Done)
}
