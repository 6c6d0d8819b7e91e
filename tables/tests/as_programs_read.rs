//! Files as the programs that own them read them: what glibc, sshd, sudo, systemd and their kin take from a file, the tables
//! show, and what they leave out, the tables leave out.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

mod made;

use made::{Made, ask, lines};

#[test]
fn accounts_that_glibc_accepts_are_there() {
    let host = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0\nevil:x: 0:0::/root:/bin/sh\nada:x:1000:1000\n")
        .with("/etc/group", "root:x:0:\nsudo:x:27: ada, root\n")
        .with("/etc/shadow", "root:*:19000:0:99999:7:::\ntoor::19000:0:99999\n");
    let engine = host.image();
    let users = ask(&engine, "SELECT username, shell FROM users WHERE uid = 0");
    assert_eq!(lines(&users), ["root|/bin/sh", "toor|", "evil|/bin/sh"]);
    assert!(users.warnings.is_empty(), "{:?}", users.warnings);
    let members = "SELECT u.username FROM user_groups g JOIN users u USING (uid) WHERE g.gid = 27 AND u.uid > 0";
    assert_eq!(lines(&ask(&engine, members)), ["ada"]);
    let empty = ask(&engine, "SELECT username, max, warning FROM shadow WHERE password_status = 'empty'");
    assert_eq!(lines(&empty), ["toor|99999|-1"]);
}

#[test]
fn a_line_that_glibc_leaves_out_is_said() {
    let host = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n# a comment\n+::::::\nmallory:x:zero:0::/root:/bin/sh\n")
        .with("/etc/shadow", "root:*:19000:0:99999:7:::\nmallory::19000:0:99999:7\n");
    let engine = host.image();
    for (table, file, line) in [("users", "/etc/passwd", 4), ("shadow", "/etc/shadow", 2)] {
        let found = ask(&engine, &format!("SELECT username FROM {table} WHERE username <> 'root'"));
        assert!(found.rows.is_empty(), "{found:?}");
        let messages: Vec<&str> = found.warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(messages, [format!("line {line} of {file} is no entry as the C library reads it, and is left out")]);
    }
}
