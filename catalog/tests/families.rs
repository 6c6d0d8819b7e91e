//! Families: one template and rows of data become checks, fixtures and modules; each mistake is named with its row.

use catalog::{Catalog, Problems};

type Outcome = Result<(), Box<dyn std::error::Error>>;

const FRAMEWORK: &str = "{ slug: own, title: Own, version: '1', publisher: Us, url: 'https://example.org', controls: [{ id: a, title: A }] }";

const TEMPLATE: &str = r#"
template: account-absent
defaults: { severity: low, applies: null, controls: { own: [a] } }
check:
  id: ${id}
  title: No account is called ${names}
  severity: ${severity}
  query: SELECT username AS resource FROM users WHERE username IN (${names|sql})
  applies: ${applies}
  rationale: ${why}
  remediation: { text: "Remove ${names}." }
  controls: ${controls}
tests:
  - { name: "${id}: good", tables: { users: [{ username: ada }] }, expect: { "${id}": pass } }
  - { name: "${id}: bad", tables: { users: [{ username: "${sample}" }] }, expect: { "${id}": fail } }
"#;

const MODULE: &str = r#"
slug: linux-example
version: 1.0.0
title: Example
category: identity
description: Decides some things.
platforms: { os: [linux] }
profile: baseline_fast
prerequisites: None.
limits: None.
privileges: None.
data_sensitivity: None.
given: { applies: null }
families:
  - template: account-absent
    given: { why: "They are known to ${everyone}.", everyone: all }
    rows:
      - { id: no-guests, names: [guest, o'brien], sample: guest }
      - { id: no-toor, names: [toor], sample: toor, severity: high }
changelog: [{ version: 1.0.0, text: First release. }]
"#;

const MODULE_TEMPLATE: &str = r#"
template: accounts
defaults: { text: First release., version: 1.0.0 }
module:
  slug: accounts-${slug}
  version: ${version}
  title: "${title}"
  category: identity
  description: "Decides about ${title}."
  platforms: { os: [linux] }
  profile: baseline_fast
  prerequisites: None.
  limits: None.
  privileges: None.
  data_sensitivity: None.
  given: { why: They are known. }
  families: ${families}
  changelog: [{ version: "${version}", text: "${text}" }]
"#;

const FAMILY: &str = r"
family: people
template: accounts
rows:
  - slug: guests
    title: Guests
    families: [{ template: account-absent, rows: [{ id: no-guests, names: [guest], sample: guest }] }]
  - slug: admins
    title: Administrators
    version: 1.1.0
    text: One name more.
    families: [{ template: account-absent, rows: [{ id: no-toor, names: [toor], sample: toor }] }]
";

fn load(files: &[(&str, &str)]) -> Result<Catalog, Problems> {
    let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), text.as_bytes().to_vec());
    Catalog::load([owned(&("own.yaml", FRAMEWORK))], files.iter().map(owned))
}

fn with_template(module: &str) -> Result<Catalog, Problems> {
    load(&[("templates/account-absent.yaml", TEMPLATE), ("identity/linux-example@1.0.0.yaml", module)])
}

#[test]
fn rows_become_checks_with_their_fixtures() -> Outcome {
    let catalog = with_template(MODULE)?;
    let module = &catalog.module("linux-example", None).ok_or("no module")?.module;
    assert_eq!(module.checks.len(), 2);
    assert_eq!(module.tests.len(), 4);
    assert_eq!(module.requires.tables, ["users"]);
    let first = &module.checks[0];
    assert_eq!(first.query, "SELECT username AS resource FROM users WHERE username IN ('guest', 'o''brien')");
    assert_eq!(first.title, "No account is called guest, o'brien");
    assert_eq!(first.rationale, "They are known to all.");
    assert_eq!(first.applies, None);
    assert_eq!((first.severity.as_str(), module.checks[1].severity.as_str()), ("low", "high"));
    Ok(())
}

#[test]
fn rows_become_modules_with_versions_of_their_own() -> Outcome {
    let files = [
        ("templates/account-absent.yaml", TEMPLATE),
        ("templates/accounts.yaml", MODULE_TEMPLATE),
        ("families/people.yaml", FAMILY),
    ];
    let catalog = load(&files)?;
    let [admins, guests] = catalog.entries() else { return Err("not two modules".into()) };
    assert_eq!(guests.path, "families/people.yaml#identity/accounts-guests@1.0.0.yaml");
    assert_eq!(admins.module.reference(), "accounts-admins@1.1.0");

    // Another row does not touch the others' checksums, another template does.
    let longer = FAMILY.replace("slug: admins", "slug: owners");
    let again = load(&[files[0], files[1], ("families/people.yaml", &longer)])?;
    let same = again.module("accounts-guests", None).ok_or("no module")?;
    assert_eq!(same.checksum, guests.checksum);
    let other = TEMPLATE.replace("Remove", "Delete");
    let again = load(&[("templates/account-absent.yaml", &other), files[1], files[2]])?;
    assert_ne!(again.module("accounts-guests", None).ok_or("no module")?.checksum, guests.checksum);
    Ok(())
}

#[test]
fn every_mistake_names_its_row() {
    for (from, to, expected) in [
        ("sample: guest }", "sample: guest, surprise: 1 }", "rows[0] (no-guests): `surprise` has no place"),
        (", sample: toor", "", "rows[1] (no-toor): nothing fills the place `sample`"),
        ("everyone: all", "everyone: all, nobody: none", "families[0].given: `nobody` has no place"),
        ("everyone: all", "everyone: '${why}'", "refers to itself"),
        ("given: { applies: null }", "given: { applies: null, x: 1 }", "given: `x` has no place"),
        (
            "template: account-absent",
            "template: account-present",
            "no template that fits here; write one of account-absent",
        ),
        ("id: no-guests", "id: No Guests", "checks[0].id"),
        ("[guest, o'brien]", "{ a: guest }", "`names` stands within a text"),
    ] {
        assert!(MODULE.contains(from), "{from}");
        let message = with_template(&MODULE.replacen(from, to, 1)).err().map(|problems| problems.to_string());
        assert!(message.as_deref().is_some_and(|message| message.contains(expected)), "{to}: {message:?}");
    }
}

#[test]
fn a_template_is_called_as_its_file() {
    let message = load(&[("templates/other.yaml", TEMPLATE)]).err().map(|problems| problems.to_string());
    assert!(message.is_some_and(|message| message.contains("is not the file's name")));
}
