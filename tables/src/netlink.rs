//! Questions to the kernel over netlink (`netlink(7)`): lists of anything, and the IPv4 addresses of interfaces, since only it
//! says on which interface an address without a network lies. It answers for the network that this process is in.

use std::ffi::CStr;
use std::io;
use std::net::Ipv4Addr;

use crate::kernel::Netlink;

const HEADER_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
/// Both of them, as the header says it.
const REQUEST_BYTES: u32 = 24;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const AF_INET: u8 = 2;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub interface: String,
    pub address: Ipv4Addr,
    /// Bits of its network, 0 to 32.
    pub prefix: u8,
}

/// Asks the kernel for a list over one of netlink's protocols; each message is handed over with its kind and without its
/// header. A refusal is an error.
pub(crate) fn dump(protocol: Netlink, kind: u16, payload: &[u8], mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let length = u32::try_from(HEADER_BYTES + payload.len()).map_err(io::Error::other)?;
    let mut question = length.to_ne_bytes().to_vec();
    question.extend(kind.to_ne_bytes());
    question.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    question.resize(HEADER_BYTES, 0);
    question.extend(payload);
    ask(protocol, &question, |answer| messages(answer, &mut take))
}

/// Hands over the messages of one answer; true after the last of the list.
fn messages(mut answer: &[u8], take: &mut impl FnMut(u16, &[u8])) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (u32_at(answer, 0), u16_at(answer, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = answer.get(HEADER_BYTES..length) else { return Ok(true) };
        match kind {
            NLMSG_DONE => return Ok(true),
            NLMSG_ERROR => {
                let code = u32_at(message, 0).map_or(0, u32::cast_signed);
                return if code == 0 { Ok(true) } else { Err(io::Error::from_raw_os_error(code.saturating_neg())) };
            }
            kind => take(kind, message),
        }
        answer = answer.get(aligned(length)..).unwrap_or_default();
    }
    Ok(false)
}

/// Attributes in a row: kind and value. The two highest bits of a kind are flags.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}

/// Asks the kernel.
pub(crate) fn addresses() -> io::Result<Vec<Assigned>> {
    let mut found = Vec::new();
    ask(Netlink::Routes, &request(), |answer| Ok(parse(answer, &mut found)))?;
    Ok(found)
}

/// Sends a question and hands over each answer, until one is the last.
#[cfg(unix)]
fn ask(protocol: Netlink, question: &[u8], mut is_last: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use rustix::net::{RecvFlags, SendFlags, recv, send};

    /// The kernel answers at once; a sandbox may not.
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
    const BUFFER_BYTES: usize = 64 << 10;
    /// Answers of the kernel, each with dozens of entries.
    const MAX_ANSWERS: usize = 1_000;

    let socket = crate::kernel::netlink(protocol)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    send(&socket, question, SendFlags::empty())?;
    let mut buffer = vec![std::mem::MaybeUninit::<u8>::uninit(); BUFFER_BYTES];
    for _ in 0..MAX_ANSWERS {
        let ((answer, _), _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if answer.is_empty() || is_last(answer)? {
            break;
        }
    }
    Ok(())
}

/// Only Linux has it.
#[cfg(not(unix))]
fn ask(_: Netlink, _: &[u8], _: impl FnMut(&[u8]) -> io::Result<bool>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn request() -> [u8; HEADER_BYTES + ADDRESS_BYTES] {
    let mut request = [0; HEADER_BYTES + ADDRESS_BYTES];
    request[..4].copy_from_slice(&REQUEST_BYTES.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    request[HEADER_BYTES] = AF_INET;
    request
}

/// Reads one answer, which holds several messages; true after the last of them.
fn parse(mut answer: &[u8], found: &mut Vec<Assigned>) -> bool {
    while let (Some(length), Some(kind)) = (u32_at(answer, 0), u16_at(answer, 4)) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(message) = answer.get(HEADER_BYTES..length) else { return true };
        match kind {
            NLMSG_DONE | NLMSG_ERROR => return true,
            RTM_NEWADDR => found.extend(address(message)),
            _ => {}
        }
        answer = answer.get(aligned(length)..).unwrap_or_default();
    }
    false
}

fn address(message: &[u8]) -> Option<Assigned> {
    let prefix = *message.get(1).filter(|prefix| **prefix <= 32)?;
    let mut attributes = message.get(ADDRESS_BYTES..)?;
    let (mut local, mut peer, mut interface) = (None, None, None);
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let Some(value) = attributes.get(4..usize::from(length)) else { break };
        match kind {
            IFA_LOCAL => local = <[u8; 4]>::try_from(value).ok(),
            IFA_ADDRESS => peer = <[u8; 4]>::try_from(value).ok(),
            IFA_LABEL => interface = CStr::from_bytes_until_nul(value).ok().map(|name| name.to_string_lossy()),
            _ => {}
        }
        attributes = attributes.get(aligned(usize::from(length))..).unwrap_or_default();
    }
    // A label may carry a suffix of its own: `eth0:1`.
    let interface = interface?.split(':').next().unwrap_or_default().to_owned();
    Some(Assigned { interface, address: Ipv4Addr::from(local.or(peer)?), prefix })
}

fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_machine_has_a_loopback_address() {
        let loopback = Assigned { interface: "lo".to_owned(), address: Ipv4Addr::LOCALHOST, prefix: 8 };
        assert!(addresses().unwrap().contains(&loopback));
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), length in 0_u32..200) {
            let mut answer = [&length.to_ne_bytes()[..], &RTM_NEWADDR.to_ne_bytes(), &bytes].concat();
            parse(&answer, &mut Vec::new());
            answer.truncate(20);
            parse(&answer, &mut Vec::new());
            messages(&answer, &mut |_, message| attributes(message).for_each(drop)).ok();
        }
    }
}
