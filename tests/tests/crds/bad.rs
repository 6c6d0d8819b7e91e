//! Manifests with one mistake each, and the sentence that says what to write instead.

use serde_json::{Value, json};

use super::full;

/// A manifest with one mistake.
pub struct Bad {
    pub what: String,
    pub document: Value,
    pub sentence: &'static str,
}

/// Rules about a change, with their sentences: only an update can break them.
pub const UPDATES: [(&str, &str); 1] =
    [("provider", "provider never changes: create another CloudAccount for the other provider and delete this one")];

/// One mistake: where in the spec, what stands there instead, what the API server says.
type Mistake = (&'static str, Value, &'static str);

const SLUG: &str =
    "write the tenant's slug: lower-case letters, digits and '-', at most 40 characters, such as northwind-msp";
const NAME_IS_SLUG: &str =
    "metadata.name is the tenant's slug: write 1 to 40 lower-case letters, digits and '-', such as acme-corp";
const EMAIL: &str = "write an e-mail address, such as ada@acme.example";
const DOMAIN: &str = "write a domain in lower case without scheme, port or trailing dot, such as acme.tenantra.example";
const QUANTITY: &str = "write a quantity of zero or more, such as 500m, 4, 8Gi or 50Gi";
const DURATION: &str = "write a whole number and one of s, m, h, d or y, such as 30d (y is 365 days)";
const WEB_ADDRESS: &str = "write a web address with its scheme, such as https://hooks.example.com/tenantra";
const SECRET_PATH: &str =
    "write a path relative to the tenant's own secrets, without a leading '/', such as alerts/slack";
const CRON: &str =
    "write five fields of cron (minute, hour, day, month, weekday), such as 0 3 * * *, or a macro such as @hourly";
const ONE_CHANNEL: &str = "write exactly one of email, webhook, slack, teams, sms, syslog, ticket and inApp; another way is another item of channels";
const ONE_MODULE: &str = "write exactly one of slug, category and framework";
const DIRECTORY: &str = "a directory needs url and usersDn: write both, or leave ldap empty";
const SELECTOR: &str = "give values with the operators In and NotIn, and none with Exists and DoesNotExist";

/// All of them.
pub fn refused() -> Vec<Bad> {
    let mut all: Vec<Bad> = names();
    for (kind, mistakes) in [
        ("Tenant", tenant()),
        ("Tenant", tenant_policy()),
        ("ScanSchedule", scan_schedule()),
        ("AlertRule", alert_rule()),
        ("CloudAccount", cloud_account()),
    ] {
        for (pointer, value, sentence) in mistakes {
            let what = format!("{kind}{pointer} = {value}");
            let mut spec = full::spec(kind);
            put(&mut spec, pointer, value);
            all.push(Bad { what, document: full::object(kind, "bad", spec), sentence });
        }
    }
    all
}

/// Puts a value where the pointer says; null takes away.
fn put(spec: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match spec.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} is nowhere")) {
        Value::Object(map) if value.is_null() => {
            map.remove(key).unwrap();
        }
        Value::Object(map) => {
            map.insert(key.to_owned(), value);
        }
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => panic!("{pointer} is inside neither map nor list"),
    }
}

fn names() -> Vec<Bad> {
    let reserved = "metadata.name is a slug that the platform keeps for itself: choose another, such as acme-corp";
    let mut all: Vec<_> = [("acme.corp", NAME_IS_SLUG), ("a123456789012345678901234567890123456789b", NAME_IS_SLUG)]
        .into_iter()
        .chain(crds::names::RESERVED_SLUGS.into_iter().map(|slug| (slug, reserved)))
        .chain([("kube-acme", "metadata.name must not begin with kube-: choose another slug, such as acme-corp")])
        .map(|(name, sentence)| Bad {
            what: format!("the name {name}"),
            document: full::object("Tenant", name, json!({ "displayName": "Acme" })),
            sentence,
        })
        .collect();
    all.push(Bad {
        what: "its own parent".to_owned(),
        document: full::object("Tenant", "acme", json!({ "displayName": "Acme", "parent": "acme" })),
        sentence: "spec.parent names this tenant itself: write the slug of the tenant above it, or leave it out",
    });
    let mut without_spec = full::object("Tenant", "acme", json!({}));
    without_spec.as_object_mut().unwrap().remove("spec");
    all.push(Bad { what: "no spec".to_owned(), document: without_spec, sentence: "spec: Required value" });
    all
}

