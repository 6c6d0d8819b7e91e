//! What crosses between agent and API: envelopes against their schema, tokens, signatures, identities.

use catalog::envelope::{CheckVerdict, Envelope, RunStatus, Summary, Verdict, envelope_schema, validate_json};
use catalog::facts::Facts;
use catalog::wire::{
    AgentToken, EnrollCredential, HostIdentity, PollRequest, sign_request, signing_bytes, verify_request,
};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use uuid::Uuid;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn example() -> Value {
    json!({
        "run_id": "0199a6a0-5c3e-7000-8000-000000000001", "module": "linux-sshd-hardening", "version": "1.2.0",
        "status": "succeeded", "started_at": "2026-11-21T12:00:00.123Z", "duration_ms": 41,
        "resource": { "cpu_ms": 12, "max_rss_kb": 2100 },
        "summary": { "passed": 1, "failed": 1, "not_applicable": 1, "error": 0, "score": 50 },
        "checks": [
            { "id": "a", "verdict": "pass" }, { "id": "b", "verdict": "fail" },
            { "id": "c", "verdict": "not_applicable", "message": "there is none" },
        ],
        "findings": [{ "check": "b", "severity": "medium", "resource": "sshd", "evidence": { "actual": "6" } }],
        "benchmarks": [{ "framework": "cis-debian-12", "control": "5.1.16", "status": "fail" }],
        "facts": { "base": null, "snapshot": "e3b0c44298fc1c149afbf4c8996fb924", "added": [], "removed": [] },
        "artifacts": [], "log": [{ "level": "warn", "message": "one" }],
    })
}

#[test]
fn an_envelope_reads_as_the_contract_says_and_writes_the_same() -> Outcome {
    validate_json(&example())?;
    let envelope: Envelope = serde_json::from_value(example())?;
    assert_eq!(envelope.contradiction(), None);
    let written = serde_json::to_value(&envelope)?;
    validate_json(&written)?;
    assert_eq!(written, example());
    Ok(())
}

#[test]
fn what_breaks_the_schema_is_refused_with_its_place() {
    let cases = [
        ("/status", json!("done")),
        ("/run_id", json!("1")),
        ("/module", json!("Linux SSH")),
        ("/duration_ms", json!(-1)),
        ("/summary/score", json!(101)),
        ("/checks/0/verdict", json!("maybe")),
        ("/findings/0/resource", json!("")),
        ("/findings/0/severity", json!("urgent")),
        ("/facts/snapshot", json!("'; DROP TABLE facts; --")),
    ];
    for (place, value) in cases {
        let mut envelope = example();
        if let Some(field) = envelope.pointer_mut(place) {
            *field = value;
        }
        let violation = validate_json(&envelope);
        assert!(violation.is_err_and(|violation| violation.path == place), "{place}");
    }
    let mut envelope = example();
    envelope["surprise"] = json!(1);
    assert!(validate_json(&envelope).is_err());
    assert!(serde_json::from_value::<Envelope>(envelope).is_err());
    assert!(validate_json(&json!([])).is_err());
}

#[test]
fn the_schema_is_a_schema() {
    assert!(jsonschema::meta::is_valid(&envelope_schema()));
}

#[test]
fn contradictions_are_found() -> Outcome {
    let envelope: Envelope = serde_json::from_value(example())?;
    let broken = |change: fn(&mut Envelope)| {
        let mut broken = envelope.clone();
        change(&mut broken);
        broken.contradiction().is_some()
    };
    assert!(broken(|e| e.summary.passed = 7));
    assert!(broken(|e| e.checks[1].id = "a".to_owned()));
    assert!(broken(|e| e.findings[0].check = "a".to_owned()));
    assert!(!broken(|e| e.status = RunStatus::Partial));
    Ok(())
}

#[test]
fn scores_are_rounded_half_up_over_what_was_decided() {
    for (passed, failed, score) in
        [(12, 3, Some(80)), (1, 2, Some(33)), (2, 1, Some(67)), (1, 7, Some(13)), (0, 0, None)]
    {
        let verdicts =
            [(Verdict::Pass, passed), (Verdict::Fail, failed), (Verdict::NotApplicable, 5), (Verdict::Error, 1)];
        let checks: Vec<CheckVerdict> = verdicts
            .into_iter()
            .flat_map(|(verdict, count)| (0..count).map(move |n| (verdict, n)))
            .map(|(verdict, n)| CheckVerdict { id: format!("{}-{n}", verdict.as_str()), verdict, message: None })
            .collect();
        assert_eq!(Summary::of(&checks).score, score, "{passed} of {}", passed + failed);
    }
}

