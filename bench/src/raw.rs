//! The limit that the operator is measured against: the same writes, without anybody who thinks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use store::migrate::Scope;

use crate::report::Figures;
use crate::tenants::{Prepared, WORKERS};

/// Kinds that a tenant consists of, the namespaces first.
const KINDS: [(&str, &str, &str); 9] = [
    ("", "v1", "ResourceQuota"),
    ("", "v1", "LimitRange"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "ConfigMap"),
    ("apps", "v1", "DaemonSet"),
    ("", "v1", "Namespace"),
];

/// Resources that every client writes, or that only ask.
const NOT_WRITES: [&str; 3] = ["leases", "tokenreviews", "subjectaccessreviews"];

/// How often what was asked of the API server: "PATCH namespaces".
pub type Writes = BTreeMap<String, f64>;

/// What the operator made for one tenant, to be made again under other names.
pub struct Objects {
    slug: String,
    namespaces: Vec<DynamicObject>,
    contents: Vec<(ApiResource, DynamicObject)>,
}

impl Objects {
    pub async fn of(client: &Client, slug: &str) -> anyhow::Result<Self> {
        let mine = ListParams::default().labels(&format!("tenantra.io/tenant={slug}"));
        let (mut namespaces, mut contents) = (Vec::new(), Vec::new());
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let found = Api::<DynamicObject>::all_with(client.clone(), &resource).list(&mine).await?;
            for mut object in found {
                strip(&mut object, &resource);
                if kind == "Namespace" { namespaces.push(object) } else { contents.push((resource.clone(), object)) }
            }
        }
        Ok(Self { slug: slug.to_owned(), namespaces, contents })
    }

    pub const fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    fn renamed(&self, object: &DynamicObject, slug: &str) -> anyhow::Result<DynamicObject> {
        let text = serde_json::to_string(object)?;
        Ok(serde_json::from_str(&text.replace(&format!("-{}\"", self.slug), &format!("-{slug}\"")))?)
    }
}

/// Leaves what a client would send.
fn strip(object: &mut DynamicObject, resource: &ApiResource) {
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    metadata.resource_version = None;
    metadata.uid = None;
    metadata.generation = None;
    metadata.creation_timestamp = None;
    object.types = Some(kube::api::TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
    if let Value::Object(data) = &mut object.data {
        data.remove("status");
        if resource.kind == "Namespace" {
            data.remove("spec");
        }
    }
}

/// Writes what `tenants` tenants are made of and tells how long that took.
pub async fn run(prepared: &Prepared, tenants: u32, objects: &Objects) -> anyhow::Result<Figures> {
    let client = prepared.world.cluster.client.clone();
    let pool = PgPoolOptions::new().max_connections(4).connect(&prepared.owner_url).await?;
    let schema: Arc<str> = Scope::Tenant.files().iter().map(|file| file.sql).collect::<Vec<_>>().join("\n").into();
    let http = reqwest::Client::new();

    let start = Instant::now();
    let kubernetes = stream::iter(0..tenants)
        .map(|n| kubernetes(&client, objects, format!("raw-{n:04}")))
        .buffer_unordered(WORKERS)
        .try_collect::<()>();
    let postgres = stream::iter(0..tenants)
        .map(|n| postgres(&pool, &schema, format!("tenant_raw_{n:04}")))
        .buffer_unordered(4)
        .try_collect::<()>();
    let openbao = stream::iter(0..tenants)
        .map(|n| openbao(&http, prepared, format!("raw-{n:04}")))
        .buffer_unordered(8)
        .try_collect::<()>();
    futures::try_join!(kubernetes, postgres, openbao)?;
    let wall = start.elapsed().as_secs_f64();
    pool.close().await;
    Ok(Figures::from([("wall_s", wall)]))
}

async fn kubernetes(client: &Client, objects: &Objects, slug: String) -> anyhow::Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    for object in &objects.namespaces {
        namespaces.create(&PostParams::default(), &objects.renamed(object, &slug)?).await?;
    }
    for (resource, object) in &objects.contents {
        let object = objects.renamed(object, &slug)?;
        let namespace = object.metadata.namespace.clone().context("it lies in a namespace")?;
        Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, resource)
            .create(&PostParams::default(), &object)
            .await?;
    }
    Ok(())
}