fn tenant() -> Vec<Mistake> {
    let display_name = "write the customer's name as people read it, such as Acme Corp";
    vec![
        ("/displayName", json!(""), display_name),
        ("/displayName", json!("  "), display_name),
        ("/displayName", json!(null), "spec.displayName: Required value"),
        ("/displayName", json!("x".repeat(129)), "spec.displayName: Too long: may not be more than 128"),
        ("/colour", json!("blue"), "field not declared in schema"),
        ("/plan", json!("Gold"), "supported values: \"Free\", \"Basic\", \"Pro\", \"Enterprise\""),
        ("/parent", json!("North_wind"), SLUG),
        ("/contact/email", json!("ada"), EMAIL),
        ("/contact/email", json!(null), "spec.contact.email: Required value"),
        ("/admin/email", json!("ada@localhost"), EMAIL),
        ("/domain", json!("https://acme.example"), DOMAIN),
        ("/domain", json!("Acme.example"), DOMAIN),
        ("/domain", json!("acme"), DOMAIN),
        ("/domain", json!("acme.example."), DOMAIN),
        ("/branding/primaryColor", json!("blue"), "write a colour as # and six hexadecimal digits, such as #1877f2"),
        ("/branding/productName", json!(" "), "write the product's name, or leave productName out"),
        (
            "/branding/logo/configMapRef/name",
            json!("Acme Logo"),
            "write the object's name: lower-case letters, digits, '-' and '.'",
        ),
        (
            "/branding/logo/configMapRef/key",
            json!("a/b"),
            "write a key of letters, digits, '-', '_' and '.', such as logo.svg",
        ),
        (
            "/identity/instance",
            json!("Default Realm"),
            "write a name of lower-case letters, digits and '-', at most 63 characters",
        ),
        ("/identity/mfa", json!("Never"), "supported values: \"Required\", \"Optional\""),
        ("/identity/providers/0/url", json!("login.acme.example"), WEB_ADDRESS),
        (
            "/identity/providers/0/clientId",
            json!(null),
            "write the clientId that the provider gave you: type oidc needs it",
        ),
        ("/identity/providers/0/secretRef/path", json!("/identity/entra"), SECRET_PATH),
        (
            "/identity/ldap/url",
            json!("ldap.acme.example"),
            "write the directory's address, such as ldaps://ldap.acme.example:636",
        ),
        ("/identity/ldap/usersDn", json!(null), DIRECTORY),
        ("/identity/ldap/url", json!(null), DIRECTORY),
        (
            "/database/instance",
            json!("Default DB"),
            "write a name of lower-case letters, digits and '-', at most 63 characters",
        ),
        (
            "/agent/nodeSelector",
            json!({ "tenantra.io/tenant": "other" }),
            "leave tenantra.io/tenant out: the operator always adds it, and a selector here only narrows it",
        ),
        (
            "/agent/tolerations",
            json!(vec![json!({ "operator": "Exists" }); 17]),
            "spec.agent.tolerations: Too many: 17: must have at most 16 items",
        ),
        ("/agent/tolerations/0/effect", json!("Sometimes"), "supported values: \"NoSchedule\""),
        ("/agent/resources/limits/memory", json!("lots"), QUANTITY),
        (
            "/agent/modulesProfile",
            json!("full"),
            "supported values: \"baseline_fast\", \"baseline_full\", \"deep_scan\"",
        ),
        ("/deletionPolicy", json!("Delete"), "supported values: \"Retain\", \"Archive\", \"Purge\""),
        ("/purgeAfter", json!("30"), DURATION),
        ("/suspend", json!("yes"), ".spec.suspend: expected boolean"),
    ]
}

