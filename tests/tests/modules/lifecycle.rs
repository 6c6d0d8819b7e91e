//! Tests, gates, promotion, deprecation, and the comparison of files, program and database.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Database, copied_catalog, module};

#[test]
fn every_fixture_of_the_catalog_runs_without_a_host_in_thirty_seconds() {
    let began = Instant::now();
    let tested = module(&["test", "-o", "json"]).ended(0).json();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let lines = tested.as_array().unwrap();
    assert!(lines.iter().all(|line| line["failed"] == 0 && line["problems"] == json!([])));
    let listed = module(&["list", "--all-versions", "-o", "json"]).ended(0).json();
    assert_eq!(lines.len(), listed.as_array().unwrap().len());
}

#[test]
fn every_module_that_ships_passes_every_gate() {
    // What `db migrate` records of them.
    let told = module(&["test", "--gates"]);
    assert_eq!(told.status, 0, "{}", told.out);
}

#[test]
fn the_summary_counts_what_is_covered() {
    let counted = module(&["list", "--summary", "-o", "json"]).ended(0).json();
    let number = |key: &str| counted[key].as_u64().unwrap();
    assert!(number("tables") >= 80 && number("modules") >= 24 && number("checks") >= 400, "{counted}");
    let framework = |slug: &str| -> Value {
        let all = counted["frameworks"].as_array().unwrap();
        all.iter().find(|framework| framework["framework"] == slug).unwrap().clone()
    };
    let cis = framework("cis-debian-12");
    assert!(cis["covered"].as_u64().unwrap() * 100 >= cis["controls"].as_u64().unwrap() * 80, "{cis}");
    let by_category: u64 =
        counted["categories"].as_object().unwrap().values().map(|count| count["checks"].as_u64().unwrap()).sum();
    assert_eq!(by_category, number("checks"));
    let text = module(&["list", "--summary"]).ended(0).out;
    for part in ["tables", "modules", "checks", "cis-debian-12", "COVERED"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    module(&["list", "--summary", "--category", "network"]).ended(2);
}

#[test]
fn a_module_that_depends_on_chance_or_order_does_not_pass_its_gates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("modules/identity");
    std::fs::create_dir_all(&path).unwrap();
    let file = path.join("linux-example@1.0.0.yaml");
    for (query, gate) in [
        ("SELECT username AS resource FROM users WHERE uid = 0 AND username <> 'root'", None),
        (
            "SELECT username || random() AS resource FROM users WHERE uid = 0 AND username <> 'root'",
            Some("determinism"),
        ),
        ("SELECT username AS resource FROM users WHERE uid = 0 AND username <> 'root' LIMIT 1", Some("determinism")),
        ("SELECT username AS resource FROM users WHERE nothing = 0", Some("lint")),
        ("SELECT username AS resource FROM users WHERE uid = 0", Some("fixtures")),
    ] {
        std::fs::write(&file, example(query)).unwrap();
        let arguments =
            ["promote", "linux-example", "--dir", folder.path().to_str().unwrap(), "--dry-run", "-o", "json"];
        let told = module(&arguments).ended(i32::from(gate.is_some())).json();
        let failed: Vec<&str> = told["gates"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["passed"] == false)
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(failed.contains(&gate.unwrap_or_default()), gate.is_some(), "{query}: {told}");
        assert!(gate.is_some() || failed.is_empty(), "{told}");
    }
}

fn example(query: &str) -> String {
    format!(
        "slug: linux-example
version: 1.0.0
title: Example
category: identity
description: Decides one thing.
platforms: {{ os: [linux] }}
requires: {{ admin: false, tables: [users], network: [] }}
profile: baseline_fast
prerequisites: None.
limits: None.
privileges: None.
data_sensitivity: None.
checks:
  - id: only-root-is-zero
    title: Only root has the number 0
    severity: high
    query: {query}
    rationale: An example.
    remediation: {{ text: Remove the account. }}
    controls: {{}}
tests:
  - {{ name: root alone, tables: {{ users: [{{ uid: 0, username: root }}] }}, expect: {{ only-root-is-zero: pass }} }}
  - {{ name: two more, tables: {{ users: [{{ uid: 0, username: ada }}, {{ uid: 0, username: eve }}] }}, expect: {{ only-root-is-zero: fail }} }}
changelog: [{{ version: 1.0.0, text: First release. }}]
"
    )
}

/// The newest version of a module, and its file below `modules/`.
fn newest(folder: &str, slug: &str) -> (String, String) {
    let listed = module(&["list", "--dir", folder, "-o", "json"]).ended(0).json();
    let line = listed.as_array().unwrap().iter().find(|line| line["slug"] == slug).unwrap();
    let (category, version) = (line["category"].as_str().unwrap(), line["version"].as_str().unwrap());
    (version.to_owned(), format!("{category}/{slug}@{version}.yaml"))
}