#[test]
fn a_module_without_facts_reports_the_empty_snapshot() -> Outcome {
    let mut envelope = example();
    envelope.as_object_mut().ok_or("no object")?.remove("facts");
    validate_json(&envelope)?;
    assert_eq!(serde_json::from_value::<Envelope>(envelope)?.facts, Facts::default());
    Ok(())
}

#[test]
fn a_token_is_read_back_and_does_not_print() -> Outcome {
    for secret in [[0; 32], [0xff; 32], [0xbe; 32]] {
        let token = AgentToken::new(Uuid::from_u128(7), secret);
        let text = token.expose();
        assert_eq!(text.len(), 4 + 32 + 1 + 43);
        assert_eq!(text.parse::<AgentToken>()?, token);
        assert!(!format!("{token:?}").contains(&text[37..]));
    }
    for text in [
        "",
        "tna_",
        "tna_x_y",
        "tnb_00000000000000000000000000000007_AAAA",
        "tna_00000000000000000000000000000007_AAAA",
    ] {
        assert!(text.parse::<AgentToken>().is_err(), "{text}");
    }
    Ok(())
}

#[test]
fn a_signature_holds_for_one_request_only() -> Outcome {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = sign_request(&key, "POST", "/v1/agents/results", 1_700_000_000_000, 42, b"body");
    let verify = |method, path, time, sequence, body: &[u8]| {
        verify_request(&key.verifying_key(), &signature, method, path, time, sequence, body).is_ok()
    };
    let path = "/v1/agents/results";
    assert!(verify("POST", path, 1_700_000_000_000, 42, b"body"));
    assert!(!verify("PUT", path, 1_700_000_000_000, 42, b"body"));
    assert!(!verify("POST", "/v1/agents/heartbeat", 1_700_000_000_000, 42, b"body"));
    assert!(!verify("POST", path, 1_700_000_000_001, 42, b"body"));
    assert!(!verify("POST", path, 1_700_000_000_000, 43, b"body"));
    assert!(!verify("POST", path, 1_700_000_000_000, 42, b"Body"));
    assert!(verify_request(&key.verifying_key(), "no base64!", "POST", path, 1_700_000_000_000, 42, b"body").is_err());
    let bytes = String::from_utf8(signing_bytes("GET", "/v1/x?have=1", 5, 6, b""))?;
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(bytes, format!("tenantra-agent-v1\nGET\n/v1/x?have=1\n5\n6\n{empty}"));
    Ok(())
}

#[test]
fn a_host_is_known_by_the_strongest_thing_it_has() {
    let mut identity = HostIdentity { state_uuid: Uuid::from_u128(9), ..HostIdentity::default() };
    assert_eq!(identity.key(), format!("state:{}", Uuid::from_u128(9)));
    identity.smbios_uuid = Some("ABC".to_owned());
    assert!(identity.key().starts_with("state:"), "the firmware alone does not tell clones apart");
    identity.machine_id = Some("def".to_owned());
    assert_eq!(identity.key(), "machine:abc:def");
    identity.node_uid = Some("n-1".to_owned());
    assert_eq!(identity.key(), "node:n-1");
    identity.cloud_instance_id = Some(" ".to_owned());
    assert_eq!(identity.key(), "node:n-1");
    identity.cloud_instance_id = Some("i-1".to_owned());
    assert_eq!(identity.key(), "cloud:i-1");
}

#[test]
fn requests_refuse_unknown_fields_and_credentials_do_not_print() -> Outcome {
    let poll = json!({ "wait_seconds": 1, "max_jobs": 1, "state": { "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0 } });
    assert!(serde_json::from_value::<PollRequest>(poll.clone()).is_ok());
    let mut surprise = poll;
    surprise["surprise"] = json!(true);
    assert!(serde_json::from_value::<PollRequest>(surprise).is_err());
    let credential: EnrollCredential =
        serde_json::from_value(json!({ "type": "enrollment_token", "token": "s3cret" }))?;
    assert!(!format!("{credential:?}").contains("s3cret"));
    assert!(
        serde_json::from_value::<EnrollCredential>(json!({ "type": "service_account", "token": "x", "y": 1 })).is_err()
    );
    Ok(())
}
