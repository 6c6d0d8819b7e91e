//! `certificates`: X.509 certificates in files (RFC 5280). Without a `path` the folders of the system's own certificates.

use sha1::Digest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, Pem, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::functions::hex;
use crate::places::{self, Place};
use crate::reader::Scan;
use crate::root::{Follow, Metadata};
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// X.509 certificates in PEM or DER files.
    certificates {
        common_name: Text,
        subject: Text,
        subject2: Text,
        issuer: Text,
        issuer2: Text,
        ca: Integer,
        self_signed: Integer,
        not_valid_before: DateTime,
        not_valid_after: DateTime,
        signing_algorithm: Text,
        key_algorithm: Text,
        key_strength: Text,
        key_usage: Text,
        subject_key_id: Text,
        authority_key_id: Text,
        sha1: Text,
        path: Text [index],
        serial: Text,
    }
}

const FOLDERS: [&str; 4] =
    ["/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/ssl/private", "/usr/local/share/ca-certificates"];
const ENDINGS: [&str; 4] = [".pem", ".crt", ".cer", ".der"];
const MAX_FILE_BYTES: u64 = 4 << 20;

fn rows(scan: &Scan) -> Rows {
    let asked = places::asked_for_by_path(scan);
    let is_default = asked.is_none();
    let scan = scan.clone();
    let files = asked.unwrap_or_else(|| places::below_each(&scan, &FOLDERS));
    Box::new(files.flat_map(move |Place { path, shown, .. }| {
        // The bundle repeats every other file of its folder, and links repeat their targets.
        let is_repeat = is_default
            && (shown.ends_with("/ca-certificates.crt") || !ENDINGS.iter().any(|ending| shown.ends_with(ending)));
        let found = if is_repeat { None } else { scan.metadata(&path, Follow::Links) };
        if found.is_some_and(|found| !found.is_file() && !found.is_dir()) {
            scan.warn(format!("{shown} is not a regular file"));
        }
        let found = found.filter(Metadata::is_file);
        let is_small = found.is_some_and(|found| found.size <= MAX_FILE_BYTES);
        if found.is_some() && !is_small {
            scan.warn(format!("{shown} is longer than {} MiB; it is not read", MAX_FILE_BYTES >> 20));
        }
        let bytes = if is_small { scan.bytes(&path, Follow::Links) } else { None };
        parse(&bytes.unwrap_or_default(), &shown).into_iter()
    }))
}

fn parse(bytes: &[u8], path: &str) -> Vec<Row> {
    if let Ok((_, certificate)) = X509Certificate::from_der(bytes) {
        return vec![describe(&certificate, bytes, path)];
    }
    Pem::iter_from_buffer(bytes)
        .map_while(Result::ok)
        .filter(|block| block.label == "CERTIFICATE" || block.label == "TRUSTED CERTIFICATE")
        .filter_map(|block| {
            let (_, certificate) = X509Certificate::from_der(&block.contents).ok()?;
            Some(describe(&certificate, &block.contents, path))
        })
        .collect()
}

/// What the tables of certificates show of each.
pub(crate) struct Facts {
    pub common_name: Option<String>,
    pub subject: String,
    pub issuer: String,
    pub is_ca: bool,
    pub is_self_signed: bool,
    pub not_valid_before: i64,
    pub not_valid_after: i64,
    pub signing_algorithm: String,
    pub key_algorithm: &'static str,
    pub key_strength: Option<String>,
    pub key_usage: Option<String>,
    pub subject_key_id: Option<String>,
    pub authority_key_id: Option<String>,
    pub sha1: String,
    pub serial: String,
}

impl Facts {
    pub fn of(certificate: &X509Certificate<'_>, der: &[u8]) -> Self {
        let subject = certificate.subject().to_string();
        let issuer = certificate.issuer().to_string();
        let (key_algorithm, key_strength) = match certificate.public_key().parsed() {
            Ok(PublicKey::RSA(key)) => ("rsaEncryption", Some(key.key_size())),
            Ok(PublicKey::EC(point)) => ("id-ecPublicKey", Some(point.key_size())),
            Ok(PublicKey::DSA(_)) => ("dsaEncryption", None),
            _ => ("", None),
        };
        let mut subject_key_id = None;
        let mut authority_key_id = None;
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => subject_key_id = Some(hex(id.0)),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    authority_key_id = id.key_identifier.as_ref().map(|id| hex(id.0));
                }
                _ => {}
            }
        }
        let common_name = certificate.subject().iter_common_name().next();
        Facts {
            common_name: common_name.and_then(|name| name.as_str().ok().map(str::to_owned)),
            is_ca: certificate.is_ca(),
            is_self_signed: subject == issuer,
            subject,
            issuer,
            not_valid_before: certificate.validity().not_before.timestamp(),
            not_valid_after: certificate.validity().not_after.timestamp(),
            signing_algorithm: signature_name(&certificate.signature_algorithm.algorithm.to_id_string()),
            key_algorithm,
            key_strength: key_strength.map(|bits| bits.to_string()),
            key_usage: certificate.key_usage().ok().flatten().map(|usage| usage.value.to_string()),
            subject_key_id,
            authority_key_id,
            sha1: hex(&sha1::Sha1::digest(der)),
            serial: hex(certificate.raw_serial()).to_uppercase(),
        }
    }
}

fn describe(certificate: &X509Certificate<'_>, der: &[u8], path: &str) -> Row {
    let facts = Facts::of(certificate, der);
    row! {
        common_name: facts.common_name,
        subject: facts.subject.as_str(),
        subject2: facts.subject,
        issuer: facts.issuer.as_str(),
        issuer2: facts.issuer,
        ca: facts.is_ca,
        self_signed: facts.is_self_signed,
        not_valid_before: facts.not_valid_before,
        not_valid_after: facts.not_valid_after,
        signing_algorithm: facts.signing_algorithm,
        key_algorithm: facts.key_algorithm,
        key_strength: facts.key_strength,
        key_usage: facts.key_usage,
        subject_key_id: facts.subject_key_id,
        authority_key_id: facts.authority_key_id,
        sha1: facts.sha1,
        path,
        serial: facts.serial,
    }
}

/// Names of signature algorithms (RFC 8017, RFC 5758, RFC 8410); the number itself where there is none.
fn signature_name(oid: &str) -> String {
    match oid {
        "1.2.840.113549.1.1.4" => "md5WithRSAEncryption",
        "1.2.840.113549.1.1.5" => "sha1WithRSAEncryption",
        "1.2.840.113549.1.1.10" => "rsassaPss",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        "1.2.840.113549.1.1.12" => "sha384WithRSAEncryption",
        "1.2.840.113549.1.1.13" => "sha512WithRSAEncryption",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        other => other,
    }
    .to_owned()
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    parse(input, "/x");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            parse(&bytes, "/x");
            let mut pem = b"-----BEGIN CERTIFICATE-----\n".to_vec();
            pem.extend(&bytes);
            parse(&pem, "/x");
        }
    }
}