fn difference<'a>(told: &'a Value, file: &str, place: &str) -> &'a Value {
    let found = told.as_array().unwrap().iter().find(|line| line["file"] == file && line["place"] == place);
    found.unwrap_or_else(|| panic!("no {file} against the {place} in {told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_program_and_database_are_compared() {
    let database = Database::start().await;
    let folder = tempfile::tempdir().unwrap();
    let catalog = copied_catalog(folder.path());
    let catalog = catalog.to_str().unwrap();
    let told = database.module(&["check", catalog]).ended(0);
    assert!(told.out.contains("in this program and in the database"), "{}", told.out);
    let alone = module(&["check", catalog]).ended(0);
    assert!(alone.err.contains("no database is named"), "{}", alone.err);

    // A version that the database does not have, and one whose content is another.
    let extra = Path::new(catalog).join("modules/identity/linux-example@1.0.0.yaml");
    std::fs::write(&extra, example("SELECT username AS resource FROM users WHERE uid = 0 AND username <> 'root'"))
        .unwrap();
    let (cron, sudo) = (newest(catalog, "linux-cron"), newest(catalog, "linux-sudo"));
    let changed = Path::new(catalog).join("modules").join(&cron.1);
    let text = std::fs::read_to_string(&changed).unwrap();
    std::fs::write(&changed, format!("{text}\n# changed\n")).unwrap();
    let told = database.module(&["check", catalog, "-o", "json"]).ended(1).json();
    for place in ["program", "database"] {
        assert_eq!(difference(&told, "identity/linux-example@1.0.0.yaml", place)["difference"], "added");
        assert_eq!(difference(&told, &cron.1, place)["difference"], "changed");
    }
    std::fs::write(&changed, text).unwrap();

    // A framework whose content is another, and what is not read.
    let framework = Path::new(catalog).join("frameworks/cis-debian-12.yaml");
    let text = std::fs::read_to_string(&framework).unwrap();
    std::fs::write(&framework, text.replacen("title: ", "title: Another ", 1)).unwrap();
    let unread = extra.with_extension("yml");
    std::fs::copy(&extra, &unread).unwrap();
    let told = database.module(&["check", catalog, "-o", "json"]).ended(1).json();
    for place in ["program", "database"] {
        assert_eq!(difference(&told, "frameworks/cis-debian-12.yaml", place)["difference"], "changed");
    }
    assert_eq!(difference(&told, "modules/identity/linux-example@1.0.0.yml", "program")["difference"], "wrong");
    std::fs::write(&framework, text).unwrap();
    std::fs::remove_file(&unread).unwrap();

    // A file that is gone, one that is wrong, and a database that somebody with the owner's rights has forged.
    std::fs::remove_file(&extra).unwrap();
    let gone = Path::new(catalog).join("modules").join(&sudo.1);
    let text = std::fs::read_to_string(&gone).unwrap();
    std::fs::remove_file(&gone).unwrap();
    let told = database.module(&["check", catalog, "-o", "json"]).ended(1).json();
    assert_eq!(difference(&told, &sudo.1, "program")["difference"], "missing");
    assert_eq!(difference(&told, &format!("linux-sudo@{}", sudo.0), "database")["difference"], "missing");
    std::fs::write(&gone, "slug: x\n").unwrap();
    let told = database.module(&["check", catalog, "-o", "json"]).ended(1).json();
    assert_eq!(difference(&told, &sudo.1, "program")["difference"], "wrong");
    std::fs::write(&gone, text).unwrap();
    database.sql("ALTER TABLE shared.module_versions DISABLE TRIGGER lifecycle").await;
    let forge = |what: &str, slug: &str, version: &str| {
        format!("UPDATE shared.module_versions SET {what} WHERE module = '{slug}' AND version = '{version}'")
    };
    database.sql(&forge("checksum = 'forged'", "linux-cron", &cron.0)).await;
    database.sql(&forge("document = jsonb_set(document, '{title}', '\"forged\"')", "linux-sudo", &sudo.0)).await;
    let told = database.module(&["check", catalog, "-o", "json"]).ended(1).json();
    assert!(difference(&told, &cron.1, "database")["message"].as_str().unwrap().contains("checksum"));
    assert!(difference(&told, &sudo.1, "database")["message"].as_str().unwrap().contains("another document"));
    assert_eq!(told.as_array().unwrap().len(), 2, "{told}");
    // Without files, this program is what is compared; a database that does not answer is no difference.
    assert_eq!(database.module(&["check", "-o", "json"]).ended(1).json().as_array().unwrap().len(), 2);
    module(&["check"]).ended(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_its_way_from_draft_to_retired() {
    let database = Database::start().await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules/data/gitops.yml");
    let import = |version: &str| {
        let arguments = [
            "import",
            file.to_str().unwrap(),
            "--dir",
            dir,
            "--slug",
            "our-policies",
            "--module-version",
            version,
            "-o",
            "json",
        ];
        let made = module(&arguments).ended(0).json();
        let path = made[0]["file"].as_str().unwrap().to_owned();
        let tests = "tests:
  - name: enabled
    tables: { systemd_units: [{ id: cron.service, unit_file_state: enabled }] }
    expect: { cron-is-enabled: pass }
  - { name: absent, expect: { cron-is-enabled: fail } }";
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("tests: []", tests)).unwrap();
        path
    };
    let path = import("1.0.0");
    let state = async |version: &str| {
        let query =
            format!("SELECT state FROM shared.module_versions WHERE module = 'our-policies' AND version = '{version}'");
        database.text(&query).await
    };
    let qa = database.module(&["promote", "our-policies", "--dir", dir, "--to", "qa", "-o", "json"]).ended(0).json();
    assert_eq!((&qa["state"], &qa["passed"]), (&json!("qa"), &json!(true)), "{qa}");
    assert!(!std::fs::read_to_string(&path).unwrap().contains("state: draft"), "the file is whole now");
    assert_eq!(state("1.0.0").await, "qa");
    database.module(&["deprecate", "our-policies@1.0.0", "--sunset", "2099-01-31"]).ended(1);
    let released = database.module(&["promote", "our-policies", "--dir", dir, "-o", "json"]).ended(0).json();
    assert_eq!(released["state"], "released");
    let again = database.module(&["promote", "our-policies", "--dir", dir]).ended(1);
    assert!(again.err.contains("is released"), "{}", again.err);

    // Released: its file may not change.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}# changed\n")).unwrap();
    let changed = database.module(&["promote", "our-policies", "--dir", dir]).ended(1);
    assert!(changed.err.contains("immutable"), "{}", changed.err);
    std::fs::write(&path, text).unwrap();

    // A newer one takes its place.
    import("1.1.0");
    let newer = database.module(&["promote", "our-policies@1.1.0", "--dir", dir, "-o", "json"]).ended(0).json();
    assert_eq!(newer["superseded"], json!([{ "version": "1.0.0", "state": "deprecated" }]));
    let moved =
        database.module(&["deprecate", "our-policies@1.0.0", "--sunset", "2099-01-31", "-o", "json"]).ended(0).json();
    assert_eq!(moved["sunset_at"], "2099-02-01T00:00:00Z");
    let listed = database.module(&["list", "--database"]).ended(0).out;
    let row = listed.lines().find(|row| row.starts_with("our-policies") && row.contains("1.0.0")).unwrap();
    assert!(row.contains("deprecated") && row.contains("2099-02-01"), "{row}");
    database.module(&["deprecate", "our-policies@1.0.0", "--sunset", "2001-01-31"]).ended(2);
    database.module(&["deprecate", "our-policies@7.0.0", "--sunset", "2099-01-31"]).ended(1);
    database.module(&["deprecate", "our-policies", "--sunset", "2099-01-31"]).ended(2);

    let audit = database
        .text("SELECT string_agg(action || ' ' || actor, ', ' ORDER BY created_at) FROM shared.platform_audit WHERE action LIKE 'module.%'")
        .await;
    assert!(audit.starts_with("module.promoted cli:tester, module.promoted cli:tester"), "{audit}");

    // A draft that only the database has goes the same way; with its mark it stays where it is.
    database.sql("INSERT INTO shared.modules SELECT 'sent', title, category, latest_version FROM shared.modules WHERE slug = 'our-policies'").await;
    let sent =
        "INSERT INTO shared.module_versions (module, version, state, checksum, profile, document, parameters_schema)
        SELECT 'sent', version, 'draft', checksum, profile, jsonb_set(document, '{slug}', '\"sent\"'), parameters_schema
        FROM shared.module_versions WHERE module = 'our-policies' AND version = '1.0.0'";
    database.sql(sent).await;
    let gates = database.module(&["promote", "sent", "--dry-run", "-o", "json"]).ended(0).json();
    assert_eq!(gates["passed"], true);
    database.module(&["promote", "sent"]).ended(0);
    // migrate leaves all of that alone.
    let migrated = database.run(&["db", "migrate", "-o", "json"]).ended(0).json();
    assert!(migrated.as_array().unwrap().iter().all(|line| line["outcome"] == "unchanged"), "{migrated}");
}
