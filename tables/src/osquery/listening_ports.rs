//! `listening_ports`: sockets that accept connections or datagrams from anyone, with the process that owns them.

use crate::processes;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::sockets::{self, FAMILY_UNIX, PROTOCOL_TCP};

table! {
    /// Sockets that wait for others to speak first.
    listening_ports: live_only, kept {
        pid: Integer,
        port: Integer,
        protocol: Integer,
        family: Integer,
        address: Text,
        fd: BigInt,
        socket: BigInt,
        path: Text,
        net_namespace: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let owners = processes::socket_owners(scan, &processes::pids(scan));
    let namespace = sockets::namespace(scan);
    let listening = sockets::all(scan).into_iter().filter(|socket| match (socket.family, socket.protocol) {
        (FAMILY_UNIX, _) => !socket.path.is_empty(),
        (_, PROTOCOL_TCP) => socket.state == "LISTEN",
        _ => socket.remote_port == 0,
    });
    Box::new(listening.collect::<Vec<_>>().into_iter().map(move |socket| {
        let (pid, fd) = owners.get(&socket.inode).copied().unwrap_or((-1, -1));
        row! {
            pid,
            port: socket.local_port,
            protocol: socket.protocol,
            family: socket.family,
            address: socket.local_address,
            fd,
            socket: socket.inode,
            path: socket.path,
            net_namespace: namespace.as_deref(),
        }
    }))
}