fn tenant_policy() -> Vec<Mistake> {
    vec![
        ("/limits/cpu", json!("four"), QUANTITY),
        ("/limits/memory", json!("-1Gi"), QUANTITY),
        ("/limits/storage", json!(-5), QUANTITY),
        ("/limits/resultStorage", json!("20 GiB"), QUANTITY),
        ("/limits/pods", json!(-1), "should be greater than or equal to 0"),
        ("/isolation/podSecurity", json!("strict"), "supported values: \"privileged\", \"baseline\", \"restricted\""),
        ("/isolation/networkPolicy", json!("Open"), "supported values: \"Strict\", \"Baseline\", \"None\""),
        (
            "/isolation/egress/0/cidr",
            json!("10.0.0.0"),
            "write a network in CIDR notation, such as 10.0.0.0/8 or 2001:db8::/32",
        ),
        ("/isolation/egress/0/ports", json!([0]), "write a port between 1 and 65535"),
        ("/isolation/egress/0/ports", json!([70000]), "write a port between 1 and 65535"),
        (
            "/features/enable",
            json!(["AI Risk"]),
            "write a feature's name: lower-case letters, digits and '_', such as ai_risk",
        ),
        ("/features/enable", json!(["ai_risk", "ai_risk"]), "name each feature once"),
        ("/features/enable", json!(["beta"]), "a feature stands in both enable and disable: leave it in one of them"),
        ("/modules/enable", json!(["Linux*"]), "write a module's slug or a prefix with '*', such as linux-*"),
        ("/modules/disable", json!(["linux-*", "linux-*"]), "name each module once"),
        ("/frameworks", json!(["CIS Debian 12"]), "write a framework's slug, such as cis-debian-12 or nist-800-53-r5"),
        ("/frameworks", json!(["cis-debian-12", "cis-debian-12"]), "name each framework once"),
        (
            "/risk/weights",
            json!({ "critical": 0, "high": 0, "medium": 0, "low": 0 }),
            "give at least one severity a weight above 0, else nothing can be scored",
        ),
        ("/risk/weights/high", json!(1001), "should be less than or equal to 1000"),
        ("/retention/findings", json!("1 year"), DURATION),
        ("/retention/audit", json!("0d"), DURATION),
        ("/retention/archive", json!(["audit", "audit"]), "name each type once"),
        ("/retention/archive", json!(["runs"]), "supported values"),
    ]
}

fn scan_schedule() -> Vec<Mistake> {
    vec![
        ("/schedule", json!("at noon"), CRON),
        ("/schedule", json!("0 0 3 * * *"), CRON),
        ("/schedule", json!("@every 5m"), CRON),
        ("/schedule", json!(null), "spec.schedule: Required value"),
        ("/timeZone", json!("Berlin time"), "write a time zone by its IANA name, such as Europe/Berlin"),
        ("/concurrencyPolicy", json!("Queue"), "supported values: \"Allow\", \"Forbid\", \"Replace\""),
        ("/startingDeadlineSeconds", json!(-1), "should be greater than or equal to 0"),
        ("/modules", json!([]), "name at least one module, category or framework, such as - slug: linux-sshd"),
        ("/modules/1", json!({}), ONE_MODULE),
        ("/modules/1", json!({ "slug": "linux-sshd", "category": "authentication" }), ONE_MODULE),
        (
            "/modules/1",
            json!({ "category": "authentication", "version": "1.0.0" }),
            "version and parameters belong to one module: write them beside slug",
        ),
        ("/modules/0/slug", json!("Linux SSHD"), "write a module's slug, such as linux-sshd"),
        ("/modules/0/version", json!("latest"), "write a version of three numbers, such as 1.2.0"),
        (
            "/modules/1/category",
            json!("Authentication"),
            "write a category of modules in lower case, such as authentication",
        ),
        ("/modules/2/framework", json!("CIS"), "write a framework's slug, such as cis-debian-12 or nist-800-53-r5"),
        ("/profile", json!("quick"), "supported values: \"baseline_fast\", \"baseline_full\", \"deep_scan\""),
        ("/agentSelector/matchExpressions/0/values", json!([]), SELECTOR),
        ("/agentSelector/matchExpressions/1/values", json!(["x"]), SELECTOR),
        ("/jitterSeconds", json!(86401), "should be less than or equal to 86400"),
    ]
}

