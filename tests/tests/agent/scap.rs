//! A job for a module that the host's OpenSCAP decides: the daemon has it decided, or says why not, and goes on.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use catalog::envelope::{RunStatus, Verdict};
use catalog::module::Module;
use serde_json::json;

use super::platform::{ENROLL_TOKEN, Server};
use super::program::{Daemon, binary, users_module};
use super::{assert_contract_kept, host_and_server};

const XCCDF: &str = include_str!("../modules/data/scap/xccdf.xml");
const OVAL: &str = include_str!("../modules/data/scap/oval.xml");

fn scap_module() -> Module {
    let file =
        |name: &str, text: &str| json!({ "name": name, "sha256": catalog::scap::sha256(text.as_bytes()).unwrap() });
    let check = |id: &str, rule: &str| {
        json!({
            "id": id, "title": id, "severity": "high", "rule": format!("xccdf_org.example_rule_{rule}"),
            "rationale": "a test", "remediation": { "text": "mend it" },
        })
    };
    serde_json::from_value(json!({
        "slug": "test-scap", "version": "1.0.0", "title": "test", "category": "compliance", "description": "a test",
        "platforms": { "os": ["linux"] }, "profile": "baseline_full", "engine": "oscap",
        "scap": {
            "files": [file("xccdf.xml", XCCDF), file("oval.xml", OVAL)],
            "benchmark": "xccdf_org.example_benchmark_DEBIAN-12", "profile": "xccdf_org.example_profile_small",
        },
        "prerequisites": "none", "limits": "none", "privileges": "none", "data_sensitivity": "none",
        "checks": [check("root", "root_is_there"), check("nobody", "nobody_is_called_so")],
        "changelog": [{ "version": "1.0.0", "text": "first" }],
    }))
    .unwrap()
}

/// A daemon of this host itself.
struct OnHost(Child);

impl OnHost {
    fn start(server: &Server, folder: &Path) -> Self {
        let child = Command::new(binary())
            .args(["run", "--server", &server.url(), "--token", ENROLL_TOKEN, "--host-root", "/", "--ca-file"])
            .arg(&server.ca_file)
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--scap-content")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for OnHost {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_a_container_says_that_the_hosts_scanner_is_not_its_to_run() {
    let modules = [scap_module(), users_module()];
    let (folder, server) = host_and_server(&modules).await;
    let runs = modules.each_ref().map(|module| server.lock().enqueue(module));
    let _daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(60, "both results", |platform| runs.iter().all(|run| platform.accepted.contains_key(run))).await;
    {
        let platform = server.lock();
        let refused = &platform.accepted[&runs[0]];
        assert_eq!(refused.status, RunStatus::Failed);
        let told = |check: &catalog::envelope::CheckVerdict| {
            check.verdict == Verdict::Error && check.message.as_deref().unwrap_or_default().contains("from a container")
        };
        assert!(refused.checks.len() == 2 && refused.checks.iter().all(told), "{refused:?}");
        assert_eq!(platform.accepted[&runs[1]].status, RunStatus::Succeeded, "the next one runs");
    }
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_has_the_hosts_scanner_decide_and_leaves_nothing_behind() {
    if !Path::new("/usr/bin/oscap").exists() {
        eprintln!("NOT TESTED: oscap is not installed; `hack/setup.sh oscap` does");
        return;
    }
    let module = scap_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    fs::write(folder.path().join("xccdf.xml"), XCCDF).unwrap();
    fs::write(folder.path().join("oval.xml"), OVAL).unwrap();
    let run = server.lock().enqueue(&module);
    let _daemon = OnHost::start(&server, folder.path());
    server.until(180, "the scanner's verdicts", |platform| platform.accepted.contains_key(&run)).await;
    {
        let platform = server.lock();
        let envelope = &platform.accepted[&run];
        let verdicts: Vec<Verdict> = envelope.checks.iter().map(|check| check.verdict).collect();
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail], "{envelope:?}");
        assert_eq!((envelope.status, envelope.findings.len()), (RunStatus::Succeeded, 1));
        assert_eq!(envelope.contradiction(), None);
    }
    let left: Vec<String> = fs::read_dir(folder.path().join("state"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("scap-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    assert_contract_kept(&server);
}
