//! `process_namespaces`: the namespaces of processes, by inode; equal numbers mean shared.

use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Namespaces of processes.
    process_namespaces: live_only {
        pid: Integer [index],
        cgroup_namespace: Text,
        ipc_namespace: Text,
        mnt_namespace: Text,
        net_namespace: Text,
        pid_namespace: Text,
        user_namespace: Text,
        uts_namespace: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(processes::pids(&scan).into_iter().filter_map(move |pid| {
        let namespace = |name: &str| {
            let target = processes::shown_link(&scan, pid, &format!("ns/{name}"))?;
            processes::inode_of(&target.to_string_lossy(), name).map(str::to_owned)
        };
        let pid_namespace = namespace("pid")?;
        Some(row! {
            pid,
            cgroup_namespace: namespace("cgroup"),
            ipc_namespace: namespace("ipc"),
            mnt_namespace: namespace("mnt"),
            net_namespace: namespace("net"),
            pid_namespace,
            user_namespace: namespace("user"),
            uts_namespace: namespace("uts"),
        })
    }))
}
