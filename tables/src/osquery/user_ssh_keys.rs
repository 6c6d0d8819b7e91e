//! `user_ssh_keys`: private keys in home folders, and whether a passphrase protects them. Nothing of the key itself is shown.

use std::ffi::OsString;
use std::path::Path;

use base64::Engine as _;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Private keys for SSH in home folders.
    user_ssh_keys {
        uid: BigInt [index],
        path: Text [index],
        encrypted: Integer,
        key_type: Text,
        key_group_name: Text,
        key_length: Integer,
        key_security_bits: Integer,
        pid_with_namespace: Integer [hidden],
    }
}

const FOLDER: &str = ".ssh";
/// Files of that folder that are no keys; some are long.
const OTHERS: [&str; 5] = ["authorized_keys", "authorized_keys2", "config", "known_hosts", "known_hosts.old"];

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(accounts::users_asked_for(&scan).into_iter().flat_map(move |user| {
        let scan = scan.clone();
        let is_other = |name: &OsString| name.to_str().is_some_and(|name| OTHERS.contains(&name));
        scan.home_entries(&user.home, FOLDER).into_iter().filter(move |name| !is_other(name)).filter_map(move |name| {
            let below = Path::new(FOLDER).join(name);
            let key = inspect(&scan.home_text(&user.home, &below)?)?;
            Some(row! {
                uid: user.uid,
                path: paths::display(&Path::new(&user.home).join(below)),
                encrypted: key.is_encrypted,
                key_type: key.kind,
                key_group_name: "",
                key_length: -1,
                key_security_bits: -1,
            })
        })
    }))
}

#[derive(Debug, PartialEq, Eq)]
struct PrivateKey {
    kind: &'static str,
    is_encrypted: bool,
}

fn inspect(text: &str) -> Option<PrivateKey> {
    let start = text.find("-----BEGIN ")?;
    let (label, body) = text[start..].strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let kind = match label {
        "OPENSSH PRIVATE KEY" => return inspect_openssh(body),
        "RSA PRIVATE KEY" => "rsa",
        "DSA PRIVATE KEY" => "dsa",
        "EC PRIVATE KEY" => "ec",
        "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => "",
        _ => return None,
    };
    // RFC 1421 headers follow the first line of an encrypted key.
    let is_encrypted = label.starts_with("ENCRYPTED") || body.trim_start().starts_with("Proc-Type: 4,ENCRYPTED");
    Some(PrivateKey { kind, is_encrypted })
}

/// OpenSSH's own format (PROTOCOL.key): magic, cipher, derivation, its options, number of keys, first public key.
fn inspect_openssh(body: &str) -> Option<PrivateKey> {
    let encoded: String = body.split("-----").next()?.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let cipher = take_string(&mut rest)?;
    take_string(&mut rest)?;
    take_string(&mut rest)?;
    rest = rest.get(4..)?;
    let mut public = take_string(&mut rest)?;
    let kind = match take_string(&mut public)? {
        b"ssh-rsa" => "rsa",
        b"ssh-dss" => "dsa",
        b"ssh-ed25519" | b"sk-ssh-ed25519@openssh.com" => "ed25519",
        name if name.starts_with(b"ecdsa-") || name.starts_with(b"sk-ecdsa-") => "ec",
        _ => "",
    };
    Some(PrivateKey { kind, is_encrypted: cipher != b"none" })
}

/// A string with its length in front (RFC 4251 §5).
fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encryption_is_seen_in_every_format() {
        let mut key = b"openssh-key-v1\0".to_vec();
        for part in [&b"aes256-ctr"[..], b"bcrypt", b"x"] {
            key.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            key.extend(part);
        }
        key.extend([0, 0, 0, 1, 0, 0, 0, 15, 0, 0, 0, 11]);
        key.extend(b"ssh-ed25519");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&key);
        let text = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{encoded}\n-----END OPENSSH PRIVATE KEY-----\n");
        assert_eq!(inspect(&text), Some(PrivateKey { kind: "ed25519", is_encrypted: true }));
        let plain = "-----BEGIN RSA PRIVATE KEY-----\nMII";
        assert_eq!(inspect(plain), Some(PrivateKey { kind: "rsa", is_encrypted: false }));
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        assert_eq!(inspect(old), Some(PrivateKey { kind: "rsa", is_encrypted: true }));
        assert_eq!(inspect("ssh-ed25519 AAAA"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut key = b"openssh-key-v1\0".to_vec();
            key.extend(bytes);
            let encoded = base64::engine::general_purpose::STANDARD.encode(&key);
            inspect(&format!("-----BEGIN OPENSSH PRIVATE KEY-----{encoded}"));
        }
    }
}
