//! What a cloud tells its machines about themselves, at an address that only they reach. It is asked only where the firmware
//! says that this is such a machine: elsewhere the address may be anybody's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::http::{self, Request};
use crate::reader::Scan;

/// Where EC2, Azure and Yandex answer.
pub(super) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

const PORT: u16 = 80;

/// Asks the cloud; none if it has no answer, and what goes wrong is said.
pub(super) fn ask(scan: &Scan, address: IpAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Vec<u8>> {
    if !scan.budget().is_open() {
        return None;
    }
    let host = address.to_string();
    let request = Request { method, host: &host, path, headers };
    let answer = http::tcp(SocketAddr::new(address, PORT))
        .map_err(http::Error::from)
        .and_then(|stream| http::ask(stream, request, scan.budget()));
    match answer {
        Ok(body) => Some(body),
        Err(http::Error::Status(404)) => None,
        Err(error) => {
            if !scan.budget().has_failed() {
                scan.warn(format!("{host} does not answer {path}: {error}"));
            }
            None
        }
    }
}

/// Whether a value of the firmware begins so; without regard to case.
pub(super) fn firmware_says(scan: &Scan, file: &str, start: &str) -> bool {
    let value = scan.sys(format!("class/dmi/id/{file}")).unwrap_or_default();
    value.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}
