//! A small HTTP/1.1 client for what answers on this host or beside it: Docker's socket, LXD's, a cloud's metadata. It asks
//! one question a connection, over streams that do not wait for ever, and takes no more than it can hold. No TLS: none of
//! these has it; a cluster's tables bring a stream that does. Where a module declares no network, the sandbox refuses the connection and the table says so.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::budget::Budget;
#[cfg(unix)]
use crate::kernel;
use crate::reader::{CHUNK_BYTES, Scan};

/// Until a connection stands.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// Between two pieces of an answer. Docker measures a container for a second before it answers.
const READ_PATIENCE: Duration = Duration::from_secs(4);
/// For one answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: usize = 64 << 10;
const MAX_BODY_BYTES: usize = 16 << 20;
const MAX_HEADERS: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the answer is not HTTP")]
    NotHttp,
    #[error("the answer is longer than this program takes")]
    TooLong,
    #[error("the answer takes too long")]
    TooLate,
    #[error("the answer is {0}")]
    Status(u16),
    #[error("the query's budget is used up")]
    OverBudget,
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub host: &'a str,
    /// With a slash in front.
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
}

/// A stream to a socket of the host, below its root.
#[cfg(unix)]
pub(crate) fn unix(scan: &Scan, path: &Path) -> io::Result<std::os::unix::net::UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, connect};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    let file = scan.source.root.open_socket(path)?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let socket = kernel::stream_socket(AddressFamily::UNIX)?;
    // A server that takes no connections has a full queue: the answer is an error at once.
    connect(&socket, &address)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(READ_PATIENCE))?;
    stream.set_write_timeout(Some(READ_PATIENCE))?;
    Ok(stream)
}

/// A stream to a socket of the host: only Unix has them.
#[cfg(not(unix))]
pub(crate) fn unix(_: &Scan, _: &Path) -> io::Result<TcpStream> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A stream to an address.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_PATIENCE)?;
    stream.set_read_timeout(Some(READ_PATIENCE))?;
    stream.set_write_timeout(Some(READ_PATIENCE))?;
    Ok(stream)
}

/// What is taken of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub body_bytes: usize,
    /// For the whole of it.
    pub patience: Duration,
}

/// Asks and reads the body of the answer; any answer but success is an error.
pub(crate) fn ask(stream: impl Read + Write, request: Request<'_>, budget: &Budget) -> Result<Vec<u8>, Error> {
    ask_within(stream, request, budget, Bounds { body_bytes: MAX_BODY_BYTES, patience: ANSWER_PATIENCE })
}

/// The same with bounds of its own.
pub(crate) fn ask_within(
    mut stream: impl Read + Write,
    request: Request<'_>,
    budget: &Budget,
    bounds: Bounds,
) -> Result<Vec<u8>, Error> {
    stream.write_all(written(request).as_bytes())?;
    let started = Instant::now();
    let mut answer = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = stream.read(&mut chunk)?;
        answer.extend_from_slice(&chunk[..count]);
        if !budget.spend_bytes(count) {
            return Err(Error::OverBudget);
        }
        if started.elapsed() > bounds.patience {
            return Err(Error::TooLate);
        }
        if let Some(body) = parse(&answer, count == 0, bounds.body_bytes)? {
            return Ok(body);
        }
        if count == 0 {
            return Err(Error::NotHttp);
        }
        if answer.len() > MAX_HEAD_BYTES + bounds.body_bytes {
            return Err(Error::TooLong);
        }
    }
}

fn written(request: Request<'_>) -> String {
    let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.path, request.host);
    for (name, value) in request.headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("User-Agent: tenantra\r\nAccept: */*\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    text
}

/// How the end of a body is told.
enum Length {
    Bytes(usize),
    Chunked,
    ToTheEnd,
}

/// The body, once it is there; none while more is to come.
fn parse(answer: &[u8], is_over: bool, most: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let start = match head.parse(answer) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) if answer.len() <= MAX_HEAD_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Error::NotHttp),
    };
    let status = head.code.unwrap_or(0);
    if !(200..300).contains(&status) {
        return Err(Error::Status(status));
    }
    let body = &answer[start..];
    match length(head.headers) {
        Length::Bytes(length) if length > most => Err(Error::TooLong),
        Length::Bytes(length) => Ok(body.get(..length).map(<[u8]>::to_vec)),
        Length::ToTheEnd => Ok(is_over.then(|| body.to_vec())),
        // The last chunk is an empty one; looking at all of them for each piece that arrives would take too long.
        Length::Chunked if is_over || body.ends_with(b"0\r\n\r\n") => joined(body, most),
        Length::Chunked => Ok(None),
    }
}

fn length(headers: &[httparse::Header<'_>]) -> Length {
    let value = |name: &str| {
        let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok().map(str::trim)
    };
    if value("transfer-encoding").is_some_and(|encoding| encoding.eq_ignore_ascii_case("chunked")) {
        return Length::Chunked;
    }
    value("content-length").and_then(|length| length.parse().ok()).map_or(Length::ToTheEnd, Length::Bytes)
}

/// Chunks without their sizes; none if the last is not there.
fn joined(mut chunks: &[u8], most: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(chunks) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Error::NotHttp),
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= most).ok_or(Error::TooLong)?;
        let Some((chunk, rest)) = chunks[start..].split_at_checked(size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        let Some(rest) = rest.get(2..) else { return Ok(None) };
        chunks = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_body_ends_where_its_head_says() {
        for (answer, is_over, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, Some("{}")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", false, None),
            ("HTTP/1.0 200 OK\r\n\r\n[1]", true, Some("[1]")),
            ("HTTP/1.0 200 OK\r\n\r\n[1]", false, None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n", false, Some("[1]")),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n", false, None),
            ("HTTP/1.1 200", false, None),
        ] {
            let body = parse(answer.as_bytes(), is_over, 9).unwrap();
            assert_eq!(body.as_deref(), expected.map(str::as_bytes), "{answer}");
        }
        assert!(matches!(parse(b"HTTP/1.1 404 Not Found\r\n\r\n", true, 9), Err(Error::Status(404))));
        assert!(matches!(parse(b"SSH-2.0-x\r\n", true, 9), Err(Error::NotHttp)));
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        assert!(matches!(parse(long, false, 9), Err(Error::TooLong)));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), is_over: bool) {
            let answer = [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &bytes].concat();
            parse(&answer, is_over, MAX_BODY_BYTES).ok();
            parse(&bytes, is_over, MAX_BODY_BYTES).ok();
        }
    }
}
