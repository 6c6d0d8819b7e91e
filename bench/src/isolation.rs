//! The attack of `tests::crossing` at its full size, on the API as it ships: people, agents and an administrator of eight tenants
//! share a few connections, with and without multiplexing. No peer; nothing may leak.

use std::time::{Duration, Instant};

use reqwest::Client;
use tests::crossing::{Plan, Target, attack};

use crate::installation::{Installation, JWT_SECRET, QUIET, Transport};
use crate::report::{Figures, Report};

const TENANTS: u32 = 8;
const AT_ONCE: usize = 16;
/// Connections that all share: so many clients of each kind.
const CLIENTS: usize = 2;
const BACKEND_ENDS_EVERY: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_mins(45);

pub async fn run(requests: u64, seed: u64) -> anyhow::Result<()> {
    let installation = Installation::start(Transport::Tls, &[QUIET]).await?;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let slug = format!("crossing-{number}");
        installation.tenant(&slug, &[]).await?;
        // Made once the API serves the tenant.
        installation.enrollment_token(&slug, 1).await?;
        tenants.push(slug);
    }
    let builder = || {
        let builder = Client::builder().tls_certs_only([installation.certificate().clone()]);
        builder.resolve("localhost", installation.api)
    };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(builder().build()?);
        clients.push(builder().http1_only().build()?);
    }
    let target = Target {
        base: installation.url(""),
        clients,
        admin: installation.access().to_owned(),
        jwt_secret: JWT_SECRET.to_owned(),
        tenants,
        database: installation.admin.clone(),
    };
    let plan = Plan { seed, requests, at_once: AT_ONCE, backend_ends_every: BACKEND_ENDS_EVERY, limit: LIMIT };
    let begun = Instant::now();
    let outcome = attack(&target, plan).await?;
    let wall = begun.elapsed().as_secs_f64();
    for leak in &outcome.told {
        eprintln!("leaked: {leak}");
    }
    let statuses: Vec<String> = outcome.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    eprintln!("{} of {requests} requests of seed {seed}; answers {}", outcome.requests, statuses.join(", "));
    #[expect(clippy::cast_precision_loss, reason = "some million")]
    let number = |count: u64| count as f64;
    let ours = Figures::from([
        ("leaked", number(outcome.leaks)),
        ("requests", number(outcome.requests)),
        ("per_s", number(outcome.requests) / wall),
        ("wall_s", wall),
        ("cut", number(outcome.cut)),
        ("backends_ended", number(outcome.backends_ended)),
        ("unanswered", number(outcome.unanswered)),
        ("errors", number(outcome.server_errors())),
    ]);
    let limit = Figures::from([("leaked", 0.0)]);
    Report { bench: "isolation", ours: vec![ours], peer: Vec::new(), limit, ratio: "leaked" }.print();
    Ok(())
}
