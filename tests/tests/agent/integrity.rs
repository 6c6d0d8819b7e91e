//! Integrity: the command for one host, and the baseline that a daemon keeps.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use catalog::envelope::{RunStatus, Verdict};
use catalog::module::Module;
use serde_json::{Value, json};

use super::program::{Daemon, agent, module, said, synthetic_root};
use super::{assert_contract_kept, host_and_server};

fn lines(stdout: &[u8]) -> Vec<Value> {
    String::from_utf8(stdout.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_baseline_tells_what_changed_and_can_be_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let root = synthetic_root(folder.path());
    let (root_name, baseline) = (root.to_str().unwrap(), folder.path().join("host.baseline"));
    let baseline = baseline.to_str().unwrap();
    let made =
        agent(&["integrity", "init", baseline, "/etc", "/usr", "--root", root_name, "--exclude", "/etc/hostname"]);
    assert!(made.status.success(), "{}", said(&made));
    assert_eq!(fs::metadata(baseline).unwrap().permissions().mode() & 0o777, 0o600);
    let check = |more: &[&str]| {
        let fixed = ["integrity", "check", baseline, "--root", root_name, "-o", "json"];
        agent(&[&fixed[..], more].concat())
    };
    let same = check(&[]);
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    assert_eq!(lines(&same.stdout)[0]["changed"], 0);

    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").unwrap();
    fs::write(root.join("etc/hostname"), "another\n").unwrap();
    fs::write(root.join("usr/sbin/\u{1b}[2Jdoor"), "x").unwrap();
    fs::remove_file(root.join("usr/sbin/sshd")).unwrap();
    let changed = check(&[]);
    assert_eq!(changed.status.code(), Some(1), "{}", said(&changed));
    let told = lines(&changed.stdout);
    let told: Vec<(&str, &str)> =
        told[..3].iter().map(|line| (line["change"].as_str().unwrap(), line["path"].as_str().unwrap())).collect();
    assert_eq!(told, [("changed", "/etc/passwd"), ("added", "/usr/sbin/\u{1b}[2Jdoor"), ("removed", "/usr/sbin/sshd")]);
    let report = agent(&["integrity", "update", baseline, "--root", root_name]);
    assert!(report.status.success(), "{}", said(&report));
    let text = String::from_utf8(report.stdout).unwrap();
    assert!(text.contains("1 added, 1 removed, 1 changed") && text.contains("size 65 → 32"), "{text}");
    assert!(!text.contains('\u{1b}'), "a name steers the terminal");
    assert_eq!(check(&["--full"]).status.code(), Some(0));
    assert!(!Path::new(&format!("{baseline}.new")).exists());
}

#[test]
fn what_is_wrong_with_a_baseline_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let root = synthetic_root(folder.path());
    let root = root.to_str().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let there = at("there");
    assert!(agent(&["integrity", "init", &there, "/etc", "--root", root]).status.success());
    let mut bytes = fs::read(&there).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(at("damaged"), bytes).unwrap();
    std::os::unix::fs::symlink(at("gone"), at("link")).unwrap();
    let cases: [(&[&str], &str); 10] = [
        (&["integrity", "init", &at("link"), "/etc", "--root", root], "is there already"),
        (&["integrity", "init", &at("x"), "/etc", "/ect", "--root", root], "/ect is not there"),
        (&["integrity", "init", &at("x"), "/etc", "--max-file-bytes", "0", "--root", root], "is not in"),
        (&["integrity", "init", &there, "/etc", "--root", root], "is there already"),
        (&["integrity", "init", &at("x"), "etc", "--root", root], "write it from the root"),
        (&["integrity", "init", &at("x"), "/etc", "--exclude", "cache", "--root", root], "/var/cache"),
        (&["integrity", "init", &at("no/such/folder"), "/etc", "--root", root], "make that folder first"),
        (&["integrity", "init", &at("root/etc/x"), "/etc", "--root", root], "write it to another folder"),
        (&["integrity", "check", &at("nothing"), "--root", root], "`integrity init` writes one"),
        (&["integrity", "check", &at("damaged"), "--root", root], "make a new one"),
    ];
    for (arguments, sentence) in cases {
        let output = agent(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{arguments:?} told something before it was refused");
    }
    assert!(!Path::new(&at("x")).exists());
}

#[test]
fn nothing_is_written_through_a_link_and_what_is_not_compared_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let root = synthetic_root(folder.path());
    let root = root.to_str().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("precious"), "precious").unwrap();
    std::os::unix::fs::symlink(at("precious"), at("host.new")).unwrap();
    let made = agent(&["integrity", "init", &at("host"), "/etc", "--max-file-bytes", "1", "--root", root]);
    assert!(made.status.success(), "{}", said(&made));
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "precious");
    // A link to a baseline: that baseline is brought up to date.
    std::os::unix::fs::symlink(at("host"), at("link")).unwrap();
    let check = ["integrity", "check", &at("link"), "--root", root];
    let unknown = agent(&check);
    assert_eq!(unknown.status.code(), Some(3), "the baseline has no content: {}", said(&unknown));
    assert!(agent(&["integrity", "update", &at("link"), "--root", root]).status.success());
    assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
    assert_eq!(agent(&check).status.code(), Some(0));
}

fn integrity_module() -> Module {
    let query = "SELECT path AS resource, change, fields FROM file_integrity
                 WHERE paths = :paths AND excludes = '[]' AND :accepted IS NOT NULL";
    let mut module = module("test-integrity", query, &[]);
    module.requires.tables = vec!["file_integrity".to_owned()];
    module.parameters = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "paths": { "type": "array", "default": ["/etc"] },
            "accepted": { "type": "string", "default": "" },
        },
    });
    module
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_keeps_a_baseline_until_what_changed_is_accepted() {
    let module = integrity_module();
    let (folder, server) = host_and_server(std::slice::from_ref(&module)).await;
    let _daemon = Daemon::start(&server, folder.path(), &[]);
    let run = async |parameters: BTreeMap<String, Value>| {
        let run = server.lock().enqueue_with(&module, parameters);
        let mut found = None;
        server
            .until(30, "the run", |platform| {
                found = platform.accepted.get(&run).cloned();
                found.is_some() || platform.unchanged.contains(&run)
            })
            .await;
        found
    };
    let verdict = |envelope: &catalog::envelope::Envelope| envelope.checks[0].verdict;
    let first = run(BTreeMap::new()).await.unwrap();
    assert_eq!((first.status, verdict(&first)), (RunStatus::Succeeded, Verdict::Pass), "{first:?}");

    fs::write(folder.path().join("root/etc/cron.allow"), "mallory\n").unwrap();
    let second = run(BTreeMap::new()).await.unwrap();
    assert_eq!(verdict(&second), Verdict::Fail, "{second:?}");
    assert_eq!(second.findings[0].resource, "/etc/cron.allow");
    assert!(run(BTreeMap::new()).await.is_none(), "the change stays, and nothing new is told");

    let accepted = BTreeMap::from([("accepted".to_owned(), json!("CHG-1"))]);
    assert_eq!(verdict(&run(accepted.clone()).await.unwrap()), Verdict::Pass);
    fs::remove_file(folder.path().join("root/etc/cron.allow")).unwrap();
    let last = run(accepted).await.unwrap();
    assert_eq!((verdict(&last), last.findings[0].resource.as_str()), (Verdict::Fail, "/etc/cron.allow"));
    assert_eq!(fs::read_dir(folder.path().join("state/baselines")).unwrap().count(), 1);
    assert_contract_kept(&server);
}
