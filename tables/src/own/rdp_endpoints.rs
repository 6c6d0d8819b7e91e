//! `rdp_endpoints`: which security a remote desktop asks for before anybody signs in (MS-RDPBCGR 2.2.1.1 and 2.2.1.2). It is
//! asked twice: once offering everything, once offering only what RDP had before TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::endpoints::{self, Endpoint};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Which security a remote desktop asks for, by host and port; protocol is rdp, tls, nla, rdstls or nla_ex.
    rdp_endpoints: live_only {
        host: Text [required],
        port: Integer [required],
        protocol: Text,
        accepts_rdp_security: Integer,
        requires_tls: Integer,
        requires_nla: Integer,
    }
}

/// TLS, network level authentication, RDSTLS, and network level authentication with early authorisation.
const ALL: u32 = 1 | 2 | 4 | 8;
const NONE: u32 = 0;

const MAX_ANSWER_BYTES: usize = 1_024;

/// An answer to a connection request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The server goes on, with this protocol.
    Selected(u32),
    /// The server refuses, for this reason.
    Refused(u32),
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(endpoints::asked_for(&scan).into_iter().filter_map(move |endpoint| {
        let ask = |protocols| endpoints::connect(&scan, &endpoint).map(|stream| ask(&stream, protocols));
        match ask(ALL)? {
            Ok(best) => Some(describe(&endpoint, best, ask(NONE).and_then(Result::ok))),
            Err(error) => {
                scan.warn(format!("{}:{} is no remote desktop: {error}", endpoint.host, endpoint.port));
                None
            }
        }
    }))
}

fn ask(mut stream: &TcpStream, protocols: u32) -> io::Result<Answer> {
    // TPKT, X.224 connection request, RDP negotiation request.
    let mut request = vec![3, 0, 0, 19, 14, 0xe0, 0, 0, 0, 0, 0, 1, 0, 8, 0];
    request.extend(protocols.to_le_bytes());
    stream.write_all(&request)?;
    listen(stream)
}

fn listen(mut stream: impl Read) -> io::Result<Answer> {
    let head = endpoints::read_exactly(&mut stream, 4)?;
    let length = match head[..] {
        [3, _, high, low] => usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(io::Error::other("the answer is no TPKT")),
    };
    let body = length.checked_sub(4).filter(|body| *body <= MAX_ANSWER_BYTES);
    let body = body.ok_or_else(|| io::Error::other("the answer has a wrong length"))?;
    parse(&endpoints::read_exactly(&mut stream, body)?).ok_or_else(|| io::Error::other("the answer is not X.224"))
}

/// A connection confirm; without a negotiation in it the server knows nothing but RDP's own security.
fn parse(body: &[u8]) -> Option<Answer> {
    if body.get(1)? & 0xf0 != 0xd0 {
        return None;
    }
    let Some(negotiation) = body.get(7..15) else { return Some(Answer::Selected(NONE)) };
    let value = u32::from_le_bytes(*negotiation.get(4..)?.first_chunk()?);
    match negotiation.first()? {
        2 => Some(Answer::Selected(value)),
        3 => Some(Answer::Refused(value)),
        _ => None,
    }
}

fn describe(endpoint: &Endpoint, best: Answer, without: Option<Answer>) -> Row {
    let protocol = match best {
        Answer::Selected(0) => Some("rdp"),
        Answer::Selected(1) => Some("tls"),
        Answer::Selected(2) => Some("nla"),
        Answer::Selected(4) => Some("rdstls"),
        Answer::Selected(8) => Some("nla_ex"),
        Answer::Selected(_) | Answer::Refused(_) => None,
    };
    // SSL_REQUIRED_BY_SERVER and HYBRID_REQUIRED_BY_SERVER
    let refused_for = |reason| without.map(|answer| answer == Answer::Refused(reason));
    row! {
        host: endpoint.host.as_str(),
        port: endpoint.port,
        protocol,
        accepts_rdp_security: without.map(|answer| matches!(answer, Answer::Selected(0))),
        requires_tls: refused_for(1),
        requires_nla: refused_for(5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_server_selects_or_refuses() {
        let answer = |kind: u8, value: u8| [3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, kind, 0, 8, 0, value, 0, 0, 0];
        assert_eq!(listen(&answer(2, 2)[..]).unwrap(), Answer::Selected(2));
        assert_eq!(listen(&answer(3, 5)[..]).unwrap(), Answer::Refused(5));
        assert_eq!(listen(&[3, 0, 0, 11, 6, 0xd0, 0, 0, 0, 0, 0][..]).unwrap(), Answer::Selected(0));
        assert!(listen(&b"HTTP/1.1"[..]).is_err());
        let endpoint = Endpoint { host: "x".to_owned(), port: 3389 };
        let row = describe(&endpoint, Answer::Selected(2), Some(Answer::Refused(5)));
        let shown: Vec<String> = row.0.iter().map(ToString::to_string).collect();
        assert_eq!(shown[2..], ["nla", "0", "0", "1"]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            listen(&bytes[..]).ok();
            parse(&bytes);
        }
    }
}