async fn postgres(pool: &sqlx::PgPool, tables: &str, schema: String) -> anyhow::Result<()> {
    // One string, as the migrations send it; the names are made above.
    let script = format!(
        "BEGIN; CREATE ROLE {schema}; GRANT tenantra_tenant TO {schema}; GRANT {schema} TO tenantra_api; CREATE SCHEMA {schema}; \
         SET LOCAL search_path = {schema}; {tables}; GRANT USAGE ON SCHEMA {schema} TO {schema}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema}; COMMIT"
    );
    #[expect(clippy::disallowed_methods, reason = "the benchmark's own script")]
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(pool).await?;
    Ok(())
}

async fn openbao(http: &reqwest::Client, prepared: &Prepared, slug: String) -> anyhow::Result<()> {
    let policy = format!("tenant_{slug}_policy");
    let writes = [
        (
            format!("sys/policies/acl/{policy}"),
            json!({ "policy": format!("path \"secret/data/tenants/{slug}/*\" {{ capabilities = [\"read\"] }}") }),
        ),
        (format!("secret/metadata/tenants/{slug}/.tenantra"), json!({ "custom_metadata": { "tenant_id": slug } })),
        (format!("transit/keys/tenant-{slug}"), json!({ "type": "aes256-gcm96" })),
        (format!("transit/keys/audit-{slug}"), json!({ "type": "ed25519" })),
        (format!("auth/token/roles/tenant_{slug}"), json!({ "allowed_policies": [policy] })),
        (
            format!("auth/kubernetes/role/tenant-{slug}"),
            json!({ "bound_service_account_names": ["app"], "bound_service_account_namespaces": [slug], "token_policies": [policy] }),
        ),
        (format!("pki/roles/tenant-{slug}"), json!({ "allowed_domains": [slug], "key_type": "ec" })),
    ];
    for (path, body) in writes {
        http.post(format!("{}/v1/{path}", prepared.world.openbao.address()))
            .header("X-Vault-Token", prepared.world.openbao.token())
            .json(&body)
            .send()
            .await?
            .error_for_status()
            .with_context(|| path.clone())?;
    }
    Ok(())
}

/// Requests that changed something, by verb and resource, since the API server began; Leases and what clients only ask
/// (reviews) excepted.
pub async fn writes(client: &Client) -> anyhow::Result<Writes> {
    let text = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let mut writes = Writes::new();
    for verb in ["POST", "PUT", "PATCH", "DELETE", "APPLY"] {
        for labels in text.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")) {
            let Some((labels, count)) = labels.rsplit_once("} ") else { continue };
            let resource =
                labels.split("resource=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            if labels.contains(&format!("verb=\"{verb}\"")) && !NOT_WRITES.contains(&resource) {
                *writes.entry(format!("{verb} {resource}")).or_default() += count.parse::<f64>()?;
            }
        }
    }
    Ok(writes)
}

/// Bytes of all objects in etcd, Events excepted, as the API server estimates them.
pub async fn stored_bytes(client: &Client) -> anyhow::Result<Option<f64>> {
    let text = client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let mut sum = None;
    for line in text.lines().filter_map(|line| line.strip_prefix("apiserver_resource_size_estimate_bytes{")) {
        let Some((labels, bytes)) = line.rsplit_once("} ") else { continue };
        // Less than nothing says that it is not known.
        let bytes = bytes.parse::<f64>()?.max(0.0);
        if !labels.contains("resource=\"events\"") {
            *sum.get_or_insert(0.0) += bytes;
        }
    }
    Ok(sum)
}

/// Waits until the control plane's own controllers have written all that follows from what was created.
pub async fn quiet(client: &Client) -> anyhow::Result<Writes> {
    for _ in 0..60 {
        let before = writes(client).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        if writes(client).await? == before {
            return Ok(before);
        }
    }
    anyhow::bail!("the control plane wrote on for 3 minutes after the last tenant was ready")
}
