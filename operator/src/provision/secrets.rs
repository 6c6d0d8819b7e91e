//! The tenant's place in OpenBao (or Vault): policy, sign-in roles, keys and a marker below its KV path. Policy (a comment)
//! and marker (custom metadata) carry the UUID; the policy is written first and removed last of what lets anybody in, so
//! that whatever a crash leaves behind is known as ours. The policy denies the tenant its own marker.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use store::{Slug, TenantRef};
use uuid::Uuid;

use crate::names::WORKLOAD_ACCOUNT;
use crate::provision::{Error, Note, Provisioner, Stage, Systems};
use crate::runtime::gate::System;
use crate::systems::openbao::{Mounts, OpenBao};
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;

/// How long a token that the API takes for one tenant lives, in seconds.
const TOKEN_SECONDS: u32 = 300;
/// How long a certificate of the tenant may live, in seconds.
const CERTIFICATE_SECONDS: u32 = 30 * 86_400;

/// Provisions OpenBao.
pub struct Secrets;

/// A path and what it should hold; what it holds beyond that does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    path: String,
    body: Value,
}

/// The paths as they should be, the policy first.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    tenant: TenantRef,
    policy: Item,
    marker: Item,
    others: Vec<Item>,
}

/// The paths as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    found: BTreeMap<String, Value>,
    /// What lies below the KV path, read only where nothing carries a mark.
    kept: Vec<String>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub struct Write(Item);

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} in OpenBao", self.0.path)
    }
}

impl Provisioner for Secrets {
    const CONDITION: ConditionType = ConditionType::SecretsReady;
    const SYSTEM: System = System::OpenBao;
    type Desired = Option<Desired>;
    type Observed = Observed;
    type Change = Write;

    fn desired(tenant: &ValidTenant) -> Option<Desired> {
        let mounts = tenant.installation.mounts.as_ref()?;
        Some(desired(&tenant.reference, mounts, &tenant.namespace, &tenant.host))
    }

