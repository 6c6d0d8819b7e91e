//! Sockets as `/proc/net` lists them, for the tables about connections and listeners.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::reader::Scan;

pub(crate) const FAMILY_UNIX: i64 = 1;
pub(crate) const FAMILY_IPV4: i64 = 2;
pub(crate) const FAMILY_IPV6: i64 = 10;
pub(crate) const PROTOCOL_TCP: i64 = 6;
pub(crate) const PROTOCOL_UDP: i64 = 17;

/// The files of `/proc/net` with the family and protocol of what they list.
const FILES: [(&str, i64, i64); 8] = [
    ("tcp", FAMILY_IPV4, PROTOCOL_TCP),
    ("tcp6", FAMILY_IPV6, PROTOCOL_TCP),
    ("udp", FAMILY_IPV4, PROTOCOL_UDP),
    ("udp6", FAMILY_IPV6, PROTOCOL_UDP),
    ("udplite", FAMILY_IPV4, 136),
    ("udplite6", FAMILY_IPV6, 136),
    ("raw", FAMILY_IPV4, 255),
    ("raw6", FAMILY_IPV6, 255),
];

/// States of TCP by number (`include/net/tcp_states.h`).
const STATES: [&str; 12] = [
    "UNKNOWN",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSED",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Socket {
    pub inode: i64,
    pub family: i64,
    pub protocol: i64,
    pub local_address: String,
    pub local_port: i64,
    pub remote_address: String,
    pub remote_port: i64,
    /// The path of a unix socket.
    pub path: String,
    pub state: &'static str,
}

pub(crate) fn all(scan: &Scan) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for (file, family, protocol) in FILES {
        let text = scan.net(file).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(|line| parse(line, family, protocol)));
    }
    let text = scan.net("unix").unwrap_or_default();
    sockets.extend(text.lines().skip(1).filter_map(parse_unix));
    sockets
}

/// The identity of the host's network, as in `ns/net` of process 1.
pub(crate) fn namespace(scan: &Scan) -> Option<String> {
    let target = crate::processes::link(scan, 1, "ns/net")?;
    crate::processes::inode_of(&target.to_string_lossy(), "net").map(str::to_owned)
}

fn parse(line: &str, family: i64, protocol: i64) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (local_address, local_port) = endpoint(words.get(1)?)?;
    let (remote_address, remote_port) = endpoint(words.get(2)?)?;
    let state = usize::from_str_radix(words.get(3)?, 16).ok()?;
    Some(Socket {
        inode: words.get(9)?.parse().ok()?,
        family,
        protocol,
        local_address,
        local_port,
        remote_address,
        remote_port,
        path: String::new(),
        state: if protocol == PROTOCOL_TCP { STATES.get(state).copied().unwrap_or("UNKNOWN") } else { "" },
    })
}

fn parse_unix(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Some(Socket {
        inode: words.get(6)?.parse().ok()?,
        family: FAMILY_UNIX,
        protocol: 0,
        local_address: String::new(),
        local_port: 0,
        remote_address: String::new(),
        remote_port: 0,
        path: words.get(7).copied().unwrap_or_default().to_owned(),
        state: "",
    })
}

/// Address and port in hexadecimal; each four bytes of the address are a number in the machine's own order.
fn endpoint(text: &str) -> Option<(String, i64)> {
    let (address, port) = text.split_once(':')?;
    let port = i64::from(u16::from_str_radix(port, 16).ok()?);
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let shown = match address.len() {
        8 => Ipv4Addr::from(word(0)?).to_string(),
        32 => {
            let mut bytes = [0; 16];
            for index in 0..4 {
                bytes[index * 4..index * 4 + 4].copy_from_slice(&word(index)?);
            }
            Ipv6Addr::from(bytes).to_string()
        }
        _ => return None,
    };
    Some((shown, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn an_endpoint_is_read_from_its_digits() {
        assert_eq!(endpoint("0100007F:0016"), Some(("127.0.0.1".to_owned(), 22)));
        assert_eq!(endpoint("00000000000000000000000001000000:1F90"), Some(("::1".to_owned(), 8080)));
        let line = "  0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        let socket = parse(line, FAMILY_IPV4, PROTOCOL_TCP).unwrap();
        assert_eq!((socket.inode, socket.state, socket.local_port), (4711, "LISTEN", 22));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*", word in "[0-9A-Fé:]{0,40}") {
            parse(&line, 2, 6);
            parse_unix(&line);
            endpoint(&word);
        }
    }
}