fn alert_rule() -> Vec<Mistake> {
    let phone = "write a telephone number with its country code, such as +4915112345678 (E.164)";
    vec![
        ("/on", json!(null), "spec.on: Required value"),
        (
            "/on",
            json!("weather"),
            "supported values: \"finding\", \"drift\", \"vulnerability\", \"ioc\", \"score\", \"agent\", \"run\", \"account\"",
        ),
        ("/severity", json!("fatal"), "supported values: \"low\", \"medium\", \"high\", \"critical\""),
        (
            "/condition",
            json!(" "),
            "write a condition in CEL, such as event.severity == 'critical', or leave it out to match every event",
        ),
        ("/threshold/count", json!(0), "should be greater than or equal to 1"),
        ("/threshold/window", json!("a while"), DURATION),
        ("/groupBy", json!(["Asset"]), "write a field of the event, such as asset.id"),
        ("/groupBy", json!(["asset.id", "asset.id"]), "name each field once"),
        ("/throttle", json!("1w"), DURATION),
        ("/digest/window", json!(null), "spec.digest.window: Required value"),
        ("/resolve/after", json!("-1d"), DURATION),
        ("/channels", json!([]), "name at least one channel, such as - inApp: {}"),
        ("/channels/7", json!({}), ONE_CHANNEL),
        ("/channels/7", json!({ "inApp": {}, "email": { "to": ["ada@acme.example"] } }), ONE_CHANNEL),
        ("/channels/0/email/to", json!([]), "should have at least 1 items"),
        ("/channels/0/email/to", json!(["ada"]), EMAIL),
        ("/channels/0/template/subject", json!("x".repeat(257)), "Too long: may not be more than 256"),
        ("/channels/1/webhook/url", json!("ftp://hooks.acme.example"), WEB_ADDRESS),
        ("/channels/2/slack/secretRef", json!(null), "secretRef: Required value"),
        ("/channels/3/teams/secretRef/path", json!("alerts/../other"), SECRET_PATH),
        ("/channels/4/sms/to", json!(["0151 12345678"]), phone),
        (
            "/channels/5/syslog/address",
            json!("siem.acme.example"),
            "write host and port, such as siem.acme.example:6514",
        ),
        ("/channels/5/syslog/format", json!("rfc3164"), "supported values: \"cef\", \"rfc5424\""),
        ("/channels/6/ticket/project", json!(""), "write the project or queue that tickets go to, such as SEC"),
    ]
}

fn cloud_account() -> Vec<Mistake> {
    vec![
        ("/provider", json!("oracle"), "supported values: \"aws\", \"azure\", \"gcp\""),
        ("/accountId", json!("1234"), "accountId of aws: write the account's twelve digits, such as 123456789012"),
        ("/provider", json!("azure"), "accountId of azure: write the subscription's UUID in lower case"),
        ("/provider", json!("gcp"), "accountId of gcp: write the project's id, such as acme-prod-1234"),
        ("/regions", json!(["EU Central"]), "write a region as its provider does, such as eu-central-1"),
        ("/regions", json!(["eu-central-1", "eu-central-1"]), "name each region once"),
        ("/resources", json!(["EC2"]), "write a kind of resource in lower case, such as ec2_instance"),
        ("/resources", json!(["ec2_instance", "ec2_instance"]), "name each kind of resource once"),
        ("/credentialReference", json!(null), "spec.credentialReference: Required value"),
        (
            "/credentialReference/key",
            json!("role arn"),
            "write a key of letters, digits, '-', '_' and '.', such as logo.svg",
        ),
        ("/syncInterval", json!("hourly"), DURATION),
        ("/endpoint", json!("ec2.amazonaws.com"), WEB_ADDRESS),
    ]
}
