//! Files of osquery, Fleet and Wazuh become drafts, and what they do not become is named.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use tests::harness::program;

use crate::program::module;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules/data").join(name)
}

fn import(name: &str, folder: &Path, more: &[&str]) -> Value {
    let file = data(name);
    let arguments = ["import", file.to_str().unwrap(), "--dir", folder.to_str().unwrap(), "-o", "json"];
    module(&[&arguments[..], more].concat()).ended(0).json()
}

fn notes(line: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    line["notes"].as_array().unwrap().iter().map(|note| (text(&note["subject"]), text(&note["text"]))).collect()
}

fn assert_note(line: &Value, subject: &str, part: &str) {
    let notes = notes(line);
    assert!(
        notes.iter().any(|(of, text)| of.contains(subject) && text.contains(part)),
        "{subject}: {part}: {notes:#?}"
    );
}

#[test]
fn a_pack_of_osquery_becomes_facts_to_keep() {
    let folder = tempfile::tempdir().unwrap();
    let made = import("incident.conf", folder.path(), &["--category", "processes"]);
    let line = &made[0];
    assert_eq!((&line["module"], &line["state"]), (&json!("incident"), &json!("draft")));
    assert_eq!((&line["checks"], &line["collects"]), (&json!(0), &json!(3)));
    assert_note(line, "launch_agents", "it is for darwin");
    assert_note(line, "windows_events", "windows_eventlog");
    assert_note(line, "two_statements", "not one SELECT");
    assert_note(line, "shard", "10");
    assert_note(line, "interval", "ScanSchedule");
    assert_note(line, "cron", "1.4.5");

    let shown = module(&["show", "incident", "--dir", folder.path().to_str().unwrap(), "-o", "json"]).ended(0).json();
    assert_eq!(shown["state"], "draft");
    assert!(shown["description"].as_str().unwrap().contains("neither author nor licence"), "{shown}");
    let listeners =
        shown["collect"].as_array().unwrap().iter().find(|one| one["table"] == "listening_processes").unwrap();
    assert_eq!(listeners["key"], json!(["name", "port", "address"]));
    assert!(listeners["query"].as_str().unwrap().contains("EXISTS"), "the discovery holds for each: {listeners}");
    // A name that looks like a path is one word like any other.
    assert!(shown["collect"].as_array().unwrap().iter().any(|one| one["table"] == "etc_shells"));
    assert_eq!(shown["requires"]["tables"], json!(["crontab", "listening_ports", "processes", "users"]));
    module(&["test", "--dir", folder.path().to_str().unwrap()]).ended(0);
}

#[test]
fn a_pack_for_intrusions_becomes_checks_whose_rows_are_findings() {
    let folder = tempfile::tempdir().unwrap();
    let made = import("intrusion.json", folder.path(), &["--rows", "findings", "--slug", "our-intrusions"]);
    assert_eq!((&made[0]["checks"], &made[0]["missing_fixtures"]), (&json!(1), &json!(2)));
    let folder = folder.path().to_str().unwrap();
    let shown = module(&["show", "our-intrusions", "--dir", folder, "-o", "yaml"]).ended(0).out;
    for part in ["author: The example team", "license: CC0-1.0", "AS resource", "severity: medium"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Fixtures cannot be invented: it is not promoted without.
    let refused = module(&["promote", "our-intrusions", "--dir", folder, "--dry-run"]).ended(2);
    assert!(refused.err.contains("has no fixture that gives pass"), "{}", refused.err);
}

#[test]
fn a_policy_of_fleet_fails_where_its_query_has_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let made = import("policies.yml", folder.path(), &[]);
    let line = &made[0];
    assert_eq!((&line["checks"], &line["collects"]), (&json!(1), &json!(1)));
    assert_note(line, "FileVault", "darwin");
    assert_note(line, "Nothing that this program knows", "munki_info");
    assert_note(line, "documents[3]", "label");

    // Its own fixtures: what Fleet would say yes to passes.
    let path = line["file"].as_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("tests: []"), "{text}");
    let tests = "tests:
  - name: refused
    tables: { sshd_effective_config: [{ keyword: permitrootlogin, value: 'no' }] }
    expect: { root-cannot-sign-in-by-ssh: pass }
  - name: allowed
    tables: { sshd_effective_config: [{ keyword: permitrootlogin, value: 'yes' }] }
    expect: { root-cannot-sign-in-by-ssh: fail }
