//! Who takes part: tenants whose things all carry a mark, people and agents of each, a person of two, and tokens that do not
//! hold any more or never did.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use catalog::Catalog;
use catalog::envelope::{CheckVerdict, Fact, Facts, Summary, Verdict};
use catalog::wire::{EnrollResponse, SEQUENCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_request};
use chrono::Utc;
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::Target;
use crate::harness::until;

/// What every mark begins with; three digits follow that name the tenant.
pub const MARK: &str = "zq7mark";
const ROLES: [&str; 3] = ["admin", "manager", "readonly"];
const AGENTS: usize = 2;
const FINDINGS: usize = 4;
const FACTS: usize = 5;
const PASSWORD: &str = "Crossing-only-7-words";
/// Who has a part in two tenants; carries no mark, because both may see them.
const SEVERAL: &str = "several@crossing.example";
const HEALS_WITHIN: Duration = Duration::from_secs(20);

/// A tenant.
pub struct Party {
    pub slug: String,
    pub mark: String,
    /// Of everything that it has, and its own.
    pub ids: Vec<Uuid>,
    /// Places in its lists.
    pub cursors: Vec<String>,
    envelope: Value,
}

/// Somebody who has signed in.
pub struct Person {
    pub access: String,
    pub told: String,
    /// Positions among the tenants.
    pub tenants: Vec<usize>,
}

/// An agent that has enrolled.
pub struct Agent {
    /// Position among the tenants.
    pub tenant: usize,
    pub id: Uuid,
    pub token: String,
    pub key: SigningKey,
    pub sequence: AtomicU64,
}

/// All of them.
pub struct Parties {
    pub tenants: Vec<Party>,
    pub people: Vec<Person>,
    pub agents: Vec<Agent>,
    /// The administrator's token.
    pub admin: String,
    /// Tokens that do not hold.
    pub dead: Vec<String>,
    owners: HashMap<String, usize>,
}

impl Party {
    /// A run of its agents, with its mark in every finding.
    pub fn envelope(&self, run_id: Uuid) -> Value {
        let mut envelope = self.envelope.clone();
        envelope["run_id"] = json!(run_id);
        envelope["started_at"] = json!(Utc::now());
        envelope
    }
}

/// The way to the API while all is brought in.
struct Door<'a> {
    target: &'a Target,
    client: &'a Client,
}

impl Door<'_> {
    fn call(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.target.base)).bearer_auth(token)
    }

    fn admin(&self, method: Method, path: &str, slug: &str) -> RequestBuilder {
        self.call(method, path, &self.target.admin).header("x-tenantra-tenant", slug)
    }

    async fn sign_in(&self, email: &str) -> Result<String> {
        let body = json!({ "email": email, "password": PASSWORD });
        let answer = value(self.client.post(format!("{}/v1/auth/login", self.target.base)).json(&body)).await?;
        Ok(answer["access_token"].as_str().context("a sign-in gives a token")?.to_owned())
    }

    async fn person(&self, slug: &str, email: &str, name: &str, role: &str) -> Result<()> {
        let body = json!({ "email": email, "name": name, "role": role, "password": PASSWORD });
        value(self.admin(Method::POST, "/v1/users", slug).json(&body)).await.map(|_| ())
    }

    /// The ids of a list, and where it goes on.
    async fn list(&self, path: &str, slug: &str) -> Result<(Vec<Uuid>, Option<String>)> {
        let list = value(self.admin(Method::GET, path, slug)).await?;
        let items = list["items"].as_array().with_context(|| format!("{path} is no list"))?;
        let ids = items.iter().filter_map(|item| item["id"].as_str()?.parse().ok()).collect();
        Ok((ids, list["next_cursor"].as_str().map(str::to_owned)))
    }
}

/// The answer to a request that succeeds.
async fn value(call: RequestBuilder) -> Result<Value> {
    let answer = call.send().await?;
    let (status, url) = (answer.status(), answer.url().clone());
    let text = answer.text().await?;
    ensure!(status.is_success(), "{url}: {status} {text}");
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}

