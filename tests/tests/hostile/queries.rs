//! Queries that never end or want all the memory. Each is stopped and told, and the next one is answered.

use std::time::Duration;

use catalog::envelope::{RunStatus, Verdict};
use catalog::module::{Check, Module};
use serde_json::json;
use tables::scan::{Order, run_module};
use tables::{Engine, Host as Scanned, Limits};

use super::host::Host;
use super::program::agent;

/// What a statement may take here; it is ended at half again that at the latest.
const TIMEOUT: u64 = 2;

const FOREVER: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)";

/// Runs one statement with little time: it ends in it, in bounded memory, and says why if there is no answer.
fn stopped(host: &Host, what: &str, sql: &str) {
    let ran = host.query(sql, TIMEOUT).bounded(what);
    assert!(ran.wall < Duration::from_secs(TIMEOUT * 3), "{what}: {:?}", ran.wall);
    let reasons = [
        "stopped",
        "too big",
        "too large",
        "too many",
        "cannot be matched",
        "is not matched",
        "too long",
        "malformed JSON",
        "not a regular expression",
        "too complex",
    ];
    let is_told = reasons.iter().any(|reason| ran.stderr.contains(reason));
    assert!(ran.status.success() || is_told, "{what}: {}", ran.stderr);
    println!("{what}: {}", if ran.status.success() { "answered" } else { ran.stderr.trim() });
}

#[test]
fn a_query_that_never_ends_is_stopped() {
    let host = Host::new();
    let users: Vec<String> = (0..3_000).map(|n| format!("u{n}:x:{n}:0::/:/bin/sh\n")).collect();
    host.write("/etc/passwd", users.concat());
    for (what, sql) in [
        ("counting without end", format!("{FOREVER} SELECT count(*) FROM c")),
        ("rows without end", format!("{FOREVER} SELECT n FROM c")),
        ("10 million rows", format!("{FOREVER} SELECT n FROM c LIMIT 10000000")),
        ("five tables crossed", "SELECT count(*) FROM users a, users b, users c, users d, users e".to_owned()),
        ("a table read for each row of a recursion", format!("{FOREVER} SELECT count(*) FROM c, users")),
        ("sorting without end", format!("{FOREVER} SELECT hex(randomblob(500)) AS x FROM c ORDER BY x")),
        ("grouping without end", format!("{FOREVER} SELECT count(*) FROM (SELECT n FROM c GROUP BY n)")),
        ("windows without end", format!("{FOREVER} SELECT sum(n) OVER (ORDER BY n DESC) FROM c")),
        ("every file of the host read", "SELECT * FROM file_lines WHERE path LIKE '/%%' AND pattern = ''".to_owned()),
    ] {
        stopped(&host, what, &sql);
    }
}

#[test]
fn a_query_that_wants_all_memory_is_stopped() {
    let host = Host::new();
    let long = |byte: &str, count: usize| format!("replace(hex(zeroblob({})), '0', '{byte}')", count / 2);
    for (what, sql) in [
        ("a number of a billion digits", "SELECT printf('%1000000000d', 1)".to_owned()),
        ("a blob of 2 GB", "SELECT length(zeroblob(2000000000))".to_owned()),
        ("2 GB of random bytes", "SELECT length(randomblob(2000000000))".to_owned()),
        ("replacing one letter by many", format!("SELECT length(replace({}, 'a', '{}'))", long("a", 1_000_000), "b".repeat(1_000))),
        ("joining texts without end", format!("{FOREVER} SELECT length(group_concat(hex(randomblob(1000)))) FROM c")),
        ("a list of JSON without end", format!("{FOREVER} SELECT length(json_group_array(hex(randomblob(1000)))) FROM c")),
        ("a text doubled without end", "WITH RECURSIVE c(t) AS (SELECT 'a' UNION ALL SELECT t || t FROM c) SELECT max(length(t)) FROM c".to_owned()),
        ("texts held side by side", format!("{FOREVER} SELECT n, hex(randomblob(100000)) FROM c")),
        ("JSON of a million brackets", format!("SELECT json_array_length({})", long("[", 1_000_000))),
        ("base64 in base64", "WITH RECURSIVE c(t) AS (SELECT 'a' UNION ALL SELECT to_base64(t || t) FROM c) SELECT max(length(t)) FROM c".to_owned()),
    ] {
        stopped(&host, what, &sql);
    }
}

#[test]
fn a_pattern_that_tries_every_way_is_stopped() {
    let host = Host::new();
    let long = |count: usize| format!("replace(hex(zeroblob({})), '0', 'a')", count / 2);
    for (what, sql) in [
        ("nested repetition", format!("SELECT regex_match({}, '^(a+)+$b', 0)", long(100_000))),
        ("repetition that looks around", format!("SELECT regex_match({}, '(?=(a+)+$)(a|aa)+b(?!a)', 0)", long(10_000))),
        ("looking around in a long text", format!("SELECT regex_match({}, '(?=.*b)a', 0)", long(1_000_000))),
        ("a reference back", format!("SELECT regex_match({}, '(a*)*\\1b', 0)", long(10_000))),
        ("a pattern of a megabyte", format!("SELECT 'a' REGEXP {}", long(1_000_000))),
        ("counted repetition of repetition", "SELECT 'a' REGEXP '((a{1000}){1000}){1000}'".to_owned()),
        ("many places to look around", format!("SELECT 'a' REGEXP '{}'", "(?=a{500})".repeat(200))),
        ("parts of a long text", format!("SELECT regex_split({}, '(a|aa)*b|a', 900000)", long(1_000_000))),
        ("LIKE with many wildcards", format!("SELECT {} LIKE '{}b'", long(100_000), "%a".repeat(40))),
        ("LIKE with a pattern too long", format!("SELECT 'a' LIKE '{}'", "%a".repeat(10_000))),
        ("GLOB with many wildcards", format!("SELECT {} GLOB '{}b'", long(100_000), "*a".repeat(40))),
        ("a needle in a haystack of needles", format!("SELECT instr({}, {} || 'b')", long(4_000_000), long(2_000_000))),
        (
            "the lines of a file",
            "SELECT * FROM file_lines WHERE path LIKE '/etc/%' AND pattern = '((a*)*)*b'".to_owned(),
        ),
        ("many wildcards in a path", format!("SELECT count(*) FROM file WHERE path LIKE '/{}'", "%%/".repeat(12))),
    ] {
        stopped(&host, what, &sql);
    }
}

