//! Digests of passwords as `crypt(5)` writes them, and whether a word has one.

use mcf::PasswordHashRef;
use password_hash::PasswordVerifier;
use sha_crypt::ShaCrypt;
use yescrypt::Yescrypt;

/// What one try with yescrypt may take; the default of Debian 12 takes 16 MiB.
const MAX_MEMORY_BYTES: u64 = 32 << 20;
/// Rounds of SHA-crypt; the default is 5,000.
const MAX_ROUNDS: u32 = 500_000;
/// Logarithm of the rounds of bcrypt; the usual cost is 10 to 12.
const MAX_COST: u32 = 13;
/// Characters that yescrypt and bcrypt end with: a shorter end would match anything.
const YESCRYPT_END: usize = 43;

/// A digest that can be tried.
#[derive(Debug, Clone)]
pub(super) enum Digest {
    Yescrypt(String),
    Sha(String),
    Bcrypt(String),
    /// None that anything is tried against.
    None,
}

/// Why a digest is not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Untried {
    /// DES and MD5 give way to trying everything.
    Obsolete,
    /// A kind that is not known here, or a text that is no digest.
    Unknown,
    /// A try would take more than it may.
    Costly,
}

/// The name between the first two `$`.
pub(super) fn kind(password: &str) -> &str {
    match password.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
        Some((name, _)) => name,
        None if password.starts_with('_') => "bsdicrypt",
        None => "descrypt",
    }
}

impl Digest {
    pub(super) fn parse(password: &str) -> Result<Self, Untried> {
        let fields: Vec<&str> = password.split('$').collect();
        match fields[..] {
            ["", "y", settings, _, end] => yescrypt(password, settings, end),
            ["", "5" | "6", ref rest @ ..] => sha(password, rest),
            ["", "2a" | "2b" | "2y", cost, end] => bcrypt(password, cost, end),
            ["", "1" | "md5", ..] => Err(Untried::Obsolete),
            [digest] if digest.len() == 13 || digest.starts_with('_') => Err(Untried::Obsolete),
            _ => Err(Untried::Unknown),
        }
    }

    /// Whether the word has this digest.
    pub(super) fn is_of(&self, word: &[u8]) -> bool {
        let verify = |text: &str, verifier: &dyn PasswordVerifier<PasswordHashRef>| {
            PasswordHashRef::new(text).is_ok_and(|hash| verifier.verify_password(word, hash).is_ok())
        };
        match self {
            Self::Yescrypt(text) => verify(text, &Yescrypt::default()),
            Self::Sha(text) => verify(text, &ShaCrypt::SHA512),
            Self::Bcrypt(text) => bcrypt::verify(word, text).unwrap_or(false),
            Self::None => false,
        }
    }
}

fn yescrypt(password: &str, settings: &str, end: &str) -> Result<Digest, Untried> {
    let params: yescrypt::Params = settings.parse().map_err(|_| Untried::Unknown)?;
    if end.len() != YESCRYPT_END || PasswordHashRef::new(password).is_err() {
        return Err(Untried::Unknown);
    }
    let memory = u64::from(params.r()).checked_mul(128).and_then(|block| block.checked_mul(params.n()));
    match memory {
        Some(memory) if memory <= MAX_MEMORY_BYTES && params.p() <= 4 => Ok(Digest::Yescrypt(password.to_owned())),
        _ => Err(Untried::Costly),
    }
}

fn sha(password: &str, fields: &[&str]) -> Result<Digest, Untried> {
    let (rounds, salt, end) = match *fields {
        [salt, end] => (None, salt, end),
        [rounds, salt, end] => (Some(rounds), salt, end),
        _ => return Err(Untried::Unknown),
    };
    let is_digest = !salt.is_empty() && matches!(end.len(), 43 | 86) && PasswordHashRef::new(password).is_ok();
    let rounds = match rounds.map(|rounds| rounds.strip_prefix("rounds=").and_then(|number| number.parse::<u32>().ok()))
    {
        None => Some(0),
        Some(rounds) => rounds,
    };
    match rounds {
        Some(rounds) if is_digest && rounds <= MAX_ROUNDS => Ok(Digest::Sha(password.to_owned())),
        Some(_) if is_digest => Err(Untried::Costly),
        _ => Err(Untried::Unknown),
    }
}

fn bcrypt(password: &str, cost: &str, end: &str) -> Result<Digest, Untried> {
    match cost.parse::<u32>() {
        Ok(cost) if end.len() == 53 && cost <= MAX_COST => Ok(Digest::Bcrypt(password.to_owned())),
        Ok(_) if end.len() == 53 => Err(Untried::Costly),
        _ => Err(Untried::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the C library's `crypt` makes of `letmein`.
    const DIGESTS: [&str; 4] = [
        "$6$abcdefgh$rP8HGKCp.1XL6v4/dKJWt8.Mje.Xx588Q58o5Hfy3wyttFxf99.pN6DeqPRQPaOGw195uNwfom.plH0ubplAr0",
        "$5$abcdefgh$EhSEcjUDNiBjo1b25maFEnue6wNfkZpndgufyDJjdpC",
        "$y$j9T$abcdefghijklmnopqrstu.$hOANHDeGzVqYWWF39eSAyrD8x5H0MAysFIUjoO4ZXUC",
        "$2b$05$abcdefghijklmnopqrstuuKwWV7ESJpzKzf9FQg57dBvMuv92X9HS",
    ];

    #[test]
    fn a_word_has_its_digest_and_another_has_not() {
        for text in DIGESTS {
            let digest = Digest::parse(text).unwrap();
            assert!(digest.is_of(b"letmein"), "{text}");
            assert!(!digest.is_of(b"letmein2"), "{text}");
            assert!(!digest.is_of(b""), "{text}");
        }
    }

    #[test]
    fn what_costs_too_much_or_is_cut_short_is_not_tried() {
        let end = "x".repeat(43);
        for (text, expected) in [
            (format!("$y$jZT$abcdefgh${end}"), Untried::Costly),
            ("$y$j9T$abcdefgh$".to_owned(), Untried::Unknown),
            (format!("$6$rounds=999999999$abcdefgh${}", "x".repeat(86)), Untried::Costly),
            ("$6$abcdefgh$".to_owned(), Untried::Unknown),
            (format!("$2b$31${}", "x".repeat(53)), Untried::Costly),
            ("$1$abcdefgh$0123456789012345678901".to_owned(), Untried::Obsolete),
            ("abJnggxhB/yWI".to_owned(), Untried::Obsolete),
            ("$zz$a$b".to_owned(), Untried::Unknown),
        ] {
            assert_eq!(Digest::parse(&text).unwrap_err(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in ".{0,80}") {
            let _ = Digest::parse(&text);
        }
    }
}
