//! Signs the checkpoints of tenants' audit logs with their keys in OpenBao: soon after they were made, in their order, as the
//! leader, and each once. The database is not trusted to say that a checkpoint is new: what this leader signed before is
//! never signed again, so that one which was put in its place stays without a signature and is found.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use serde_json::{Value, json};
use store::audit_sign::{self, Keys, Signed, Unsigned};
use tokio::time::sleep;
use uuid::Uuid;

use crate::provision::{Error, secrets};
use crate::runtime::gate::System;
use crate::runtime::lanes::spread;
use crate::systems::openbao::{self, OpenBao};
use crate::tenant::Context;
use crate::tenant::observe::{bounded, within};

/// How soon a new checkpoint is looked for: one statement.
const PERIOD: Duration = Duration::from_secs(30);
/// Checkpoints looked at in one pass, the next ones in the next.
const AT_ONCE: u32 = 500;
/// Checkpoints of one tenant signed in one call.
const OF_TENANT: usize = 50;

/// Signs for as long as the program leads.
pub async fn run(ctx: Arc<Context>) {
    let mut signer = Signer::default();
    loop {
        if let Err(error) = signer.pass(&ctx).await {
            tracing::debug!(%error, "audit checkpoints could not be signed; they are tried again");
        }
        sleep(spread(PERIOD)).await;
    }
}

#[derive(Debug, Default)]
struct Signer {
    /// The last tenant of the pass before, if that one did not come to the end.
    after: Uuid,
    /// The last row that a signed checkpoint of each tenant saw, looks and cuts apart: both only ever go forward.
    signed: HashMap<(Uuid, bool), i64>,
}

impl Signer {
    async fn pass(&mut self, ctx: &Context) -> Result<(), Error> {
        let Some(bao) = &ctx.systems.bao else { return Ok(()) };
        let after = self.after;
        let read = async {
            let mut tx = ctx.systems.db.begin().await?;
            let due = audit_sign::unsigned(&mut tx, after, AT_ONCE).await?;
            tx.rollback().await?;
            Ok(due)
        };
        let due = bounded(ctx.lanes.gate(System::Postgres), read).await?;
        let is_cut = u32::try_from(due.len()).is_ok_and(|count| count == AT_ONCE);
        self.after = due.last().filter(|_| is_cut).map(|last| last.tenant.id).unwrap_or_default();
        for of_tenant in due.chunk_by(|a, b| a.tenant.id == b.tenant.id) {
            let Some(first) = of_tenant.first() else { continue };
            let slug = &first.tenant.slug;
            let some = &of_tenant[..of_tenant.len().min(OF_TENANT)];
            match self.sign(ctx, bao, some).await {
                Ok(()) => {}
                // Whoever is next would hear the same.
                Err(error @ (Error::Resting { .. } | Error::NotLeading(_))) => return Err(error),
                Err(error) => tracing::warn!(tenant = %slug, %error, "audit checkpoints could not be signed"),
            }
        }
        Ok(())
    }

    /// Signs checkpoints of one tenant.
    async fn sign(&mut self, ctx: &Context, bao: &OpenBao, due: &[Unsigned]) -> Result<(), Error> {
        let Some(tenant) = due.first().map(|one| &one.tenant) else { return Ok(()) };
        let is_again = |one: &&Unsigned| {
            let checkpoint = &one.checkpoint;
            self.signed.get(&(tenant.id, checkpoint.is_cut)).is_some_and(|last| checkpoint.sequence <= *last)
        };
        let (again, new): (Vec<&Unsigned>, Vec<&Unsigned>) = due.iter().partition(is_again);
        if let Some(again) = again.first() {
            let row = again.checkpoint.sequence;
            tracing::error!(tenant = %tenant.slug, row, "an audit checkpoint lost its signature and is not signed again");
        }
        if new.is_empty() {
            return Ok(());
        }
        let work = signatures(bao, &new);
        let (keys, signatures) = within(System::OpenBao, ctx.lanes.gate(System::OpenBao), work).await?;
        let write = async {
            let epoch = ctx.systems.lead.permit(System::Postgres.limit())?;
            let mut tx = ctx.systems.db.begin_fenced(epoch).await?;
            let kept = audit_sign::keep(&mut tx, tenant, &keys, &signatures).await?;
            tx.commit().await?;
            Ok(kept)
        };
        let kept = bounded(ctx.lanes.gate(System::Postgres), write).await?;
        for Signed { checkpoint, .. } in &signatures {
            self.signed.insert((tenant.id, checkpoint.is_cut), checkpoint.sequence);
        }
        if let Some(one) = signatures.last() {
            let (row, version) = (one.checkpoint.sequence, one.key_version);
            // The log lies elsewhere than the database: what was signed can be read there too.
            tracing::info!(tenant = %tenant.slug, row, version, kept, "audit checkpoints were signed");
        }
        Ok(())
    }
}

