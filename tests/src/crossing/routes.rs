//! The routes that there are, from the API's own description, so that a route that is added is attacked from then on.

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde_json::Value;

use super::Target;

/// Routes that are not asked: they begin and end sessions, or store a password, which takes a quarter of a second each.
const LEFT_OUT: [&str; 6] = [
    "/v1/auth/login",
    "/v1/auth/logout",
    "/v1/auth/refresh",
    "/v1/agents/enroll",
    "/v1/agents/enroll/self",
    "/v1/openapi.json",
];
/// What people do not change here: the tenants' own settings, on which all others depend, and accounts.
const NOT_CHANGED: [&str; 3] = ["/v1/modules", "/v1/users", "/v1/tenants"];
/// Routes of agents, which sign; people ask them in vain.
const OF_AGENTS: [&str; 3] = ["/v1/agents/heartbeat", "/v1/agents/jobs/next", "/v1/agents/results"];

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Route {
    pub method: Method,
    /// With its parameters in braces.
    pub path: String,
    /// Names of the parameters behind the question mark.
    pub query: Vec<String>,
    /// The fields of the body, with what the description says of each.
    pub body: Option<Vec<(String, Value)>>,
}

impl Route {
    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        self.method == Method::GET
    }

    /// Whether it is about one thing that the path names.
    pub fn names_a_thing(&self) -> bool {
        self.path.contains('{')
    }

    /// Whether the path says of which tenant: the platform's own routes.
    pub fn names_a_tenant(&self) -> bool {
        self.path.starts_with("/v1/tenants/{")
    }
}

/// All that are attacked.
pub async fn read(target: &Target) -> Result<Vec<Route>> {
    let client = target.clients.first().context("a client")?;
    let answer = client.get(format!("{}/v1/openapi.json", target.base)).send().await?.error_for_status()?;
    let document: Value = answer.json().await?;
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().context("the description has no paths")? {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let method = match method.as_str() {
                "get" => Method::GET,
                "post" => Method::POST,
                "put" => Method::PUT,
                "patch" => Method::PATCH,
                "delete" => Method::DELETE,
                _ => continue,
            };
            let is_change = method != Method::GET;
            let is_left_out = LEFT_OUT.contains(&path.as_str())
                || (is_change && NOT_CHANGED.iter().any(|prefix| path.starts_with(prefix)))
                || OF_AGENTS.contains(&path.as_str());
            if is_left_out {
                continue;
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let query = parameters.filter(|one| one["in"] == "query").filter_map(|one| one["name"].as_str());
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            routes.push(Route {
                method,
                path: path.clone(),
                query: query.map(str::to_owned).collect(),
                body: operation.get("requestBody").map(|_| fields(&document, schema)),
            });
        }
    }
    Ok(routes)
}

/// The fields of an object, by the description of its type.
fn fields(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    let named = schema["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#')));
    let properties = named.unwrap_or(schema)["properties"].as_object();
    properties.into_iter().flatten().map(|(name, kind)| (name.clone(), kind.clone())).collect()
}
