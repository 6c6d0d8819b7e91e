//! The tables over hosts: one made for the test, with rows that are known, and the one that the test runs on.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::collections::BTreeMap;
use std::path::Path;

use catalog::envelope::{CheckVerdict, RunStatus, Verdict};
use catalog::module::Module;
use tables::scan::{ModuleRun, Order, run_module};
use tables::{ColumnType, Engine, Gap, Host, Limits, Parameters, QueryOutput, Table, Value, Warning};

struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        Made { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn with_link(self, path: &str, target: &str) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    fn with_mode(self, path: &str, mode: u32) -> Self {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(self.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        lines(&self.output(sql))
    }

    fn output(&self, sql: &str) -> QueryOutput {
        let engine = Engine::open(Host::image(self.folder.path()), Limits::default()).unwrap();
        engine.query(sql, &Parameters::new()).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

fn lines(output: &QueryOutput) -> Vec<String> {
    output.rows.iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")).collect()
}

/// A query that reads a table, with a condition where it needs one.
fn everything_of(table: &Table, limit: usize) -> String {
    let conditions: Vec<String> = table
        .required()
        .map(|(_, column)| match column.name {
            "path" => "path = '/etc/passwd'".to_owned(),
            "pattern" => "pattern = '.'".to_owned(),
            name => format!("{name} = 'x'"),
        })
        .take(if table.any_required { 1 } else { usize::MAX })
        .collect();
    let place = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("SELECT * FROM {}{place} LIMIT {limit}", table.name)
}

/// Tables whose rows come from the walk of the whole file system, too much for this host in a test.
const WALKED: [&str; 2] = ["suid_bin", "unusual_files"];

#[test]
fn there_are_enough_tables_and_their_names_are_sorted() {
    let names: Vec<&str> = Engine::tables().iter().map(|table| table.name).collect();
    assert!(names.len() >= 55, "{}", names.len());
    assert!(names.is_sorted());
}

#[test]
fn every_table_of_this_host_holds_what_its_columns_say() {
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    for table in Engine::tables().iter().filter(|table| !WALKED.contains(&table.name)) {
        let output = engine
            .query(&everything_of(table, 300), &Parameters::new())
            .unwrap_or_else(|error| panic!("{}: {error}", table.name));
        let shown: Vec<_> = table.columns.iter().filter(|column| !column.is_hidden).collect();
        assert_eq!(output.columns.len(), shown.len(), "{}", table.name);
        for (column, value) in output.rows.iter().flat_map(|row| shown.iter().zip(row)) {
            let is_right = match (column.kind, value) {
                (_, Value::Null) | (ColumnType::Text, Value::Text(_)) | (ColumnType::Double, Value::Real(_)) => true,
                (ColumnType::Text | ColumnType::Double, _) => false,
                (_, other) => matches!(other, Value::Integer(_)),
            };
            assert!(is_right, "{}.{} is {:?} but holds {value:?}", table.name, column.name, column.kind);
        }
    }
}

#[test]
fn this_host_has_processes_and_this_test_is_one() {
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    let own = i64::from(std::process::id());
    let parameters = Parameters::from([("pid".to_owned(), Value::Integer(own))]);
    let sql = "SELECT name, uid, on_disk FROM processes WHERE pid = :pid";
    let answer = engine.query(sql, &parameters).unwrap();
    assert_eq!(answer.rows.len(), 1);
    assert_eq!(answer.rows_read, 1, "the condition did not reach the table");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let parameters = Parameters::from([("port".to_owned(), Value::from(port))]);
    let sql = "SELECT pid, address, protocol FROM listening_ports WHERE port = :port AND family = 2";
    let answer = engine.query(sql, &parameters).unwrap();
    assert_eq!(answer.rows, [[Value::Integer(own), Value::from("127.0.0.1"), Value::Integer(6)]]);
}

#[test]
fn an_empty_image_gives_no_rows_and_live_tables_say_why() {
    let image = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        .with("/etc/group", "root:x:0:\n")
        .with("/etc/shadow", "");
    for table in Engine::tables() {
        let output = image.output(&everything_of(table, 10));
        if table.is_live_only {
            assert!(output.rows.is_empty(), "{}", table.name);
            assert_eq!(output.warnings.len(), 1, "{}", table.name);
        } else {
            let is_nothing_to_read = |warning: &Warning| warning.gap == Gap::NoSubject;
            assert!(output.warnings.iter().all(is_nothing_to_read), "{}: {:?}", table.name, output.warnings);
        }
    }
}

#[test]
fn hostile_files_in_every_place_do_not_end_a_query() {
    let noise: String = (0..4_000_u32).filter_map(|number| char::from_u32(number * 7 % 0x2000)).collect();
    let lines = "[\n\"\\\n=:\n#\n@include x\nmatch\n{}\n\u{0}\u{0}\nPackage:\n".repeat(50);
    let mut image = Made::new();
    for path in [
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
        "/etc/login.defs",
        "/etc/fstab",
        "/etc/hosts",
        "/etc/services",
        "/etc/protocols",
        "/etc/resolv.conf",
        "/etc/os-release",
        "/etc/crontab",
        "/etc/sudoers",
        "/etc/ssh/sshd_config",
        "/etc/ssh/ssh_config",
        "/etc/sysctl.conf",
        "/etc/sysctl.d/x.conf",
        "/etc/modprobe.d/x.conf",
        "/etc/pam.d/x",
        "/etc/audit/audit.rules",
        "/etc/default/grub",
        "/boot/grub/grub.cfg",
        "/var/lib/dpkg/status",
        "/var/log/wtmp",
        "/etc/apt/sources.list",
        "/etc/apt/sources.list.d/x.sources",
        "/etc/yum.repos.d/x.repo",
        "/etc/ssl/certs/x.pem",
        "/etc/systemd/system/x.service",
        "/etc/systemd/system/x.timer",
        "/etc/systemd/system/x.mount",
        "/bin/sh",
        "/usr/lib/node_modules/x/package.json",
        "/usr/lib/python3/dist-packages/x.egg-info",
        "/etc/xdg/autostart/x.desktop",
    ] {
        image = image.with(path, &format!("{noise}\n{lines}{noise}"));
    }
    for table in Engine::tables() {
        image.output(&everything_of(table, 1_000));
    }
}

#[test]
fn the_ssh_server_is_read_as_it_would_read_itself() {
    let image = Made::new()
        .with("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\nX11Forwarding yes\nAcceptEnv LANG\nAcceptEnv LC_*\nLoginGraceTime 1m\nCiphers -aes128-*\nMatch User git\n  X11Forwarding no\n  Banner /x\nMatch all\nMaxAuthTries 3\n")
        .with("/etc/ssh/sshd_config.d/50-x.conf", "permitrootlogin without-password\nMatch User x\nUseDNS yes\n");
    let value = |keyword: &str| {
        image
            .ask(&format!("SELECT value, source FROM sshd_effective_config WHERE keyword = '{keyword}' ORDER BY value"))
    };
    assert_eq!(value("permitrootlogin"), ["without-password|/etc/ssh/sshd_config.d/50-x.conf"]);
    assert_eq!(value("x11forwarding"), ["yes|/etc/ssh/sshd_config"]);
    assert_eq!(value("banner"), ["none|default"]);
    assert_eq!(value("usedns"), ["no|default"]);
    assert_eq!(value("maxauthtries"), ["3|/etc/ssh/sshd_config"]);
    assert_eq!(value("logingracetime"), ["60|/etc/ssh/sshd_config"]);
    assert_eq!(value("acceptenv"), ["LANG|/etc/ssh/sshd_config", "LC_*|/etc/ssh/sshd_config"]);
    assert!(value("ciphers")[0].starts_with("chacha20-poly1305@openssh.com,aes192-ctr,"));
    assert!(Made::new().ask("SELECT * FROM sshd_effective_config").is_empty());
}

#[test]
fn kernel_settings_are_taken_in_the_order_of_sysctl_d() {
    let image = Made::new()
        .with("/usr/lib/sysctl.d/50-default.conf", "kernel.sysrq = 16\nnet.ipv4.ip_forward = 1\n")
        .with("/usr/lib/sysctl.d/10-hidden.conf", "a.b = 1\n")
        .with_link("/etc/sysctl.d/10-hidden.conf", "/dev/null")
        .with("/etc/sysctl.d/60-own.conf", "net/ipv4/ip_forward=0\n")
        .with_link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf")
        .with("/etc/sysctl.conf", "kernel.sysrq=0\n");
    assert_eq!(
        image.ask("SELECT name, value, source FROM sysctl_configured ORDER BY name"),
        ["kernel.sysrq|0|/etc/sysctl.conf", "net.ipv4.ip_forward|0|/etc/sysctl.d/60-own.conf"]
    );
}

#[test]
fn units_have_the_states_that_systemctl_would_show() {
    let service = "[Unit]\nDescription=A service\n[Service]\nUser=app\n[Install]\nWantedBy=multi-user.target\n";
    let image = Made::new()
        .with("/usr/lib/systemd/system/on.service", service)
        .with_link("/etc/systemd/system/multi-user.target.wants/on.service", "/usr/lib/systemd/system/on.service")
        .with("/usr/lib/systemd/system/off.service", service)
        .with("/usr/lib/systemd/system/fixed.service", "[Unit]\nDescription=x\n")
        .with("/usr/lib/systemd/system/hidden.service", service)
        .with_link("/etc/systemd/system/hidden.service", "/dev/null")
        .with_link("/etc/systemd/system/alias.service", "/usr/lib/systemd/system/on.service")
        .with("/usr/lib/systemd/system/getty@.service", service)
        .with_link(
            "/etc/systemd/system/getty.target.wants/getty@tty1.service",
            "/usr/lib/systemd/system/getty@.service",
        )
        .with("/usr/lib/systemd/system/off.timer", "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n")
        .with("/etc/init.d/old", "#!/bin/sh\n");
    assert_eq!(
        image.ask("SELECT id, unit_file_state, load_state, active_state FROM systemd_units WHERE id LIKE '%.service' ORDER BY id"),
        [
            "alias.service|alias|loaded|unknown",
            "fixed.service|static|loaded|unknown",
            "getty@.service|disabled|loaded|unknown",
            "getty@tty1.service|enabled|loaded|unknown",
            "hidden.service|masked|masked|unknown",
            "off.service|disabled|loaded|unknown",
            "old.service|generated|loaded|unknown",
            "on.service|enabled|loaded|unknown",
        ]
    );
    assert_eq!(
        image.ask("SELECT name, unit, state, schedule FROM systemd_timers"),
        ["off.timer|off.service|disabled|daily"]
    );
    assert_eq!(image.ask("SELECT description, user FROM systemd_units WHERE id = 'on.service'"), ["A service|app"]);
}

#[test]
fn unusual_files_are_found_in_one_walk() {
    let image = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        .with("/etc/group", "root:x:0:\n")
        .with("/usr/bin/sudo", "x")
        .with_mode("/usr/bin/sudo", 0o4755)
        .with("/usr/bin/wall", "x")
        .with_mode("/usr/bin/wall", 0o2755)
        .with("/srv/open", "x")
        .with_mode("/srv/open", 0o666)
        .with("/srv/plain", "x")
        .with("/tmp/x", "x")
        .with_mode("/tmp", 0o1777);
    assert_eq!(
        image.ask("SELECT path, mode, setuid, setgid, world_writable, sticky FROM unusual_files WHERE no_user = 0 ORDER BY path"),
        [
            "/srv/open|0666|0|0|1|0",
            "/tmp|1777|0|0|1|1",
            "/usr/bin/sudo|4755|1|0|0|0",
            "/usr/bin/wall|2755|0|1|0|0",
        ]
    );
    assert_eq!(
        image.ask("SELECT path, username, permissions FROM suid_bin ORDER BY path"),
        ["/usr/bin/sudo|root|S", "/usr/bin/wall|root|G"]
    );
}

#[test]
fn accounts_packages_and_jobs_are_listed() {
    let image = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n")
        .with("/etc/group", "root:x:0:\nusers:x:100:\nsudo:x:27:bob\n")
        .with("/etc/shadow", "root:*:19000:0:99999:7:::\nbob:$y$j9T$a$b:19500:1:365:7:30::\n")
        .with("/var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nVersion: 5.2-3\nArchitecture: amd64\n\nPackage: old\nStatus: deinstall ok config-files\nVersion: 1\n")
        .with("/var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\n")
        .with("/etc/crontab", "SHELL=/bin/sh\n17 * * * * root run-parts /etc/cron.hourly\n")
        .with("/etc/sudoers", "Defaults use_pty\n@includedir /etc/sudoers.d\n")
        .with("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n")
        .with("/etc/sudoers.d/skipped.bak", "eve ALL=(ALL) ALL\n")
        .with("/home/bob/.ssh/authorized_keys", "ssh-ed25519 AAAA bob@laptop\n")
        .with_link("/home/bob/.ssh/known_hosts", "/etc/shadow");
    assert_eq!(
        image.ask("SELECT u.username, g.groupname FROM user_groups JOIN users u USING (uid) JOIN groups g ON g.gid = user_groups.gid ORDER BY 1, 2"),
        ["bob|sudo", "bob|users", "root|root"]
    );
    assert_eq!(
        image.ask("SELECT username, password_status, hash_alg, max, inactive, expire FROM shadow"),
        ["root|locked||99999|-1|-1", "bob|active|y|365|30|-1"]
    );
    assert_eq!(
        image.ask("SELECT name, version, revision, status FROM deb_packages ORDER BY name"),
        ["bash|5.2-3|3|install ok installed", "old|1||deinstall ok config-files", "tzdata|2024a||install ok installed"]
    );
    assert_eq!(image.ask("SELECT hour, command FROM crontab"), ["*|root run-parts /etc/cron.hourly"]);
    assert_eq!(
        image.ask("SELECT source, header FROM sudoers WHERE header NOT LIKE '@%'"),
        ["/etc/sudoers|Defaults", "/etc/sudoers.d/bob|bob"]
    );
    assert_eq!(image.ask("SELECT uid, algorithm, comment FROM authorized_keys"), ["1001|ssh-ed25519|bob@laptop"]);
    let linked = image.output("SELECT * FROM known_hosts");
    assert!(linked.rows.is_empty(), "a user's link was followed");
    assert_eq!(linked.warnings.len(), 1);
}

#[test]
fn passwords_that_are_tried_first_are_found_and_no_digest_is_shown() {
    let image = Made::new()
        .with("/etc/passwd", "ada:x:1000:100:Ada Lovelace:/home/ada:/bin/sh\n")
        .with(
            "/etc/shadow",
            concat!(
                "root:*:19000:0:99999:7:::\n",
                "ada:$6$saltsalt$FZ4KTSPbOoewdFOzLTU0/j13.9Gf1W5JeHSGeB7kmsbfzaAwcdhuwJcM1eoRG2wTj1rpQQqQm2u13IHdFpgo2/:19500::::::\n",
                "bob:$y$j9T$abcdefghijklmnopqrstu.$hOANHDeGzVqYWWF39eSAyrD8x5H0MAysFIUjoO4ZXUC:19500::::::\n",
                "cy:$5$saltsalt$myjXcpMpE2Ofk7fj9hqyNYSn6lmWG4Mqnjx.KIRRr4/:19500::::::\n",
                "dee:$5$saltsalt$38QJlbbyxZ7Je7WEM1INhK/kmG8nJg9JoaQRUREQ145:19500::::::\n",
                "eve:$6$saltsalt$qkTgsCrWMTAS9gBGcf9W60sFfH.hU0oTCAOJjhbz5tSp/sU3/xXZK4OFwCtq8lIIdpJ6CatVdOTSHKp97TPkt/:19500::::::\n",
                "fay:$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/:19500::::::\n",
                "gus:!$y$j9T$abcdefghijklmnopqrstu.$hOANHDeGzVqYWWF39eSAyrD8x5H0MAysFIUjoO4ZXUC:19500::::::\n",
            ),
        )
        .with("/srv/breached.txt", "one\nkqx-71-breach\r\ntwo\n");
    let found = ["ada|the account's own names", "bob|a common password", "eve|nothing", "fay|an obsolete digest"];
    let asked = image.output("SELECT username, found FROM weak_passwords ORDER BY 1");
    assert_eq!(lines(&asked), found);
    assert!(asked.warnings.is_empty(), "{:?}", asked.warnings);
    assert_eq!(
        image.ask("SELECT username, found FROM weak_passwords WHERE list = '/srv/breached.txt' AND username = 'dee'"),
        ["dee|a password of the list"]
    );
    assert!(image.ask("SELECT * FROM weak_passwords").iter().all(|line| !line.contains("saltsalt")));
    let missing = image.output("SELECT * FROM weak_passwords WHERE list = '/srv/none.txt' AND username = 'cy'");
    assert!(missing.rows.is_empty());
    assert_eq!(missing.warnings.len(), 1, "a list that is not there is said");
    let costly =
        Made::new().with("/etc/shadow", &format!("ada:$6$rounds=999999999$saltsalt${}:1::::::\n", "x".repeat(86)));
    let untried = costly.output("SELECT * FROM weak_passwords");
    assert!(untried.rows.is_empty() && untried.warnings[0].message.contains("more time or memory"), "{untried:?}");
}

#[test]
fn no_part_of_a_home_folder_leads_elsewhere() {
    let image = Made::new()
        .with("/etc/passwd", "bob:x:1001:100::/home/bob:/bin/sh\neve:x:1002:100::/users/eve:/bin/sh\n")
        .with("/root/.ssh/authorized_keys", "ssh-ed25519 AAAA root@x\n")
        .with("/root/.ssh/id_rsa", "-----BEGIN RSA PRIVATE KEY-----\n")
        .with("/home/bob/x", "")
        .with_link("/home/bob/.ssh", "/root/.ssh")
        .with("/home/eve/.ssh/authorized_keys", "ssh-ed25519 AAAA eve@x\n")
        .with_link("/users", "/home");
    assert_eq!(image.ask("SELECT uid, key_file FROM authorized_keys"), ["1002|/users/eve/.ssh/authorized_keys"]);
    assert!(image.ask("SELECT * FROM user_ssh_keys").is_empty());
}

fn module_of(check: &serde_json::Value) -> Module {
    serde_json::from_value(serde_json::json!({
        "slug": "test", "version": "1.0.0", "title": "test", "category": "identity", "description": "a test",
        "platforms": { "os": ["linux"] }, "requires": { "tables": [] }, "profile": "baseline_fast",
        "prerequisites": "none", "limits": "none", "privileges": "none", "data_sensitivity": "none",
        "checks": [check],
        "collect": [{ "table": "accounts", "query": "SELECT username FROM shadow", "key": ["username"] }],
        "changelog": [{ "version": "1.0.0", "text": "first" }],
    }))
    .unwrap()
}

fn run_of(image: &Made, query: &str, applies: Option<&str>) -> ModuleRun {
    let mut check = serde_json::json!({
        "id": "one", "title": "one", "severity": "high", "query": query, "rationale": "a test",
        "remediation": { "text": "mend it" }, "controls": {},
    });
    if let Some(applies) = applies {
        check["applies"] = applies.into();
    }
    let engine = Engine::open(Host::image(image.folder.path()), Limits::default()).unwrap();
    let order = Order {
        run_id: uuid::Uuid::nil(),
        started_at: chrono::Utc::now(),
        parameters: BTreeMap::new(),
        previous: None,
    };
    run_module(&engine, &module_of(&check), order)
}

#[test]
fn a_check_whose_source_cannot_be_read_does_not_pass() {
    let readable = Made::new().with("/etc/shadow", "bob::19500:0:99999:7:::\n");
    // Root may read everything but this.
    let closed = Made::new().with_link("/etc/shadow", "shadow").with("/etc/passwd", "bob:x:1:1::/:/bin/sh\n");
    let empty = "SELECT username AS resource FROM shadow WHERE password_status = 'empty'";
    let decided = |image: &Made, query: &str, applies: Option<&str>| {
        let run = run_of(image, query, applies);
        let CheckVerdict { verdict, message, .. } = run.envelope.checks[0].clone();
        (verdict, message.unwrap_or_default(), run.envelope.status)
    };
    assert_eq!(decided(&readable, empty, None).0, Verdict::Fail);
    let (verdict, message, status) = decided(&closed, empty, None);
    assert_eq!((verdict, status), (Verdict::Error, RunStatus::Partial));
    assert!(message.contains("cannot read /etc/shadow"), "{message}");
    let (verdict, message, _) = decided(&closed, "SELECT 1 AS resource", Some("SELECT 1 FROM shadow"));
    assert_eq!(verdict, Verdict::Error);
    assert!(message.contains("cannot read /etc/shadow"), "{message}");
    // What fails fails, whatever else was not read.
    let both = "SELECT username AS resource FROM users UNION SELECT username FROM shadow";
    assert_eq!(decided(&closed, both, None).0, Verdict::Fail);
    assert_eq!(run_of(&closed, both, None).unread_tables, ["accounts"]);
    // Nothing to read is something else.
    let directives = "SELECT module AS resource FROM modprobe_configured";
    assert_eq!(decided(&Made::new(), directives, None).0, Verdict::Pass);
    let live = decided(&Made::new(), "SELECT name AS resource FROM processes", None);
    assert_eq!(live.0, Verdict::NotApplicable);
    assert!(live.1.contains("running system"), "{}", live.1);
}

#[test]
fn a_folder_or_nothing_in_place_of_a_file_is_no_failure_to_read() {
    let image = Made::new().with("/etc/sudoers.d/x/y", "").with("/etc/modprobe.d/x.conf/y", "");
    let image = image.with("/etc/sudoers", "@includedir /etc/sudoers.d\n").with("/etc/crontab/x", "");
    for table in ["sudoers", "modprobe_configured", "crontab"] {
        let warnings = image.output(&format!("SELECT * FROM {table}")).warnings;
        assert!(warnings.is_empty(), "{table}: {warnings:?}");
    }
}

#[test]
fn a_nul_byte_becomes_the_replacement_character() {
    let image = Made::new()
        .with("/etc/passwd", "bob:x:1001:100::/home/bob:/bin/sh\n")
        .with("/home/bob/.ssh/authorized_keys", "ssh-ed25519 AAAA bob\u{0}@laptop\n");
    assert_eq!(image.ask("SELECT comment FROM authorized_keys"), ["bob\u{fffd}@laptop"]);
}

#[test]
fn files_that_include_each_other_are_not_read_without_end() {
    let every = "Include /etc/ssh/sshd_config.d/*\n".repeat(4);
    let mut image =
        Made::new().with("/etc/ssh/sshd_config", &every).with("/etc/sudoers", "@includedir /etc/sudoers.d\n");
    for name in ["a", "b", "c", "d"] {
        image = image
            .with(&format!("/etc/ssh/sshd_config.d/{name}"), &every)
            .with(&format!("/etc/sudoers.d/{name}"), "@includedir /etc/sudoers.d\n");
    }
    assert_eq!(image.output("SELECT * FROM sshd_effective_config").warnings.len(), 1);
    assert_eq!(image.output("SELECT * FROM sudoers").warnings.len(), 1);
}

#[test]
fn checks_of_one_run_see_the_same_packages() {
    let image = Made::new().with("/var/lib/dpkg/status", "Package: a\nVersion: 1\n");
    let engine = Engine::open(Host::image(image.folder.path()), Limits::default()).unwrap();
    let names = || lines(&engine.query("SELECT name FROM deb_packages", &Parameters::new()).unwrap());
    assert_eq!(names(), ["a"]);
    std::fs::write(image.path("/var/lib/dpkg/status"), "Package: b\nVersion: 1\n").unwrap();
    assert_eq!(names(), ["a"]);
    let one = engine.query("SELECT version FROM deb_packages WHERE name = 'a'", &Parameters::new()).unwrap();
    assert_eq!((lines(&one), one.rows_read), (vec!["1".to_owned()], 1));
    let none = engine.query("SELECT version FROM deb_packages WHERE name = 'c'", &Parameters::new()).unwrap();
    assert_eq!(none.rows_read, 0, "kept rows were not compared before they were counted");
    assert_eq!(image.ask("SELECT name FROM deb_packages"), ["b"]);
}

#[test]
fn files_changed_after_installation_are_found() {
    let image = Made::new()
        .with("/usr/bin/same", "")
        .with("/usr/bin/other", "changed")
        .with("/var/lib/dpkg/info/x:amd64.list", "/.\n/usr/bin\n/usr/bin/same\n")
        .with(
            "/var/lib/dpkg/info/x:amd64.md5sums",
            "d41d8cd98f00b204e9800998ecf8427e  usr/bin/same\nd41d8cd98f00b204e9800998ecf8427e  usr/bin/other\n",
        );
    assert_eq!(
        image.ask("SELECT c.path FROM deb_package_checksums c JOIN hash h ON h.path = c.path WHERE h.md5 <> c.md5"),
        ["/usr/bin/other"]
    );
    assert_eq!(image.ask("SELECT path FROM deb_package_files WHERE package = 'x'"), ["/usr/bin", "/usr/bin/same"]);
}

#[test]
fn packages_of_rpm_are_read_from_its_database() {
    let image = Made::new().with("/var/lib/rpm/rpmdb.sqlite", "");
    let database = rusqlite::Connection::open(image.path("/var/lib/rpm/rpmdb.sqlite")).unwrap();
    database.execute_batch("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)").unwrap();
    let mut header = vec![0, 0, 0, 2, 0, 0, 0, 9];
    for word in [1000_u32, 6, 0, 1, 1001, 6, 5, 1] {
        header.extend(word.to_be_bytes());
    }
    header.extend(b"bash\x005.2\0");
    database.execute("INSERT INTO Packages (blob) VALUES (?1)", [header]).unwrap();
    database.execute("INSERT INTO Packages (blob) VALUES (?1)", [vec![255_u8; 40]]).unwrap();
    drop(database);
    assert_eq!(image.ask("SELECT name, version FROM rpm_packages"), ["bash|5.2"]);
    let broken = Made::new().with("/var/lib/rpm/rpmdb.sqlite", "no database at all, but long enough to look like one");
    assert_eq!(broken.output("SELECT * FROM rpm_packages").warnings.len(), 1);
}

#[test]
fn queries_as_osquery_s_packs_have_them_run() {
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    for sql in [
        "select * from time, osquery_info;",
        "select liu.*, p.name, p.cmdline, p.cwd, p.root from logged_in_users liu, processes p where liu.pid = p.pid;",
        "select distinct pid, family, protocol, local_address, local_port, remote_address, remote_port, path from process_open_sockets where path <> '' or remote_address <> '';",
        "select * from block_devices where type = 'Virtual Interface';",
        "select * from kernel_info join hash using (path);",
        "select file.path, uid, gid, mode, 0 as atime, mtime, ctime, block_size, mode, type from file where directory = '/dev/';",
        "select i.*, p.resident_size, p.user_time, p.system_time, time.minutes as counter from osquery_info i, processes p, time where p.pid = i.pid;",
        "select chrome_extensions.* from users join chrome_extensions using (uid);",
        "select firefox_addons.* from users join firefox_addons using (uid);",
        "select username, algorithm, options, comment, key_file from users join authorized_keys using (uid) where options != '';",
        "select username, path, key_type, key_length, key_security_bits from users join user_ssh_keys using (uid) where encrypted = 0;",
        "select distinct * from hardware_events where path <> '' or model <> '';",
        "select feature, value, output_register, output_bit, input_eax from cpuid;",
        "select name, (user_time/executions) as avg_user_time, average_memory, last_executed from osquery_schedule;",
        "select name, publisher, type, subscriptions, events, active from osquery_events;",
        "select * from file where path in ('/usr/include/.../', '/usr/include/rpc/ ../kit', '/tmp./update');",
    ] {
        engine.query(sql, &Parameters::new()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    let nodes = engine.query("select path from file where directory = '/dev/'", &Parameters::new()).unwrap();
    assert!(lines(&nodes).contains(&"/dev/null".to_owned()));
}

#[test]
fn boot_and_mount_settings_are_listed() {
    let image = Made::new()
        .with("/etc/fstab", "# x\nUUID=1 / ext4 errors=remount-ro 0 1\ntmpfs /tmp tmpfs nosuid,nodev 0 0\n")
        .with("/etc/systemd/system/var-tmp.mount", "[Mount]\nWhat=tmpfs\nWhere=/var/tmp\nType=tmpfs\nOptions=noexec\n")
        .with("/etc/modprobe.d/cis.conf", "install usb-storage /bin/false\nblacklist usb-storage\n")
        .with("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"audit=1\"\n")
        .with("/boot/grub/grub.cfg", "set superusers=\"root\"\n\tlinux /vmlinuz ro audit=1\n")
        .with("/etc/os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\n")
        .with("/etc/debian_version", "12.7\n");
    assert_eq!(
        image.ask("SELECT path, type, options, source FROM mount_options_configured ORDER BY path"),
        [
            "/|ext4|errors=remount-ro|/etc/fstab",
            "/tmp|tmpfs|nosuid,nodev|/etc/fstab",
            "/var/tmp|tmpfs|noexec|/etc/systemd/system/var-tmp.mount",
        ]
    );
    assert_eq!(
        image.ask("SELECT module, directive, value FROM modprobe_configured"),
        ["usb_storage|install|/bin/false", "usb_storage|blacklist|"]
    );
    assert_eq!(
        image.ask("SELECT key, value FROM grub_config"),
        ["GRUB_CMDLINE_LINUX|audit=1", "set|superusers=\"root\"", "linux|/vmlinuz ro audit=1"]
    );
    assert_eq!(
        image.ask("SELECT platform, major, minor, codename, version FROM os_version"),
        ["debian|12|7|bookworm|12 (bookworm)"]
    );
}

#[test]
fn a_root_that_does_not_exist_is_named() {
    let error = Engine::open(Host::image("/nothing/here"), Limits::default()).unwrap_err();
    assert!(error.to_string().contains("/nothing/here"), "{error}");
    assert!(!Path::new("/nothing/here").exists());
}

#[test]
fn a_configuration_of_sshd_that_is_no_file_decides_nothing() {
    let check =
        "SELECT value AS resource FROM sshd_effective_config WHERE keyword = 'permitrootlogin' AND value = 'yes'";
    let applies = Some("SELECT 1 FROM sshd_effective_config LIMIT 1");
    let dangling = Made::new().with("/usr/sbin/sshd", "").with_link("/etc/ssh/sshd_config", "nowhere");
    let folder = Made::new().with("/usr/sbin/sshd", "").with("/etc/ssh/sshd_config/x", "");
    for host in [dangling, folder] {
        for applies in [applies, None] {
            let decided = run_of(&host, check, applies).envelope.checks[0].clone();
            assert_eq!(decided.verdict, Verdict::Error);
            assert!(decided.message.unwrap().contains("cannot be read as a file"));
        }
    }
    let linked = Made::new().with("/etc/ssh/own", "PermitRootLogin yes\n").with_link("/etc/ssh/sshd_config", "own");
    assert_eq!(run_of(&linked, check, applies).envelope.checks[0].verdict, Verdict::Fail);
}
