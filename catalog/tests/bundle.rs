//! Bundles: what is signed comes back, what was touched does not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::Catalog;
use catalog::bundle::{self, Error, SignedBundle};
use ed25519_dalek::SigningKey;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn signed() -> Result<(bundle::Bundle, SignedBundle), Box<dyn std::error::Error>> {
    let bundle = Catalog::embedded()?.bundle();
    let signed = bundle::sign(&bundle, &key(1))?;
    Ok((bundle, signed))
}

#[test]
fn a_bundle_survives_the_way_and_is_small() -> Outcome {
    let (bundle, signed) = signed()?;
    assert_eq!(bundle::verify(&signed, &key(1).verifying_key())?, bundle);
    assert_eq!(bundle::sign(&bundle, &key(1))?, signed, "the same modules give the same bytes");
    assert!(bundle.module("linux-cron", "1.2.0").is_some_and(|module| module.tests.is_empty()));
    assert!(bundle.module("kubernetes-rbac-grants", "1.0.0").is_none(), "an agent on a host is given no cluster");
    assert!(signed.content.len() < 200 * 1024, "{} bytes", signed.content.len());
    Ok(())
}

#[test]
fn another_key_is_refused() -> Outcome {
    let (_, signed) = signed()?;
    assert!(matches!(bundle::verify(&signed, &key(2).verifying_key()), Err(Error::Signature(_))));
    Ok(())
}

#[test]
fn changed_bytes_are_refused() -> Outcome {
    let (_, signed) = signed()?;
    let mut content = STANDARD.decode(&signed.content)?;
    for position in [0, content.len() / 2, content.len() - 1] {
        content[position] ^= 1;
        let changed = SignedBundle { content: STANDARD.encode(&content), ..signed.clone() };
        assert!(matches!(bundle::verify(&changed, &key(1).verifying_key()), Err(Error::Checksum { .. })));
        content[position] ^= 1;
    }
    Ok(())
}

#[test]
fn a_changed_checksum_is_refused_even_if_it_fits_the_bytes() -> Outcome {
    let (_, signed) = signed()?;
    let other = bundle::sign(&bundle::Bundle::default(), &key(2))?;
    let mixed = SignedBundle { signature: signed.signature, ..other };
    assert!(matches!(bundle::verify(&mixed, &key(1).verifying_key()), Err(Error::Signature(_))));
    Ok(())
}

#[test]
fn a_signed_bundle_that_unpacks_to_gigabytes_is_refused() -> Outcome {
    use ed25519_dalek::Signer as _;
    use sha2::Digest as _;
    let packed = zstd::bulk::compress(&vec![b' '; 40 * 1024 * 1024], 1)?;
    let checksum = hex::encode(sha2::Sha256::digest(&packed));
    let signature = STANDARD.encode(key(1).sign(format!("tenantra-bundle-v1\n{checksum}").as_bytes()).to_bytes());
    let bomb = SignedBundle { checksum, signature, content: STANDARD.encode(packed) };
    assert!(matches!(bundle::verify(&bomb, &key(1).verifying_key()), Err(Error::TooLarge)));
    Ok(())
}
