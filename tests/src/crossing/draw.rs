//! One request of the attack, drawn from the seed and its number.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::parties::{MARK, Parties};
use super::routes::Route;

/// Spreads the numbers of requests over the seeds of their generators (the golden ratio of 64 bits).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// In a thousand: requests that are cut off, and requests that a signature of somebody else is put to.
const CUT: u32 = 60;
const FORGED: u32 = 100;
/// A connection is cut off at the latest after so many microseconds.
const CUT_BEFORE_MICROS: u64 = 6_000;

/// What a request proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Nothing,
    Token(String),
    /// Positions among the agents: whose token, and whose signature.
    Agent {
        agent: usize,
        signed_by: usize,
    },
}

/// Whose things an answer may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sees {
    /// Nobody's.
    Nothing,
    /// Those of the tenant at this position.
    One(usize),
    /// Everybody's: a platform administrator who names no tenant.
    Everything,
}

impl Sees {
    /// Whether it may hold those of that tenant.
    pub fn allows(self, tenant: usize) -> bool {
        self == Self::Everything || self == Self::One(tenant)
    }

    const fn one(self) -> Option<usize> {
        match self {
            Self::One(tenant) => Some(tenant),
            Self::Nothing | Self::Everything => None,
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Drawn {
    pub method: Method,
    /// With its query.
    pub path: String,
    pub body: Option<Value>,
    pub credential: Credential,
    pub tenant_header: Option<String>,
    pub sees: Sees,
    /// Cut off after that time.
    pub cut_after: Option<Duration>,
    /// The answer has no end.
    pub is_stream: bool,
    who: String,
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, body, tenant_header, who, .. } = self;
        write!(f, "{method} {path} as {who}")?;
        if let Some(slug) = tenant_header {
            write!(f, " for {slug}")?;
        }
        if let Some(body) = body {
            write!(f, " with {body}")?;
        }
        Ok(())
    }
}

/// One of several; `of` is never empty here.
fn pick<'a, T>(random: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[random.random_range(0..of.len())]
}

fn is_one_of_thousand(random: &mut StdRng, share: u32) -> bool {
    random.random_range(0..1_000_u32) < share
}

/// Who asks and does not sign.
enum Who {
    Nobody(Credential, &'static str),
    Person(usize),
    Admin,
}

impl Drawn {
    /// The request of that number.
    pub fn of(seed: u64, number: u64, parties: &Parties, routes: &[Route]) -> Self {
        let mut random = StdRng::seed_from_u64(seed ^ number.wrapping_mul(SPREAD));
        let who = match random.random_range(0..100_u32) {
            0..4 => Some(Who::Nobody(Credential::Nothing, "nobody")),
            4..14 => {
                let token = pick(&mut random, &parties.dead).clone();
                Some(Who::Nobody(Credential::Token(token), "a token that does not hold"))
            }
            14..56 => Some(Who::Person(random.random_range(0..parties.people.len()))),
            56..72 => Some(Who::Admin),
            _ => None,
        };
        let mut drawn = match who {
            Some(who) => by_person(&mut random, &who, parties, routes),
            None => by_agent(&mut random, parties),
        };
        if is_one_of_thousand(&mut random, CUT) {
            drawn.cut_after = Some(Duration::from_micros(random.random_range(0..CUT_BEFORE_MICROS)));
        }
        drawn
    }

