//! The agent's program as a test starts it: its binary, a synthetic host, and what it said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use catalog::module::Module;
use serde_json::json;
use tests::harness::{children, program};

use super::platform::{ENROLL_TOKEN, Server};

/// The program.
pub fn binary() -> PathBuf {
    program("tenantra-agent").unwrap()
}

/// Runs the agent to its end.
pub fn agent(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).env_remove("TENA_HOST_ROOT").stdin(Stdio::null()).output().unwrap()
}

/// What a program wrote to standard error.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A root with two users and an open SSH daemon.
pub fn synthetic_root(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    for (path, content) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nadmin:x:0:0::/home/admin:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/shadow", "root:*:19000:0:99999:7:::\nadmin:*:19000:0:99999:7:::\n"),
        ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"),
        ("etc/hostname", "synthetic\n"),
        ("etc/ssh/sshd_config", "PermitRootLogin yes\nMaxAuthTries 9\n"),
        ("usr/sbin/sshd", ""),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    root
}

pub fn set_users(root: &Path, users: &[&str]) {
    let lines: Vec<String> = users.iter().map(|user| format!("{user}:x:0:0::/:/bin/sh\n")).collect();
    fs::write(root.join("etc/passwd"), lines.concat()).unwrap();
}

/// A module that fails for each second account with uid 0 and keeps the accounts.
pub fn users_module() -> Module {
    module("test-users", "SELECT username AS resource, uid FROM users WHERE uid = 0 AND username <> 'root'", &["users"])
}

/// A module that works for seconds.
pub fn slow_module() -> Module {
    let counting = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 12000000) \
                    SELECT 'x' AS resource FROM c WHERE n < 0";
    module("test-slow", counting, &[])
}

pub fn module(slug: &str, query: &str, collect: &[&str]) -> Module {
    let collect: Vec<_> = collect
        .iter()
        .map(|table| json!({ "table": table, "query": format!("SELECT username, uid FROM {table}"), "key": ["username"] }))
        .collect();
    serde_json::from_value(json!({
        "slug": slug, "version": "1.0.0", "title": slug, "category": "identity", "description": "a test",
        "platforms": { "os": ["linux"] }, "requires": { "tables": ["users"] }, "profile": "baseline_fast",
        "prerequisites": "none", "limits": "none", "privileges": "none", "data_sensitivity": "none",
        "checks": [{
            "id": format!("{slug}-check"), "title": "a check", "severity": "high", "query": query,
            "rationale": "a test", "remediation": { "text": "mend it" }, "controls": { "cis-debian-12": ["1.1.1"] },
        }],
        "collect": collect,
        "changelog": [{ "version": "1.0.0", "text": "first" }],
    }))
    .unwrap()
}

/// A daemon under test, killed when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub fn start(server: &Server, folder: &Path, more: &[&str]) -> Self {
        let log = folder.join(format!("agent-{}.log", rand::random::<u32>()));
        let ca_file =
            if more.contains(&"--ca-file") { vec![] } else { vec!["--ca-file".as_ref(), server.ca_file.as_os_str()] };
        let child = Command::new(binary())
            .args(["run", "--server", &server.url(), "--token", ENROLL_TOKEN, "--log-format", "json"])
            .args(ca_file)
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--host-root")
            .arg(folder.join("root"))
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Daemon { child, log }
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits.
    pub fn terminate(mut self) -> Duration {
        let begun = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.wait(10).success());
        begun.elapsed()
    }

    /// Waits for its own end.
    pub fn wait(&mut self, seconds: u64) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the agent did not end within {seconds} s:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log's lines with this message.
    pub fn lines(&self, message: &str) -> Vec<serde_json::Value> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter(|line| line["message"] == message).collect()
    }

    /// The processes that it started and that still run.
    pub fn children(&self) -> Vec<u32> {
        children(self.pid())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the agent's log:\n{}", self.log());
        }
    }
}
