//! The beginning of a TLS connection, as far as both sides speak in clear (RFC 8446, RFC 5246): enough to learn which
//! versions and ciphers a server takes and, up to TLS 1.2, which certificate it shows. No key is ever agreed, so no
//! cryptography is needed, and versions that no library offers any more can be asked for.

use std::io::{self, Read, Write};

use super::endpoints::read_exactly;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Ssl3,
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

impl Version {
    pub const ALL: [Version; 5] = [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12, Version::Tls13];

    pub const fn name(self) -> &'static str {
        match self {
            Version::Ssl3 => "SSLv3",
            Version::Tls10 => "TLSv1",
            Version::Tls11 => "TLSv1.1",
            Version::Tls12 => "TLSv1.2",
            Version::Tls13 => "TLSv1.3",
        }
    }

    const fn code(self) -> u16 {
        match self {
            Version::Ssl3 => 0x0300,
            Version::Tls10 => 0x0301,
            Version::Tls11 => 0x0302,
            Version::Tls12 => 0x0303,
            Version::Tls13 => 0x0304,
        }
    }
}

/// What a server answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The version it chose; none if it refuses.
    pub version: Option<u16>,
    /// The cipher it chose.
    pub cipher: u16,
    /// Its own certificate in DER, where it is shown in clear.
    pub certificate: Option<Vec<u8>>,
}

impl Answer {
    pub fn is(&self, version: Version) -> bool {
        self.version == Some(version.code())
    }
}

/// Messages of a handshake, and the kind of record that carries them.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_HELLO_DONE: u8 = 14;
const HANDSHAKE: u8 = 22;

const MAX_RECORDS: usize = 32;
/// A record is at most 2^14 bytes and a little more (RFC 5246, 6.2.3).
const MAX_RECORD_BYTES: usize = (1 << 14) + 2_048;
const MAX_HANDSHAKE_BYTES: usize = 128 << 10;

/// What is offered with TLS 1.3, and before.
const CIPHERS_13: [u16; 3] = [0x1301, 0x1302, 0x1303];
const CIPHERS: [u16; 26] = [
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0xc023, 0xc027, 0xc024, 0xc028,
    0x009e, 0x009f, 0x0033, 0x0039, 0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, 0x000a, 0x0005,
];
/// What nobody should take any more: no encryption, no authentication, export, RC4, DES, 3DES.
const WEAK_CIPHERS: [u16; 20] = [
    0x0001, 0x0002, 0x003b, 0x0003, 0x0006, 0x0008, 0x0014, 0x0004, 0x0005, 0xc011, 0xc007, 0x0009, 0x0015, 0x000a,
    0x0016, 0xc012, 0xc008, 0x0018, 0x0034, 0xc018,
];

/// Which ciphers are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Usual,
    /// Only those that nobody should take any more.
    Weak,
}

/// Begins a connection and reads what the server says in clear.
pub(super) fn ask(
    stream: &mut (impl Read + Write),
    version: Version,
    offer: Offer,
    server_name: Option<&str>,
) -> io::Result<Answer> {
    stream.write_all(&client_hello(version, offer, server_name))?;
    listen(stream)
}

fn client_hello(version: Version, offer: Offer, server_name: Option<&str>) -> Vec<u8> {
    // TLS 1.3 calls itself 1.2 here and says the truth in an extension (RFC 8446, 4.2.1).
    let shown = version.min(Version::Tls12).code();
    let random = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
    let ciphers: &[u16] = match (version, offer) {
        (Version::Tls13, _) => &CIPHERS_13,
        (_, Offer::Usual) => &CIPHERS,
        (_, Offer::Weak) => &WEAK_CIPHERS,
    };
    let mut body = shown.to_be_bytes().to_vec();
    body.extend(&random);
    body.push(0);
    body.extend(with_length_16(&ciphers.iter().flat_map(|cipher| cipher.to_be_bytes()).collect::<Vec<u8>>()));
    body.extend([1, 0]);
    // SSL 3.0 has no extensions.
    if version != Version::Ssl3 {
        body.extend(with_length_16(&extensions(version, server_name, &random)));
    }
    let mut message = vec![CLIENT_HELLO];
    message.extend(&length(body.len())[1..]);
    message.extend(body);
    let record_version = version.min(Version::Tls10).code();
    [&[HANDSHAKE][..], &record_version.to_be_bytes(), &with_length_16(&message)].concat()
}