impl Parties {
    /// Makes them all.
    pub async fn bring(target: &Target, seed: u64) -> Result<Self> {
        let client = target.clients.first().context("a client")?;
        let door = Door { target, client };
        let catalog = Catalog::embedded()?;
        let mut random = StdRng::seed_from_u64(seed);
        let (mut tenants, mut people, mut agents) = (Vec::new(), Vec::new(), Vec::new());
        let mut owners = HashMap::new();
        for (number, slug) in target.tenants.iter().enumerate() {
            let mark = format!("{MARK}{number:03}x{:08x}", random.random::<u32>());
            let envelope = compliance(&catalog, &mark)?;
            let mut party =
                Party { slug: slug.clone(), mark, ids: Vec::new(), cursors: vec!["x".to_owned()], envelope };
            for role in ROLES {
                let email = format!("{role}@{}.example", party.mark);
                door.person(slug, &email, &format!("{} {role}", party.mark), role).await?;
                let access = door.sign_in(&email).await?;
                people.push(Person { access, told: format!("{role} of {slug}"), tenants: vec![number] });
            }
            let body = json!({ "name": party.mark, "max_uses": AGENTS });
            let token = value(door.admin(Method::POST, "/v1/agents/enrollment-tokens", slug).json(&body)).await?;
            let token = token["token"].as_str().context("an enrolment token")?;
            for host in 0..AGENTS {
                let agent = Agent::enroll(&door, number, token, &format!("{}-{host}", party.mark), &mut random).await?;
                let inventory = inventory(&catalog, &party.mark)?;
                let results =
                    json!({ "results": [{ "envelope": party.envelope(Uuid::now_v7()) }, { "envelope": inventory }] });
                let acks = value(agent.call(&door, "/v1/agents/results", &results)).await?;
                let accepted = acks["results"].as_array().into_iter().flatten().filter(|ack| ack["accepted"] == true);
                ensure!(accepted.count() == 2, "results were not taken: {acks}");
                agents.push(agent);
            }
            for list in ["findings?status=all&", "assets?", "runs?", "agents?", "agents/enrollment-tokens?", "users?"] {
                let (ids, _) = door.list(&format!("/v1/{list}page_size=100"), slug).await?;
                ensure!(!ids.is_empty(), "{slug} has nothing in {list}");
                owners.extend(ids.iter().map(|id| (id.to_string(), number)));
                party.ids.extend(ids);
            }
            for list in ["findings?", "assets?", "runs?", "findings?sort=-severity&"] {
                let (_, cursor) = door.list(&format!("/v1/{list}page_size=1"), slug).await?;
                party.cursors.extend(cursor);
            }
            let id = "SELECT tenant_id FROM shared.tenants WHERE slug = $1 AND state = 'active'";
            party.ids.push(sqlx::query_scalar(id).bind(slug.as_str()).fetch_one(&target.database).await?);
            tenants.push(party);
        }
        people.push(several(&door).await?);
        let dead = dead(&door, &people).await?;
        Ok(Self { tenants, people, agents, admin: target.admin.clone(), dead, owners })
    }

    /// The tenant that a thing is of.
    pub fn owner_of(&self, id: &str) -> Option<usize> {
        self.owners.get(id).copied()
    }

