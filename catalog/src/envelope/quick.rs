//! The quick way in for an envelope: parsed once, straight into its types, and then held to the bounds that the schema adds.
//! Whatever is in doubt goes the long way, where the schema decides and says what is wrong. A property test shows that nothing
//! passes here that the schema refuses.

use serde_json::Value;

use super::schema::{
    MAX_ARTIFACTS, MAX_BENCHMARKS, MAX_CHECKS, MAX_COLUMNS, MAX_FACTS, MAX_FINDINGS, MAX_KEY, MAX_LOG, MAX_MESSAGE,
    MAX_NAME, MAX_PATH, MAX_RESOURCE, MAX_RUN_MS, MAX_TYPE, MAX_VERSION,
};
use super::strict::Object;
use super::{Artifact, Benchmark, CheckVerdict, Envelope, Fact, FactRef, Facts, Finding, LogLine, validate_json};

/// One envelope from its JSON text; the error is a sentence with the place that is wrong.
pub fn parse(text: &str) -> Result<Envelope, String> {
    if let Some(envelope) = parse_quickly(text) {
        return Ok(envelope);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    validate_json(&value).map_err(|violation| violation.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The envelope, if it needs no second look.
fn parse_quickly(text: &str) -> Option<Envelope> {
    let Object(envelope) = serde_json::from_str::<Object<Envelope>>(text).ok()?;
    is_within_bounds(&envelope).then_some(envelope)
}

fn is_within_bounds(envelope: &Envelope) -> bool {
    let Envelope {
        run_id: _,
        module,
        version,
        status: _,
        started_at: _,
        duration_ms,
        resource,
        summary,
        checks,
        findings,
        benchmarks,
        facts,
        artifacts,
        log,
    } = envelope;
    let most = u64::from(u32::MAX);
    is_slug(module)
        && is_version(version)
        && *duration_ms <= MAX_RUN_MS
        && resource.cpu_ms <= most
        && resource.max_rss_kb <= most
        && summary.score.is_none_or(|score| score <= 100)
        && all(checks, MAX_CHECKS, |CheckVerdict { id, verdict: _, message }| {
            is_slug(id) && message.as_deref().is_none_or(|message| is_at_most(message, MAX_MESSAGE))
        })
        && all(findings, MAX_FINDINGS, |Finding { check, severity: _, resource, evidence }| {
            is_slug(check) && is_text(resource, MAX_RESOURCE) && evidence.len() <= MAX_COLUMNS
        })
        && all(benchmarks, MAX_BENCHMARKS, |Benchmark { framework, control, status: _ }| {
            is_slug(framework) && is_text(control, MAX_NAME)
        })
        && are_facts(facts)
        && all(artifacts, MAX_ARTIFACTS, |Artifact { kind, path, sha256 }| {
            is_text(kind, MAX_TYPE) && is_text(path, MAX_PATH) && is_hex(sha256, 64)
        })
        && all(log, MAX_LOG, |LogLine { level: _, message }| is_at_most(message, MAX_MESSAGE))
}

fn are_facts(facts: &Facts) -> bool {
    let Facts { base, snapshot, added, removed } = facts;
    base.as_deref().is_none_or(|base| is_hex(base, 32))
        && is_hex(snapshot, 32)
        && all(added, MAX_FACTS, |Fact { table, key, row }| {
            is_text(table, MAX_NAME) && is_text(key, MAX_KEY) && row.len() <= MAX_COLUMNS
        })
        && all(removed, MAX_FACTS, |FactRef { table, hash }| is_text(table, MAX_NAME) && is_hex(hash, 32))
}

fn all<T>(items: &[T], most: usize, holds: impl Fn(&T) -> bool) -> bool {
    items.len() <= most && items.iter().all(holds)
}

/// At most so many characters.
fn is_at_most(text: &str, most: usize) -> bool {
    text.len() <= most || text.chars().count() <= most
}

fn is_text(text: &str, most: usize) -> bool {
    !text.is_empty() && is_at_most(text, most)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Words of lower-case letters and digits, with a hyphen between each two.
fn is_slug(text: &str) -> bool {
    let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'));
    text.len() <= MAX_NAME && text.as_bytes().split(|byte| *byte == b'-').all(is_word)
}

/// Three numbers, and what may stand behind them.
fn is_version(text: &str) -> bool {
    let numbers = text.split(['-', '+']).next().unwrap_or_default();
    let rest = text.get(numbers.len() + 1..);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_rest = |rest: &str| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-'))
    };
    text.len() <= MAX_VERSION
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && (numbers.len() == text.len() || rest.is_some_and(is_rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn example() -> Value {
        json!({
            "run_id": "01934a5e-0000-7000-8000-000000000001", "module": "linux-sshd-hardening", "version": "1.2.0",
            "status": "succeeded", "started_at": "2026-11-21T12:00:00Z", "duration_ms": 41,
            "resource": { "cpu_ms": 12, "max_rss_kb": 2100 },
            "summary": { "passed": 1, "failed": 1, "not_applicable": 0, "error": 0, "score": 50 },
            "checks": [{ "id": "a-b", "verdict": "pass" }, { "id": "c", "verdict": "fail", "message": "why" }],
            "findings": [{ "check": "c", "severity": "high", "resource": "sshd", "evidence": { "actual": "6", "n": 1.5 } }],
            "benchmarks": [{ "framework": "cis-debian-12", "control": "5.1.1", "status": "fail" }],
            "facts": {
                "base": "0123456789abcdef0123456789abcdef", "snapshot": "0123456789abcdef0123456789abcdef",
                "added": [{ "table": "users", "key": "[\"a\"]", "row": { "uid": 1 } }],
                "removed": [{ "table": "users", "hash": "0123456789abcdef0123456789abcdef" }],
            },
            "artifacts": [{ "type": "csv", "path": "a.csv", "sha256": "ab".repeat(32) }],
            "log": [{ "level": "info", "message": "" }],
        })
    }

    /// Every place of a value.
    fn places(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), found));
            }
            _ => {}
        }
    }

    fn replacement() -> impl Strategy<Value = Value> {
        let texts = [
            "",
            "a",
            "A",
            "a-b",
            "a--b",
            "-a",
            "1.2.3",
            "1.2",
            "1.2.3-",
            "1.2.3-rc.1",
            "1.2.3+a",
            "01.2.3",
            "pass",
            "error",
            "high",
            "failed",
            "2026-11-21 12:00:00Z",
            "2026-11-21T12:00:00+01:00",
            "2026-11-21t12:00:00Z",
            "\u{661}.2.3",
            "01934A5E-0000-7000-8000-000000000001",
            "01934a5e000070008000000000000001",
            "urn:uuid:01934a5e-0000-7000-8000-000000000001",
            "0123456789abcdef0123456789abcdeF",
            "0123456789abcdef0123456789abcdef",
            "a\n",
            "\u{0}",
        ];
        let lengths = [1, 40, 50, 51, 100, 101, 1_024, 1_025, 4_000, 4_001, 4_096, 4_097, 8_192, 8_193];
        prop_oneof![
            proptest::sample::select(texts.to_vec()).prop_map(|text| json!(text)),
            proptest::sample::select(lengths.to_vec()).prop_map(|length| json!("ä".repeat(length))),
            proptest::sample::select(lengths.to_vec()).prop_map(|length| json!("a".repeat(length))),
            proptest::sample::select(vec![
                json!(null),
                json!(true),
                json!([]),
                json!({}),
                json!(-1),
                json!(0),
                json!(1.0),
                json!(1.5),
                json!(100),
                json!(101),
                json!(300),
                json!(4_294_967_295_u64),
                json!(4_294_967_296_u64),
                json!(86_400_001),
                json!(1e300),
                json!([1, 2]),
                json!([1, 1, 0, 0, 50]),
                json!(["a-b", "pass", null]),
                json!(["users", "k", {}]),
            ]),
            (0..250_usize).prop_map(|count| (0..count).map(|n| (format!("k{n}"), json!(n))).collect()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn nothing_passes_quickly_that_the_schema_refuses(
            changes in prop::collection::vec((any::<prop::sample::Index>(), replacement(), 0..5_u8), 0..3),
        ) {
            let mut value = example();
            for (place, new, how) in changes {
                let mut found = Vec::new();
                places(&value, "", &mut found);
                let place = place.get(&found).clone();
                match (value.pointer_mut(&place), how) {
                    (Some(Value::Object(map)), 0) => { map.insert("extra".to_owned(), new); }
                    (Some(Value::Object(map)), 1) => {
                        if let Some(first) = map.keys().next().cloned() {
                            map.remove(&first);
                        }
                    }
                    // The fields of an object by their positions, which serde would take.
                    (Some(object @ Value::Object(_)), 2) => {
                        *object = object.as_object().map(|map| map.values().cloned().collect()).unwrap_or_default();
                    }
                    // A word as the key of an object, which serde would take as well.
                    (Some(word @ Value::String(_)), 3) => {
                        *word = word.as_str().map(|key| json!({ key: null })).unwrap_or_default();
                    }
                    (Some(old), _) => *old = new,
                    (None, _) => {}
                }
            }
            let by_schema = validate_json(&value).is_ok();
            let by_types = serde_json::from_value::<Envelope>(value.clone()).ok().filter(|_| by_schema);
            let text = value.to_string();
            if let Some(quick) = parse_quickly(&text) {
                prop_assert_eq!(Some(&quick), by_types.as_ref(), "{}", &text);
            }
            prop_assert_eq!(parse(&text).ok(), by_types);
        }
    }

    #[test]
    fn what_is_as_it_should_be_passes_quickly() {
        assert!(parse_quickly(&example().to_string()).is_some());
        let mut without = example();
        let map = without.as_object_mut().expect("an object");
        for optional in ["benchmarks", "facts", "artifacts", "log"] {
            map.remove(optional);
        }
        assert!(parse_quickly(&without.to_string()).is_some());
    }

    #[test]
    fn a_word_is_a_text_and_not_the_key_of_an_object() {
        for place in ["/status", "/checks/0/verdict", "/findings/0/severity", "/benchmarks/0/status", "/log/0/level"] {
            let mut value = example();
            let word = value.pointer_mut(place).expect("it is there");
            let key = word.as_str().expect("a word").to_owned();
            *word = json!({ key: null });
            assert!(parse_quickly(&value.to_string()).is_none(), "{place}");
            assert!(parse(&value.to_string()).is_err(), "{place}");
        }
    }
}
