//! Good manifests: with nothing but what is required, and with everything.

use serde_json::{Value, json};

/// An object of a kind; the namespaced ones live with the tenant acme.
#[allow(clippy::needless_pass_by_value, reason = "callers build the spec in place")]
pub fn object(kind: &str, name: &str, spec: Value) -> Value {
    let mut metadata = json!({ "name": name });
    if kind != "Tenant" {
        metadata["namespace"] = json!(super::NAMESPACE);
    }
    json!({ "apiVersion": "tenantra.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec })
}

/// The least that each kind needs, and what the API server makes of it.
pub fn minimal() -> [(&'static str, Value, Value); 4] {
    let reference = json!({ "path": "cloud/aws", "key": "role-arn" });
    [
        (
            "Tenant",
            json!({ "displayName": "Acme Corp" }),
            json!({
                "displayName": "Acme Corp",
                "plan": "Free",
                "isolation": { "podSecurity": "restricted", "networkPolicy": "Baseline" },
                "retention": { "operationalLogs": "30d", "securityEvents": "90d", "findings": "365d", "audit": "7y" },
                "database": { "instance": "default" },
                "identity": { "instance": "default", "realm": true, "mfa": "Required" },
                "agent": { "enabled": true, "modulesProfile": "baseline_full", "containerSocket": false },
                "suspend": false,
                "deletionPolicy": "Retain",
                "purgeAfter": "30d",
            }),
        ),
        (
            "ScanSchedule",
            json!({ "schedule": "@hourly", "modules": [{ "slug": "linux-sshd" }] }),
            json!({
                "schedule": "@hourly",
                "timeZone": "Etc/UTC",
                "suspend": false,
                "concurrencyPolicy": "Allow",
                "modules": [{ "slug": "linux-sshd" }],
                "profile": "baseline_full",
                "jitterSeconds": 0,
            }),
        ),
        (
            "AlertRule",
            json!({ "on": "finding", "channels": [{ "syslog": { "address": "siem.acme.example:6514" } }] }),
            json!({
                "suspend": false,
                "severity": "medium",
                "on": "finding",
                "condition": "true",
                "channels": [{ "syslog": { "address": "siem.acme.example:6514", "format": "rfc5424", "tls": true } }],
            }),
        ),
        (
            "CloudAccount",
            json!({ "provider": "aws", "accountId": "123456789012", "credentialReference": reference }),
            json!({
                "provider": "aws",
                "accountId": "123456789012",
                "credentialReference": reference,
                "syncInterval": "1h",
                "suspend": false,
            }),
        ),
    ]
}

/// Every field of a kind's spec.
pub fn spec(kind: &str) -> Value {
    match kind {
        "Tenant" => tenant(),
        "ScanSchedule" => scan_schedule(),
        "AlertRule" => alert_rule(),
        "CloudAccount" => cloud_account(),
        other => panic!("no kind {other}"),
    }
}

fn tenant() -> Value {
    json!({
        "displayName": "Acme Corp",
        "plan": "Enterprise",
        "parent": "northwind-msp",
        "contact": { "email": "admin@acme.example", "name": "Ada" },
        "domain": "acme.tenantra.example",
        "branding": {
            "productName": "Acme Secure",
            "primaryColor": "#1877f2",
            "logo": { "configMapRef": { "name": "acme-logo", "key": "logo.svg" } },
        },
        "limits": {
            "cpu": "4", "memory": "8Gi", "storage": "50Gi", "pods": 50, "agents": 500, "scansPerDay": 20000, "resultStorage": "20Gi",
        },
        "isolation": {
            "podSecurity": "baseline",
            "networkPolicy": "Strict",
            "egress": [{ "cidr": "10.0.0.0/8", "ports": [443] }, { "cidr": "2001:db8::/32" }],
        },
        "features": { "enable": ["ai_risk"], "disable": ["beta"] },
        "modules": { "enable": ["linux-*", "cis-debian-12"], "disable": ["linux-shell-history"] },
        "frameworks": ["cis-debian-12", "nist-800-53-r5", "iso-27001-2022"],
        "risk": { "weights": { "critical": 10, "high": 5, "medium": 2, "low": 1 } },
        "retention": { "operationalLogs": "30d", "securityEvents": "90d", "findings": "365d", "audit": "7y", "archive": ["audit"] },
        "database": { "instance": "second" },
        "identity": {
            "instance": "second",
            "realm": true,
            "mfa": "Optional",
            "providers": [{
                "alias": "entra",
                "type": "oidc",
                "url": "https://login.acme.example/tenant/v2.0",
                "clientId": "tenantra",
                "secretRef": { "path": "identity/entra", "key": "client-secret" },
            }],
            "ldap": {
                "url": "ldaps://ldap.acme.example:636",
                "bindDn": "cn=reader,dc=acme,dc=example",
                "secretRef": { "path": "identity/ldap", "key": "password" },
                "usersDn": "ou=people,dc=acme,dc=example",
                "groupsDn": "ou=groups,dc=acme,dc=example",
                "groupMapping": { "cn=admins,ou=groups,dc=acme,dc=example": "admin" },
            },
        },
        "agent": {
            "enabled": true,
            "nodeSelector": { "kubernetes.io/arch": "amd64" },
            "tolerations": [{ "key": "dedicated", "operator": "Equal", "value": "acme", "effect": "NoSchedule" }],
            "resources": { "limits": { "memory": "256Mi" }, "requests": { "cpu": "50m" } },
            "modulesProfile": "deep_scan",
            "containerSocket": true,
        },
        "admin": { "email": "ada@acme.example" },
        "suspend": true,
        "deletionPolicy": "Purge",
        "purgeAfter": "90d",
    })
}

fn scan_schedule() -> Value {
    json!({
        "schedule": "*/15 3 * * 1-5",
        "timeZone": "America/Argentina/Buenos_Aires",
        "suspend": false,
        "concurrencyPolicy": "Replace",
        "startingDeadlineSeconds": 600,
        "modules": [
            { "slug": "linux-sshd", "version": "1.2.0", "parameters": { "ports": [22, 2222], "strict": true } },
            { "category": "authentication" },
            { "framework": "cis-debian-12" },
        ],
        "profile": "deep_scan",
        "agentSelector": {
            "matchLabels": { "site": "berlin" },
            "matchExpressions": [{ "key": "role", "operator": "In", "values": ["db", "web"] }, { "key": "old", "operator": "DoesNotExist" }],
        },
        "jitterSeconds": 300,
    })
}

fn alert_rule() -> Value {
    let secret = json!({ "path": "alerts/one", "key": "token" });
    json!({
        "suspend": false,
        "severity": "critical",
        "on": "vulnerability",
        "condition": "event.severity == 'critical'",
        "threshold": { "count": 3, "window": "15m" },
        "groupBy": ["asset.id", "module"],
        "throttle": "1h",
        "digest": { "window": "1d" },
        "resolve": { "after": "2d" },
        "channels": [
            { "email": { "to": ["ada@acme.example"] }, "template": { "subject": "Alert", "body": "Something is wrong" } },
            { "webhook": { "url": "https://hooks.acme.example/in", "secretRef": secret } },
            { "slack": { "secretRef": secret } },
            { "teams": { "secretRef": secret } },
            { "sms": { "to": ["+4915112345678"], "secretRef": secret } },
            { "syslog": { "address": "[2001:db8::1]:6514", "format": "cef", "tls": false } },
            { "ticket": { "url": "https://jira.acme.example", "project": "SEC", "secretRef": secret } },
            { "inApp": {} },
        ],
    })
}

fn cloud_account() -> Value {
    json!({
        "provider": "aws",
        "accountId": "123456789012",
        "regions": ["eu-central-1"],
        "credentialReference": { "path": "cloud/aws", "key": "role-arn" },
        "syncInterval": "6h",
        "suspend": false,
        "resources": ["ec2_instance"],
        "endpoint": "https://ec2.eu-central-1.amazonaws.com",
    })
}

/// Every field of a tenant's status.
pub fn tenant_status() -> Value {
    json!({
        "observedGeneration": 1,
        "lastHandledReconcileAt": "2026-11-21T12:00:00Z",
        "tenantId": "6f1c0000-0000-4000-8000-000000000000",
        "namespace": "tenant-with-status",
        "agentNamespace": "tenantra-agent-with-status",
        "schema": "tenant_with_status",
        "schemaVersion": 20_261_121_120_000_i64,
        "vaultPath": "secret/data/tenants/with-status",
        "realm": "with-status",
        "grafana": { "orgId": 7, "folderUid": "tnt-with-status", "url": "https://grafana.tenantra.example" },
        "url": "https://with-status.tenantra.example",
        "agents": { "desired": 3, "ready": 3, "stale": 0 },
        "score": 87,
        "openFindings": { "critical": 0, "high": 2 },
        "children": 4,
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": "everything is there",
            "lastTransitionTime": "2026-11-21T12:00:00Z",
            "observedGeneration": 1,
        }],
    })
}