    fn digest(desired: &Option<Desired>) -> String {
        let Some(desired) = desired else { return String::new() };
        let bodies: Vec<String> = desired.items().map(|item| format!("{} {}", item.path, item.body)).collect();
        crate::systems::fields::short_digest(bodies.join("\n").as_bytes())
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<Observed, Error> {
        let (Some(bao), Some(desired)) = (&systems.bao, Self::desired(tenant)) else { return Ok(Observed::default()) };
        let mut observed = Observed::default();
        for item in desired.items() {
            if let Some(answer) = bao.read(&item.path).await? {
                let data = answer.get("data").cloned().unwrap_or(answer);
                observed.found.insert(item.path.clone(), data);
            }
        }
        if !observed.found.contains_key(&desired.policy.path) && !observed.found.contains_key(&desired.marker.path) {
            observed.kept = bao.list(&folder(bao.mounts(), &tenant.reference.slug)).await?;
        }
        Ok(observed)
    }

    fn plan(desired: Option<Desired>, observed: &Observed) -> Result<Vec<Write>, Error> {
        let Some(desired) = desired else { return Ok(vec![]) };
        check_ownership(&desired, observed)?;
        let differs = |item: &&Item| !observed.found.get(&item.path).is_some_and(|found| holds(found, &item.body));
        Ok(desired.items().filter(differs).cloned().map(Write).collect())
    }

    async fn apply(systems: &Systems, _: &TenantRef, Write(item): Write) -> Result<(), Error> {
        if let Some(bao) = &systems.bao {
            bao.write(&item.path, &item.body).await?;
        }
        Ok(())
    }

    async fn remove(systems: &Systems, tenant: &TenantRef, stage: Stage) -> Result<(), Error> {
        let Some(bao) = &systems.bao else { return Ok(()) };
        if stage == Stage::Workloads || !is_ours(bao, tenant).await? {
            return Ok(());
        }
        let paths = Paths::of(bao.mounts(), &tenant.slug);
        if stage == Stage::Purge {
            for key in [&paths.wrapping_key, &paths.signing_key] {
                if bao.read(key).await?.is_some() {
                    bao.write(&format!("{key}/config"), &json!({ "deletion_allowed": true })).await?;
                    bao.delete(key).await?;
                }
            }
            delete_below(bao, &folder(bao.mounts(), &tenant.slug), &paths.marker).await?;
        }
        for path in [&paths.token_role, &paths.kubernetes_role, &paths.pki_role] {
            bao.delete(path).await?;
        }
        // The marker outlives the policy while data stays, and goes before it when nothing does.
        if stage == Stage::Purge {
            bao.delete(&paths.marker).await?;
        }
        bao.delete(&paths.policy).await?;
        Ok(())
    }

    fn note(tenant: &ValidTenant) -> Note {
        Note::succeeded(tenant.vault_path().unwrap_or_default())
    }
}

impl Desired {
    fn items(&self) -> impl Iterator<Item = &Item> {
        [&self.policy, &self.marker].into_iter().chain(&self.others)
    }
}

struct Paths {
    policy: String,
    policy_name: String,
    marker: String,
    wrapping_key: String,
    signing_key: String,
    token_role: String,
    kubernetes_role: String,
    pki_role: String,
}

impl Paths {
    fn of(mounts: &Mounts, slug: &Slug) -> Self {
        let policy_name = format!("tenant_{slug}_policy");
        Self {
            policy: format!("sys/policies/acl/{policy_name}"),
            policy_name,
            marker: format!("{}/.tenantra", folder(mounts, slug)),
            wrapping_key: format!("{}/keys/tenant-{slug}", mounts.transit),
            signing_key: format!("{}/keys/{}", mounts.transit, audit_key(slug)),
            token_role: format!("auth/token/roles/tenant_{slug}"),
            kubernetes_role: format!("auth/{}/role/tenant-{slug}", mounts.kubernetes),
            pki_role: format!("{}/roles/tenant-{slug}", mounts.pki),
        }
    }
}

/// The name of the key that signs the checkpoints of the tenant's audit log.
pub fn audit_key(slug: &Slug) -> String {
    format!("audit-{slug}")
}

fn folder(mounts: &Mounts, slug: &Slug) -> String {
    format!("{}/metadata/tenants/{slug}", mounts.kv)
}

fn desired(tenant: &TenantRef, mounts: &Mounts, namespace: &str, host: &str) -> Desired {
    let paths = Paths::of(mounts, &tenant.slug);
    let item = |path: &str, body: Value| Item { path: path.to_owned(), body };
    let policies = json!([paths.policy_name]);
    Desired {
        tenant: tenant.clone(),
        policy: item(&paths.policy, json!({ "policy": policy(tenant, mounts) })),
        marker: item(&paths.marker, json!({ "custom_metadata": { "tenant_id": tenant.id } })),
        others: vec![
            item(&paths.wrapping_key, json!({ "type": "aes256-gcm96" })),
            item(&paths.signing_key, json!({ "type": "ed25519" })),
            item(
                &paths.token_role,
                json!({ "allowed_policies": policies, "orphan": true, "renewable": false, "token_explicit_max_ttl": TOKEN_SECONDS, "token_no_default_policy": true }),
            ),
            item(
                &paths.kubernetes_role,
                json!({
                    "bound_service_account_names": [WORKLOAD_ACCOUNT], "bound_service_account_namespaces": [namespace],
                    "audience": "vault", "token_policies": policies, "token_ttl": TOKEN_SECONDS, "token_max_ttl": 3600,
                }),
            ),
            item(
                &paths.pki_role,
                json!({
                    "allowed_domains": [host], "allow_bare_domains": true, "allow_subdomains": false, "allow_glob_domains": false,
                    "allow_wildcard_certificates": false, "allow_localhost": false, "allow_ip_sans": false, "require_cn": false,
                    "server_flag": true, "client_flag": false, "key_type": "ec", "key_bits": 256, "max_ttl": CERTIFICATE_SECONDS,
                }),
            ),
        ],
    }
}

/// The policy's text; its first line is the mark. The paths end in a slash, so that `acme` is not `acme-corp`.
fn policy(tenant: &TenantRef, mounts: &Mounts) -> String {
    let TenantRef { slug, id } = tenant;
    let Mounts { kv, transit, .. } = mounts;
    format!(
        r#"# tenantra:{id}
path "{kv}/data/tenants/{slug}/*" {{ capabilities = ["create", "read", "update", "patch", "delete"] }}
path "{kv}/metadata/tenants/{slug}/*" {{ capabilities = ["create", "read", "update", "patch", "delete", "list"] }}
path "{kv}/data/tenants/{slug}/.tenantra" {{ capabilities = ["deny"] }}
path "{kv}/metadata/tenants/{slug}/.tenantra" {{ capabilities = ["deny"] }}
path "{transit}/encrypt/tenant-{slug}" {{ capabilities = ["update"] }}
path "{transit}/decrypt/tenant-{slug}" {{ capabilities = ["update"] }}
path "{transit}/rewrap/tenant-{slug}" {{ capabilities = ["update"] }}
path "{transit}/sign/audit-{slug}" {{ capabilities = ["update"] }}
"#
    )
}

/// What a policy or marker says about whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Absent,
    None,
    Of(Uuid),
}

