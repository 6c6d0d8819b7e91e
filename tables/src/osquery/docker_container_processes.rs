//! `docker_container_processes`: processes of a container, as Docker lists them with `ps`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use super::docker::Docker;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Processes of a container of Docker; the numbers are the host's.
    docker_container_processes: live_only {
        id: Text [required],
        pid: BigInt [index],
        name: Text,
        cmdline: Text,
        state: Text,
        uid: BigInt,
        gid: BigInt,
        euid: BigInt,
        egid: BigInt,
        suid: BigInt,
        sgid: BigInt,
        wired_size: BigInt,
        resident_size: BigInt,
        total_size: BigInt,
        start_time: BigInt,
        parent: BigInt,
        pgroup: BigInt,
        threads: Integer,
        nice: Integer,
        user: Text,
        time: Text,
        cpu: Double,
        mem: Double,
    }
}

/// What `ps` is asked for, in this order; the command last, because it holds blanks.
const FORMAT: &str =
    "pid,state,uid,gid,euid,egid,suid,sgid,rss,vsz,etimes,ppid,pgid,nlwp,nice,user,time,pcpu,pmem,args";

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    Box::new(docker.given_ids().into_iter().flat_map(move |id| {
        let processes = docker.list(&format!("/containers/{id}/top?ps_args=-eo%20{FORMAT}"), "/Processes");
        processes.into_iter().filter_map(move |process| describe(&id, &process, now))
    }))
}

fn describe(id: &str, process: &Json, now: i64) -> Option<Row> {
    let fields: Vec<&str> = process.as_array()?.iter().filter_map(Json::as_str).collect();
    let text = |name: &str| fields.get(FORMAT.split(',').position(|field| field == name)?).copied();
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let kib = |name: &str| number(name).map(|kib| kib.saturating_mul(1_024));
    let share = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok());
    let command = text("args")?;
    Some(row! {
        id,
        pid: number("pid")?,
        name: command.split_whitespace().next(),
        cmdline: command,
        state: text("state"),
        uid: number("uid"),
        gid: number("gid"),
        euid: number("euid"),
        egid: number("egid"),
        suid: number("suid"),
        sgid: number("sgid"),
        wired_size: 0,
        resident_size: kib("rss"),
        total_size: kib("vsz"),
        start_time: number("etimes").map(|age| now.saturating_sub(age)),
        parent: number("ppid"),
        pgroup: number("pgid"),
        threads: number("nlwp"),
        nice: number("nice"),
        user: text("user"),
        time: text("time"),
        cpu: share("pcpu"),
        mem: share("pmem"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_as_many_fields_as_were_asked_for() {
        let fields = [
            "7",
            "S",
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "10",
            "20",
            "60",
            "1",
            "7",
            "2",
            "0",
            "root",
            "00:00:01",
            "0.5",
            "1.5",
            "/bin/sh -c x",
        ];
        assert_eq!(fields.len(), FORMAT.split(',').count());
        let row = describe("c", &serde_json::json!(fields), 100).unwrap();
        let shown: Vec<String> = row.0.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..4], ["c", "7", "/bin/sh", "/bin/sh -c x"]);
        assert_eq!((shown[12].as_str(), shown[14].as_str()), ("10240", "40"));
        assert!(describe("c", &serde_json::json!(["7"]), 100).is_none());
    }
}
