//! `secureboot_certificates`: certificates that the firmware trusts (`db`) and that it no longer trusts (`dbx`), from its own
//! variables (UEFI specification 2.10, 32.4.1).

use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificates::Facts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Certificates that the firmware trusts when it starts a program, or has revoked.
    secureboot_certificates: live_only {
        common_name: Text,
        subject: Text,
        issuer: Text,
        not_valid_before: DateTime,
        not_valid_after: DateTime,
        sha1: Text,
        serial: Text,
        revoked: Integer,
        path: Text,
        is_ca: Integer,
        self_signed: Integer,
        key_usage: Text,
        authority_key_id: Text,
        subject_key_id: Text,
        signing_algorithm: Text,
        key_algorithm: Text,
        key_strength: Text,
    }
}

/// The variables, and whether they revoke.
const VARIABLES: [(&str, bool); 2] = [
    ("firmware/efi/efivars/db-d719b2cb-3d3d-4596-a3bc-dad00e67656f", false),
    ("firmware/efi/efivars/dbx-d719b2cb-3d3d-4596-a3bc-dad00e67656f", true),
];

/// `EFI_CERT_X509_GUID` as it lies in memory: a5c059a1-94e4-4aa7-87b5-ab155c2bf072.
const X509: [u8; 16] = [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
/// In front of a variable's value.
const ATTRIBUTE_BYTES: usize = 4;
/// Type, and the sizes of the list, of its header and of each signature.
const LIST_HEADER_BYTES: usize = 28;
/// In front of each signature.
const OWNER_BYTES: usize = 16;

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    for (variable, revoked) in VARIABLES {
        let Some(bytes) = scan.sys_bytes(variable) else { continue };
        let path = scan.host().sys.join(variable);
        for certificate in certificates(bytes.get(ATTRIBUTE_BYTES..).unwrap_or_default()) {
            rows.extend(describe(certificate, revoked, &path.to_string_lossy()));
        }
    }
    Box::new(rows.into_iter())
}

/// The certificates in a row of signature lists; lists of digests are passed over.
fn certificates(mut lists: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((kind, sizes)) = lists.get(..LIST_HEADER_BYTES).map(|header| header.split_at(16)) {
        let size = |at: usize| {
            let bytes = sizes.get(at..).and_then(<[u8]>::first_chunk::<4>);
            bytes.and_then(|bytes| usize::try_from(u32::from_le_bytes(*bytes)).ok()).unwrap_or(usize::MAX)
        };
        let (list_bytes, header_bytes, signature_bytes) = (size(0), size(4), size(8));
        let Some((list, rest)) = lists.split_at_checked(list_bytes) else { break };
        let signatures = LIST_HEADER_BYTES.checked_add(header_bytes).and_then(|start| list.get(start..));
        let Some(signatures) = signatures.filter(|_| signature_bytes > OWNER_BYTES) else { break };
        if kind == X509 {
            found.extend(signatures.chunks_exact(signature_bytes).map(|signature| &signature[OWNER_BYTES..]));
        }
        lists = rest;
    }
    found
}

fn describe(der: &[u8], revoked: bool, path: &str) -> Option<Row> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let facts = Facts::of(&certificate, der);
    Some(row! {
        common_name: facts.common_name,
        subject: facts.subject,
        issuer: facts.issuer,
        not_valid_before: facts.not_valid_before,
        not_valid_after: facts.not_valid_after,
        sha1: facts.sha1,
        serial: facts.serial,
        revoked,
        path,
        is_ca: facts.is_ca,
        self_signed: facts.is_self_signed,
        key_usage: facts.key_usage,
        authority_key_id: facts.authority_key_id,
        subject_key_id: facts.subject_key_id,
        signing_algorithm: facts.signing_algorithm,
        key_algorithm: facts.key_algorithm,
        key_strength: facts.key_strength,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn certificates_are_told_from_digests() {
        let list = |kind: [u8; 16], signatures: &[&[u8]]| {
            let signature_bytes = u32::try_from(OWNER_BYTES + signatures[0].len()).unwrap();
            let all = u32::try_from(signatures.len()).unwrap() * signature_bytes + 28;
            let mut bytes =
                [&kind[..], &all.to_le_bytes(), &0_u32.to_le_bytes(), &signature_bytes.to_le_bytes()].concat();
            for signature in signatures {
                bytes.extend([7; OWNER_BYTES]);
                bytes.extend(*signature);
            }
            bytes
        };
        let bytes = [list([1; 16], &[b"digest"]), list(X509, &[b"one", b"two"])].concat();
        assert_eq!(certificates(&bytes), [&b"one"[..], b"two"]);
        assert!(certificates(&bytes[..40]).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(0_u8..64, 0..200)) {
            let lists = [&X509[..], &bytes].concat();
            for certificate in certificates(&lists) {
                describe(certificate, false, "/x");
            }
        }
    }
}