#[test]
fn a_statement_too_large_to_be_prepared_is_refused() {
    let host = Host::new();
    for (what, sql) in [
        ("a sum of 40,000 terms", format!("SELECT {}1", "1+".repeat(40_000))),
        ("a condition of 10,000 terms", format!("SELECT 1 WHERE {}1", "1 OR ".repeat(10_000))),
        ("a list of 20,000 values", format!("SELECT 1 WHERE 1 IN ({}1)", "1, ".repeat(20_000))),
        ("a hundred selects at once", format!("{}SELECT 1", "SELECT 1 UNION ALL ".repeat(100))),
        ("parentheses in parentheses", format!("SELECT {}1{}", "(".repeat(40_000), ")".repeat(40_000))),
        ("a hundred tables joined", format!("SELECT count(*) FROM users{}", ", users".repeat(100))),
        ("selects in selects", format!("SELECT {}1{}", "(SELECT ".repeat(5_000), ")".repeat(5_000))),
    ] {
        let ran = host.query(&sql, TIMEOUT).bounded(what);
        assert!(ran.status.success() || ran.stderr.lines().count() == 1, "{what}: {}", ran.stderr);
        assert!(ran.stderr.len() < 2_000, "{what}: {}", ran.stderr);
    }
    let many = "SELECT 1;".repeat(11_000);
    let ran = agent(&["query", &many, "--root", host.root(), "-o", "csv"], 60);
    assert!(ran.bounded("11,000 statements").status.success());
}

/// A module with these checks, each a query.
fn module(queries: &[(String, String)]) -> Module {
    let check = |(id, query): &(String, String)| -> Check {
        serde_json::from_value(json!({
            "id": id, "title": "a check", "severity": "high", "query": query, "rationale": "a test",
            "remediation": { "text": "mend it" }, "controls": {},
        }))
        .unwrap()
    };
    let mut module: Module = serde_json::from_value(json!({
        "slug": "test-hostile", "version": "1.0.0", "title": "a test", "category": "identity", "description": "a test",
        "platforms": { "os": ["linux"] }, "requires": { "tables": ["users"] }, "profile": "baseline_fast",
        "prerequisites": "none", "limits": "none", "privileges": "none", "data_sensitivity": "none",
        "checks": [], "changelog": [{ "version": "1.0.0", "text": "first" }],
    }))
    .unwrap();
    module.checks = queries.iter().map(check).collect();
    module
}

fn order() -> Order {
    Order {
        run_id: uuid::Uuid::now_v7(),
        started_at: chrono::Utc::now(),
        parameters: std::collections::BTreeMap::default(),
        previous: None,
    }
}

#[test]
fn a_check_that_never_ends_is_told_by_its_name_and_the_next_one_is_decided() {
    let host = Host::new();
    let limits = Limits { time: Duration::from_secs(1), ..Limits::default() };
    let engine = Engine::open(Scanned::image(host.root()), limits).unwrap();
    let second = "SELECT username AS resource FROM users WHERE uid = 0 AND username <> 'root'";
    let queries = [
        ("never-ends".to_owned(), format!("{FOREVER} SELECT n AS resource FROM c WHERE n < 0")),
        ("wants-all-memory".to_owned(), format!("{FOREVER} SELECT hex(randomblob(100000)) AS resource FROM c")),
        ("fine".to_owned(), second.to_owned()),
        ("fine-too".to_owned(), "SELECT username AS resource FROM users WHERE uid = 5".to_owned()),
    ];
    let run = run_module(&engine, &module(&queries), order());
    let verdicts: Vec<Verdict> = run.envelope.checks.iter().map(|check| check.verdict).collect();
    assert_eq!(verdicts, [Verdict::Error, Verdict::Error, Verdict::Fail, Verdict::Pass]);
    assert_eq!(run.envelope.status, RunStatus::Partial);
    let told: Vec<&str> = run.envelope.log.iter().map(|line| line.message.as_str()).collect();
    assert!(told[0].starts_with("never-ends: stopped after 1s"), "{told:?}");
    assert!(told[1].starts_with("wants-all-memory: stopped: the query"), "{told:?}");
}

#[test]
fn a_module_of_ten_thousand_checks_decides_each_or_says_that_its_time_was_over() {
    let host = Host::new();
    let engine = Engine::open(Scanned::image(host.root()), Limits::default()).unwrap();
    let queries: Vec<(String, String)> = (0..10_000)
        .map(|n| {
            (format!("check-{n}"), format!("SELECT username AS resource FROM users WHERE uid = {n} AND username = 'x'"))
        })
        .collect();
    let run = run_module(&engine, &module(&queries), order());
    assert_eq!(run.envelope.checks.len(), 10_000);
    let undecided = run.envelope.checks.iter().filter(|check| check.verdict != Verdict::Pass).count();
    assert!(undecided == 0 || run.envelope.status == RunStatus::Timeout, "{undecided} {:?}", run.envelope.status);
    assert!(run.envelope.log.len() <= 100);
}
