//! The agent's program against a strict server, on synthetic hosts and on this machine: what is finished is neither lost nor
//! doubled, whatever ends the agent, the server or the disk in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "agent/batches.rs"]
mod batches;
#[path = "agent/integrity.rs"]
mod integrity;
#[path = "agent/platform.rs"]
mod platform;
#[path = "agent/program.rs"]
mod program;
#[path = "agent/scap.rs"]
mod scap;
#[path = "agent/windows.rs"]
mod windows;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use catalog::envelope::{RunStatus, Verdict};
use catalog::module::{Category, Module, Os};
use chrono::{TimeDelta, Utc};
use platform::Server;
use program::{Daemon, agent, module, said, set_users, slow_module, synthetic_root, users_module};
use tempfile::TempDir;
use tests::harness::envelopes;

const RESULTS: &str = "/v1/agents/results";
const POLL: &str = "/v1/agents/jobs/next";

/// A folder with a synthetic root, and a server that knows these modules.
async fn host_and_server(modules: &[catalog::module::Module]) -> (TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    synthetic_root(folder.path());
    let server = Server::start(folder.path(), modules).await;
    (folder, server)
}

fn assert_contract_kept(server: &Server) {
    let platform = server.lock();
    assert_eq!(platform.broken, Vec::<String>::new());
    assert_eq!(platform.replays, 0, "a sequence number was used twice");
}

#[test]
fn a_scan_of_this_machine_decides_every_check() {
    let catalog = catalog::Catalog::embedded().unwrap();
    // How long a walk of the file system takes depends on the machine; the synthetic roots are walked below.
    let is_quick =
        |module: &Module| module.category != Category::Filesystem && module.platforms.os.contains(&Os::Linux);
    let quick: Vec<_> = catalog.latest().filter(|entry| is_quick(&entry.module)).collect();
    let modules: Vec<&str> = quick.iter().map(|entry| entry.module.slug.as_str()).collect();
    let output = agent(&["scan", "-o", "json", "--modules", &modules.join(",")]);
    assert!(output.status.success(), "{}", said(&output));
    let runs = envelopes(&output.stdout).unwrap();
    for entry in quick {
        let run = runs.iter().find(|run| run.module == entry.module.slug).expect(&entry.module.slug);
        let decided: BTreeSet<&str> = run.checks.iter().map(|check| check.id.as_str()).collect();
        let expected: BTreeSet<&str> = entry.module.checks.iter().map(|check| check.id.as_str()).collect();
        assert_eq!(decided, expected);
        assert_eq!(run.contradiction(), None);
        let errors: Vec<_> = run.checks.iter().filter(|check| check.verdict == Verdict::Error).collect();
        assert!(errors.is_empty() || !rustix::process::geteuid().is_root(), "{}: {errors:?}", run.module);
    }
}

