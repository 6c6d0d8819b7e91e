//! `tenantra tenant create`: by options, or from a manifest. What is not given is not sent, so that the API server's own
//! defaults hold.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::manifest::{self, Manifest};
use super::view::View;
use super::{get, wait};
use crate::outcome::{Error, Outcome};
use crate::output::Format;

const FROM_OPTIONS: &str = "from options";

/// `tenantra tenant create NAME` or `-f FILE`.
#[derive(Debug, Args)]
pub struct Create {
    /// The slug: 1 to 40 lower-case letters, digits and '-'; it cannot be changed later
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// A manifest with one or more Tenants; '-' reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = FROM_OPTIONS)]
    file: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    /// Let the API server check it and make nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Wait until it is Ready
    #[arg(long)]
    wait: bool,
    /// How long --wait waits, in seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

#[derive(Debug, Args)]
#[group(id = FROM_OPTIONS, multiple = true)]
struct Options {
    /// The customer's name as people read it; without it the slug
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// What the customer pays for
    #[arg(long, ignore_case = true, value_parser = one_of(&["Free", "Basic", "Pro", "Enterprise"]))]
    plan: Option<&'static str>,
    /// The slug of the provider above it
    #[arg(long, value_name = "SLUG")]
    parent: Option<String>,
    /// Its first administrator: the account is made, and whoever manages users gives it its first password (POST /v1/users)
    #[arg(long, value_name = "ADDRESS")]
    admin_email: Option<String>,
    /// Who is told about its life
    #[arg(long, value_name = "ADDRESS")]
    contact_email: Option<String>,
    /// Where its dashboard answers
    #[arg(long, value_name = "HOST")]
    domain: Option<String>,
    /// A framework it is scored against; may be repeated
    #[arg(long, value_name = "SLUG")]
    framework: Vec<String>,
    /// How far its namespace is closed
    #[arg(long, ignore_case = true, value_parser = one_of(&["Baseline", "Strict", "None"]))]
    network_policy: Option<&'static str>,
    /// What happens to its data when it is deleted
    #[arg(long, ignore_case = true, value_parser = one_of(&["Retain", "Archive", "Purge"]))]
    deletion_policy: Option<&'static str>,
    /// Run no agents on the cluster's nodes for it
    #[arg(long)]
    no_agents: bool,
}

/// Runs it.
pub async fn run(cluster: &Cluster, arguments: Create, format: Format) -> Result<Outcome, Error> {
    let Create { name, file, options, dry_run, wait, timeout } = arguments;
    let manifests = match (file, name) {
        (Some(path), _) => manifest::read(&path)?,
        (None, Some(name)) => {
            crds::names::check_slug(&name).map_err(|error| Error::Usage(error.to_string()))?;
            vec![Manifest { document: options.manifest(&name), name }]
        }
        (None, None) => return Err(Error::Usage("give a slug, or -f FILE".to_owned())),
    };
    let mut made = Vec::new();
    for Manifest { name, document } in &manifests {
        let tenant = cluster.create(name, document, dry_run).await?;
        if format == Format::Table {
            eprintln!("tenant {name} {}", if dry_run { "could be created (dry run)" } else { "created" });
        }
        made.push(tenant);
    }
    if wait {
        let limit = Duration::from_secs(timeout);
        for tenant in &mut made {
            *tenant = wait::until_ready(cluster, tenant, limit).await?;
        }
    }
    let views: Vec<View> = made.iter().map(View::of).collect();
    match (format, views.as_slice()) {
        (Format::Json | Format::Yaml, [view]) => format.print(view, String::new)?,
        (Format::Json | Format::Yaml, views) => format.print(views, String::new)?,
        (Format::Table, views) if wait => {
            let texts: Vec<String> = views.iter().map(get::text).collect();
            crate::output::print(&texts.join("\n\n"))?;
        }
        (Format::Table, _) => {}
    }
    Ok(Outcome::Done)
}

/// One of these words, however it is capitalised, as the manifest writes it.
fn one_of(words: &'static [&'static str]) -> impl TypedValueParser<Value = &'static str> {
    let written =
        |given: String| words.iter().find(|word| word.eq_ignore_ascii_case(&given)).copied().unwrap_or_default();
    PossibleValuesParser::new(words).map(written)
}

impl Options {
    fn manifest(self, name: &str) -> Value {
        let Self {
            display_name,
            plan,
            parent,
            admin_email,
            contact_email,
            domain,
            framework,
            network_policy,
            deletion_policy,
            no_agents,
        } = self;
        let fields = [
            ("displayName", Some(json!(display_name.unwrap_or_else(|| name.to_owned())))),
            ("plan", plan.map(|plan| json!(plan))),
            ("parent", parent.map(|parent| json!(parent))),
            ("admin", admin_email.map(|email| json!({ "email": email }))),
            ("contact", contact_email.map(|email| json!({ "email": email }))),
            ("domain", domain.map(|domain| json!(domain))),
            ("frameworks", (!framework.is_empty()).then(|| json!(framework))),
            ("isolation", network_policy.map(|policy| json!({ "networkPolicy": policy }))),
            ("deletionPolicy", deletion_policy.map(|policy| json!(policy))),
            ("agent", no_agents.then(|| json!({ "enabled": false }))),
        ];
        let spec: Map<String, Value> =
            fields.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect();
        json!({
            "apiVersion": format!("{}/{}", crds::GROUP, crds::VERSION), "kind": "Tenant",
            "metadata": { "name": name }, "spec": spec,
        })
    }
}
