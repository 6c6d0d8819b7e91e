//! SCAP content becomes a module that the host's OpenSCAP decides; where it is installed, it does so here. The content is our
//! own: a data stream made of the two files in `data/scap`, and the files themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tests::harness::program;

use crate::program::module;

const XCCDF: &str = include_str!("data/scap/xccdf.xml");
const OVAL: &str = include_str!("data/scap/oval.xml");
/// Where the agent looks for the scanner.
const SCANNERS: [&str; 2] = ["/usr/bin/oscap", "/usr/local/bin/oscap"];

fn without_declaration(text: &str) -> &str {
    text.split_once("?>").unwrap().1
}

fn data_stream() -> String {
    let part = |name: &str, text: &str| {
        format!(
            "<ds:component id=\"scap_org.example_comp_{name}\" timestamp=\"2026-01-01T00:00:00\">{}</ds:component>",
            without_declaration(text)
        )
    };
    format!(
        r##"<?xml version="1.0" encoding="UTF-8"?>
<ds:data-stream-collection xmlns:ds="http://scap.nist.gov/schema/scap/source/1.2" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:cat="urn:oasis:names:tc:entity:xmlns:xml:catalog" id="scap_org.example_collection_small" schematron-version="1.2">
  <ds:data-stream id="scap_org.example_datastream_small" scap-version="1.2" use-case="CONFIGURATION" timestamp="2026-01-01T00:00:00">
    <ds:checklists><ds:component-ref id="scap_org.example_cref_xccdf" xlink:href="#scap_org.example_comp_xccdf"><cat:catalog><cat:uri name="oval.xml" uri="#scap_org.example_cref_oval"/></cat:catalog></ds:component-ref></ds:checklists>
    <ds:checks><ds:component-ref id="scap_org.example_cref_oval" xlink:href="#scap_org.example_comp_oval"/></ds:checks>
  </ds:data-stream>
  {}{}
</ds:data-stream-collection>"##,
        part("oval", OVAL),
        part("xccdf", XCCDF)
    )
}

/// A folder with the content, and one for modules.
struct Scene {
    content: tempfile::TempDir,
    modules: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { content: tempfile::tempdir().unwrap(), modules: tempfile::tempdir().unwrap() };
        scene.write("small-ds.xml", &data_stream());
        scene.write("small-xccdf.xml", XCCDF);
        scene.write("oval.xml", OVAL);
        scene
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.content.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn folder(&self) -> &str {
        self.modules.path().to_str().unwrap()
    }

    fn import(&self, name: &str, more: &[&str]) -> crate::program::Told {
        let file = self.content.path().join(name);
        let arguments = ["import", file.to_str().unwrap(), "--dir", self.folder(), "-o", "json"];
        module(&[&arguments[..], more].concat())
    }