fn policy_mark(found: Option<&Value>) -> Mark {
    let Some(found) = found else { return Mark::Absent };
    let first = found.get("policy").and_then(Value::as_str).unwrap_or_default().lines().next().unwrap_or_default();
    first.strip_prefix("# tenantra:").and_then(|id| id.trim().parse().ok()).map_or(Mark::None, Mark::Of)
}

fn marker_mark(found: Option<&Value>) -> Mark {
    let Some(found) = found else { return Mark::Absent };
    let id = found.pointer("/custom_metadata/tenant_id").and_then(Value::as_str);
    id.and_then(|id| id.parse().ok()).map_or(Mark::None, Mark::Of)
}

/// Refuses what is not this tenant's: a mark of somebody else, a policy without one, or anything at all where no mark says
/// that it is ours.
fn check_ownership(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let ours = Mark::Of(desired.tenant.id);
    let marks = [
        (&desired.policy.path, policy_mark(observed.found.get(&desired.policy.path))),
        (&desired.marker.path, marker_mark(observed.found.get(&desired.marker.path))),
    ];
    let is_ours = marks.iter().any(|(_, mark)| *mark == ours);
    for (path, mark) in marks {
        let mark = match mark {
            Mark::Of(id) if Mark::Of(id) != ours => format!("it belongs to tenant {id}"),
            // A marker that lost its metadata is repaired where the policy is ours.
            Mark::None if !is_ours => "it carries no mark".to_owned(),
            _ => continue,
        };
        return Err(Error::PathTaken { path: path.clone(), mark });
    }
    let taken =
        (!is_ours).then(|| desired.others.iter().find(|item| observed.found.contains_key(&item.path))).flatten();
    if let Some(item) = taken {
        return Err(Error::PathTaken { path: item.path.clone(), mark: "it carries no mark".to_owned() });
    }
    match observed.kept.first() {
        Some(kept) if !is_ours => Err(Error::PathTaken {
            path: desired.marker.path.replace("/.tenantra", ""),
            mark: format!("it holds {kept} and no mark"),
        }),
        _ => Ok(()),
    }
}

/// Whether `found` says everything that `wanted` does.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| holds(found, wanted)))
        }
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        (found, wanted) => found == wanted,
    }
}

async fn is_ours(bao: &OpenBao, tenant: &TenantRef) -> Result<bool, Error> {
    let paths = Paths::of(bao.mounts(), &tenant.slug);
    let data = |answer: Option<Value>| answer.map(|a| a.get("data").cloned().unwrap_or(a));
    let (policy, marker) = (data(bao.read(&paths.policy).await?), data(bao.read(&paths.marker).await?));
    let marks = [policy_mark(policy.as_ref()), marker_mark(marker.as_ref())];
    let is_foreign = marks.iter().any(|mark| matches!(mark, Mark::Of(id) if *id != tenant.id));
    Ok(!is_foreign && marks.contains(&Mark::Of(tenant.id)))
}

