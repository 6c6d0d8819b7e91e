//! Signatures of audit checkpoints: made by the operator with the tenant's key in OpenBao, checked here with the public
//! keys alone, so that verification needs neither OpenBao nor this installation.
//!
//! Keys are kept in the database for convenience; whoever can write there could put others in their place. Against them
//! hold the keys that somebody exported before. What is signed includes the signer's time, which never goes back along a
//! chain: a checkpoint that was made anew and signed again stands out.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audit_chain::{Broken, Checkpoint};
use crate::error::{Error, Result};
use crate::names::{Slug, TenantRef};
use crate::tx::{OwnerTx, SharedTx};

/// A checkpoint without a signature is a fault after that time, where there are keys: OpenBao may be away for a night.
const UNSIGNED_LIMIT: TimeDelta = TimeDelta::days(1);

/// Ed25519 public keys by their version.
pub type Keys = BTreeMap<i32, [u8; 32]>;

/// The keys of a tenant's checkpoints, as they are exported and given to a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKeys {
    /// The tenant's slug.
    pub tenant: Slug,
    /// The tenant.
    pub tenant_id: Uuid,
    /// Every version of its key.
    pub keys: Vec<PublicKey>,
}

/// One version of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicKey {
    /// From 1.
    pub version: i32,
    /// Ed25519, 32 bytes in hexadecimal.
    pub public_key: String,
}

impl PublicKeys {
    /// Of a tenant.
    pub fn of(tenant: &TenantRef, keys: &Keys) -> Self {
        let keys = keys.iter().map(|(version, key)| PublicKey { version: *version, public_key: hex::encode(key) });
        Self { tenant: tenant.slug.clone(), tenant_id: tenant.id, keys: keys.collect() }
    }

    /// The keys by their version; [`Error::Invalid`] says which one is none.
    pub fn keys(&self) -> Result<Keys> {
        let key = |one: &PublicKey| -> Result<(i32, [u8; 32])> {
            let mut bytes = [0; 32];
            let invalid = || {
                let (version, tenant) = (one.version, &self.tenant);
                Error::Invalid(format!("version {version} of the key of {tenant} is not 64 hexadecimal digits"))
            };
            hex::decode_to_slice(&one.public_key, &mut bytes).map_err(|_| invalid())?;
            Ok((one.version, bytes))
        };
        self.keys.iter().map(key).collect()
    }
}

/// What is signed of a checkpoint: lines of text, each ended, so that anybody can write them down again. The moments are in
/// microseconds since 1970; a cut is told from a look, so that none can be made of the other.
pub fn message(tenant_id: Uuid, checkpoint: &Checkpoint, signed_at: DateTime<Utc>) -> String {
    let Checkpoint { sequence, head, is_cut, kept_rows, created_at, .. } = checkpoint;
    let kind = if *is_cut { "cut" } else { "look" };
    let (head, created, signed) = (hex::encode(head), created_at.timestamp_micros(), signed_at.timestamp_micros());
    format!("tenantra audit checkpoint 1\n{tenant_id}\n{kind}\n{sequence}\n{head}\n{kept_rows}\n{created}\n{signed}\n")
}

/// Whether `signature` is one of the checkpoint by `key`.
pub fn is_signed(
    tenant_id: Uuid,
    checkpoint: &Checkpoint,
    signed_at: DateTime<Utc>,
    signature: &[u8],
    key: &[u8; 32],
) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(key), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify_strict(message(tenant_id, checkpoint, signed_at).as_bytes(), &signature).is_ok()
}

/// What checking signatures came to.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Checkpoints whose signature holds, up to the first fault.
    pub(crate) signed: u64,
    /// Checkpoints that wait for theirs, up to the first fault.
    pub(crate) unsigned: u64,
    /// The first that is not as it should be.
    pub(crate) fault: Option<Broken>,
}

