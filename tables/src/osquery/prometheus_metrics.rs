//! `prometheus_metrics`: numbers that a program offers to Prometheus. osquery asks what its configuration names; here the
//! query names it: `WHERE target_name = 'http://127.0.0.1:9100/metrics'`. Only plain HTTP, and only an address, no name.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::constraints::Operator;
use crate::http::{self, Request};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Numbers that programs offer to Prometheus, by `target_name = 'http://<address>:<port>/<path>'`; none without.
    prometheus_metrics: live_only {
        target_name: Text [index],
        metric_name: Text,
        metric_value: Double,
        timestamp_ms: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let targets = scan.texts("target_name", Operator::Equals);
    let scan = scan.clone();
    Box::new(targets.into_iter().flat_map(move |target| {
        let text = ask(&scan, &target).unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let rows: Vec<Row> = text.lines().filter_map(|line| parse(line, &target, now)).collect();
        rows.into_iter()
    }))
}

fn ask(scan: &Scan, target: &str) -> Option<String> {
    let Some((address, path)) = parse_target(target) else {
        scan.refuse(format!("{target:?} is no target such as http://127.0.0.1:9100/metrics"));
        return None;
    };
    let request = Request { method: "GET", host: &address.to_string(), path: &path, headers: &[] };
    let answer =
        http::tcp(address).map_err(http::Error::from).and_then(|stream| http::ask(stream, request, scan.budget()));
    match answer {
        Ok(body) => Some(String::from_utf8_lossy(&body).into_owned()),
        Err(error) => {
            if !scan.budget().has_failed() {
                scan.warn(format!("{target} does not answer: {error}"));
            }
            None
        }
    }
}

fn parse_target(target: &str) -> Option<(SocketAddr, String)> {
    let rest = target.strip_prefix("http://")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    let address = address.parse().or_else(|_| format!("{address}:80").parse()).ok()?;
    is_plain.then(|| (address, format!("/{path}")))
}

/// `name{label="a b"} 1.5 1700000000000`: the labels may hold blanks, and the time may be missing.
fn parse(line: &str, target: &str, now: i64) -> Option<Row> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.rfind('}').map_or_else(|| line.find(char::is_whitespace), |at| Some(at + 1))?;
    let (name, numbers) = line.split_at(end);
    let mut numbers = numbers.split_whitespace();
    // `+Inf`, `-Inf` and `NaN` are numbers to Prometheus; SQLite has no NaN.
    let value: f64 = numbers.next()?.parse().ok().filter(|value: &f64| !value.is_nan())?;
    let time = numbers.next().and_then(|time| time.parse::<i64>().ok()).unwrap_or(now);
    Some(row! { target_name: target, metric_name: name, metric_value: value, timestamp_ms: time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_a_name_a_number_and_perhaps_a_time() {
        let shown = |line: &str| {
            parse(line, "t", 7).map(|row| row.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("|"))
        };
        assert_eq!(shown("up 1").as_deref(), Some("t|up|1|7"));
        assert_eq!(shown("x{a=\"b c\"} 2.5 1000").as_deref(), Some("t|x{a=\"b c\"}|2.5|1000"));
        assert_eq!(shown("# HELP up"), None);
        assert_eq!(shown("up NaN"), None);
    }

    #[test]
    fn a_target_is_an_address() {
        assert_eq!(parse_target("http://127.0.0.1:9100/metrics").unwrap().1, "/metrics");
        assert_eq!(parse_target("http://[::1]").unwrap().0.port(), 80);
        for target in ["https://127.0.0.1/", "http://localhost/", "http://127.0.0.1/a b", "file:///etc/passwd"] {
            assert!(parse_target(target).is_none(), "{target}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in "[a-z{}\" .0-9#é-]{0,40}") {
            parse(&line, "t", 0);
        }
    }
}