/// Deletes every secret below a folder, all versions, but `spared`.
async fn delete_below(bao: &OpenBao, folder: &str, spared: &str) -> Result<(), Error> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for key in bao.list(&folder).await? {
            let path = format!("{folder}/{}", key.trim_end_matches('/'));
            if key.ends_with('/') {
                folders.push(path);
            } else if path != spared {
                bao.delete(&path).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> Mounts {
        Mounts { kv: "secret".into(), transit: "transit".into(), pki: "pki".into(), kubernetes: "kubernetes".into() }
    }

    fn wanted() -> Desired {
        let tenant = TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::from_u128(7) };
        desired(&tenant, &mounts(), "tenant-acme", "acme.tenantra.local")
    }

    fn complete() -> Observed {
        Observed { found: wanted().items().map(|item| (item.path.clone(), item.body.clone())).collect(), kept: vec![] }
    }

    fn paths(changes: &[Write]) -> Vec<&str> {
        changes.iter().map(|change| change.0.path.as_str()).collect()
    }

    #[test]
    fn a_new_tenant_begins_with_its_policy_and_a_complete_one_needs_nothing() {
        let all = Secrets::plan(Some(wanted()), &Observed::default()).unwrap();
        assert_eq!(paths(&all)[0], "sys/policies/acl/tenant_acme_policy");
        assert_eq!(all.len(), 7);
        assert!(Secrets::plan(Some(wanted()), &complete()).unwrap().is_empty());
        assert!(Secrets::plan(None, &complete()).unwrap().is_empty());
    }

    #[test]
    fn what_was_changed_or_deleted_comes_back() {
        let mut observed = complete();
        observed.found.remove("sys/policies/acl/tenant_acme_policy");
        observed.found.get_mut("auth/token/roles/tenant_acme").unwrap()["allowed_policies"] = json!(["root"]);
        let changes = Secrets::plan(Some(wanted()), &observed).unwrap();
        assert_eq!(paths(&changes), ["sys/policies/acl/tenant_acme_policy", "auth/token/roles/tenant_acme"]);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        type Case = (&'static str, fn(&mut Observed));
        let cases: [Case; 5] = [
            ("policy of another", |o| {
                o.found.insert(
                    "sys/policies/acl/tenant_acme_policy".into(),
                    json!({ "policy": format!("# tenantra:{}\n", Uuid::nil()) }),
                );
            }),
            ("policy without mark", |o| {
                o.found.insert("sys/policies/acl/tenant_acme_policy".into(), json!({ "policy": "path \"*\" {}" }));
            }),
            ("marker of another", |o| {
                o.found.insert(
                    "secret/metadata/tenants/acme/.tenantra".into(),
                    json!({ "custom_metadata": { "tenant_id": Uuid::nil() } }),
                );
            }),
            ("a key without any mark", |o| {
                o.found.insert("transit/keys/tenant-acme".into(), json!({ "type": "aes256-gcm96" }));
            }),
            ("secrets without any mark", |o| o.kept.push("database".into())),
        ];
        for (name, change) in cases {
            let mut observed = Observed::default();
            change(&mut observed);
            assert!(matches!(Secrets::plan(Some(wanted()), &observed), Err(Error::PathTaken { .. })), "{name}");
        }
    }

    #[test]
    fn the_policy_ends_its_paths_and_denies_the_marker() {
        let text = wanted().policy.body["policy"].as_str().unwrap().to_owned();
        assert!(text.contains("secret/data/tenants/acme/*"));
        assert!(!text.contains("tenants/acme*"));
        assert!(text.contains("metadata/tenants/acme/.tenantra\" { capabilities = [\"deny\"] }"));
    }

    #[test]
    fn the_sign_in_role_names_its_service_account() {
        let role = &wanted().others[3].body;
        assert_eq!(role["bound_service_account_names"], json!(["tenantra-workload"]));
        assert!(!role.to_string().contains('*'));
    }
}
