//! `tls_endpoints`: which versions of TLS a server takes, with which cipher, and its certificate. Each version is asked for
//! on a connection of its own, and once more with ciphers that nobody should take. What TLS 1.3 alone shows of a
//! certificate is in cipher: then the row has the one of an older version, or none.

use std::io;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::endpoints::{self, Endpoint};
use super::tls::{self, Answer, Offer, Version, cipher_name};
use crate::osquery::certificates::Facts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Versions of TLS that a server takes, by host and port, one row a version; weak_cipher is what it takes if nothing better is offered.
    tls_endpoints: live_only {
        host: Text [required],
        port: Integer [required],
        protocol: Text,
        cipher: Text,
        weak_cipher: Text,
        common_name: Text,
        alternative_names: Text,
        is_name_right: Integer,
        subject: Text,
        issuer: Text,
        self_signed: Integer,
        not_valid_before: DateTime,
        not_valid_after: DateTime,
        signing_algorithm: Text,
        key_algorithm: Text,
        key_strength: Text,
        serial: Text,
        sha1: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(endpoints::asked_for(&scan).into_iter().flat_map(move |endpoint| {
        match versions(&scan, &endpoint) {
            Ok(found) => describe(&endpoint, &found),
            Err(error) => {
                scan.warn(format!("{}:{} does not speak TLS: {error}", endpoint.host, endpoint.port));
                Vec::new()
            }
        }
        .into_iter()
    }))
}

/// A version that the server takes.
struct Taken {
    version: Version,
    answer: Answer,
    weak_cipher: Option<u16>,
}

fn versions(scan: &Scan, endpoint: &Endpoint) -> io::Result<Vec<Taken>> {
    let mut taken = Vec::new();
    for version in Version::ALL {
        let Some(answer) = ask(scan, endpoint, version, Offer::Usual)? else { break };
        let weak_cipher = if version == Version::Tls13 {
            None
        } else {
            let weak = ask(scan, endpoint, version, Offer::Weak)?;
            weak.filter(|answer| answer.is(version)).map(|answer| answer.cipher)
        };
        // A server that knows only weak ciphers takes the version as well.
        let is_taken = answer.is(version) || weak_cipher.is_some();
        if is_taken {
            taken.push(Taken { version, answer, weak_cipher });
        }
    }
    Ok(taken)
}

/// None if there is nobody.
fn ask(scan: &Scan, endpoint: &Endpoint, version: Version, offer: Offer) -> io::Result<Option<Answer>> {
    let Some(mut stream) = endpoints::connect(scan, endpoint) else { return Ok(None) };
    // An address is no name that a server could go by (RFC 6066, 3).
    let name = endpoint.host.parse::<IpAddr>().is_err().then_some(endpoint.host.as_str());
    tls::ask(&mut stream, version, offer, name).map(Some)
}

fn describe(endpoint: &Endpoint, taken: &[Taken]) -> Vec<Row> {
    let shown = taken.iter().rev().find_map(|one| one.answer.certificate.as_deref());
    taken
        .iter()
        .map(|one| {
            let der = one.answer.certificate.as_deref().or(shown).unwrap_or_default();
            let certificate = X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
            let names = certificate.as_ref().map(names);
            let is_name_right = names.as_ref().map(|names| names.iter().any(|name| matches(name, &endpoint.host)));
            let facts = certificate.as_ref().map(|certificate| Facts::of(certificate, der));
            let facts = facts.as_ref();
            row! {
                host: endpoint.host.as_str(),
                port: endpoint.port,
                protocol: one.version.name(),
                cipher: one.answer.is(one.version).then(|| cipher_name(one.answer.cipher)),
                weak_cipher: one.weak_cipher.map(cipher_name),
                common_name: facts.and_then(|facts| facts.common_name.as_deref()),
                alternative_names: names.map(|names| names.join(",")),
                is_name_right,
                subject: facts.map(|facts| facts.subject.as_str()),
                issuer: facts.map(|facts| facts.issuer.as_str()),
                self_signed: facts.map(|facts| facts.is_self_signed),
                not_valid_before: facts.map(|facts| facts.not_valid_before),
                not_valid_after: facts.map(|facts| facts.not_valid_after),
                signing_algorithm: facts.map(|facts| facts.signing_algorithm.as_str()),
                key_algorithm: facts.map(|facts| facts.key_algorithm),
                key_strength: facts.and_then(|facts| facts.key_strength.as_deref()),
                serial: facts.map(|facts| facts.serial.as_str()),
                sha1: facts.map(|facts| facts.sha1.as_str()),
            }
        })
        .collect()
}

/// The names and addresses that a certificate is for (RFC 6125: the subject's own name no longer counts).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => bytes.first_chunk::<4>().map(|bytes| IpAddr::from(*bytes).to_string()),
                _ => bytes.first_chunk::<16>().map(|bytes| IpAddr::from(*bytes).to_string()),
            },
            _ => None,
        })
        .collect()
}

/// Whether a name of a certificate is the host's; a star stands for the first part only (RFC 6125, 6.4.3).
fn matches(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    match (name.strip_prefix("*."), host.split_once('.')) {
        (Some(domain), Some((first, rest))) => {
            !first.is_empty() && domain.contains('.') && domain.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_part_of_a_name() {
        for (name, host, expected) in [
            ("a.example.org", "A.example.org", true),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("192.0.2.7", "192.0.2.7", true),
        ] {
            assert_eq!(matches(name, host), expected, "{name} for {host}");
        }
    }
}