fn extensions(version: Version, server_name: Option<&str>, random: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut add = |kind: u16, content: &[u8]| {
        all.extend(kind.to_be_bytes());
        all.extend(with_length_16(content));
    };
    if let Some(name) = server_name {
        let name = [&[0][..], &with_length_16(name.as_bytes())].concat();
        add(0, &with_length_16(&name));
    }
    // x25519, secp256r1, secp384r1, secp521r1
    add(10, &[0, 8, 0, 29, 0, 23, 0, 24, 0, 25]);
    add(11, &[1, 0]);
    // ECDSA, RSA-PSS, RSA with SHA-256, -384, -512; Ed25519; and what servers of old have
    add(13, &[0, 22, 4, 3, 5, 3, 6, 3, 8, 4, 8, 5, 8, 6, 4, 1, 5, 1, 6, 1, 8, 7, 2, 1]);
    if version == Version::Tls13 {
        add(43, &[2, 3, 4]);
        // Any 32 bytes are a public key of x25519; nobody computes with it.
        let share = [&[0, 29][..], &with_length_16(random)].concat();
        add(51, &with_length_16(&share));
    }
    all
}

fn with_length_16(content: &[u8]) -> Vec<u8> {
    [&length(content.len())[2..], content].concat()
}

fn length(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}