#[test]
fn a_scan_without_rights_does_not_pass_what_it_could_not_read() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // Where another user may start it.
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let program = folder.path().join("tenantra-agent");
    fs::copy(program::binary(), &program).unwrap();
    let root = synthetic_root(folder.path());
    fs::write(root.join("etc/shadow"), "root::19000:0:99999:7:::\n").unwrap();
    fs::set_permissions(root.join("etc/shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    let output = std::process::Command::new(&program)
        .args(["scan", "--modules", "linux-accounts", "-o", "json", "--root"])
        .arg(&root)
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let run = envelopes(&output.stdout).unwrap().remove(0);
    let check = run.checks.iter().find(|check| check.id == "passwords-not-empty").unwrap();
    assert_eq!((check.verdict, run.status), (Verdict::Error, RunStatus::Partial));
    assert!(check.message.as_deref().unwrap_or_default().contains("/etc/shadow"), "{check:?}");
}

#[test]
fn a_scan_writes_nothing_into_the_root_it_scans() {
    let folder = tempfile::tempdir().unwrap();
    let root = synthetic_root(folder.path());
    let listing = |root: &Path| -> Vec<_> {
        let output =
            std::process::Command::new("find").arg(root).args(["-printf", "%p %s %m %T@ %C@\n"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let before = listing(&root);
    let output = agent(&["scan", "--root", root.to_str().unwrap(), "-o", "json"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(listing(&root), before);
}

#[test]
fn a_scan_of_a_root_finds_what_is_wrong_there_and_can_fail_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = synthetic_root(folder.path());
    let root = root.to_str().unwrap();
    let output = agent(&["scan", "--root", root, "--modules", "linux-accounts", "--fail-on", "low"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("admin"), "the second account with uid 0 is not in the report:\n{report}");
    let output = agent(&["scan", "--root", root, "--modules", "linux-accounts"]);
    assert_eq!(output.status.code(), Some(0), "findings are not a failure unless asked");
    // Nothing of this is in the root: nothing was decided, and the reason is said.
    let output = agent(&["scan", "--root", root, "--modules", "linux-time-sync"]);
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("· linux-time-sync") && !report.contains("✓"), "{report}");
    let output = agent(&["scan", "--root", root, "--modules", "linux-time-sync", "--fail-on", "critical"]);
    assert_eq!(output.status.code(), Some(3), "what was not decided did not pass");
    let output = agent(&["scan", "--root", root, "--modules", "linux-inventory-users", "--fail-on", "critical"]);
    assert_eq!(output.status.code(), Some(0), "{}: there is nothing to decide", said(&output));
    let output = agent(&["scan", "--root", root, "--modules", "linux-time-sync", "-o", "json"]);
    let run = envelopes(&output.stdout).unwrap().remove(0);
    let reasons: BTreeSet<_> = run.checks.iter().map(|check| check.message.as_deref()).collect();
    assert_eq!(reasons, BTreeSet::from([Some("what the check is about is not on this host")]));
}

#[test]
fn what_is_wrong_on_the_command_line_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let state = state.to_str().unwrap();
    let broken_ca = folder.path().join("ca.crt");
    fs::write(&broken_ca, "no certificate").unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let cases: [(&[&str], &str); 14] = [
        (&["scan", "--root", empty.to_str().unwrap()], "holds no system"),
        (&["scan", "--log-level", "loud"], "\"loud\" is no level"),
        (&["query", ""], "write a SELECT"),
        (&["query", "SELECT * FROM nope"], "no such table: nope\n"),
        (&["scan", "--modules", "no-such"], "no module is named"),
        (&["scan", "--framework", "no-such"], "no framework is named"),
        (&["scan", "--root", "/no/such/root"], "cannot scan /no/such/root"),
        (&["scan", "--fail-on", "dire"], "low, medium, high, critical"),
        (&["query", "SELECT * FROM userz"], "did you mean users"),
        (&["query", "ATTACH 'x' AS y"], "not permitted"),
        (&["tables", "no_such"], "there is no table"),
        (&["run", "--state-dir", state], "where is the API?"),
        (&["run", "--state-dir", state, "--server", "http://x"], "TLS"),
        (
            &["run", "--state-dir", state, "--server", "https://x", "--ca-file", broken_ca.to_str().unwrap()],
            "certificate",
        ),
    ];
    for (arguments, sentence) in cases {
        let output = agent(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
    }
    let output = agent(&["run", "--state-dir", state, "--server", "https://localhost:1"]);
    assert!(said(&output).contains("nothing to enrol with"), "{}", said(&output));
    assert!(said(&output).contains("POST /v1/agents/enrollment-tokens"), "{}", said(&output));
}

#[test]
fn a_server_that_does_not_answer_is_said_once_and_has_a_status_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    // Nobody listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("https://127.0.0.1:{port}");
    let output = agent(&["enroll", "--server", &server, "--token", "x", "--state-dir", state.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(said(&output).matches("cannot reach the server").count(), 1, "{}", said(&output));
    assert_eq!(said(&output).matches("Connection refused").count(), 1, "{}", said(&output));
    let help = String::from_utf8(agent(&["--help"]).stdout).unwrap();
    assert!(help.contains("the server did not answer"), "{help}");
}

#[test]
fn queries_answer_in_each_form() {
    let folder = tempfile::tempdir().unwrap();
    let root = synthetic_root(folder.path());
    let root = root.to_str().unwrap();
    let sql = "SELECT username, uid FROM users WHERE uid = 0 ORDER BY username";
    let json = agent(&["query", sql, "--root", root, "-o", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(rows, serde_json::json!([{ "username": "admin", "uid": 0 }, { "username": "root", "uid": 0 }]));
    let both = agent(&["query", "SELECT 1 AS a; SELECT 2 AS b, 3 AS c", "--root", root, "-o", "json"]);
    let rows: serde_json::Value = serde_json::from_slice(&both.stdout).unwrap();
    assert_eq!(rows, serde_json::json!([[{ "a": 1 }], [{ "b": 2, "c": 3 }]]));
    let csv = agent(&["query", sql, "--root", root, "-o", "csv"]);
    assert_eq!(String::from_utf8(csv.stdout).unwrap(), "username,uid\r\nadmin,0\r\nroot,0\r\n");
    let table = String::from_utf8(agent(&["query", sql, "--root", root]).stdout).unwrap();
    assert!(table.contains("admin") && table.contains("2 rows"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_enrols_runs_its_jobs_and_reports_only_changes_after_that() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    let first = server.lock().enqueue(&module);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "the first result", |platform| platform.accepted.contains_key(&first)).await;
    {
        let platform = server.lock();
        let envelope = &platform.accepted[&first];
        assert_eq!(envelope.status, RunStatus::Succeeded);
        assert_eq!((envelope.summary.failed, envelope.findings[0].resource.as_str()), (1, "admin"));
        assert_eq!((envelope.facts.base.as_ref(), envelope.facts.added.len()), (None, 2));
    }
    let second = server.lock().enqueue(&module);
    server.until(20, "the unchanged run", |platform| platform.unchanged.contains(&second)).await;
    assert_eq!(server.lock().requests_to(RESULTS), 1, "an unchanged run was sent as an envelope");

    set_users(&folder.path().join("root"), &["root", "admin", "eve"]);
    let third = server.lock().enqueue(&module);
    server.until(20, "the changed run", |platform| platform.accepted.contains_key(&third)).await;
    {
        let platform = server.lock();
        let facts = &platform.accepted[&third].facts;
        assert!(facts.base.is_some());
        assert_eq!((facts.added.len(), facts.removed.len()), (1, 0));
    }
    assert!(daemon.terminate() < Duration::from_secs(5));
    assert_contract_kept(&server);

    let state = folder.path().join("state");
    for entry in ["", "agent.key", "agent.json", "spool.key", "spool"] {
        let mode = fs::metadata(state.join(entry)).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{entry} in the state folder is open to others");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_mid_scan_runs_the_job_again_after_its_lease() {
    let (slow, users) = (slow_module(), users_module());
    let (folder, server) = host_and_server(&[slow.clone(), users.clone()]).await;
    let first = server.lock().enqueue(&users);
    let second = server.lock().enqueue(&slow);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    let log = || daemon.log();
    server.until(20, "both jobs leased", |platform| platform.requests_to(POLL) >= 1).await;
    // The first is finished and spooled, the second under way.
    for _ in 0..500 {
        if log().contains("test-users") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!server.lock().accepted.contains_key(&second), "the scan was too quick to be killed");
    daemon.kill();
    let _again = Daemon::start(&server, folder.path(), &[]);
    let both = |platform: &mut platform::Platform| {
        platform.accepted.contains_key(&first) && platform.accepted.contains_key(&second)
    };
    server.until(60, "both results", both).await;
    assert_eq!(server.lock().accepted.len(), 2);
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_sends_sends_again_and_nothing_is_doubled() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    let run = server.lock().enqueue(&module);
    // The server takes the result; its answer never arrives.
    server.lock().slow_answer = Duration::from_secs(30);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "the result", |platform| platform.accepted.contains_key(&run)).await;
    daemon.kill();
    server.lock().slow_answer = Duration::ZERO;
    let mut again = Daemon::start(&server, folder.path(), &["--once"]);
    assert!(again.wait(20).success());
    assert_eq!(server.lock().accepted.len(), 1);
    assert_eq!(server.lock().repeats, 1);
    assert_contract_kept(&server);

    let next = server.lock().enqueue(&module);
    let mut third = Daemon::start(&server, folder.path(), &["--once"]);
    assert!(third.wait(20).success());
    assert!(server.lock().unchanged.contains(&next), "what was acknowledged as a repeat is not known to be there");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_wait_encrypted_until_the_server_takes_them_over_any_number_of_kills() {
    let modules: Vec<_> = (0..6)
        .map(|n| {
            module(&format!("test-{n}"), "SELECT username AS resource FROM users WHERE username = 'admin'", &["users"])
        })
        .collect();
    let (folder, server) = host_and_server(&modules).await;
    let runs: Vec<_> = modules.iter().map(|module| server.lock().enqueue(module)).collect();
    server.lock().refuse_results = Some((StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    let spool = folder.path().join("state/spool");
    let waiting = || {
        fs::read_dir(&spool).map_or(0, |entries| {
            entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "run")).count()
        })
    };
    while waiting() < 6 {
        let before = waiting();
        let daemon = Daemon::start(&server, folder.path(), &[]);
        for _ in 0..1_000 {
            if waiting() > before {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(waiting() > before, "no further result is finished");
        daemon.kill();
    }
    for entry in fs::read_dir(&spool).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"admin"), "the spool is readable");
    }
    server.lock().refuse_results = None;
    let mut last = Daemon::start(&server, folder.path(), &["--once"]);
    assert!(last.wait(60).success());
    let platform = server.lock();
    assert_eq!(platform.accepted.keys().copied().collect::<BTreeSet<_>>(), runs.into_iter().collect::<BTreeSet<_>>());
    drop(platform);
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_takes_no_new_job_and_keeps_what_is_finished() {
    let modules: Vec<_> = (0..4).map(|n| module(&format!("test-{n}"), "SELECT 'x' AS resource", &["users"])).collect();
    let (folder, server) = host_and_server(&modules).await;
    for module in &modules {
        server.lock().enqueue(module);
    }
    server.lock().refuse_results = Some((StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    let daemon = Daemon::start(&server, folder.path(), &["--spool-bytes", "1"]);
    server.until(20, "an attempt to send", |platform| platform.requests_to(RESULTS) >= 2).await;
    let runs = daemon.log().lines().filter(|line| line.contains("\"message\":\"run\"")).count();
    assert_eq!(runs, 1, "a job was run although the spool is full:\n{}", daemon.log());
    server.lock().refuse_results = None;
    server.until(60, "all results", |platform| platform.accepted.len() == 4).await;
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_the_server_fails_on_does_not_hold_up_the_others() {
    let modules: Vec<_> = (0..5).map(|n| module(&format!("test-{n}"), "SELECT 'x' AS resource", &["users"])).collect();
    let (folder, server) = host_and_server(&modules).await;
    server.lock().fails_on_module = Some("test-0".to_owned());
    let runs: Vec<_> = modules.iter().map(|module| server.lock().enqueue(module)).collect();
    server.lock().lease = Duration::from_mins(2);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(30, "the other results", |platform| platform.accepted.len() == 4).await;
    assert!(!server.lock().accepted.contains_key(&runs[0]));
    let aside = folder.path().join("state/spool/rejected");
    for _ in 0..60 {
        if aside.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(aside.exists(), "the result is tried without end:\n{}", daemon.log());
    assert!(daemon.log().contains("result_refused"), "{}", daemon.log());
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_corrected_by_the_servers() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    server.lock().clock_ahead = TimeDelta::hours(7);
    let run = server.lock().enqueue(&module);
    let mut daemon = Daemon::start(&server, folder.path(), &["--once"]);
    assert!(daemon.wait(20).success(), "{}", daemon.log());
    let started = server.lock().accepted[&run].started_at;
    assert!(
        (started - (Utc::now() + TimeDelta::hours(7))).abs() < TimeDelta::minutes(2),
        "{started} is this host's time"
    );
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_the_facts_gets_them_whole() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    let daemon = Daemon::start(&server, folder.path(), &[]);
    let first = server.lock().enqueue(&module);
    server.until(20, "the first result", |platform| platform.accepted.contains_key(&first)).await;
    // A run that changed something, and one that did not: both find that their base is gone.
    for (round, users) in [&["root", "eve"][..], &["root", "eve"][..]].into_iter().enumerate() {
        set_users(&folder.path().join("root"), users);
        server.lock().forget_facts();
        let run = server.lock().enqueue(&module);
        server.until(20, "the whole result", |platform| platform.accepted.contains_key(&run)).await;
        assert_eq!(server.lock().accepted[&run].facts.base, None, "round {round}");
    }
    assert_eq!(server.lock().whole, 3);
    drop(daemon);
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_was_tampered_with_is_refused_and_the_one_before_stays() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    let first = server.lock().enqueue(&module);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "the first result", |platform| platform.accepted.contains_key(&first)).await;

    let evil = users_module_that_leaks();
    let foreign = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let forged = catalog::bundle::sign(&catalog::bundle::Bundle::of([&evil]), &foreign).unwrap();
    server.lock().bundle = Some(forged);
    let second = server.lock().enqueue(&evil);
    let known = server.lock().enqueue(&module);
    server.until(20, "the answer to the forged module", |platform| platform.accepted.contains_key(&second)).await;
    server.until(20, "the known module", |platform| platform.unchanged.contains(&known)).await;
    {
        let platform = server.lock();
        let envelope = &platform.accepted[&second];
        assert_eq!((envelope.status, envelope.findings.len()), (RunStatus::Failed, 0));
    }
    assert!(daemon.log().contains("bundle_refused"), "{}", daemon.log());
    daemon.kill();

    // The file on disk is not believed either.
    let file = folder.path().join("state/bundle.json");
    let mut stored: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    stored["signature"] = serde_json::json!(format!("A{}", &stored["signature"].as_str().unwrap()[1..]));
    fs::write(&file, stored.to_string()).unwrap();
    server.publish(std::slice::from_ref(&module));
    let third = server.lock().enqueue(&module);
    let again = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "the module from a fresh bundle", |platform| platform.unchanged.contains(&third)).await;
    assert!(again.log().contains("bundle_refused"), "{}", again.log());
    assert_contract_kept(&server);
}

fn users_module_that_leaks() -> catalog::module::Module {
    module("test-leak", "SELECT line AS resource FROM file_lines WHERE path = '/etc/passwd' AND pattern = '.*'", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn sequence_numbers_are_never_used_twice_over_kills_and_a_forgotten_credential_enrols_again() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    for round in 0..8_u64 {
        let run = server.lock().enqueue(&module);
        let daemon = Daemon::start(&server, folder.path(), &[]);
        if round % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(150 * round)).await;
        } else {
            server
                .until(20, "the run", |platform| {
                    platform.accepted.contains_key(&run) || platform.unchanged.contains(&run)
                })
                .await;
        }
        daemon.kill();
    }
    assert!(server.lock().requests_to(POLL) >= 8);
    assert_eq!(server.lock().requests_to("/v1/agents/enroll/self"), 1, "a restart enrolled again");
    assert_contract_kept(&server);

    // The server's database was restored from before the enrolment.
    server.lock().forget_agents();
    let token = folder.path().join("token");
    fs::write(&token, platform::ENROLL_TOKEN).unwrap();
    let run = server.lock().enqueue(&module);
    let _daemon = Daemon::start(&server, folder.path(), &["--service-account-token-file", token.to_str().unwrap()]);
    server
        .until(20, "the run after enrolling again", |platform| {
            platform.accepted.contains_key(&run) || platform.unchanged.contains(&run)
        })
        .await;
    assert_eq!(server.lock().requests_to("/v1/agents/enroll/self"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_left_in_peace() {
    let (folder, server) = host_and_server(&[users_module()]).await;
    server.lock().refuse_polls = Some((StatusCode::FORBIDDEN, "tenant_suspended"));
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "a poll", |platform| platform.requests_to(POLL) >= 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.lock().requests_to(POLL), 1);
    assert!(daemon.terminate() < Duration::from_secs(5), "a waiting agent does not stop when it is told to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_belongs_to_one_agent_and_one_server() {
    let (folder, server) = host_and_server(&[users_module()]).await;
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "a poll", |platform| platform.requests_to(POLL) >= 1).await;
    let state = folder.path().join("state");
    let arguments = ["run", "--state-dir", state.to_str().unwrap(), "--server", &server.url(), "--token", "x"];
    let output = agent(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains(&format!("another agent (process {})", daemon.pid())), "{}", said(&output));
    assert!(daemon.terminate() < Duration::from_secs(5), "a polling agent does not stop when it is told to");
    let other = ["run", "--state-dir", state.to_str().unwrap(), "--server", "https://other.example", "--token", "x"];
    let output = agent(&other);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is enrolled with https://localhost"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_certificate_is_by_another_ca_is_not_talked_to() {
    let (folder, server) = host_and_server(&[users_module()]).await;
    let other = tempfile::tempdir().unwrap();
    let stranger = Server::start(other.path(), &[]).await;
    let daemon = Daemon::start(&server, folder.path(), &["--ca-file", stranger.ca_file.to_str().unwrap()]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(daemon.log().contains("certificate is not trusted"), "{}", daemon.log());
    assert_eq!(server.lock().requests_to("/v1/agents/enroll/self"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_leaves_one_structured_line() {
    let module = users_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    server.lock().enqueue(&module);
    let mut daemon = Daemon::start(&server, folder.path(), &["--once"]);
    assert!(daemon.wait(20).success());
    let log = daemon.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let run = lines.iter().find(|line| line["message"] == "run").expect(&log);
    for field in ["trace_id", "module", "version", "tenant_id", "agent_id", "status", "duration_ms", "error_code"] {
        assert!(!run[field].is_null(), "{field} is missing in {run}");
    }
}
