//! The engine as its callers see it: what it answers, what it refuses, where it stops.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use std::time::Duration;

use tables::{Engine, Error, Host, Limits, Parameters, QueryOutput, Value};

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc");
    std::fs::create_dir_all(etc.join("conf.d/deep")).unwrap();
    std::fs::write(
        etc.join("passwd"),
        "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(etc.join("conf.d/a.conf"), "alpha=1\nbeta=2\n").unwrap();
    std::fs::write(etc.join("conf.d/b.conf"), "alpha=3\n").unwrap();
    std::fs::write(etc.join("conf.d/deep/c.conf"), "alpha=4\n").unwrap();
    root
}

fn engine(root: &tempfile::TempDir, limits: Limits) -> Engine {
    Engine::open(Host::image(root.path()), limits).unwrap()
}

fn ask(sql: &str) -> Result<QueryOutput, Error> {
    let root = root();
    engine(&root, Limits::default()).query(sql, &Parameters::new())
}

fn cells(sql: &str) -> Vec<String> {
    let rows = ask(sql).unwrap_or_else(|error| panic!("{sql}: {error}")).rows;
    rows.into_iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")).collect()
}

#[test]
fn a_table_shows_the_files_below_the_root() {
    assert_eq!(cells("SELECT username, uid FROM users ORDER BY uid DESC"), ["alice|1000", "root|0"]);
}

#[test]
fn parameters_are_bound_by_name_and_superfluous_ones_ignored() {
    let root = root();
    let engine = engine(&root, Limits::default());
    let parameters = Parameters::from([("uid".to_owned(), Value::Integer(0)), ("other".to_owned(), Value::Null)]);
    let answer = engine.query("SELECT username FROM users WHERE uid = :uid", &parameters).unwrap();
    assert_eq!(answer.rows, [[Value::from("root")]]);
    let error = engine.query("SELECT 1 WHERE 1 = :absent", &parameters).unwrap_err();
    assert!(matches!(error, Error::MissingParameter(name) if name == "absent"));
}

