//! What the tables of network endpoints share: which ones a query asks for, and a connection that does not wait for ever.
//! Where a module declares no network, the sandbox refuses the connection and the table says so.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};

use crate::constraints::Operator;
use crate::http;
use crate::reader::Scan;

/// Endpoints of one reading; a query that asks for more is a sweep of a network, which takes longer than a query may.
const MAX_ENDPOINTS: usize = 1_024;

/// A place in the network.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// As the query has it: an address or a name.
    pub host: String,
    pub port: u16,
}

/// The endpoints by `host` and `port`, each with each.
pub(super) fn asked_for(scan: &Scan) -> Vec<Endpoint> {
    let hosts = scan.texts("host", Operator::Equals);
    let ports: Vec<u16> = scan.numbers("port").into_iter().filter_map(|port| u16::try_from(port).ok()).collect();
    let pairs = hosts.iter().flat_map(|host| ports.iter().map(|port| Endpoint { host: host.clone(), port: *port }));
    pairs.take(MAX_ENDPOINTS).collect()
}

/// A connection; none if nobody is there, and what else goes wrong is said.
pub(super) fn connect(scan: &Scan, endpoint: &Endpoint) -> Option<TcpStream> {
    if !scan.budget().is_open() {
        return None;
    }
    let found = address_of(endpoint).and_then(http::tcp);
    match found {
        Ok(stream) => Some(stream),
        // Where nobody listens there is nothing to judge.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            scan.warn_of_no_subject(format!("{}:{} takes no connections", endpoint.host, endpoint.port));
            None
        }
        Err(error) => {
            scan.warn(format!("{}:{} cannot be reached: {error}", endpoint.host, endpoint.port));
            None
        }
    }
}

fn address_of(endpoint: &Endpoint) -> io::Result<SocketAddr> {
    let mut addresses = (endpoint.host.as_str(), endpoint.port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// Reads exactly so many bytes; what is shorter is an error.
pub(super) fn read_exactly(stream: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