    /// Runs the modules here; the one run.
    fn scan(&self, content: &Path) -> Value {
        let output = Command::new(program("tenantra-agent").unwrap())
            .args(["scan", "-o", "json", "--dir", self.folder(), "--scap-content"])
            .arg(content)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn verdicts(run: &Value) -> Vec<(&str, &str)> {
    let checks = run["checks"].as_array().unwrap().iter();
    checks.map(|check| (check["id"].as_str().unwrap(), check["verdict"].as_str().unwrap())).collect()
}

/// Whether the scanner is here. These tests need none, so its absence is only told.
fn has_scanner() -> bool {
    let found = SCANNERS.iter().any(|path| Path::new(path).exists());
    if !found {
        eprintln!("NOT TESTED: oscap is not installed; `hack/setup.sh oscap` does");
    }
    found
}

#[test]
fn a_profile_of_a_data_stream_becomes_a_module() {
    let scene = Scene::new();
    let asked = scene.import("small-ds.xml", &[]).ended(2);
    for part in ["--profile", "small  A few rules", "one  One rule"] {
        assert!(asked.err.contains(part), "{part}: {}", asked.err);
    }
    let wrong = scene.import("small-ds.xml", &["--profile", "large"]).ended(2);
    assert!(wrong.err.contains("has no profile `large`") && wrong.err.contains("One rule"), "{}", wrong.err);

    let made = scene.import("small-ds.xml", &["--profile", "small"]).ended(0).json();
    let name = "oscap-debian-12-small";
    assert_eq!((&made[0]["module"], &made[0]["checks"]), (&json!(name), &json!(4)), "{made}");
    assert_eq!(made[0]["missing_fixtures"], 0);
    let notes: Vec<&str> =
        made[0]["notes"].as_array().unwrap().iter().map(|note| note["subject"].as_str().unwrap()).collect();
    assert_eq!(notes, ["references", "severity"]);

    let shown = module(&["show", name, "--dir", scene.folder(), "-o", "json"]).ended(0).json();
    assert_eq!((&shown["engine"], &shown["state"]), (&json!("oscap"), &json!("draft")));
    let sha256 = catalog::scap::sha256(data_stream().as_bytes()).unwrap();
    assert_eq!(
        shown["scap"],
        json!({
            "files": [{ "name": "small-ds.xml", "sha256": sha256 }],
            "data_stream": "scap_org.example_datastream_small", "component": "scap_org.example_cref_xccdf",
            "benchmark": "xccdf_org.example_benchmark_DEBIAN-12", "profile": "xccdf_org.example_profile_small",
        })
    );
    let check = &shown["checks"][0];
    assert_eq!((&check["id"], &check["severity"]), (&json!("root-is-there"), &json!("high")));
    assert_eq!(check["title"], "There is an account root");
    assert_eq!(check["rule"], "xccdf_org.example_rule_root_is_there");
    assert_eq!(check["same_as"], json!({ "oscap": "root_is_there" }));
    assert_eq!(check["controls"], json!({ "cis-debian-12": ["5.1.16"], "nist-800-53-r5": ["AC-7"] }));
    assert_eq!(check["remediation"]["text"], "Let /etc/passwd have a line of name.");
    assert!(check.get("query").is_none(), "{check}");
    assert_eq!(shown["checks"][1]["remediation"]["text"], "Add it.");
    assert!(shown["description"].as_str().unwrap().contains("use it as you like"), "{shown}");
    let told = module(&["show", name, "root-is-there", "--dir", scene.folder()]).ended(0).out;
    assert!(told.contains("the host's OpenSCAP, rule xccdf_org.example_rule_root_is_there"), "{told}");

    // It passes the gates as far as they say anything, and what they do not say is said.
    module(&["test", "--dir", scene.folder(), "--gates"]).ended(0);
    let gates = module(&["promote", name, "--dir", scene.folder(), "--dry-run", "-o", "json"]).ended(0).json();
    assert_eq!(gates["passed"], true, "{gates}");
    assert!(gates["gates"][1]["detail"].as_str().unwrap().contains("not asked"), "{gates}");
}

#[test]
fn plain_xccdf_brings_the_oval_beside_it() {
    let scene = Scene::new();
    let made = scene.import("small-xccdf.xml", &["--profile", "xccdf_org.example_profile_one", "--slug", "plain"]);
    assert_eq!(made.ended(0).json()[0]["checks"], 1);
    let shown = module(&["show", "plain", "--dir", scene.folder(), "-o", "json"]).ended(0).json();
    let names: Vec<&str> =
        shown["scap"]["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["small-xccdf.xml", "oval.xml"]);
    assert!(shown["scap"].get("data_stream").is_none());
    if has_scanner() {
        assert_eq!(verdicts(&scene.scan(scene.content.path())), [("root-is-there", "pass")]);
    }
}

#[test]
fn hostile_content_is_refused_with_what_is_wrong() {
    let scene = Scene::new();
    let deep = format!("<Benchmark>{}", "<Group>".repeat(500));
    let huge = format!("<Benchmark id='{}'/>", "x".repeat(3 << 20));
    for (name, text, told) in [
        ("laughs.xml", "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><a>&b;</a>", "document type"),
        ("outside.xml", "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "document type"),
        ("entity.xml", "<Benchmark id='b'><title>&xxe;</title></Benchmark>", "entity `&xxe;`"),
        ("deep.xml", deep.as_str(), "elements in each other"),
        ("huge.xml", huge.as_str(), "a tag or a text of more than"),
        ("half.xml", &data_stream()[..2_000], "is not XML that can be read"),
        ("other.xml", "<svg/>", "holds no XCCDF benchmark"),
        ("bad name.xml", XCCDF, "no name that can be recorded"),
    ] {
        scene.write(name, text);
        let refused = scene.import(name, &["--profile", "small"]).ended(2);
        assert!(refused.err.contains(told), "{name}: {}", refused.err);
    }
    assert!(!scene.modules.path().join("modules").exists(), "something was written");
}

#[test]
fn the_hosts_scanner_decides_where_it_is_installed() {
    let scene = Scene::new();
    scene.import("small-ds.xml", &["--profile", "small"]).ended(0);
    // Whether there is a scanner or not: without its content each check says why there is no verdict.
    let empty = tempfile::tempdir().unwrap();
    let run = scene.scan(empty.path());
    assert_eq!(run["status"], "failed");
    assert!(verdicts(&run).iter().all(|(_, verdict)| *verdict == "error"), "{run}");
    if !has_scanner() {
        assert!(run["checks"][0]["message"].as_str().unwrap().contains("install OpenSCAP's scanner"), "{run}");
        return;
    }
    assert!(run["checks"][0]["message"].as_str().unwrap().contains("small-ds.xml is not in"), "{run}");
    fs::write(empty.path().join("small-ds.xml"), data_stream() + "\n").unwrap();
    let other = scene.scan(empty.path());
    assert!(other["checks"][0]["message"].as_str().unwrap().contains("is other content"), "{other}");

    let run = scene.scan(scene.content.path());
    assert_eq!(
        verdicts(&run),
        [
            ("root-is-there", "pass"),
            ("nobody-is-called-so", "fail"),
            ("by-hand", "error"),
            ("for-reading", "not_applicable")
        ],
        "{run}"
    );
    assert_eq!(run["status"], "partial");
    assert!(run["checks"][2]["message"].as_str().unwrap().starts_with("not checked"), "{run}");
    assert!(run["checks"][3]["message"].as_str().unwrap().starts_with("informational"), "{run}");
    let finding = &run["findings"][0];
    assert_eq!((&finding["check"], &finding["resource"]), (&json!("nobody-is-called-so"), &json!("host")));
    assert_eq!(finding["evidence"]["expected"], "the first account has a name that nobody has");
    let found = finding["evidence"]["found"].as_str().unwrap();
    assert!(found.contains("/etc/passwd") && found.contains("subexpression=root"), "{run}");
    assert!(run["resource"]["cpu_ms"].as_u64().unwrap() > 0 && run["resource"]["max_rss_kb"].as_u64().unwrap() > 0);
    let control = json!({ "framework": "cis-debian-12", "control": "5.1.16", "status": "pass" });
    assert!(run["benchmarks"].as_array().unwrap().contains(&control), "{run}");
    // An image is not the host, and the host's scanner would look at the host.
    let image = Command::new(program("tenantra-agent").unwrap())
        .args(["scan", "-o", "json", "--dir", scene.folder(), "--root", "/"])
        .output()
        .unwrap();
    let run: Value = serde_json::from_slice(&image.stdout).unwrap();
    assert!(run["checks"][0]["message"].as_str().unwrap().contains("not at an image"), "{run}");
}