#[test]
fn whatever_is_not_a_read_is_refused() {
    for sql in [
        "ATTACH '/tmp/x.db' AS x",
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "CREATE TABLE t(x)",
        "CREATE TEMP TABLE t(x)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TEMP TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE t USING users",
        "CREATE VIRTUAL TABLE t USING fts5(x)",
        "INSERT INTO users(username) VALUES ('x')",
        "UPDATE users SET uid = 0",
        "DELETE FROM users",
        "DROP TABLE users",
        "ALTER TABLE users RENAME TO x",
        "BEGIN",
        "SAVEPOINT x",
        "VACUUM",
        "VACUUM INTO '/tmp/tables-test-vacuum'",
        "ANALYZE",
        "REINDEX",
        "PRAGMA writable_schema = ON",
        "PRAGMA hard_heap_limit = 0",
        "PRAGMA query_only = off",
        "PRAGMA database_list",
        "PRAGMA temp_store_directory = '/tmp'",
        "SELECT * FROM pragma_database_list",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT * FROM dbstat",
        "SELECT fts3_tokenizer('simple')",
    ] {
        match ask(sql) {
            Err(Error::NotPermitted(_) | Error::Syntax(_) | Error::NoSuchTable { .. }) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    assert!(!std::path::Path::new("/tmp/tables-test-vacuum").exists());
    assert!(matches!(ask("ATTACH '/tmp/x.db' AS x"), Err(Error::NotPermitted(what)) if what == "ATTACH"));
    assert!(matches!(ask("DELETE FROM users"), Err(Error::NotPermitted(_))));
}

#[test]
fn the_shape_of_a_table_may_be_asked_for() {
    assert!(cells("PRAGMA table_info(users)").iter().any(|row| row.contains("|username|TEXT|")));
    assert!(cells("SELECT name FROM pragma_table_info('users')").contains(&"username".to_owned()));
}

#[test]
fn the_tables_of_a_statement_are_those_that_sqlite_reads() {
    let root = root();
    let engine = engine(&root, Limits::default());
    for (sql, expected) in [
        ("SELECT count(*) FROM [Processes]", &["processes"][..]),
        (
            "SELECT 1 FROM main.'processes' p JOIN (users u JOIN \"groups\" g USING (gid)) x",
            &["groups", "processes", "users"],
        ),
        ("WITH users AS (SELECT 1 AS x FROM main.processes) SELECT x FROM users", &["processes"]),
        ("SELECT 1 FROM processes WINDOW processes AS (ORDER BY pid)", &["processes"]),
        ("SELECT value FROM json_each('[1]')", &[]),
    ] {
        assert_eq!(engine.check(sql).unwrap().tables, expected, "{sql}");
    }
}

#[test]
fn two_statements_and_none_are_refused() {
    assert!(matches!(ask("SELECT 1; SELECT 2"), Err(Error::Syntax(_))));
    assert!(matches!(ask("   "), Err(Error::Syntax(_))));
    assert!(matches!(ask("-- nothing"), Err(Error::Syntax(_))));
    assert!(matches!(ask("SELEC 1"), Err(Error::Syntax(message)) if message.contains("syntax error")));
}

#[test]
fn an_unknown_table_is_answered_with_near_names() {
    let error = ask("SELECT * FROM user").unwrap_err();
    assert!(matches!(&error, Error::NoSuchTable { near, .. } if near.contains(&"users".to_owned())), "{error}");
}

#[test]
fn a_missing_condition_is_named() {
    let error = ask("SELECT * FROM file").unwrap_err();
    assert_eq!(error.to_string(), "table file needs a condition on path or directory, such as WHERE path = '…'");
    let error = ask("SELECT * FROM file_lines WHERE path = '/etc/passwd'").unwrap_err();
    assert_eq!(error.to_string(), "table file_lines needs a condition on pattern, such as WHERE pattern = '…'");
}

#[test]
fn conditions_reach_the_table_through_joins_lists_and_alternatives() {
    let names = "SELECT path FROM file WHERE";
    assert_eq!(cells(&format!("{names} path IN ('/etc/passwd', '/etc/nothing')")), ["/etc/passwd"]);
    assert_eq!(
        cells(&format!("{names} path = '/etc/passwd' OR path = '/etc/conf.d/a.conf' ORDER BY path")),
        ["/etc/conf.d/a.conf", "/etc/passwd"]
    );
    assert_eq!(cells(&format!("{names} directory = '/etc/conf.d' AND type = 'regular' ORDER BY path")).len(), 2);
    assert_eq!(
        cells("WITH wanted(p) AS (VALUES ('/etc/passwd')) SELECT f.path FROM file f JOIN wanted ON f.path = wanted.p"),
        ["/etc/passwd"]
    );
    assert_eq!(
        cells("SELECT u.username, f.path FROM users u LEFT JOIN file f ON f.path = u.directory ORDER BY u.uid"),
        ["root|", "alice|"]
    );
}

#[test]
fn patterns_of_paths_expand_as_in_osquery() {
    assert_eq!(cells("SELECT path FROM file WHERE path LIKE '/etc/conf.d/%.conf' ORDER BY path").len(), 2);
    assert_eq!(cells("SELECT path FROM file WHERE path LIKE '/etc/conf.d/%%' AND type = 'regular'").len(), 3);
    assert_eq!(cells("SELECT path FROM file WHERE path GLOB '/etc/*/a.conf'"), ["/etc/conf.d/a.conf"]);
}

#[test]
fn a_path_is_shown_as_the_query_writes_it() {
    assert_eq!(cells("SELECT path, filename FROM file WHERE path = '/etc/conf.d/'"), ["/etc/conf.d/|conf.d"]);
    assert_eq!(
        cells("SELECT path, directory FROM file WHERE directory = '/etc/conf.d/' AND type = 'directory'"),
        ["/etc/conf.d/deep|/etc/conf.d/"]
    );
}

#[test]
fn lines_of_files_match_a_pattern() {
    assert_eq!(
        cells(
            "SELECT path, line_number, line FROM file_lines WHERE path GLOB '/etc/conf.d/*.conf' AND pattern = '^alpha=[0-9]'"
        ),
        ["/etc/conf.d/a.conf|1|alpha=1", "/etc/conf.d/b.conf|1|alpha=3"]
    );
    let error = ask("SELECT * FROM file_lines WHERE path = '/etc/passwd' AND pattern = '('").unwrap_err();
    assert!(matches!(error, Error::BadConstraint { .. }), "{error}");
}

#[test]
fn a_query_without_end_is_stopped() {
    let root = root();
    let engine = engine(&root, Limits { time: Duration::from_millis(200), ..Limits::default() });
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    assert!(matches!(engine.query(endless, &Parameters::new()), Err(Error::OverTime(_))));
    assert!(engine.query("SELECT 1", &Parameters::new()).is_ok());
}

#[test]
fn rows_bytes_and_memory_are_bounded() {
    let root = root();
    std::fs::write(root.path().join("etc/big"), vec![b'x'; 3 << 20]).unwrap();
    let few_rows = engine(&root, Limits { rows: 3, ..Limits::default() });
    let error = few_rows.query("SELECT count(*) FROM users a, users b", &Parameters::new()).unwrap_err();
    assert!(matches!(error, Error::OverRows(3)), "{error}");
    let few_bytes = engine(&root, Limits { bytes: 1 << 20, ..Limits::default() });
    let error = few_bytes.query("SELECT sha256 FROM hash WHERE path = '/etc/big'", &Parameters::new()).unwrap_err();
    assert!(matches!(error, Error::OverBytes(_)), "{error}");
    let error = ask("SELECT length(hex(zeroblob(1000000000)))").unwrap_err();
    assert!(matches!(error, Error::OverMemory), "{error}");
    let long = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 200000) SELECT x FROM n";
    assert!(matches!(ask(long), Err(Error::OverRows(100_000))));
}

#[test]
fn what_is_not_a_file_does_not_hang_a_query() {
    let root = root();
    let fifo = root.path().join("etc/fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let engine = engine(&root, Limits::default());
    let hashes = engine.query("SELECT path FROM hash WHERE directory = '/etc'", &Parameters::new()).unwrap();
    assert_eq!(hashes.rows.len(), 1);
    let lines = "SELECT * FROM file_lines WHERE path = '/etc/fifo' AND pattern = '.'";
    assert!(engine.query(lines, &Parameters::new()).unwrap().rows.is_empty());
    let kind = engine.query("SELECT type FROM file WHERE path = '/etc/fifo'", &Parameters::new()).unwrap();
    assert_eq!(kind.rows, [[Value::from("fifo")]]);
}

#[test]
fn functions_of_osquery_exist() {
    for (sql, expected) in [
        ("SELECT split('a:b', ':', 1)", "b"),
        ("SELECT regex_match('port 22', 'port ([0-9]+)', 1)", "22"),
        ("SELECT regex_split('a1b22c', '[0-9]+', 2)", "c"),
        ("SELECT 'sshd' REGEXP '^ss'", "1"),
        ("SELECT inet_aton('10.0.0.1')", "167772161"),
        ("SELECT version_compare('1.10', '1.9')", "1"),
        ("SELECT concat_ws('-', 'a', 'b')", "a-b"),
        ("SELECT sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("SELECT md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("SELECT regex_match(NULL, 'x', 0) IS NULL", "1"),
    ] {
        assert_eq!(cells(sql), [expected], "{sql}");
    }
    assert!(ask("SELECT 'x' REGEXP '('").is_err());
}

#[test]
fn checking_a_statement_runs_nothing() {
    let root = root();
    let engine = engine(&root, Limits::default());
    let statement = engine.check("SELECT path AS resource FROM file WHERE mode > :mode").unwrap();
    assert_eq!((statement.columns, statement.parameters), (vec!["resource".to_owned()], vec!["mode".to_owned()]));
    assert!(engine.check("SELECT nothing FROM users").is_err());
}
