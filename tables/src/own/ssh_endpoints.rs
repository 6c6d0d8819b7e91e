//! `ssh_endpoints`: what an SSH server offers before anybody signs in (RFC 4253, 4.2 and 7.1): its software and its lists of
//! algorithms.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::endpoints::{self, Endpoint};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// What an SSH server offers before anybody signs in, by host and port; lists with the preferred first.
    ssh_endpoints: live_only {
        host: Text [required],
        port: Integer [required],
        banner: Text,
        protocol: Text,
        software: Text,
        kex_algorithms: Text,
        host_key_algorithms: Text,
        ciphers: Text,
        macs: Text,
        compression: Text,
    }
}

/// Lines that a server may send before its own (RFC 4253, 4.2).
const MAX_LINES: usize = 64;
const MAX_LINE_BYTES: u64 = 1_024;
/// A list of algorithms is a few hundred bytes.
const MAX_PACKET_BYTES: usize = 35_000;
const KEXINIT: u8 = 20;
const COOKIE_BYTES: usize = 16;

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(endpoints::asked_for(&scan).into_iter().filter_map(move |endpoint| {
        let stream = endpoints::connect(&scan, &endpoint)?;
        match talk(&stream) {
            Ok((banner, offer)) => Some(describe(&endpoint, &banner, &offer)),
            Err(error) => {
                scan.warn(format!("{}:{} does not speak SSH: {error}", endpoint.host, endpoint.port));
                None
            }
        }
    }))
}

fn talk(mut stream: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    stream.write_all(b"SSH-2.0-tenantra\r\n")?;
    listen(stream)
}

/// The line of the server, and its first packet without length and padding.
fn listen(stream: impl Read) -> io::Result<(String, Vec<u8>)> {
    let mut stream = BufReader::new(stream);
    let mut banner = None;
    for _ in 0..MAX_LINES {
        let mut line = Vec::new();
        if (&mut stream).take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.starts_with("SSH-") {
            banner = Some(line);
            break;
        }
    }
    let banner = banner.ok_or_else(|| io::Error::other("no line that begins with SSH-"))?;
    let (length, padding) = match endpoints::read_exactly(&mut stream, 5)?[..] {
        [one, two, three, four, padding] => (u32::from_be_bytes([one, two, three, four]), padding),
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let payload = length.checked_sub(usize::from(padding) + 1).filter(|_| length <= MAX_PACKET_BYTES);
    let payload = payload.ok_or_else(|| io::Error::other("the first packet has a wrong length"))?;
    let packet = endpoints::read_exactly(&mut stream, payload)?;
    if packet.first() != Some(&KEXINIT) {
        return Err(io::Error::other("the first packet offers no algorithms"));
    }
    Ok((banner, packet))
}

/// The ten lists of an offer, in the order of RFC 4253, 7.1.
fn lists(offer: &[u8]) -> Vec<String> {
    let mut rest = offer.get(1 + COOKIE_BYTES..).unwrap_or_default();
    std::iter::from_fn(|| {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (list, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = after;
        Some(String::from_utf8_lossy(list).into_owned())
    })
    .take(10)
    .collect()
}

fn describe(endpoint: &Endpoint, banner: &str, offer: &[u8]) -> Row {
    let lists = lists(offer);
    // The lists of both directions; most servers have the same twice.
    let both = |to_server: usize| match (lists.get(to_server), lists.get(to_server + 1)) {
        (Some(one), Some(other)) if one != other => Some(format!("{one},{other}")),
        (one, _) => one.cloned(),
    };
    let mut parts = banner.splitn(3, '-').skip(1);
    row! {
        host: endpoint.host.as_str(),
        port: endpoint.port,
        banner,
        protocol: parts.next(),
        software: parts.next(),
        kex_algorithms: lists.first(),
        host_key_algorithms: lists.get(1),
        ciphers: both(2),
        macs: both(4),
        compression: both(6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(lists: &[&str]) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([7; COOKIE_BYTES]);
        for list in lists {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        let length = u32::try_from(payload.len() + 5).unwrap();
        [&length.to_be_bytes()[..], &[4], &payload, &[0; 4]].concat()
    }

    #[test]
    fn a_server_says_what_it_is_and_offers() {
        let offered = packet(&[
            "curve25519-sha256",
            "ssh-ed25519",
            "aes256-ctr",
            "aes256-ctr",
            "hmac-sha1",
            "hmac-md5",
            "none",
            "none",
            "",
            "",
        ]);
        let said = [b"a line before\r\nSSH-2.0-OpenSSH_9.6 Debian\r\n", &offered[..]].concat();
        let (banner, offer) = listen(&said[..]).unwrap();
        let endpoint = Endpoint { host: "x".to_owned(), port: 22 };
        let shown: Vec<String> = describe(&endpoint, &banner, &offer).0.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown[3..],
            [
                "2.0",
                "OpenSSH_9.6 Debian",
                "curve25519-sha256",
                "ssh-ed25519",
                "aes256-ctr",
                "hmac-sha1,hmac-md5",
                "none"
            ]
        );
        assert!(listen(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let said = [&b"SSH-2.0-x\r\n"[..], &bytes].concat();
            listen(&said[..]).ok();
            lists(&bytes);
        }
    }
}