    /// Whether the request itself says this.
    pub fn holds(&self, text: &str) -> bool {
        self.path.contains(text) || self.body.as_ref().is_some_and(|body| body.to_string().contains(text))
    }
}

fn by_person(random: &mut StdRng, who: &Who, parties: &Parties, routes: &[Route]) -> Drawn {
    // The tenant that is named: none, or any at all, and now and then one that is none.
    let named = match random.random_range(0..100_u32) {
        0..25 => None,
        25..95 => Some(random.random_range(0..parties.tenants.len())),
        _ => Some(usize::MAX),
    };
    let (credential, told, sees) = match who {
        Who::Nobody(credential, told) => (credential.clone(), (*told).to_owned(), Sees::Nothing),
        Who::Admin => {
            let sees = named.map_or(Sees::Everything, Sees::One);
            (Credential::Token(parties.admin.clone()), "the administrator".to_owned(), sees)
        }
        Who::Person(place) => {
            let person = &parties.people[*place];
            let sees = match (named, person.tenants.as_slice()) {
                (None, [only]) => Sees::One(*only),
                (Some(named), theirs) if theirs.contains(&named) => Sees::One(named),
                _ => Sees::Nothing,
            };
            (Credential::Token(person.access.clone()), person.told.clone(), sees)
        }
    };
    let may = |route: &&Route| match who {
        // Whoever may do everything changes only what the path names of a tenant that they did not name: that is not there.
        Who::Admin => route.is_read() || (route.names_a_thing() && !route.names_a_tenant()),
        _ => true,
    };
    let routes: Vec<&Route> = routes.iter().filter(may).collect();
    let reads: Vec<&Route> = routes.iter().copied().filter(|route| route.is_read()).collect();
    let route = if random.random_bool(0.9) { *pick(random, &reads) } else { *pick(random, &routes) };
    // There the path says whose things are asked for, and the header nothing.
    let sees = if matches!(who, Who::Admin) && route.names_a_tenant() { Sees::Everything } else { sees };
    // What is changed is another's, so that those who attack do not lose their own.
    let of = if route.is_read() { None } else { sees.one() };
    let path = fill(random, route, parties, of);
    Drawn {
        method: route.method.clone(),
        is_stream: route.path.ends_with("/events"),
        path,
        body: route.body.as_ref().map(|fields| body(random, fields, parties, sees.one())),
        credential,
        tenant_header: named
            .map(|named| parties.tenants.get(named).map_or("no-such-tenant", |one| one.slug.as_str()).to_owned()),
        sees,
        cut_after: None,
        who: told,
    }
}

/// An id of any tenant but the one given.
fn id_but(random: &mut StdRng, parties: &Parties, but: Option<usize>) -> Uuid {
    let mut tenant = random.random_range(0..parties.tenants.len());
    if but == Some(tenant) {
        tenant = (tenant + 1) % parties.tenants.len();
    }
    *pick(random, &parties.tenants[tenant].ids)
}

fn fill(random: &mut StdRng, route: &Route, parties: &Parties, but: Option<usize>) -> String {
    let segments = route.path.split('/').map(|segment| match segment {
        "{slug}" => "linux-sshd-hardening".to_owned(),
        "{version}" => "1.0.0".to_owned(),
        _ if segment.starts_with('{') => id_but(random, parties, but).to_string(),
        _ => segment.to_owned(),
    });
    let mut path = segments.collect::<Vec<_>>().join("/");
    let mut sign = '?';
    for name in &route.query {
        if random.random_bool(0.6) {
            continue;
        }
        let tenant = &parties.tenants[random.random_range(0..parties.tenants.len())];
        let value = match name.as_str() {
            "q" => MARK.to_owned(),
            "cursor" => pick(random, &tenant.cursors).clone(),
            "page" => random.random_range(1..4_u32).to_string(),
            "page_size" => random.random_range(1..101_u32).to_string(),
            "status" => (*pick(random, &["all", "open", "closed", "succeeded"])).to_owned(),
            "severity" => (*pick(random, &["critical", "low,high", "medium"])).to_owned(),
            "sort" => (*pick(random, &["-severity", "first_seen_at", "score", "name"])).to_owned(),
            "module" => "linux-sshd-hardening".to_owned(),
            "table" => "users".to_owned(),
            "with_revoked" | "enabled" | "ready" => "true".to_owned(),
            name if name.ends_with("_id") => id_but(random, parties, None).to_string(),
            _ => "1".to_owned(),
        };
        path.push(sign);
        path.push_str(name);
        path.push('=');
        path.push_str(&value);
        sign = '&';
    }
    path
}

/// A body with the fields that the route takes: texts with the caller's own mark, ids of anybody.
fn body(random: &mut StdRng, fields: &[(String, Value)], parties: &Parties, own: Option<usize>) -> Value {
    let mark = own.and_then(|own| parties.tenants.get(own)).map_or("x", |party| party.mark.as_str());
    let mut object = Map::new();
    for (name, kind) in fields {
        let first = kind["enum"].as_array().and_then(|values| values.first());
        let value = match (first, kind["type"].as_str()) {
            (Some(first), _) => first.clone(),
            _ if name.ends_with("id") || name.ends_with("ids") => json!(id_but(random, parties, None)),
            (None, Some("integer" | "number")) => json!(1),
            (None, Some("boolean")) => json!(false),
            (None, Some("array")) => json!([id_but(random, parties, None)]),
            (None, Some("object")) => json!({}),
            _ => json!(mark),
        };
        if random.random_bool(0.8) {
            object.insert(name.clone(), value);
        }
    }
    Value::Object(object)
}

fn by_agent(random: &mut StdRng, parties: &Parties) -> Drawn {
    let place = random.random_range(0..parties.agents.len());
    let agent = &parties.agents[place];
    let own = &parties.tenants[agent.tenant];
    let state = json!({ "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0 });
    let (method, path, body) = match random.random_range(0..100_u32) {
        0..25 => (Method::POST, "/v1/agents/heartbeat".to_owned(), Some(json!({ "state": state }))),
        25..50 => {
            let body = json!({ "wait_seconds": 0, "max_jobs": 4, "state": state,
                "running": [id_but(random, parties, Some(agent.tenant))] });
            (Method::POST, "/v1/agents/jobs/next".to_owned(), Some(body))
        }
        50..75 => {
            let job = random.random_bool(0.3).then(|| id_but(random, parties, Some(agent.tenant)));
            let run_id = Uuid::from_u128(random.random());
            let results = json!({ "results": [{ "job_id": job, "envelope": own.envelope(run_id) }] });
            (Method::POST, "/v1/agents/results".to_owned(), Some(results))
        }
        _ => {
            let id = if random.random_bool(0.3) { agent.id } else { id_but(random, parties, None) };
            (Method::GET, format!("/v1/agents/config/{id}"), None)
        }
    };
    let is_forged = is_one_of_thousand(random, FORGED);
    let signed_by = if is_forged { random.random_range(0..parties.agents.len()) } else { place };
    Drawn {
        method,
        path,
        body,
        credential: Credential::Agent { agent: place, signed_by },
        // An agent's tenant is its credential's, whatever else it says.
        tenant_header: random.random_bool(0.2).then(|| pick(random, &parties.tenants).slug.clone()),
        sees: Sees::One(agent.tenant),
        cut_after: None,
        is_stream: false,
        who: format!("an agent of {}", own.slug),
    }
}
