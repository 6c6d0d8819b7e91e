//! Many jobs at once: how few polls, requests and workers they take, and that nothing of a batch is lost or doubled when the
//! agent or a worker ends in the middle of it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use catalog::envelope::{RunStatus, Verdict};
use catalog::module::{Module, Os};
use catalog::wire::LimitsInForce;
use uuid::Uuid;

use super::platform::Server;
use super::program::{Daemon, module, slow_module};
use super::{POLL, RESULTS, assert_contract_kept, host_and_server};

const FAILING: &str = "SELECT username AS resource FROM users WHERE username = 'admin'";

fn modules(count: usize) -> Vec<Module> {
    (0..count).map(|number| module(&format!("test-{number:03}"), FAILING, &["users"])).collect()
}

fn enqueue(server: &Server, modules: &[Module]) -> Vec<Uuid> {
    modules.iter().map(|module| server.lock().enqueue(module)).collect()
}

fn accepted(server: &Server) -> BTreeSet<Uuid> {
    server.lock().accepted.keys().copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_jobs_take_one_poll_one_request_and_a_worker_for_each_sandbox() {
    let mut modules = modules(100);
    for module in &mut modules[90..] {
        module.requires.tables = vec!["processes".to_owned()];
    }
    let (folder, server) = host_and_server(&modules).await;
    let runs = enqueue(&server, &modules);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(60, "all results", |platform| platform.accepted.len() == 100).await;
    assert_eq!(accepted(&server), runs.into_iter().collect());
    assert_eq!(daemon.lines("worker").len(), 2, "{}", daemon.log());
    assert_eq!(daemon.lines("run").len(), 100);
    {
        let platform = server.lock();
        assert_eq!(platform.requests_to(RESULTS), 1);
        assert!(platform.requests_to(POLL) <= 2, "{} polls", platform.requests_to(POLL));
        assert_eq!(platform.limits_told, [LimitsInForce::Process], "this test's group holds other processes");
    }
    assert_eq!(
        daemon.lines("limits of each process, the lowest priority and pauses bound the workers' memory and CPU").len(),
        1
    );
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_enrolment_with_the_whole_catalog_takes_a_handful_of_requests() {
    let catalog = catalog::Catalog::embedded().unwrap();
    let is_ours = |module: &Module| module.platforms.os.contains(&Os::Linux);
    let modules: Vec<Module> = catalog.latest().map(|entry| entry.module.clone()).filter(is_ours).collect();
    let (folder, server) = host_and_server(&modules).await;
    server.lock().lease = Duration::from_mins(10);
    let runs = enqueue(&server, &modules);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    let all = runs.len();
    server.until(600, "all results", |platform| platform.accepted.len() == all).await;
    let (workers, polls) = (daemon.lines("worker").len(), server.lock().requests_to(POLL));
    let requests = server.lock().requests_to(RESULTS);
    let failed: Vec<_> = {
        let platform = server.lock();
        let runs = platform.accepted.values().filter(|run| run.status == RunStatus::Failed);
        runs.map(|run| (run.module.clone(), run.log.clone())).collect()
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let resident = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let resident: Vec<&str> =
        resident.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("Rss")).collect();
    eprintln!("{all} modules: {workers} workers, {polls} polls, {requests} requests with results; then {resident:?}");
    assert!(failed.is_empty(), "{failed:?}");
    // Four sandboxes at most, and the baselines that have a worker each.
    assert!(workers <= 6, "{workers} workers");
    // One that leases, then renewals each 20 s, as the lease says, while the workers are at work.
    assert!(polls <= 2 + 600 / 20, "{polls} polls");
    // Each 20 s while they are at work, and what 256 KiB hold.
    assert!(requests <= 600 / 20, "{requests} requests with results");
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_mid_batch_goes_on_with_what_is_left() {
    let mut modules = modules(12);
    modules.insert(6, slow_module());
    let (folder, server) = host_and_server(&modules).await;
    // Nothing comes back by a lease that runs out.
    server.lock().lease = Duration::from_mins(10);
    let runs = enqueue(&server, &modules);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    for _ in 0..1_000 {
        if daemon.lines("run").len() >= 6 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = daemon.lines("run").len();
    assert!(before < modules.len(), "the batch was too quick to be killed in its middle");
    let workers = daemon.children();
    daemon.kill();
    for pid in workers {
        assert!(!is_running(pid), "a worker outlived its agent");
    }
    let again = Daemon::start(&server, folder.path(), &[]);
    server.until(60, "all results", |platform| platform.accepted.len() == 13).await;
    assert_eq!(accepted(&server), runs.into_iter().collect());
    // Only what was under way when it was killed ran twice, and nothing was sent twice.
    assert_eq!(before + again.lines("run").len(), modules.len());
    assert_eq!(server.lock().repeats, 0);
    assert_eq!(again.lines("going on with what was left").len(), 1);
    assert!(!folder.path().join("state/jobs.json").exists());
    assert_contract_kept(&server);
}

/// Not gone, and not only waiting to be collected.
fn is_running(pid: u32) -> bool {
    for _ in 0..100 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        if state.is_empty() || state.starts_with('Z') {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_over_and_over_in_one_batch_loses_and_doubles_nothing() {
    let modules = modules(40);
    let (folder, server) = host_and_server(&modules).await;
    server.lock().lease = Duration::from_secs(5);
    let runs = enqueue(&server, &modules);
    for round in 0..8_u64 {
        let daemon = Daemon::start(&server, folder.path(), &[]);
        tokio::time::sleep(Duration::from_millis(200 + 150 * round)).await;
        daemon.kill();
    }
    let _last = Daemon::start(&server, folder.path(), &[]);
    server.until(120, "all results", |platform| platform.accepted.len() == 40).await;
    assert_eq!(accepted(&server), runs.into_iter().collect());
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_ended_costs_the_module_it_ran_and_no_other() {
    let mut modules = modules(8);
    modules.insert(4, slow_module());
    let (folder, server) = host_and_server(&modules).await;
    server.lock().lease = Duration::from_mins(10);
    enqueue(&server, &modules);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    for _ in 0..1_000 {
        if daemon.lines("run").len() >= 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let worker = daemon.children()[0].to_string();
    assert!(Command::new("kill").args(["-KILL", &worker]).status().unwrap().success());
    server.until(60, "all results", |platform| platform.accepted.len() == 9).await;
    let platform = server.lock();
    for run in platform.accepted.values() {
        let expected = if run.module == "test-slow" { RunStatus::Failed } else { RunStatus::Succeeded };
        assert_eq!(run.status, expected, "{}: {:?}", run.module, run.log);
    }
    let slow = platform.accepted.values().find(|run| run.module == "test-slow").unwrap();
    assert!(slow.log[0].message.contains("ended by signal 9"), "{:?}", slow.log);
    drop(platform);
    assert_eq!(daemon.lines("worker").len(), 2);
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_never_ends_is_stopped_and_said_and_the_others_run_in_the_same_worker() {
    let endless =
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT 'x' AS resource FROM c WHERE n < 0";
    let mut modules = modules(4);
    modules.insert(2, module("test-endless", endless, &[]));
    let (folder, server) = host_and_server(&modules).await;
    server.lock().lease = Duration::from_mins(10);
    enqueue(&server, &modules);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(90, "all results", |platform| platform.accepted.len() == 5).await;
    let platform = server.lock();
    let endless = platform.accepted.values().find(|run| run.module == "test-endless").unwrap();
    assert_eq!((endless.status, endless.checks[0].verdict), (RunStatus::Timeout, Verdict::Error));
    // Half of a core for thirty seconds, the burst before it, and what a busy machine adds to a look.
    assert!(endless.resource.cpu_ms < 20_000, "{} ms of CPU in {} ms", endless.resource.cpu_ms, endless.duration_ms);
    assert!(platform.accepted.values().filter(|run| run.status == RunStatus::Succeeded).count() == 4);
    drop(platform);
    assert_eq!(daemon.lines("worker").len(), 1);
    assert_contract_kept(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_that_were_removed_from_the_disk_are_fetched_again() {
    let modules = modules(1);
    let (folder, server) = host_and_server(&modules).await;
    let first = server.lock().enqueue(&modules[0]);
    let daemon = Daemon::start(&server, folder.path(), &[]);
    server.until(20, "the first result", |platform| platform.accepted.contains_key(&first)).await;
    fs::remove_file(folder.path().join("state/bundle.json")).unwrap();
    let second = server.lock().enqueue(&modules[0]);
    server.until(20, "the second run", |platform| platform.unchanged.contains(&second)).await;
    drop(daemon);
    assert_contract_kept(&server);
}
