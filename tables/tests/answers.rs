//! Answers that depend on how SQLite reads a table: several times for one question, or with several conditions at once.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::os::unix::ffi::OsStrExt;

mod made;

use made::Made;

fn host() -> Made {
    Made::new()
        .with("/etc/passwd", "root:x:0:0::/root:/bin/bash\nbob:x:1001:100::/home/bob:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n")
        .with("/etc/group", "root:x:0:\nsudo:x:27:bob\n")
        .with("/etc/aa", "")
        .with("/etc/bb", "")
        .with("/etc/bc", "")
        .with("/etc/ssh/sshd_config", "PermitRootLogin no\n")
        .with("/home/bob/.ssh/id_rsa", "")
        .with("/root/notes", "")
        .with(
            "/var/lib/dpkg/status",
            "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 2\n\n\
             Package: c\nStatus: install ok installed\nVersion: 3\n",
        )
}

fn rows(sql: &str) -> Vec<String> {
    made::lines(&made::ask(&host().image(), sql))
}

#[test]
fn or_keeps_every_row_and_shows_none_twice() {
    for (sql, expected) in [
        (
            "SELECT path FROM file WHERE (path LIKE '/home/%/.ssh/%' OR path LIKE '/root/%') AND type = 'regular' ORDER BY path",
            &["/home/bob/.ssh/id_rsa", "/root/notes"][..],
        ),
        (
            "SELECT path FROM file WHERE path = '/etc/aa' OR path LIKE '/etc/b%' ORDER BY path",
            &["/etc/aa", "/etc/bb", "/etc/bc"],
        ),
        (
            "SELECT path FROM file WHERE path LIKE '/etc/b%' OR path LIKE '/etc/%b' ORDER BY path",
            &["/etc/bb", "/etc/bc"],
        ),
        (
            "SELECT path FROM file WHERE path IN ('/etc/aa', '/etc/bb') OR directory = '/root' ORDER BY path",
            &["/etc/aa", "/etc/bb", "/root/notes"],
        ),
        (
            "SELECT name FROM deb_packages WHERE (name = 'b' AND version = '2') OR (name = 'c' AND version = '3') ORDER BY name",
            &["b", "c"],
        ),
        ("SELECT count(*) FROM deb_packages WHERE name = 'a' OR version = '1' OR name = 'c'", &["2"]),
        // Two rows alike are two rows.
        ("SELECT count(*) FROM users WHERE username = 'bob' OR uid = 1001", &["2"]),
        ("SELECT count(*) FROM users WHERE username = 'bob' OR uid = 0", &["3"]),
    ] {
        assert_eq!(rows(sql), expected, "{sql}");
    }
}

#[test]
fn a_full_join_shows_what_has_no_partner_on_either_side_once() {
    assert_eq!(
        rows("SELECT u.username, g.groupname FROM users u FULL JOIN groups g ON g.gid = u.gid ORDER BY 1, 2"),
        ["|sudo", "bob|", "bob|", "root|root"]
    );
    assert_eq!(
        rows("SELECT u.username, g.groupname FROM users u RIGHT JOIN groups g ON g.gid = u.gid ORDER BY 2"),
        ["root|root", "|sudo"]
    );
}

#[test]
fn a_second_condition_on_a_path_narrows_the_answer_and_never_empties_it() {
    for (sql, expected) in [
        ("SELECT path FROM file WHERE directory = '/etc' AND path LIKE '%passwd'", &["/etc/passwd"][..]),
        ("SELECT path FROM file WHERE path LIKE '/etc/%' AND path LIKE '%passwd'", &["/etc/passwd"]),
        ("SELECT path FROM file WHERE path LIKE '%passwd' AND path LIKE '/etc/%'", &["/etc/passwd"]),
        ("SELECT path FROM file WHERE directory = '/etc/ssh' AND path LIKE '/etc/%'", &["/etc/ssh/sshd_config"]),
        ("SELECT path FROM file WHERE directory LIKE '/etc/%' AND path LIKE '/etc/%'", &["/etc/ssh/sshd_config"]),
        ("SELECT path FROM file WHERE path GLOB '/etc/b*' AND path LIKE '/etc/%b'", &["/etc/bb"]),
        ("SELECT path FROM hash WHERE directory = '/etc' AND path LIKE '%passwd'", &["/etc/passwd"]),
        (
            "SELECT path, line FROM file_lines WHERE path LIKE '%passwd' AND path LIKE '/etc/%' AND pattern = '^root'",
            &["/etc/passwd|root:x:0:0::/root:/bin/bash"],
        ),
        ("SELECT line FROM file_lines WHERE path = '/etc//ssh/sshd_config' AND pattern = '.'", &["PermitRootLogin no"]),
        // A pattern that ends in a slash is of folders, which are shown with it.
        ("SELECT path FROM file WHERE directory LIKE '/home/%/.ssh/'", &["/home/bob/.ssh/id_rsa"]),
        ("SELECT path FROM file WHERE path LIKE '/home/%/'", &["/home/bob/"]),
        ("SELECT path FROM file WHERE path LIKE '/etc/a%/'", &[]),
    ] {
        assert_eq!(rows(sql), expected, "{sql}");
    }
    let told = made::ask(&host().image(), "SELECT path FROM file WHERE path LIKE '%passwd'").warnings;
    assert!(told.iter().any(|warning| warning.message.contains("begins in no folder")), "{told:?}");
}

#[test]
fn a_name_that_is_not_utf8_hides_no_file() {
    let host = host().with("/tmp/other", "");
    let odd = |folder: &str, name: &[u8]| host.path(folder).join(std::ffi::OsStr::from_bytes(name));
    std::fs::write(odd("/tmp", b".x\xff"), "evil").unwrap();
    // A name of these very letters must not stand for the other.
    std::fs::write(odd("/tmp", br".x\xff"), "good").unwrap();
    std::fs::write(
        odd("/home/bob/.ssh", b"id_rsa\xff"),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
    )
    .unwrap();
    let host = host.with("/var/lib/dpkg/info/odd.list", b"/.\n/tmp/.x\xff\n");
    let engine = host.image();
    let lines = |sql: &str| made::lines(&made::ask(&engine, sql));
    assert_eq!(
        lines(
            "SELECT path, line FROM file_lines WHERE pattern = '.' AND path IN (SELECT path FROM file WHERE path GLOB '/tmp/.x*') ORDER BY line"
        ),
        [r"/tmp/.x\xff|evil", r"/tmp/.x\x5cxff|good"]
    );
    assert_eq!(lines("SELECT count(*) FROM file f JOIN hash h ON h.path = f.path WHERE f.path GLOB '/tmp/.x*'"), ["2"]);
    assert_eq!(lines(r"SELECT path FROM file WHERE path GLOB '/tmp/.x\xff*'"), [r"/tmp/.x\xff"]);
    assert_eq!(lines("SELECT DISTINCT path FROM user_ssh_keys"), [r"/home/bob/.ssh/id_rsa\xff"]);
    // A list of a package's files names the file by the same text.
    let listed =
        "SELECT p.package FROM file f JOIN deb_package_files p ON p.path = f.path WHERE f.path GLOB '/tmp/.x*'";
    assert_eq!(lines(listed), ["odd"]);
    let lost = made::ask(&engine, "SELECT 1 FROM file WHERE path = '/tmp/.x' || char(65533)");
    assert!(lost.rows.is_empty() && lost.warnings[0].message.contains("letters of this name are lost"));
}