/// Checks the signatures of a tenant's checkpoints, in the order of their sequence. A cut is made behind rows that later
/// checkpoints have seen long before, so that its time says nothing about theirs.
pub(crate) fn check(tenant_id: Uuid, checkpoints: &[Checkpoint], keys: &Keys, now: DateTime<Utc>) -> Checked {
    let last_signed = checkpoints.iter().rposition(|checkpoint| !checkpoint.is_cut && checkpoint.signature.is_some());
    let mut checked = Checked::default();
    let mut before = DateTime::<Utc>::MIN_UTC;
    for (place, checkpoint) in checkpoints.iter().enumerate() {
        let sequence = checkpoint.sequence;
        let problem = match (&checkpoint.signature, checkpoint.key_version, checkpoint.signed_at) {
            (Some(signature), Some(version), Some(signed_at)) => match keys.get(&version) {
                None => {
                    Some(format!("is signed with version {version} of the key, which is not among the public keys"))
                }
                Some(key) if !is_signed(tenant_id, checkpoint, signed_at, signature, key) => {
                    Some("was changed after it was signed, or signed by somebody else".to_owned())
                }
                Some(_) if !checkpoint.is_cut && signed_at < before => {
                    Some("was signed before an earlier one: one of them was made anew".to_owned())
                }
                Some(_) => {
                    before = if checkpoint.is_cut { before } else { signed_at };
                    checked.signed += 1;
                    None
                }
            },
            _ if !checkpoint.is_cut && last_signed.is_some_and(|last| place < last) => {
                Some("has no signature, and a later one has: it was taken away, or made later".to_owned())
            }
            _ if !keys.is_empty() && now - checkpoint.created_at > UNSIGNED_LIMIT => {
                Some("has had no signature for more than a day".to_owned())
            }
            _ => {
                checked.unsigned += 1;
                None
            }
        };
        if let Some(problem) = problem {
            let problem = format!("the checkpoint at row {sequence} {problem}");
            checked.fault = Some(Broken { sequence, audit_id: None, problem });
            break;
        }
    }
    checked
}

/// A checkpoint that waits for its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// Whose.
    pub tenant: TenantRef,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

/// Checkpoints that wait for their signature, of tenants after `after` in the order of their ids, each tenant's in the
/// order of their sequence.
pub async fn unsigned(tx: &mut impl SharedTx, after: Uuid, most: u32) -> Result<Vec<Unsigned>> {
    type Row = (Uuid, String, i64, Vec<u8>, bool, i64, DateTime<Utc>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT t.tenant_id, t.slug, c.sequence, c.head, c.is_cut, c.kept_rows, c.created_at
         FROM shared.audit_checkpoints c JOIN shared.tenants t USING (tenant_id)
         WHERE c.signature IS NULL AND c.tenant_id > $1 AND t.state <> 'purged' ORDER BY c.tenant_id, c.sequence LIMIT $2",
    )
    .bind(after)
    .bind(i64::from(most))
    .fetch_all(tx.session().connection()?)
    .await?;
    rows.into_iter()
        .map(|(id, slug, sequence, head, is_cut, kept_rows, created_at)| {
            let tenant = TenantRef { slug: Slug::parse(&slug)?, id };
            let (signature, key_version, signed_at) = (None, None, None);
            let checkpoint =
                Checkpoint { sequence, head, is_cut, kept_rows, created_at, signature, key_version, signed_at };
            Ok(Unsigned { tenant, checkpoint })
        })
        .collect()
}

/// The keys that a tenant's checkpoints were signed with.
pub async fn keys(tx: &mut impl SharedTx, tenant_id: Uuid) -> Result<Keys> {
    let rows: Vec<(i32, Vec<u8>)> =
        sqlx::query_as("SELECT key_version, public_key FROM shared.audit_keys WHERE tenant_id = $1")
            .bind(tenant_id)
            .fetch_all(tx.session().connection()?)
            .await?;
    rows.into_iter()
        .map(|(version, key)| {
            let wrong = |_| Error::Invalid(format!("version {version} of an audit key is not 32 bytes long"));
            Ok((version, <[u8; 32]>::try_from(key).map_err(wrong)?))
        })
        .collect()
}