fn listen(stream: &mut impl Read) -> io::Result<Answer> {
    let mut answer = Answer::default();
    let mut handshake = Vec::new();
    for _ in 0..MAX_RECORDS {
        let (kind, length) = match read_exactly(stream, 5) {
            Ok(head) => match head[..] {
                [kind, 3, _, high, low] => (kind, usize::from(u16::from_be_bytes([high, low]))),
                _ => return Err(io::Error::other("the answer is not TLS")),
            },
            // A server that refuses may just hang up.
            Err(_) if answer.version.is_some() => return Ok(answer),
            Err(error) if is_hang_up(&error) => return Ok(Answer::default()),
            Err(error) => return Err(error),
        };
        if length > MAX_RECORD_BYTES || handshake.len() > MAX_HANDSHAKE_BYTES {
            return Err(io::Error::other("the answer is too long"));
        }
        let content = read_exactly(stream, length)?;
        match kind {
            HANDSHAKE => handshake.extend(content),
            // An alert is a refusal; after anything else the server speaks in cipher.
            _ => return Ok(answer),
        }
        let is_over = read_messages(&mut handshake, &mut answer);
        if is_over || answer.is(Version::Tls13) {
            return Ok(answer);
        }
    }
    Ok(answer)
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Takes whole messages off the front; true once no more is to be learnt.
fn read_messages(handshake: &mut Vec<u8>, answer: &mut Answer) -> bool {
    while let [kind, high, middle, low, ..] = handshake[..] {
        let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
        let Some(body) = handshake.get(4..).and_then(|rest| rest.get(..length)) else { return false };
        match kind {
            SERVER_HELLO => match server_hello(body) {
                Some((version, cipher)) => (answer.version, answer.cipher) = (Some(version), cipher),
                None => return true,
            },
            CERTIFICATE => answer.certificate = first_certificate(body),
            _ => {}
        }
        if matches!(kind, CERTIFICATE | SERVER_HELLO_DONE) {
            return true;
        }
        handshake.drain(..4 + length);
    }
    false
}

fn server_hello(body: &[u8]) -> Option<(u16, u16)> {
    let (version, rest) = body.split_first_chunk::<2>()?;
    let session = usize::from(*rest.get(32)?);
    let rest = rest.get(33 + session..)?;
    let (cipher, rest) = rest.split_first_chunk::<2>()?;
    let mut version = u16::from_be_bytes(*version);
    let mut extensions = rest.get(3..).unwrap_or_default();
    while let Some((kind, after)) = extensions.split_first_chunk::<2>() {
        let (length, after) = after.split_first_chunk::<2>()?;
        let (content, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        if u16::from_be_bytes(*kind) == 43 {
            version = u16::from_be_bytes(*content.first_chunk()?);
        }
        extensions = after;
    }
    Some((version, u16::from_be_bytes(*cipher)))
}

/// The first of the list is the server's own.
fn first_certificate(body: &[u8]) -> Option<Vec<u8>> {
    let [high, middle, low] = *body.get(3..)?.first_chunk::<3>()?;
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()?;
    body.get(6..)?.get(..length).map(<[u8]>::to_vec)
}

/// The name of a cipher (IANA), or its number.
pub(super) fn cipher_name(cipher: u16) -> String {
    let name = match cipher {
        0x1301 => "TLS_AES_128_GCM_SHA256",
        0x1302 => "TLS_AES_256_GCM_SHA384",
        0x1303 => "TLS_CHACHA20_POLY1305_SHA256",
        0xc02b => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        0xc02c => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        0xc02f => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        0xc030 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        0xcca8 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        0xcca9 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        0xc009 => "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        0xc00a => "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        0xc013 => "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        0xc014 => "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        0xc023 => "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        0xc024 => "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
        0xc027 => "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        0xc028 => "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
        0x009e => "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
        0x009f => "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
        0x0033 => "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
        0x0039 => "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
        0x009c => "TLS_RSA_WITH_AES_128_GCM_SHA256",
        0x009d => "TLS_RSA_WITH_AES_256_GCM_SHA384",
        0x003c => "TLS_RSA_WITH_AES_128_CBC_SHA256",
        0x003d => "TLS_RSA_WITH_AES_256_CBC_SHA256",
        0x002f => "TLS_RSA_WITH_AES_128_CBC_SHA",
        0x0035 => "TLS_RSA_WITH_AES_256_CBC_SHA",
        0x0001 => "TLS_RSA_WITH_NULL_MD5",
        0x0002 => "TLS_RSA_WITH_NULL_SHA",
        0x003b => "TLS_RSA_WITH_NULL_SHA256",
        0x0003 => "TLS_RSA_EXPORT_WITH_RC4_40_MD5",
        0x0006 => "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5",
        0x0008 => "TLS_RSA_EXPORT_WITH_DES40_CBC_SHA",
        0x0014 => "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA",
        0x0004 => "TLS_RSA_WITH_RC4_128_MD5",
        0x0005 => "TLS_RSA_WITH_RC4_128_SHA",
        0xc007 => "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        0xc011 => "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
        0x0009 => "TLS_RSA_WITH_DES_CBC_SHA",
        0x0015 => "TLS_DHE_RSA_WITH_DES_CBC_SHA",
        0x000a => "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        0x0016 => "TLS_DHE_RSA_WITH_3DES_EDE_CBC_SHA",
        0xc008 => "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
        0xc012 => "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        0x0018 => "TLS_DH_anon_WITH_RC4_128_MD5",
        0x0034 => "TLS_DH_anon_WITH_AES_128_CBC_SHA",
        0xc018 => "TLS_ECDH_anon_WITH_AES_128_CBC_SHA",
        other => return format!("0x{other:04X}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind, 3, 3][..], &with_length_16(content)].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &length(body.len())[1..], body].concat()
    }

    fn hello(version: u16, cipher: u16, extensions: &[u8]) -> Vec<u8> {
        let body =
            [&version.to_be_bytes()[..], &[7; 32], &[0], &cipher.to_be_bytes(), &[0], &with_length_16(extensions)];
        message(SERVER_HELLO, &body.concat())
    }

    #[test]
    fn a_server_chooses_and_shows_its_certificate() {
        let certificate = message(CERTIFICATE, &[&[0, 0, 7, 0, 0, 4][..], b"cert"].concat());
        let said = [hello(0x0303, 0xc02f, &[]), certificate].concat();
        // Messages do not end where records end.
        let (first, second) = said.split_at(50);
        let said = [record(HANDSHAKE, first), record(HANDSHAKE, second)].concat();
        let answer = listen(&mut &said[..]).unwrap();
        assert!(answer.is(Version::Tls12));
        assert_eq!(
            (cipher_name(answer.cipher).as_str(), answer.certificate.as_deref()),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Some(&b"cert"[..]))
        );
    }

    #[test]
    fn the_newest_version_stands_in_an_extension() {
        let said = record(HANDSHAKE, &hello(0x0303, 0x1302, &[0, 43, 0, 2, 3, 4]));
        let answer = listen(&mut &said[..]).unwrap();
        assert!(answer.is(Version::Tls13) && answer.certificate.is_none());
    }

    #[test]
    fn a_refusal_is_an_answer() {
        assert_eq!(listen(&mut &record(21, &[2, 70])[..]).unwrap(), Answer::default());
        assert_eq!(listen(&mut &b""[..]).unwrap(), Answer::default());
        assert!(listen(&mut &b"SSH-2.0-x\r\n"[..]).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0_u8..24) {
            listen(&mut &record(HANDSHAKE, &message(kind, &bytes))[..]).ok();
            listen(&mut &record(HANDSHAKE, &bytes)[..]).ok();
            listen(&mut &bytes[..]).ok();
        }
    }
}
