//! Functions of addresses: `inet_aton`, `in_cidr_block`, `community_id_v1`.

use std::net::IpAddr;

use base64::Engine as _;
use rusqlite::functions::Context;
use rusqlite::{Connection, Result};
use sha1::Digest;

use super::{PURE, integer, refusal, text};

const ICMP: u8 = 1;
const ICMP_V6: u8 = 58;

/// Pairs of messages of ICMP that answer each other; which of the two comes first does not matter.
const ICMP_PAIRS: [(u16, u16); 5] = [(8, 0), (10, 9), (13, 14), (15, 16), (17, 18)];
const ICMP_V6_PAIRS: [(u16, u16); 6] = [(128, 129), (130, 131), (133, 134), (135, 136), (139, 140), (144, 145)];

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("inet_aton", 1, PURE, |context| {
        Ok(text(context, 0).and_then(|text| inet_aton(&text)).map(i64::from))
    })?;
    connection.create_scalar_function("in_cidr_block", 2, PURE, in_cidr_block)?;
    connection.create_scalar_function("community_id_v1", 5, PURE, community_id)?;
    connection.create_scalar_function("community_id_v1", 6, PURE, community_id)
}

/// An address as `inet_aton(3)` reads it: one to four numbers, decimal, octal (`010`) or hexadecimal (`0x10`), of which the
/// last fills what is left of the 32 bits.
fn inet_aton(text: &str) -> Option<u32> {
    let numbers: Vec<u32> = text.trim_end().split('.').take(5).map(c_number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let left_bits = 8 * 4_usize.checked_sub(first.len()).filter(|left| *left > 0)?;
    if first.iter().any(|number| *number > 255) || u64::from(*last) >= (1_u64 << left_bits) {
        return None;
    }
    let leading = first.iter().fold(0_u64, |all, number| (all << 8) | u64::from(*number));
    u32::try_from((leading << left_bits) | u64::from(*last)).ok()
}

fn c_number(text: &str) -> Option<u32> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // A sign would be read as well.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u32::from_str_radix(digits, base).ok()
}

/// `in_cidr_block(block, address)`: whether the address lies in the block, its first and last address included. An address
/// of the other family does not; what is no address, such as the empty text of a local socket, is NULL.
fn in_cidr_block(context: &Context<'_>) -> Result<Option<bool>> {
    let (Some(block), Some(address)) = (text(context, 0), text(context, 1)) else { return Ok(None) };
    let (network, bits) =
        parse_block(&block).ok_or_else(|| refusal(format!("{block:?} is no block of addresses such as 10.0.0.0/8")))?;
    Ok(address.parse().ok().map(|address| holds(network, bits, address)))
}

fn parse_block(block: &str) -> Option<(IpAddr, u32)> {
    let (network, bits) = block.split_once('/')?;
    let network: IpAddr = network.parse().ok()?;
    let bits: u32 = bits.parse().ok()?;
    let all = if network.is_ipv4() { 32 } else { 128 };
    (bits <= all).then_some((network, bits))
}

fn holds(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let other_bits = u32::from(network) ^ u32::from(address);
            other_bits.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let other_bits = u128::from(network) ^ u128::from(address);
            other_bits.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// `community_id_v1(source, destination, source port, destination port, protocol [, seed])`: the Community ID of a flow
/// (version 1), the same for both directions. NULL where an address is none, as of a listening socket.
fn community_id(context: &Context<'_>) -> Result<Option<String>> {
    let address = |index| text(context, index).and_then(|text| text.parse::<IpAddr>().ok());
    let (Some(source), Some(destination)) = (address(0), address(1)) else { return Ok(None) };
    let (Some(from), Some(to), Some(protocol)) = (integer(context, 2), integer(context, 3), integer(context, 4)) else {
        return Ok(None);
    };
    let port = |number: i64| {
        u16::try_from(number).map_err(|_| refusal(format!("community_id_v1: {number} is no port (0 to 65535)")))
    };
    let protocol = u8::try_from(protocol)
        .map_err(|_| refusal(format!("community_id_v1: {protocol} is no protocol (0 to 255)")))?;
    let seed = if context.len() > 5 { integer(context, 5).unwrap_or(0) } else { 0 };
    let seed = u16::try_from(seed).map_err(|_| refusal("community_id_v1: the seed is a number from 0 to 65535"))?;
    let flow = Flow { source, destination, from: port(from)?, to: port(to)?, protocol };
    Ok(Some(flow.community_id(seed)))
}

struct Flow {
    source: IpAddr,
    destination: IpAddr,
    from: u16,
    to: u16,
    protocol: u8,
}

impl Flow {
    fn community_id(&self, seed: u16) -> String {
        let (from, to, is_one_way) = self.ports();
        let (source, destination) = (octets(self.source), octets(self.destination));
        let is_ordered = is_one_way || (&source, from) < (&destination, to);
        let [(first, first_port), (second, second_port)] =
            if is_ordered { [(source, from), (destination, to)] } else { [(destination, to), (source, from)] };
        let mut digest = sha1::Sha1::new();
        digest.update(seed.to_be_bytes());
        digest.update(&first);
        digest.update(&second);
        digest.update([self.protocol, 0]);
        digest.update(first_port.to_be_bytes());
        digest.update(second_port.to_be_bytes());
        format!("1:{}", base64::engine::general_purpose::STANDARD.encode(digest.finalize()))
    }

    /// The ports, and whether the flow has one direction only. Of ICMP they are the type and the type that answers it, or
    /// type and code of a message that has no answer.
    fn ports(&self) -> (u16, u16, bool) {
        let pairs: &[(u16, u16)] = match self.protocol {
            ICMP => &ICMP_PAIRS,
            ICMP_V6 => &ICMP_V6_PAIRS,
            _ => return (self.from, self.to, false),
        };
        let answer = pairs.iter().find_map(|(one, other)| match self.from {
            kind if kind == *one => Some(*other),
            kind if kind == *other => Some(*one),
            _ => None,
        });
        answer.map_or((self.from, self.to, true), |answer| (self.from, answer, false))
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