/// The public keys of a tenant, and a signature of each checkpoint, checked against them.
async fn signatures(bao: &OpenBao, due: &[&Unsigned]) -> Result<(Keys, Vec<Signed>), Error> {
    let Some(tenant) = due.first().map(|one| &one.tenant) else { return Ok((Keys::new(), Vec::new())) };
    let (transit, name) = (&bao.mounts().transit, secrets::audit_key(&tenant.slug));
    let signed_at = Utc::now();
    let message = |one: &&Unsigned| audit_sign::message(tenant.id, &one.checkpoint, signed_at);
    let inputs: Vec<Value> = due.iter().map(|one| json!({ "input": BASE64_STANDARD.encode(message(one)) })).collect();
    let path = format!("{transit}/sign/{name}");
    let answer = bao.write(&path, &json!({ "batch_input": inputs })).await?.unwrap_or_default();
    // After it, so that the version that signed is among them.
    let path = format!("{transit}/keys/{name}");
    let keys = public_keys(&bao.read(&path).await?.unwrap_or_default());
    let results = answer.pointer("/data/batch_results").and_then(Value::as_array);
    let results = results.map(Vec::as_slice).unwrap_or_default();
    let mut signatures = Vec::with_capacity(due.len());
    for (place, one) in due.iter().enumerate() {
        let signature = results.get(place).and_then(|result| result.get("signature")).and_then(Value::as_str);
        let checkpoint = &one.checkpoint;
        let signed = signature.and_then(parse).filter(|(version, signature)| {
            let holds = |key| audit_sign::is_signed(tenant.id, checkpoint, signed_at, signature, key);
            keys.get(version).is_some_and(holds)
        });
        let Some((key_version, signature)) = signed else {
            let (what, why) = (format!("a signature by {name}"), "its answer is no signature of that key".to_owned());
            return Err(openbao::Error::Refused { what, status: 200, why }.into());
        };
        signatures.push(Signed { checkpoint: checkpoint.clone(), key_version, signature, signed_at });
    }
    Ok((keys, signatures))
}

/// Version and bytes of `vault:v1:<base64>`.
fn parse(signature: &str) -> Option<(i32, Vec<u8>)> {
    let (version, bytes) = signature.split_once(":v")?.1.split_once(':')?;
    Some((version.parse().ok()?, BASE64_STANDARD.decode(bytes).ok()?))
}

/// The public keys in what OpenBao says of a key; what is none is left out.
fn public_keys(answer: &Value) -> Keys {
    let keys = answer.pointer("/data/keys").and_then(Value::as_object);
    let key = |(version, key): (&String, &Value)| -> Option<(i32, [u8; 32])> {
        let bytes = BASE64_STANDARD.decode(key.get("public_key")?.as_str()?).ok()?;
        Some((version.parse().ok()?, bytes.try_into().ok()?))
    };
    keys.into_iter().flatten().filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_keys_are_read_and_what_is_none_is_left_out() {
        assert_eq!(parse("vault:v12:AAEC"), Some((12, vec![0, 1, 2])));
        for wrong in ["", "vault:v1", "vault:1:AAEC", "vault:vx:AAEC", "vault:v1:%"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        let key = BASE64_STANDARD.encode([7_u8; 32]);
        let answer = json!({ "data": { "keys": {
            "1": { "public_key": key }, "2": { "public_key": "AAEC" }, "x": { "public_key": key }, "3": 1_700_000_000,
        } } });
        assert_eq!(public_keys(&answer), Keys::from([(1, [7; 32])]));
        assert_eq!(public_keys(&json!({})), Keys::new());
    }
}
