//! `tenantra tenant diff`: the operator's own observe and plan, printed instead of applied. Settings of the operator that
//! shape a plan (the agent's image, addresses) come from this program's environment, else from its Deployment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use catalog::printable::printable;
use clap::{Args, CommandFactory as _, Parser as _};
use comfy_table::Cell;
use crds::tenant::Tenant;
use k8s_openapi::api::apps::v1::Deployment;
use operator::runtime::lead::Lead;
use operator::systems::openbao::{self, OpenBao};
use operator::tenant::validate::Installation;
use operator::{Config, Planned};
use serde::Serialize;

use super::cluster::Cluster;
use super::manifest;
use crate::db::postgres::Address;
use crate::outcome::{Error as Failure, Outcome};
use crate::output::{Format, bad, cell, good, grid, rendered};

/// Where it finds what the operator has.
pub const HELP: &str = "\
Ends with status 1 if there are changes, 0 if there are none.

Environment:
  TENA_DB_OWNER_URL, TENA_DB_OWNER_URL_FILE   Postgres, as the operator reaches it
  TENA_VAULT_ADDR, TENA_VAULT_TOKEN[_FILE]    OpenBao or Vault; without it secrets are left out
  TENA_NAMESPACE                              where the operator runs (tenantra-system); its other settings are
                                              read from its Deployment there, unless they are set here";

/// The name of the operator's Deployment, as the chart makes it.
const OPERATOR_DEPLOYMENT: &str = "tenantra-operator";

/// `tenantra tenant diff NAME` or `-f FILE`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The tenant's slug
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// Compare with a manifest that is not applied yet; '-' reads standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting of the operator is wrong.
    #[error("a setting of the operator is wrong: {0}")]
    Settings(String),
    /// OpenBao cannot be used.
    #[error(transparent)]
    OpenBao(#[from] openbao::Error),
    /// A system did not answer, or the tenant cannot be provisioned.
    #[error("there is no plan: {0}")]
    Plan(#[from] operator::PlanError),
}

impl Error {
    /// What the program ends with.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Settings(_) => 2,
            Self::OpenBao(_) | Self::Plan(operator::PlanError::System(_)) => 3,
            Self::Plan(operator::PlanError::Invalid(_)) => 1,
        }
    }
}

/// What one provisioner would do.
#[derive(Debug, Serialize)]
struct Line {
    tenant: String,
    condition: &'static str,
    changes: Vec<String>,
    /// Why there can be no changes.
    problem: Option<String>,
}

/// Runs it.
pub async fn run(cluster: &Cluster, arguments: &Diff, format: Format) -> Result<Outcome, Failure> {
    let tenants = match (&arguments.file, &arguments.name) {
        (Some(path), _) => manifest::read(path)?
            .into_iter()
            .map(|found| serde_json::from_value(found.document))
            .collect::<Result<Vec<Tenant>, _>>()
            .map_err(|error| manifest::Error::Malformed { path: path.clone(), why: error.to_string() })?,
        (None, Some(name)) => vec![cluster.get(name).await?],
        (None, None) => return Err(Failure::Usage("give a slug, or -f FILE".to_owned())),
    };
    let config = configuration(cluster).await?;
    let installation = Arc::new(Installation::of(&config).map_err(|error| Error::Settings(error.to_string()))?);
    let bao = OpenBao::new(&config, Lead::for_tool()).map_err(Error::from)?;
    let db = Address::owner()?.connect(4).await?;
    let mut lines = Vec::new();
    for tenant in &tenants {
        let name = tenant.metadata.name.clone().unwrap_or_default();
        let planned = operator::plan_tenant(cluster.client(), &db, bao.as_ref(), &installation, tenant).await;
        lines.extend(planned.map_err(Error::from)?.into_iter().map(|planned| line(&name, planned)));
    }
    db.close().await;
    format.print(&lines, || text(&lines, tenants.len() > 1))?;
    Ok(Outcome::differs_if(lines.iter().any(|line| !line.changes.is_empty() || line.problem.is_some())))
}

/// The operator's configuration: this environment, then its Deployment, then the defaults.
async fn configuration(cluster: &Cluster) -> Result<Config, Failure> {
    let parse = |arguments: &[OsString]| {
        Config::try_parse_from(arguments).map_err(|error| {
            let text = error.to_string();
            Error::Settings(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
        })
    };
    let mut arguments = vec![OsString::from(OPERATOR_DEPLOYMENT)];
    let here = parse(&arguments)?;
    if let Some(deployment) = cluster.deployment(&here.namespace, OPERATOR_DEPLOYMENT).await? {
        arguments.extend(settings_of(&deployment));
    }
    Ok(parse(&arguments)?)
}

/// The settings of the Deployment that this environment does not have, as arguments. What names a file or a secret in the
/// pod says nothing here.
fn settings_of(deployment: &Deployment) -> Vec<OsString> {
    let command = Config::command();
    let containers =
        deployment.spec.iter().filter_map(|spec| spec.template.spec.as_ref()).flat_map(|pod| &pod.containers);
    let variables = containers.flat_map(|container| container.env.iter().flatten());
    let mut arguments = Vec::new();
    for variable in variables {
        let (name, Some(value)) = (variable.name.as_str(), &variable.value) else { continue };
        let is_foreign = name.ends_with("_FILE") || name.starts_with("TENA_DB_") || name.starts_with("TENA_VAULT_");
        if is_foreign || std::env::var_os(name).is_some() {
            continue;
        }
        let argument = command.get_arguments().find(|argument| argument.get_env().is_some_and(|env| env == name));
        if let Some(long) = argument.and_then(clap::Arg::get_long) {
            arguments.push(format!("--{long}={value}").into());
        }
    }
    arguments
}

fn line(tenant: &str, planned: Planned) -> Line {
    let Planned { condition, changes } = planned;
    let (changes, problem) = match changes {
        Ok(changes) => (changes, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    Line { tenant: tenant.to_owned(), condition: condition.as_str(), changes, problem }
}

fn text(lines: &[Line], names_tenants: bool) -> String {
    let mut table = grid(if names_tenants { &["TENANT", "CONDITION", "CHANGE"] } else { &["CONDITION", "CHANGE"] });
    for Line { tenant, condition, changes, problem } in lines {
        let change = match (problem, changes.as_slice()) {
            (Some(problem), _) => bad(format!("cannot be planned: {problem}")),
            (None, []) => good("none"),
            (None, changes) => Cell::new(printable(&changes.join("\n"))),
        };
        let mut row = vec![cell(condition), change];
        if names_tenants {
            row.insert(0, cell(tenant));
        }
        table.add_row(row);
    }
    rendered(&table)
}
