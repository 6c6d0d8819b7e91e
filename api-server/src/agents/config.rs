//! How an agent behaves, and the modules it may run.

use catalog::wire::{AgentConfig, HeartbeatRequest, HeartbeatResponse};
use chrono::Utc;
use uuid::Uuid;

use crate::{
    agents::call::AgentCall,
    error::{Error, Result},
    state::App,
};

/// The agent's configuration; only its own.
///
/// # Errors
/// The id is another agent's.
pub fn of_agent(app: &App, call: &AgentCall, agent_id: Uuid, have: Option<&str>) -> Result<AgentConfig> {
    if agent_id != call.agent_id {
        return Err(Error::NotFound("agent"));
    }
    app.modules.config(&call.resource.spec, have)
}

/// Notes that the agent lives, for agents that cannot poll.
///
/// # Errors
/// The body does not fit.
pub fn heartbeat(app: &App, call: &AgentCall) -> Result<HeartbeatResponse> {
    let request: HeartbeatRequest = call.json()?;
    app.pulse.beat(&call.tenant, call.agent_id, request.state);
    let (config_version, _) = app.modules.current(&call.resource.spec)?;
    Ok(HeartbeatResponse { config_version, server_time: Utc::now() })
}