/// A signature of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The checkpoint, as it was when it was signed.
    pub checkpoint: Checkpoint,
    /// The key's version.
    pub key_version: i32,
    /// Ed25519, 64 bytes.
    pub signature: Vec<u8>,
    /// When, by the signer's clock.
    pub signed_at: DateTime<Utc>,
}

/// Keeps signatures and the keys that they were made with. Gives how many checkpoints were still there as they were signed.
/// [`Error::Invalid`] if another key is known under one's version: then nothing is kept.
pub async fn keep(tx: &mut OwnerTx, tenant: &TenantRef, new: &Keys, signatures: &[Signed]) -> Result<u64> {
    let (versions, bytes): (Vec<i32>, Vec<Vec<u8>>) = new.iter().map(|(version, key)| (*version, key.to_vec())).unzip();
    sqlx::query(
        "INSERT INTO shared.audit_keys (tenant_id, key_version, public_key)
         SELECT $1, u.version, u.key FROM unnest($2::integer[], $3::bytea[]) AS u(version, key) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.id)
    .bind(versions)
    .bind(bytes)
    .execute(tx.connection()?)
    .await?;
    let known = keys(tx, tenant.id).await?;
    if let Some((version, _)) = new.iter().find(|(version, key)| known.get(*version) != Some(*key)) {
        let slug = &tenant.slug;
        return Err(Error::Invalid(format!(
            "version {version} of the key audit-{slug} in OpenBao is not the one that checkpoints were signed with before"
        )));
    }
    let kept = sqlx::query(
        "UPDATE shared.audit_checkpoints c SET signature = u.signature, key_version = u.version, signed_at = u.signed_at
         FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::integer[], $6::timestamptz[], $7::boolean[])
             AS u(sequence, head, signature, version, signed_at, is_cut)
         WHERE c.tenant_id = $1 AND c.sequence = u.sequence AND c.head = u.head AND c.is_cut = u.is_cut AND c.signature IS NULL",
    )
    .bind(tenant.id)
    .bind(signatures.iter().map(|one| one.checkpoint.sequence).collect::<Vec<_>>())
    .bind(signatures.iter().map(|one| one.checkpoint.head.clone()).collect::<Vec<_>>())
    .bind(signatures.iter().map(|one| one.signature.clone()).collect::<Vec<_>>())
    .bind(signatures.iter().map(|one| one.key_version).collect::<Vec<_>>())
    .bind(signatures.iter().map(|one| one.signed_at).collect::<Vec<_>>())
    .bind(signatures.iter().map(|one| one.checkpoint.is_cut).collect::<Vec<_>>())
    .execute(tx.connection()?)
    .await?;
    Ok(kept.rows_affected())
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    const TENANT: Uuid = Uuid::from_u128(7);

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + hour * 3_600, 0).unwrap()
    }

    fn checkpoint(hour: i64) -> Checkpoint {
        Checkpoint {
            sequence: hour * 10,
            head: vec![hour.unsigned_abs().to_le_bytes()[0]; 32],
            is_cut: false,
            kept_rows: hour * 10,
            created_at: at(hour),
            signature: None,
            key_version: None,
            signed_at: None,
        }
    }

    fn signed(hour: i64, signed_at: DateTime<Utc>, key: &SigningKey) -> Checkpoint {
        let unsigned = checkpoint(hour);
        let signature = key.sign(message(TENANT, &unsigned, signed_at).as_bytes()).to_bytes().to_vec();
        Checkpoint { signature: Some(signature), key_version: Some(1), signed_at: Some(signed_at), ..unsigned }
    }

    #[test]
    fn each_way_to_change_a_checkpoint_is_found_and_the_first_one_is_named() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let keys = Keys::from([(1, key.verifying_key().to_bytes())]);
        let whole = vec![signed(1, at(1), &key), signed(2, at(2), &key), signed(3, at(3), &key), checkpoint(4)];
        let fault = |change: &dyn Fn(&mut Vec<Checkpoint>)| {
            let mut checkpoints = whole.clone();
            change(&mut checkpoints);
            check(TENANT, &checkpoints, &keys, at(5)).fault.map(|fault| fault.sequence)
        };
        let checked = check(TENANT, &whole, &keys, at(5));
        assert_eq!((checked.signed, checked.unsigned, checked.fault), (3, 1, None));
        assert_eq!(fault(&|all| all[1].head[5] ^= 1), Some(20));
        assert_eq!(fault(&|all| all[1].kept_rows -= 1), Some(20));
        assert_eq!(fault(&|all| all[1].sequence += 1), Some(21));
        assert_eq!(fault(&|all| all[1].created_at += TimeDelta::microseconds(1)), Some(20));
        assert_eq!(fault(&|all| all[1].signed_at = Some(at(9))), Some(20));
        assert_eq!(fault(&|all| all[1].signature = None), Some(20), "its signature was taken away");
        assert_eq!(fault(&|all| all[1] = signed(2, at(2), &other)), Some(20), "somebody else's key");
        assert_eq!(fault(&|all| all[1].key_version = Some(2)), Some(20));
        assert_eq!(fault(&|all| all[1] = signed(2, at(4), &key)), Some(30), "made anew and signed again");
        assert_eq!(fault(&|all| all[0].signature = Some(vec![0; 3])), Some(10));
        assert_eq!(fault(&|all| all[1].is_cut = true), Some(20), "a look is no cut");
        // Another tenant's checkpoints are not this one's.
        assert!(check(Uuid::from_u128(8), &whole, &keys, at(5)).fault.is_some());
        // Waiting is no fault for a while, and never one where nothing is signed.
        assert_eq!(check(TENANT, &whole, &keys, at(30)).fault.map(|fault| fault.sequence), Some(40));
        assert_eq!(check(TENANT, &whole[3..], &Keys::new(), at(30)).fault, None);
    }

    #[test]
    fn a_cut_is_signed_later_than_what_saw_the_rows_behind_it() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let keys = Keys::from([(1, key.verifying_key().to_bytes())]);
        let cut = Checkpoint { is_cut: true, created_at: at(9), ..checkpoint(2) };
        let signature = key.sign(message(TENANT, &cut, at(9)).as_bytes()).to_bytes().to_vec();
        let done =
            Checkpoint { signature: Some(signature), key_version: Some(1), signed_at: Some(at(9)), ..cut.clone() };
        for (cut, signed_count) in [(done, 3), (cut, 2)] {
            let all = [signed(1, at(1), &key), cut, signed(3, at(3), &key)];
            let checked = check(TENANT, &all, &keys, at(10));
            assert_eq!((checked.signed, checked.fault), (signed_count, None));
            // One that nobody signs is found after a while.
            assert_eq!(check(TENANT, &all, &keys, at(40)).fault.is_some(), signed_count == 2);
        }
    }

    #[test]
    fn keys_are_exported_and_read_again() {
        let keys = Keys::from([(1, [7; 32]), (3, [9; 32])]);
        let exported = PublicKeys::of(&TenantRef { slug: Slug::parse("acme").unwrap(), id: TENANT }, &keys);
        let text = serde_json::to_string(&exported).unwrap();
        let read: PublicKeys = serde_json::from_str(&text).unwrap();
        assert_eq!(read.keys().unwrap(), keys);
        let wrong = PublicKeys { keys: vec![PublicKey { version: 1, public_key: "7".to_owned() }], ..exported };
        assert!(wrong.keys().is_err());
    }
}