";
    std::fs::write(path, text.replace("tests: []", tests.trim_end())).unwrap();
    let folder = folder.path().to_str().unwrap();
    let tested = module(&["test", "--dir", folder, "-o", "json"]).ended(0).json();
    assert_eq!((&tested[0]["tests"], &tested[0]["failed"]), (&json!(2), &json!(0)), "{tested}");
    let shown = module(&["show", "policies", "root-cannot-sign-in-by-ssh", "--dir", folder]).ended(0).out;
    assert!(shown.contains("high") && shown.contains("Set PermitRootLogin to no."), "{shown}");

    let gitops = tempfile::tempdir().unwrap();
    let made = import("gitops.yml", gitops.path(), &[]);
    assert_eq!(made[0]["checks"], 1);
    assert_note(&made[0], "policies[1]", "../lib/more.yml");
}

#[test]
fn a_policy_of_wazuh_becomes_sql_where_a_table_answers_it() {
    let folder = tempfile::tempdir().unwrap();
    let made = import("sca_debian.yml", folder.path(), &[]);
    let line = &made[0];
    assert_eq!((&line["module"], &line["checks"]), (&json!("cis-debian12"), &json!(5)));
    assert_note(line, "Ensure the firewall is on", "no table answers the command `ufw status verbose`");
    assert_note(line, "Ensure a key of Windows", "registry");
    assert_note(line, "compliance", "pci_dss_v4.0");

    let path = line["file"].as_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let tests = std::fs::read_to_string(data("sca_tests.yaml")).unwrap();
    std::fs::write(path, text.replace("tests: []", tests.trim_end())).unwrap();
    let folder = folder.path().to_str().unwrap();
    let tested = module(&["test", "--dir", folder]);
    assert_eq!(tested.status, 0, "{}{}", tested.out, tested.err);
    let shown = module(&["show", "cis-debian12", "--dir", folder, "-o", "json"]).ended(0).json();
    assert_eq!(shown["checks"][0]["controls"], json!({ "cis-debian-12": ["3.3.1"], "nist-800-53-r5": ["CM-7"] }));
    assert!(shown["description"].as_str().unwrap().contains("Copyright (C) 2026, The example team"), "{shown}");
    // With its fixtures it passes every gate.
    let gates = module(&["promote", "cis-debian12", "--dir", folder, "--dry-run", "-o", "json"]).ended(0).json();
    assert_eq!(gates["passed"], true, "{gates}");
    assert_eq!(gates["state"], Value::Null);
}

