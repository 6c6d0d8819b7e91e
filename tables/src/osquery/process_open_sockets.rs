//! `process_open_sockets`: sockets with the process that holds them, in the host's own network.

use std::collections::HashSet;

use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::sockets;

table! {
    /// Open sockets and their processes; pid is -1 where it is not known.
    process_open_sockets: live_only, kept {
        pid: Integer [index],
        fd: BigInt,
        socket: BigInt,
        family: Integer,
        protocol: Integer,
        local_address: Text,
        remote_address: Text,
        local_port: Integer,
        remote_port: Integer,
        path: Text,
        state: Text,
        net_namespace: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let wanted: HashSet<i64> = scan.numbers("pid").into_iter().collect();
    let owners = processes::socket_owners(scan, &processes::pids(scan));
    let namespace = sockets::namespace(scan);
    Box::new(sockets::all(scan).into_iter().filter_map(move |socket| {
        let (pid, fd) = owners.get(&socket.inode).copied().unwrap_or((-1, -1));
        if !wanted.is_empty() && !wanted.contains(&pid) {
            return None;
        }
        Some(row! {
            pid,
            fd,
            socket: socket.inode,
            family: socket.family,
            protocol: socket.protocol,
            local_address: socket.local_address,
            remote_address: socket.remote_address,
            local_port: socket.local_port,
            remote_port: socket.remote_port,
            path: socket.path,
            state: socket.state,
            net_namespace: namespace.as_deref(),
        })
    }))
}
