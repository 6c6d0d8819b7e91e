//! A pass over tenants where nothing changed writes nothing anywhere: counted by the systems themselves, over a restart
//! (which forgets everything) and several resyncs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::satellites::{create, expect};
use crate::stage::Stage;
use crds::scan_schedule::ScanSchedule;

const TENANTS: usize = 5;
/// Resources that the operator writes; its Lease is the one exception.
const WRITTEN: [&str; 12] = [
    "tenants",
    "namespaces",
    "resourcequotas",
    "limitranges",
    "networkpolicies",
    "roles",
    "rolebindings",
    "serviceaccounts",
    "configmaps",
    "daemonsets",
    "events",
    "scanschedules",
];

#[tokio::test]
async fn a_pass_where_nothing_changed_writes_nothing() {
    let stage = Stage::new().await;
    let mut operator = stage.operator("one", &[]);
    for number in 0..TENANTS {
        let spec = json!({ "limits": { "cpu": "1", "pods": 5 }, "isolation": { "networkPolicy": "Strict" } });
        stage.apply(&format!("t{number}"), spec).await;
    }
    for number in 0..TENANTS {
        stage.ready(&format!("t{number}")).await;
    }
    // One schedule that is valid, and one whose module nobody has.
    let catalog = catalog::Catalog::embedded().unwrap();
    let shipped = catalog.entries().first().unwrap();
    stage.bring(shipped).await;
    let known = &shipped.module.slug;
    for (name, module, condition) in [("good", known.as_str(), "Ready"), ("bad", "no-such-module", "Stalled")] {
        let spec = json!({ "schedule": "@daily", "modules": [{ "slug": module }] });
        create::<ScanSchedule>(&stage, "tenant-t0", "ScanSchedule", name, &spec).await;
        let (status, reason) =
            if condition == "Ready" { ("False", "NotYetSupported") } else { ("True", "UnknownModule") };
        expect::<ScanSchedule>(&stage, "tenant-t0", name, condition, status, reason).await;
    }
    operator.kill();
    stage.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    stage.sql("SELECT pg_stat_statements_reset()").await;
    let before = (kubernetes_writes(&stage).await, openbao(&stage));
    // Taking the lead writes the Lease and raises the fencing row; nothing else.
    let operator = stage.operator("one", &[]);
    operator.tells("this replica leads").await;

    tokio::time::sleep(Duration::from_secs(12)).await;
    let after = (kubernetes_writes(&stage).await, openbao(&stage));
    assert_eq!(after.0, before.0, "writes to Kubernetes");
    assert_eq!(after.1.writes, before.1.writes, "writes to OpenBao");
    // The statement that reads the grants begins with WITH and only speaks of GRANT.
    let writing = "SELECT string_agg(query, E'\\n') FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname = 'tenantra_owner' AND query !~* 'shared.fencing'
        AND (query ~* '^\\s*(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|GRANT|REVOKE|COMMENT)' OR query ~* '(INSERT INTO|UPDATE shared|DELETE FROM)')";
    assert_eq!(stage.ask(writing).await, "", "writes to Postgres");

    // Reads are bounded too: at most 8 of OpenBao for a tenant and resync; 12 s hold at most 8 resyncs of 2 s less a fifth.
    let reads = after.1.reads - before.1.reads;
    assert!(reads > 0, "the resync reads OpenBao");
    assert!(reads <= TENANTS * 8 * 8, "{reads} reads of OpenBao");
    let statements = "SELECT sum(calls) FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname = 'tenantra_owner' AND query !~* '^(BEGIN|ROLLBACK|COMMIT|SET)' AND query ~ 'nspname|schema_migrations'";
    let statements: usize = stage.ask(statements).await.parse().unwrap();
    assert!(statements <= TENANTS * 8 * 3 + 20, "{statements} statements about tenants");
    // The catalog: once when the lead is taken, then every 10 s less a fifth, whatever there is to schedule.
    let catalog = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query ~ 'module_versions'";
    let catalog: usize = stage.ask(catalog).await.parse().unwrap();
    assert!((1..=4).contains(&catalog), "{catalog} reads of the catalog");
}

/// Mutating requests by resource, from the API server's own metrics.
async fn kubernetes_writes(stage: &Stage) -> Vec<(String, f64)> {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = stage.client.request_text(request).await.unwrap();
    let mut counts: Vec<(String, f64)> = WRITTEN.iter().map(|resource| ((*resource).to_owned(), 0.0)).collect();
    for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
        let has = |label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
        let writes =
            ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"].iter().any(|verb| has("verb", verb));
        if let Some((_, count)) = counts.iter_mut().find(|(resource, _)| writes && has("resource", resource)) {
            *count += line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    counts
}

#[derive(Debug, PartialEq)]
struct Asked {
    reads: usize,
    writes: usize,
}

/// Requests outside `auth/token/lookup` and sign-ins, from OpenBao's audit device.
fn openbao(stage: &Stage) -> Asked {
    let text = std::fs::read_to_string(stage.world.openbao.audit_log()).unwrap();
    let mut asked = Asked { reads: 0, writes: 0 };
    for line in text.lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        if entry["type"] != "request" {
            continue;
        }
        match entry["request"]["operation"].as_str() {
            Some("read" | "list" | "help") => asked.reads += 1,
            Some("create" | "update" | "delete" | "patch") => asked.writes += 1,
            _ => {}
        }
    }
    asked
}