#[test]
fn what_was_imported_compiles_and_runs_on_this_machine() {
    for (name, more, checks, kept) in [
        ("incident.conf", &[][..], 0, &["etc_shells", "listening_processes"][..]),
        ("intrusion.json", &["--rows", "findings"], 1, &[]),
        ("policies.yml", &[], 1, &[]),
        ("gitops.yml", &[], 1, &[]),
        ("sca_debian.yml", &[], 5, &[]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let made = import(name, folder.path(), more);
        let folder = folder.path().to_str().unwrap();
        module(&["test", "--dir", folder]).ended(0);
        let shown = made[0]["module"].as_str().unwrap();
        let shown = module(&["show", shown, "--dir", folder, "-o", "json"]).ended(0).json();
        let collected: Vec<&str> =
            shown["collect"].as_array().unwrap().iter().map(|one| one["table"].as_str().unwrap()).collect();
        assert!(kept.iter().all(|table| collected.contains(table)), "{name}: {collected:?}");

        let scanned =
            Command::new(program("tenantra-agent").unwrap()).args(["scan", "-o", "json", "--dir", folder]).output();
        let scanned = scanned.unwrap();
        let (out, err) = (String::from_utf8(scanned.stdout).unwrap(), String::from_utf8(scanned.stderr).unwrap());
        let run: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{name}: {error}: {out}{err}"));
        assert_eq!(run["status"], "succeeded", "{name}: {}", run["log"]);
        let verdicts: Vec<&str> =
            run["checks"].as_array().unwrap().iter().map(|check| check["verdict"].as_str().unwrap()).collect();
        assert_eq!(verdicts.len(), checks, "{name}");
        assert!(verdicts.iter().all(|verdict| *verdict != "error"), "{name}: {run}");
        let facts = run["facts"]["added"].as_array().unwrap();
        assert!(facts.iter().all(|fact| collected.contains(&fact["table"].as_str().unwrap())), "{name}: {facts:?}");
    }
}

#[test]
fn a_file_that_is_there_stays_and_the_same_import_repeats() {
    let folder = tempfile::tempdir().unwrap();
    import("gitops.yml", folder.path(), &["--slug", "ours"]);
    import("gitops.yml", folder.path(), &["--slug", "ours"]);
    let file = data("policies.yml");
    let folder = folder.path().to_str().unwrap();
    let refused = module(&["import", file.to_str().unwrap(), "--dir", folder, "--slug", "ours"]).ended(1);
    assert!(
        refused.err.contains("with another content") && refused.err.contains("--module-version"),
        "{}",
        refused.err
    );
    module(&["import", file.to_str().unwrap(), "--dir", folder, "--slug", "ours", "--module-version", "1.1.0"])
        .ended(0);
}

#[test]
fn hostile_files_are_refused_with_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    // With a framework of its own the folder needs none of the program's, which takes its time to read.
    let frameworks = folder.path().join("out/frameworks");
    std::fs::create_dir_all(&frameworks).unwrap();
    let framework = json!({
        "slug": "example", "title": "Example", "version": "1", "publisher": "us", "url": "",
        "controls": [{ "id": "1", "title": "One" }],
    });
    std::fs::write(frameworks.join("example.yaml"), framework.to_string()).unwrap();
    let bomb = {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
        }
        text + "policies: *a11\n"
    };
    let deep_yaml = format!("policies: {}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let deep_json = format!("{{\"queries\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let many = "- { name: again, query: SELECT 1 }\n".repeat(2_001);
    let large = format!("{{\"queries\": {{\"a\": {{\"query\": \"SELECT '{}'\"}}}}}}", "x".repeat(5 << 20));
    let nul = "policies:\n  - { name: \"a\0\", query: SELECT 1 }\n";
    for (name, text, format, parts) in [
        ("bomb.yml", bomb.as_str(), "fleet", &["bomb.yml", "few aliases"][..]),
        ("deep.yml", &deep_yaml, "fleet", &["deep.yml", "no deep nesting"]),
        ("deep.json", &deep_json, "osquery-pack", &["deep.json", "is not JSON"]),
        ("many.yml", &many, "fleet", &["many.yml", "policies", "2001 entries", "split it"]),
        ("large.json", &large, "osquery-pack", &["large.json", "more than 4194304", "split it"]),
        ("nul.yml", nul, "fleet", &["nul.yml", "U+0000"]),
        ("empty.json", "{}", "osquery-pack", &["empty.json", "queries", "is missing", "SELECT"]),
        ("list.json", "{\"queries\": []}", "osquery-pack", &["list.queries", "is not an object"]),
        ("none.json", "{\"queries\": {\"a\": {}}}", "osquery-pack", &["none.queries.a.query", "is missing"]),
        (
            "file.json",
            "{\"packs\": {\"p\": \"/etc/osquery/p.conf\"}}",
            "osquery-pack",
            &["packs.p", "import that file itself"],
        ),
        ("nameless.yml", "policies:\n  - { query: SELECT 1 }\n", "fleet", &["policies[0].name", "write name:"]),
        ("checks.yml", "policy: { id: x }\nchecks: 7\n", "wazuh-sca", &["checks", "is no list"]),
        (
            "rules.yml",
            "policy: { id: x }\nchecks: [{ id: 1, title: a, condition: all, rules: 7 }]\n",
            "wazuh-sca",
            &["checks[0].rules"],
        ),
        ("slug.yml", "policies:\n  - { name: '///', query: SELECT 1 }\n", "fleet", &[]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let began = Instant::now();
        let out = folder.path().join("out");
        let arguments = ["import", path.to_str().unwrap(), "--format", format, "--dir", out.to_str().unwrap()];
        let told = module(&arguments).ended(if parts.is_empty() { 0 } else { 2 });
        assert!(began.elapsed().as_secs() < 20, "{name}: {:?}", began.elapsed());
        for part in parts {
            assert!(told.err.contains(part), "{name}: `{part}` is not in: {}", told.err);
        }
    }
    // Nothing was written but what was imported, and below its folder.
    let written: Vec<_> =
        folder.path().join("out/modules").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, ["compliance"]);
    let binary = folder.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    let told = module(&["import", binary.to_str().unwrap(), "--dir", folder.path().to_str().unwrap()]).ended(2);
    assert!(told.err.contains("--format"), "{}", told.err);
}