    /// What the attack changed that it must not: a person or an agent that is not let in any more, a row of one tenant among
    /// another's.
    pub async fn harm(&self, target: &Target) -> Result<Vec<String>> {
        let client = target.clients.first().context("a client")?;
        let door = Door { target, client };
        let mut harm = Vec::new();
        for person in &self.people {
            let is_in = until(HEALS_WITHIN, "a person is let in", async || {
                let answer = door.call(Method::GET, "/v1/auth/me", &person.access).send().await?;
                Ok(answer.status().is_success())
            });
            if is_in.await.is_err() {
                harm.push(format!("{} is not let in any more", person.told));
            }
        }
        let state = json!({ "state": { "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0 } });
        for agent in &self.agents {
            let is_in = until(HEALS_WITHIN, "an agent is let in", async || {
                Ok(agent.call(&door, "/v1/agents/heartbeat", &state).send().await?.status().is_success())
            });
            if is_in.await.is_err() {
                harm.push(format!("agent {} of tenant {} is not let in any more", agent.id, agent.tenant));
            }
        }
        for (number, party) in self.tenants.iter().enumerate() {
            let schema = format!("tenant_{}", party.slug.replace('-', "_"));
            let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = $1 ORDER BY 1";
            let tables: Vec<String> = sqlx::query_scalar(tables).bind(&schema).fetch_all(&target.database).await?;
            ensure!(!tables.is_empty(), "{schema} has no tables");
            for table in tables {
                let count = format!(
                    "SELECT count(*) FROM {schema}.{table} t WHERE t::text ~ '{MARK}(?!{number:03})[0-9]{{3}}'"
                );
                let count: i64 = sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&target.database).await?;
                if count > 0 {
                    harm.push(format!("{schema}.{table} has {count} rows with the mark of another tenant"));
                }
            }
        }
        Ok(harm)
    }
}

impl Agent {
    async fn enroll(door: &Door<'_>, tenant: usize, token: &str, name: &str, random: &mut StdRng) -> Result<Self> {
        let key = SigningKey::from_bytes(&random.random());
        let body = json!({
            "credential": { "type": "enrollment_token", "token": token },
            "public_key": BASE64_STANDARD.encode(key.verifying_key().as_bytes()),
            "identity": { "state_uuid": Uuid::from_u128(random.random()) },
            "hostname": name,
            "os": { "name": "Debian GNU/Linux 12", "version": "12", "id": "debian", "arch": "x86_64", "kernel": "6.1.0" },
            "agent_version": "0.1.0",
            "labels": {},
        });
        let answer = value(door.client.post(format!("{}/v1/agents/enroll/self", door.target.base)).json(&body)).await?;
        let enrolled: EnrollResponse = serde_json::from_value(answer)?;
        let sequence = AtomicU64::new(enrolled.sequence_start);
        Ok(Self { tenant, id: enrolled.agent_id, token: enrolled.token, key, sequence })
    }

    fn call(&self, door: &Door<'_>, path: &str, body: &Value) -> RequestBuilder {
        let body = body.to_string();
        let (sequence, now) = (self.sequence.fetch_add(1, Ordering::Relaxed), Utc::now().timestamp_millis());
        let signature = sign_request(&self.key, "POST", path, now, sequence, body.as_bytes());
        door.call(Method::POST, path, &self.token)
            .header(TIMESTAMP_HEADER, now)
            .header(SEQUENCE_HEADER, sequence)
            .header(SIGNATURE_HEADER, signature)
            .header("content-type", "application/json")
            .body(body)
    }
}

/// A person with a part in the first two tenants.
async fn several(door: &Door<'_>) -> Result<Person> {
    let [first, second, ..] = door.target.tenants.as_slice() else { anyhow::bail!("two tenants are needed") };
    door.person(first, SEVERAL, "Several", "admin").await?;
    sqlx::query(
        "INSERT INTO shared.memberships (user_id, tenant_id, role) SELECT u.user_id, t.tenant_id, 'admin'
         FROM shared.users u, shared.tenants t WHERE u.email = $1 AND t.slug = $2 AND t.state = 'active'",
    )
    .bind(SEVERAL)
    .bind(second.as_str())
    .execute(&door.target.database)
    .await?;
    Ok(Person { access: door.sign_in(SEVERAL).await?, told: "a person of two".to_owned(), tenants: vec![0, 1] })
}

/// Tokens that are expired, signed by nobody or by somebody else, put together from two, signed out, or no tokens at all.
async fn dead(door: &Door<'_>, people: &[Person]) -> Result<Vec<String>> {
    let [one, other, ..] = people else { anyhow::bail!("two people are needed") };
    let parts = |token: &str| -> Result<[String; 3]> {
        let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        parts.try_into().ok().context("an access token has three parts")
    };
    let ([head, claims, signature], [_, other_claims, _]) = (parts(&one.access)?, parts(&other.access)?);
    let mut said: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(&claims)?)?;
    let sign = |said: &Value, secret: &str| {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), said, &EncodingKey::from_secret(secret.as_bytes()))
    };
    let by_another = sign(&said, "a secret that is not the one of this installation")?;
    let now = Utc::now().timestamp();
    (said["iat"], said["exp"]) = (json!(now - 7_200), json!(now - 3_600));
    let expired = sign(&said, &door.target.jwt_secret)?;
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let signed_out = door.sign_in(SEVERAL).await?;
    value(door.call(Method::POST, "/v1/auth/logout", &signed_out)).await?;
    Ok(vec![
        by_another,
        expired,
        format!("{unsigned}.{other_claims}."),
        format!("{head}.{other_claims}.{signature}"),
        signed_out,
        claims,
        String::new(),
    ])
}

/// A run of a module with checks in which some fail.
fn compliance(catalog: &Catalog, mark: &str) -> Result<Value> {
    let module = &catalog.module("linux-sshd-hardening", None).context("the catalog has no sshd checks")?.module;
    let verdict = |(position, check): (usize, &catalog::module::Check)| CheckVerdict {
        id: check.id.clone(),
        verdict: if position < FINDINGS { Verdict::Fail } else { Verdict::Pass },
        message: None,
    };
    let checks: Vec<CheckVerdict> = module.checks.iter().enumerate().map(verdict).collect();
    let finding = |check: &catalog::module::Check| json!({ "check": check.id, "severity": check.severity, "resource": format!("/srv/{mark}"), "evidence": { "actual": mark } });
    let findings: Vec<Value> = module.checks.iter().take(FINDINGS).map(finding).collect();
    Ok(json!({
        "run_id": Uuid::nil(), "module": module.slug, "version": module.version, "status": "succeeded",
        "started_at": Utc::now(), "duration_ms": 41, "resource": { "cpu_ms": 12, "max_rss_kb": 2100 },
        "summary": Summary::of(&checks), "checks": checks, "findings": findings, "facts": Facts::default(),
    }))
}

/// A run of an inventory.
fn inventory(catalog: &Catalog, mark: &str) -> Result<Value> {
    let module = &catalog.module("linux-inventory-users", None).context("the catalog has no inventory")?.module;
    let fact = |number: usize| {
        let row = BTreeMap::from([
            ("username".to_owned(), json!(format!("{mark}-{number}"))),
            ("uid".to_owned(), json!(number)),
        ]);
        Fact::new("users", &["username".to_owned()], row)
    };
    let facts = Facts::between(None, &BTreeMap::new(), (0..FACTS).map(fact).collect());
    Ok(json!({
        "run_id": Uuid::now_v7(), "module": module.slug, "version": module.version, "status": "succeeded",
        "started_at": Utc::now(), "duration_ms": 5, "resource": { "cpu_ms": 1, "max_rss_kb": 900 },
        "summary": Summary::default(), "checks": [], "findings": [], "facts": facts,
    }))
}
