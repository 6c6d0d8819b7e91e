//! What the loader says of broken modules: each message names the file, the field, what is wrong and what to write.

use catalog::load;

const FILE: &str = "modules/compliance/linux-example@1.0.0.yaml";
const VALID: &str = r#"
slug: linux-example
version: 1.0.0
title: Example
category: compliance
description: Decides one thing.
platforms: { os: [linux] }
requires: { admin: false, tables: [users], network: [] }
profile: baseline_fast
prerequisites: None.
limits: None.
privileges: None.
data_sensitivity: None.
parameters:
  type: object
  additionalProperties: false
  properties: { max_uid: { type: integer, minimum: 0, default: 10 } }
checks:
  - id: low-uids
    title: Numbers are low
    severity: low
    query: SELECT username AS resource FROM users WHERE uid > :max_uid
    rationale: An example.
    remediation: { text: Nothing. }
    controls: { cis-debian-12: ["5.1.16"] }
tests:
  - { name: low, tables: { users: [{ uid: 1, username: ada }] }, expect: { low-uids: pass } }
  - { name: high, tables: { users: [{ uid: 11, username: ada }] }, expect: { low-uids: fail } }
changelog: [{ version: 1.0.0, text: First release. }]
"#;

fn problems(yaml: &str) -> String {
    let controls = [("cis-debian-12".to_owned(), ["5.1.16".to_owned()].into())].into();
    load::module(FILE, yaml.as_bytes(), &controls).map_or_else(|problems| problems.to_string(), |_| String::new())
}

#[test]
fn a_valid_module_is_taken() {
    assert_eq!(problems(VALID), "");
}

#[test]
fn every_mistake_is_named_with_its_field_and_what_to_write() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("slug: linux-example", "slug: Linux_Example", &["slug", "not kebab-case", "linux-example"]),
        ("slug: linux-example", "slug: linux-other", &["name does not match", "compliance/linux-other@1.0.0.yaml"]),
        ("version: 1.0.0\ntitle", "version: one\ntitle", &["line 3"]),
        ("category: compliance", "category: hardening", &["hardening", "compliance"]),
        ("title: Example", "title: Example\nsurprise: true", &["surprise"]),
        ("limits: None.", "limits: ' '", &["limits", "is empty", "write a sentence"]),
        ("platforms: { os: [linux] }", "platforms: {}", &["platforms", "names no platform", "{ os: [linux] }"]),
        ("severity: low", "severity: urgent", &["urgent"]),
        ("id: low-uids", "id: low_uids", &["checks[0].id", "`low_uids` is not kebab-case", "`low-uids`"]),
        ("uid > :max_uid", "uid > :min_uid", &["checks[0].query", ":min_uid, which is not declared"]),
        ("uid > :max_uid", "uid > 1", &["parameters.properties.max_uid", "no query uses it"]),
        ("default: 10", "default: -1", &["parameters.properties.max_uid.default", "breaks its own schema"]),
        (", default: 10", "", &["max_uid.default", "is missing"]),
        ("additionalProperties: false", "additionalProperties: true", &["parameters.additionalProperties"]),
        ("FROM users", "FROM groups", &["reads the table `groups`", "add it to requires.tables"]),
        ("tables: [users]", "tables: [users, groups]", &["no query reads `groups`", "remove it"]),
        ("username AS resource", "username", &["checks[0].query", "selects no `resource`"]),
        ("SELECT username AS", "DELETE FROM users; SELECT username AS", &["is not one SELECT"]),
        (r#"["5.1.16"]"#, r#"["9.9"]"#, &["checks[0].controls.cis-debian-12", "no control `9.9`"]),
        ("{ cis-debian-12:", "{ cis-debian-99:", &["is no framework of the catalog", "write one of cis-debian-12"]),
        (
            "expect: { low-uids: fail }",
            "expect: { low-uids: pass }",
            &["has no fixture that gives fail", "add one to tests"],
        ),
        ("expect: { low-uids: fail }", "expect: { high-uids: fail }", &["tests[1].expect.high-uids", "is no check"]),
        ("expect: { low-uids: fail }", "expect: { low-uids: error }", &["tests[1].expect.low-uids", "expects `error`"]),
        ("{ users: [{ uid: 11,", "{ user: [{ uid: 11,", &["tests[1].tables.user", "not in requires.tables"]),
        ("[{ version: 1.0.0, text: First release. }]", "[]", &["changelog", "is empty"]),
        (
            "[{ version: 1.0.0, text: First",
            "[{ version: 0.9.0, text: First",
            &["changelog[0].version", "the module is 1.0.0"],
        ),
    ];
    for (from, to, expected) in cases {
        assert!(VALID.contains(from), "{from}");
        let message = problems(&VALID.replacen(from, to, 1));
        assert!(message.contains(FILE), "{to}: {message}");
        for part in *expected {
            assert!(message.contains(part), "{to}: `{part}` is not in: {message}");
        }
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let broken = VALID.replace("limits: None.", "limits: ''").replace("uid > :max_uid", "uid > :other");
    assert!(problems(&broken).lines().count() >= 3);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let outcome = load::module(FILE, &[0xff, 0xfe], &load::Controls::new());
    assert!(outcome.is_err_and(|problems| problems.to_string().contains("is not UTF-8")));
}

#[test]
fn a_draft_may_lack_fixtures_and_nothing_else() {
    let fixtures = VALID.find("tests:\n").unwrap()..VALID.find("changelog:").unwrap();
    let mut bare = VALID.to_owned();
    bare.replace_range(fixtures, "");
    assert!(problems(&bare).contains("has no fixture that gives pass"));
    let draft = bare.replace("title: Example", "state: draft\ntitle: Example");
    assert_eq!(problems(&draft), "");
    assert!(problems(&draft.replace("limits: None.", "limits: ''")).contains("limits"));
    assert!(problems(&draft.replace("state: draft", "state: released")).contains("released"));
}
