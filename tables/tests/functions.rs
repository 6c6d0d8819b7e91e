//! The functions that an osquery user types, with what they answer and what they refuse.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

mod made;

use made::Made;

/// What an expression is: its text, or `NULL`.
fn value(engine: &tables::Engine, expression: &str) -> String {
    let sql = format!("SELECT coalesce(CAST(x AS TEXT), 'NULL') FROM (SELECT {expression} AS x)");
    made::lines(&made::ask(engine, &sql)).remove(0)
}

#[test]
#[allow(clippy::too_many_lines)] // a table of cases
fn functions_answer_as_in_osquery() {
    let host = Made::new();
    let engine = host.image();
    for (expression, expected) in [
        // text
        ("split('192.168.0.1', '.', 1)", "168"),
        ("split('a:b;c', ':;', 2)", "c"),
        ("split(' a , , b ', ',', 1)", "b"),
        ("split('a:b', ':', 5)", "NULL"),
        ("split('a:b', ':', -1)", "NULL"),
        ("split('a:b', ':', '1')", "b"),
        ("split('a:b', ':', 'x')", "a"),
        ("split(12.5, '.', 1)", "5"),
        ("split(NULL, ':', 0)", "NULL"),
        ("split('a', NULL, 0)", "NULL"),
        ("split('a', ':', NULL)", "NULL"),
        ("split('', ':', 0)", "NULL"),
        ("split('aéb', 'é', 1)", "b"),
        ("regex_match('port 22', 'port ([0-9]+)', 1)", "22"),
        ("regex_match('port 22', 'port ([0-9]+)', 0)", "port 22"),
        ("regex_match('port 22', 'port ([0-9]+)', 2)", "NULL"),
        ("regex_match('port 22', 'port ([0-9]+)', -1)", "NULL"),
        ("regex_match('ac', 'a(b)?c', 1)", ""),
        ("regex_match('x', 'y', 0)", "NULL"),
        ("regex_match(NULL, 'x', 0)", "NULL"),
        ("regex_match('x', NULL, 0)", "NULL"),
        ("regex_match('foobar', 'foo(?=bar)', 0)", "foo"),
        ("regex_match('foobaz', 'foo(?!bar)', 0)", "foo"),
        ("regex_match('abab', '(ab)\\1', 1)", "ab"),
        ("regex_match('', '', 0)", ""),
        ("regex_match('é1_b', '\\w+', 0)", "1_b"),
        ("regex_match('x٣4', '\\d', 0)", "4"),
        ("regex_split('192.168.0.1', '\\.0', 0)", "192.168"),
        ("regex_split('a1b22c', '[0-9]+', 2)", "c"),
        ("regex_split('1a', '[0-9]', 0)", ""),
        ("regex_split('1a', '[0-9]', 1)", "a"),
        ("regex_split('a1', '[0-9]', 1)", "NULL"),
        ("regex_split('abc', 'x', 0)", "abc"),
        ("regex_split('', 'x', 0)", ""),
        ("regex_split(NULL, 'x', 0)", "NULL"),
        ("'sshd' REGEXP '^ss'", "1"),
        ("NULL REGEXP '^ss'", "NULL"),
        ("concat('a', NULL, 1)", "a1"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        // digests and encodings
        ("md5('')", "d41d8cd98f00b204e9800998ecf8427e"),
        ("sha1('abc')", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("sha256(NULL)", "NULL"),
        ("md5(1)", "c4ca4238a0b923820dcc509a6f75849b"),
        ("md5(x'ff')", "00594fd4f42ba43fc1ca0427a0576295"),
        ("to_base64('osquery')", "b3NxdWVyeQ=="),
        ("to_base64(x'ff00')", "/wA="),
        ("from_base64('b3NxdWVyeQ==')", "osquery"),
        ("from_base64('b3Nx\ndWVyeQ==')", "osquery"),
        ("from_base64('no base64!')", ""),
        ("from_base64(NULL)", "NULL"),
        ("conditional_to_base64('plain')", "plain"),
        ("conditional_to_base64('é')", "w6k="),
        ("conditional_to_base64(x'01')", "AQ=="),
        // numbers
        ("sqrt(16)", "4.0"),
        ("sqrt('16 MiB')", "4.0"),
        ("sqrt(NULL)", "NULL"),
        ("round(log(10), 4)", "2.3026"),
        ("log10(1000)", "3.0"),
        ("ceil(1.2)", "2"),
        ("floor(-1.2)", "-2"),
        ("ceil(9223372036854775807)", "9223372036854775807"),
        ("floor('7.9')", "7"),
        ("ceil(NULL)", "NULL"),
        ("power(2, 10)", "1024.0"),
        ("power(NULL, 2)", "NULL"),
        ("round(pi(), 5)", "3.14159"),
        ("sin(0)", "0.0"),
        ("cos(0)", "1.0"),
        ("tan(0)", "0.0"),
        ("round(cot(1), 4)", "0.6421"),
        ("round(asin(1), 4)", "1.5708"),
        ("acos(1)", "0.0"),
        ("round(atan(1), 4)", "0.7854"),
        ("degrees(pi())", "180.0"),
        ("round(radians(180), 5)", "3.14159"),
        // addresses
        ("inet_aton('10.0.0.1')", "167772161"),
        ("inet_aton('::1')", "NULL"),
        ("inet_aton('10.0.0')", "167772160"),
        ("inet_aton('127.1')", "2130706433"),
        ("inet_aton('0x7f.1')", "2130706433"),
        ("inet_aton('010.0.0.1')", "134217729"),
        ("inet_aton('2130706433')", "2130706433"),
        ("inet_aton('127.16777216')", "NULL"),
        ("inet_aton('256.0.0.1')", "NULL"),
        ("inet_aton('1.2.3.4.5')", "NULL"),
        ("inet_aton('+1.2.3.4')", "NULL"),
        ("inet_aton('1..2')", "NULL"),
        ("inet_aton('')", "NULL"),
        ("in_cidr_block('10.0.0.0/8', '10.255.0.1')", "1"),
        ("in_cidr_block('10.0.0.0/8', '11.0.0.1')", "0"),
        ("in_cidr_block('0.0.0.0/0', '11.0.0.1')", "1"),
        ("in_cidr_block('192.0.2.7/32', '192.0.2.7')", "1"),
        ("in_cidr_block('fe80::/10', 'fe80::1')", "1"),
        ("in_cidr_block('::/0', '2001:db8::1')", "1"),
        ("in_cidr_block('10.0.0.0/8', '::1')", "0"),
        ("in_cidr_block('10.0.0.0/8', '')", "NULL"),
        ("in_cidr_block(NULL, '10.0.0.1')", "NULL"),
        ("community_id_v1('128.232.110.120', '66.35.250.204', 34855, 80, 6)", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        ("community_id_v1('66.35.250.204', '128.232.110.120', 80, 34855, 6)", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        ("community_id_v1('66.35.250.204', '128.232.110.120', 80, 34855, 6, 1)", "1:3V71V58M3Ksw/yuFALMcW0LAHvc="),
        ("community_id_v1('192.168.1.42', '8.8.8.8', 4242, 53, 17)", "1:vTdrngJjlP5eZ9mw9JtnKyn99KM="),
        ("community_id_v1('192.168.0.89', '192.168.0.1', 8, 0, 1)", "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
        ("community_id_v1('', '', 0, 0, 6)", "NULL"),
        // versions
        ("version_compare('1.10', '1.9')", "1"),
        ("version_compare('1.0~rc1', '1.0')", "-1"),
        ("version_compare('1.10', '>', '1.9')", "1"),
        ("version_compare('1.2.3', '<=', '1.2.3')", "1"),
        ("version_compare('1.0', '<', '1:0.5', 1)", "1"),
        ("version_compare(NULL, '<', '1')", "NULL"),
        ("'1.10' > '1.9' COLLATE version", "1"),
        ("'1.0~rc1' < '1.0' COLLATE version_dpkg", "1"),
        ("'5.14.0-70.el9' < '5.14.0-162.el9' COLLATE version_rhel", "1"),
        ("'1.0-1' < '1.0-2' COLLATE version_arch", "1"),
        // SQLite's own
        ("json_extract('{\"a\": [1, {\"b\": \"c\"}]}', '$.a[1].b')", "c"),
        ("json_valid('{')", "0"),
        ("'{\"a\": 2}' ->> 'a'", "2"),
        ("datetime(0, 'unixepoch')", "1970-01-01 00:00:00"),
        ("strftime('%s', '2024-01-01')", "1704067200"),
        ("unixepoch('1970-01-02')", "86400"),
        ("soundex('Robert')", "R163"),
        ("printf('%05.1f|%s', 3.14159, 'x')", "003.1|x"),
        ("iif(1 > 2, 'a', 'b')", "b"),
        ("hex('abc')", "616263"),
    ] {
        assert_eq!(value(&engine, expression), expected, "{expression}");
    }
}

#[test]
fn a_wrong_argument_ends_the_query_with_a_sentence() {
    let host = Made::new();
    let engine = host.image();
    for (expression, expected) in [
        ("regex_match('x', '(', 0)", "not a regular expression"),
        ("regex_split('x', '[', 0)", "not a regular expression"),
        ("'x' REGEXP '(?'", "not a regular expression"),
        ("regex_match('x', '[^a]{100000}', 0)", "not a regular expression"),
        ("regex_match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab', '^(?:(a+)\\1?)+$', 0)", "cannot be matched"),
        ("split('x', '', 0)", "at least one separator"),
        ("regex_split('x', '', 0)", "needs a pattern"),
        ("sqrt(-1)", "is not a number"),
        ("log(0)", "is not a number"),
        ("acos(2)", "is not a number"),
        ("power(10, 400)", "is not a number"),
        ("in_cidr_block('10.0.0.0', '10.0.0.1')", "no block of addresses"),
        ("in_cidr_block('10.0.0.0/33', '10.0.0.1')", "no block of addresses"),
        ("community_id_v1('1.1.1.1', '2.2.2.2', 70000, 1, 6)", "no port"),
        ("community_id_v1('1.1.1.1', '2.2.2.2', 1, 1, 256)", "no protocol"),
        ("version_compare('1', '~', '2')", "none of <"),
        ("ssdeep_compare('a', 'b')", "no such function"),
        ("load_extension('x')", "not authorized"),
    ] {
        let error = engine.query(&format!("SELECT {expression}"), &tables::Parameters::new()).unwrap_err().to_string();
        assert!(error.contains(expected), "{expression}: {error}");
    }
}

#[test]
fn long_and_broken_text_is_taken_as_it_is() {
    let host = Made::new();
    let engine = host.image();
    // A million letters, and bytes that are not UTF-8.
    let long = "replace(hex(zeroblob(500000)), '0', 'a')";
    for (expression, expected) in [
        (format!("length(regex_match({long}, 'a+', 0))"), "1000000"),
        (format!("length(regex_split({long}, 'b', 0))"), "1000000"),
        (format!("length(split({long}, 'b', 0))"), "1000000"),
        (format!("length(sha256({long}))"), "64"),
        (format!("length(to_base64({long}))"), "1333336"),
        ("split(CAST(x'613aff' AS TEXT), ':', 1)".to_owned(), "\u{fffd}"),
        ("regex_match(CAST(x'ff61' AS TEXT), 'a', 0)".to_owned(), "a"),
        ("to_base64(CAST(x'ff' AS TEXT))".to_owned(), "/w=="),
        ("length(from_base64('/w=='))".to_owned(), "1"),
    ] {
        assert_eq!(value(&engine, &expression), expected, "{expression}");
    }
}

#[test]
fn a_table_that_is_left_out_says_why() {
    let host = Made::new();
    let engine = host.image();
    for (table, because) in [
        ("process_events", "takes a daemon"),
        ("file_events", "takes a daemon"),
        ("main.yara", "YARA"),
        ("Carves", "copies files"),
        ("launchd", "only macOS"),
        ("powershell_events", "running Windows"),
        ("opera_extensions", "no longer in osquery"),
    ] {
        let sql = format!("SELECT * FROM {table}");
        let error = engine.query(&sql, &tables::Parameters::new()).unwrap_err();
        assert!(matches!(error, tables::Error::LeftOut { .. }) && error.to_string().contains(because), "{error}");
    }
}

#[test]
fn hidden_columns_are_not_part_of_everything_but_can_be_asked_for() {
    let host = Made::new().with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    let engine = host.image();
    assert!(!made::ask(&engine, "SELECT * FROM users").columns.contains(&"pid_with_namespace".to_owned()));
    let hidden = made::ask(&engine, "SELECT username, pid_with_namespace FROM users WHERE uid = 0");
    assert_eq!(made::lines(&hidden), ["root|"]);
}
