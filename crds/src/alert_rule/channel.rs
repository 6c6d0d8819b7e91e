//! The ways an alert reaches somebody. A channel is a struct of options with a rule that exactly one is there, because a
//! Kubernetes schema knows no tagged unions.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::reference::SecretRef;
use crate::schema;

/// One way an alert reaches somebody: exactly one of its kinds, and perhaps a text of its own.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::rule(
    "[has(self.email), has(self.webhook), has(self.slack), has(self.teams), has(self.sms), has(self.syslog), has(self.ticket), has(self.inApp)].exists_one(x, x)",
    "write exactly one of email, webhook, slack, teams, sms, syslog, ticket and inApp; another way is another item of channels",
)]))]
pub struct Channel {
    /// By e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// By an HTTP POST.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// By Slack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// By Microsoft Teams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Teams>,
    /// By SMS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<Sms>,
    /// By syslog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
    /// By a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// In the dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_app: Option<InApp>,
    /// A text of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

/// By e-mail.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// The addresses.
    #[schemars(schema_with = "schema::emails")]
    pub to: Vec<String>,
}

/// By an HTTP POST.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where it goes.
    #[schemars(schema_with = "schema::web_address")]
    pub url: String,
    /// The key that signs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// By Slack.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// The address of the incoming webhook, which is itself the secret.
    pub secret_ref: SecretRef,
}

/// By Microsoft Teams.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Teams {
    /// The address of the workflow, which is itself the secret.
    pub secret_ref: SecretRef,
}

/// By SMS.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sms {
    /// The numbers, in E.164.
    #[schemars(schema_with = "schema::phone_numbers")]
    pub to: Vec<String>,
    /// The gateway's credentials.
    pub secret_ref: SecretRef,
}

/// By syslog.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Syslog {
    /// Host and port.
    #[schemars(schema_with = "host_and_port")]
    pub address: String,
    /// How a message is written.
    #[serde(default)]
    pub format: SyslogFormat,
    /// Whether the connection is encrypted.
    #[serde(default = "default_true")]
    pub tls: bool,
}

/// How a syslog message is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFormat {
    /// ArcSight's Common Event Format.
    Cef,
    /// RFC 5424.
    #[default]
    Rfc5424,
}

/// By a ticket.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// The tracker's API.
    #[schemars(schema_with = "schema::web_address")]
    pub url: String,
    /// The project or queue.
    #[schemars(schema_with = "project")]
    pub project: String,
    /// The tracker's credentials.
    pub secret_ref: SecretRef,
}

/// In the dashboard.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InApp {}

/// A text of a channel's own.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// The subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub subject: Option<String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "body")]
    pub body: Option<String>,
}

fn default_true() -> bool {
    true
}

fn host_and_port(_: &mut SchemaGenerator) -> Schema {
    schema::matching(
        260,
        "^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|[[][0-9A-Fa-f:.]+[]]):[1-9][0-9]{0,4}$",
        "write host and port, such as siem.acme.example:6514",
    )
}

fn project(_: &mut SchemaGenerator) -> Schema {
    schema::checked(128, "self.trim() != ''", "write the project or queue that tickets go to, such as SEC")
}

fn body(_: &mut SchemaGenerator) -> Schema {
    schema::text(16384)
}
