//! Answers that depend on how SQLite reads a table: several times for one question, or with several conditions at once.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

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
