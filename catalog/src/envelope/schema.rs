//! The JSON Schema of an envelope: the same rules as the types, with the bounds that types do not carry (lengths, patterns,
//! counts). The API checks every envelope against it before anything is read from it.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// Most checks in one envelope.
pub(super) const MAX_CHECKS: usize = 2_000;
/// Most findings in one envelope; beyond it the agent cuts and says so in the log.
pub(super) const MAX_FINDINGS: usize = 20_000;
/// Most verdicts of controls in one envelope.
pub(super) const MAX_BENCHMARKS: usize = 20_000;
/// Most facts added or removed in one envelope.
pub(super) const MAX_FACTS: usize = 200_000;
pub(super) const MAX_ARTIFACTS: usize = 100;
pub(super) const MAX_LOG: usize = 1_000;
/// Columns of a row.
pub(super) const MAX_COLUMNS: usize = 200;
/// A day.
pub(super) const MAX_RUN_MS: u64 = 86_400_000;
// Lengths of texts, in characters.
pub(super) const MAX_NAME: usize = 100;
pub(super) const MAX_VERSION: usize = 50;
pub(super) const MAX_MESSAGE: usize = 4_000;
pub(super) const MAX_RESOURCE: usize = 4_096;
pub(super) const MAX_KEY: usize = 8_192;
pub(super) const MAX_TYPE: usize = 50;
pub(super) const MAX_PATH: usize = 1_024;

/// Where an envelope breaks the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct SchemaViolation {
    /// JSON Pointer of the place, `/checks/3/verdict`; `/` is the envelope itself.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The JSON Schema (2020-12) of one envelope.
pub fn envelope_schema() -> Value {
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
    let text = |max: usize| json!({ "type": "string", "minLength": 1, "maxLength": max });
    let count = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    let verdict = json!({ "enum": ["pass", "fail", "not_applicable", "error"] });
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" });
    let slug = json!({ "type": "string", "maxLength": MAX_NAME, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$" });
    let row = json!({ "type": "object", "maxProperties": MAX_COLUMNS });
    let mut schema = object(
        &[
            "run_id",
            "module",
            "version",
            "status",
            "started_at",
            "duration_ms",
            "resource",
            "summary",
            "checks",
            "findings",
        ],
        json!({
            "run_id": { "type": "string", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" },
            "module": slug,
            "version": { "type": "string", "maxLength": MAX_VERSION, "pattern": r"^\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$" },
            "status": { "enum": ["succeeded", "failed", "timeout", "partial"] },
            "started_at": { "type": "string", "maxLength": 40, "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}" },
            "duration_ms": { "type": "integer", "minimum": 0, "maximum": MAX_RUN_MS },
            "resource": object(&["cpu_ms", "max_rss_kb"], json!({ "cpu_ms": count, "max_rss_kb": count })),
            "summary": object(&["passed", "failed", "not_applicable", "error"], json!({
                "passed": count, "failed": count, "not_applicable": count, "error": count,
                "score": { "type": ["integer", "null"], "minimum": 0, "maximum": 100 },
            })),
            "checks": { "type": "array", "maxItems": MAX_CHECKS, "items": object(&["id", "verdict"], json!({
                "id": slug, "verdict": verdict, "message": { "type": ["string", "null"], "maxLength": MAX_MESSAGE },
            })) },
            "findings": { "type": "array", "maxItems": MAX_FINDINGS, "items": object(&["check", "severity", "resource"], json!({
                "check": slug, "severity": { "enum": ["low", "medium", "high", "critical"] }, "resource": text(MAX_RESOURCE),
                "evidence": row,
            })) },
            "benchmarks": { "type": "array", "maxItems": MAX_BENCHMARKS, "items": object(&["framework", "control", "status"], json!({
                "framework": slug, "control": text(MAX_NAME), "status": verdict,
            })) },
            "facts": object(&["base", "snapshot", "added", "removed"], json!({
                "base": { "type": ["string", "null"], "pattern": "^[0-9a-f]{32}$" },
                "snapshot": hash,
                "added": { "type": "array", "maxItems": MAX_FACTS, "items": object(&["table", "key", "row"], json!({
                    "table": text(MAX_NAME), "key": text(MAX_KEY), "row": row,
                })) },
                "removed": { "type": "array", "maxItems": MAX_FACTS, "items": object(&["table", "hash"], json!({
                    "table": text(MAX_NAME), "hash": hash,
                })) },
            })),
            "artifacts": { "type": "array", "maxItems": MAX_ARTIFACTS, "items": object(&["type", "path", "sha256"], json!({
                "type": text(MAX_TYPE), "path": text(MAX_PATH), "sha256": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
            })) },
            "log": { "type": "array", "maxItems": MAX_LOG, "items": object(&["level", "message"], json!({
                "level": { "enum": ["debug", "info", "warn", "error"] }, "message": { "type": "string", "maxLength": MAX_MESSAGE },
            })) },
        }),
    );
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Result envelope");
    schema
}

static VALIDATOR: LazyLock<Result<jsonschema::Validator, String>> =
    LazyLock::new(|| jsonschema::validator_for(&envelope_schema()).map_err(|error| error.to_string()));

/// Checks the JSON of one envelope against [`envelope_schema`]; the first violation is the error.
pub fn validate_json(envelope: &Value) -> Result<(), SchemaViolation> {
    let validator = VALIDATOR.as_ref().map_err(|reason| SchemaViolation {
        path: "/".to_owned(),
        reason: format!("the schema does not compile: {reason}"),
    })?;
    validator.validate(envelope).map_err(|error| {
        let path = error.instance_path().to_string();
        let mut reason = error.to_string();
        // The message quotes the offending value, which may be megabytes.
        if reason.len() > 500 {
            reason = reason.chars().take(500).chain("…".chars()).collect();
        }
        SchemaViolation { path: if path.is_empty() { "/".to_owned() } else { path }, reason }
    })
}
