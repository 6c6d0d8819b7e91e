//! Tables of Linux over what a test makes: pipes of a process that it starts, a plugin of an editor, a package of RPM.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::process::{Command, Stdio};

use tables::{Engine, Host, Limits};

mod made;

use made::{Made, ask, lines};

#[test]
fn a_pipe_has_two_ends_in_two_processes() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    let sql = format!(
        "SELECT mode, type, partner_pid, partner_mode FROM process_open_pipes WHERE pid = {} AND fd = 0",
        child.id()
    );
    let found = lines(&ask(&engine, &sql));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(found, [format!("r|anonymous|{}|w", std::process::id())]);
}

/// An archive of one stored entry (APPNOTE 4.3).
fn zip(name: &str, content: &str) -> Vec<u8> {
    let size = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let name_size = size(name.len())[..2].to_vec();
    let sizes = [size(content.len()), size(content.len())].concat();
    let local =
        [b"PK\x03\x04", &[0; 14][..], &sizes, &name_size, &[0; 2], name.as_bytes(), content.as_bytes()].concat();
    let entry = [b"PK\x01\x02", &[0; 16][..], &sizes, &name_size, &[0; 16], name.as_bytes()].concat();
    let end = [b"PK\x05\x06", &[0, 0, 0, 0, 1, 0, 1, 0][..], &size(entry.len()), &size(local.len()), &[0; 2]].concat();
    [local, entry, end].concat()
}

#[test]
fn a_plugin_is_described_in_its_archive() {
    let description =
        "<idea-plugin><id>x</id><name>Git Tools</name><version>1.2</version><vendor>ACME</vendor></idea-plugin>";
    let editor = "/home/eve/.local/share/JetBrains/IntelliJIdea2024.1";
    let host = Made::new()
        .with("/etc/passwd", "eve:x:1002:100::/home/eve:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n")
        .with(&format!("{editor}/git-tools/lib/other.jar"), zip("a.txt", ""))
        .with(&format!("{editor}/git-tools/lib/tools.jar"), zip("META-INF/plugin.xml", description))
        .with(&format!("{editor}/broken.jar"), "PK no archive")
        .with("/home/bob/real/plugin.jar", zip("META-INF/plugin.xml", description))
        .with_link("/home/bob/.local/share/JetBrains/GoLand2024.1", "/home/bob/real");
    let found = ask(&host.image(), "SELECT uid, product_type, name, version, vendor, path FROM jetbrains_plugins");
    assert_eq!(lines(&found), [format!("1002|intellij_idea|Git Tools|1.2|ACME|{editor}/git-tools")]);
}

#[test]
fn files_of_a_package_of_rpm_have_what_was_recorded() {
    let host = Made::new().with("/var/lib/rpm/rpmdb.sqlite", "");
    let database = rusqlite::Connection::open(host.path("/var/lib/rpm/rpmdb.sqlite")).unwrap();
    database.execute_batch("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)").unwrap();
    for package in ["sudo", "bash"] {
        // Tag, type, count and bytes of each value (`rpmtag.h`).
        let path = format!("{package}\0");
        let values: [(u32, u32, &[u8]); 6] = [
            (1_000, 6, path.as_bytes()),
            (1_116, 4, &[0; 4]),
            (1_117, 8, path.as_bytes()),
            (1_118, 8, b"/usr/bin/\0"),
            (1_030, 3, &[0x89, 0xed]),
            (1_039, 8, b"root\0"),
        ];
        let size: usize = values.iter().map(|(.., bytes)| bytes.len()).sum();
        let mut header = [values.len(), size].map(|word| u32::try_from(word).unwrap().to_be_bytes()).concat();
        let mut offset = 0;
        for (tag, kind, bytes) in values {
            header.extend([tag, kind, offset, 1].map(u32::to_be_bytes).concat());
            offset += u32::try_from(bytes.len()).unwrap();
        }
        for (.., bytes) in values {
            header.extend(bytes);
        }
        database.execute("INSERT INTO Packages (blob) VALUES (?1)", [header]).unwrap();
    }
    drop(database);
    let engine = host.image();
    let files = "SELECT package, path, username, mode FROM rpm_package_files";
    assert_eq!(lines(&ask(&engine, files)), ["sudo|/usr/bin/sudo|root|4755", "bash|/usr/bin/bash|root|4755"]);
    let one = ask(&engine, &format!("{files} WHERE package = 'bash'"));
    assert_eq!((lines(&one).len(), one.rows_read), (1, 1), "the condition did not reach the table");
}

#[test]
fn files_are_named_as_file_names_them() {
    let own = std::env::current_exe().unwrap();
    let engine = Engine::open(Host::running(), Limits::default()).unwrap();
    let paths =
        ["/bin/sh", "/usr/bin/ls", "/usr/bin/ldd", "/usr/bin/perl", "/etc/passwd", "/etc/ssl", own.to_str().unwrap()];
    for path in paths.iter().filter(|path| std::path::Path::new(path).exists()) {
        let Ok(said) = Command::new("file").args(["--brief", "--no-dereference", "--", path]).output() else {
            return eprintln!("not shown here: there is no program named file");
        };
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let found = ask(&engine, &format!("SELECT data FROM magic WHERE path = '{path}'"));
        assert_eq!(lines(&found), [said.replace("with debug_info, ", "")], "{path}");
    }
}
