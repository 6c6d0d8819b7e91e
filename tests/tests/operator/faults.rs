//! Outside systems that stop answering: the condition says so, other provisioners and tenants go on, and all heals by
//! itself when they are back.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tests::harness::until;

use crate::stage::{LONG, Stage, says};

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    std::iter::once(pid).chain(children.split_whitespace().filter_map(|child| child.parse().ok())).collect()
}

#[tokio::test]
async fn openbao_that_hangs_or_dies_stops_nobody_else_and_heals() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    stage.apply("before", json!({})).await;
    stage.ready("before").await;

    let pid = stage.world.openbao.pid().unwrap();
    signal(pid, Signal::STOP);
    let tenant = stage.wait("before", "SecretsReady", "False", "OpenBaoUnavailable").await;
    // What was ready stays so for two minutes.
    assert_eq!(says(&tenant, "Ready").unwrap().0, "True");

    let started = Instant::now();
    for number in 0..8 {
        stage.apply(&format!("during{number}"), json!({})).await;
    }
    for number in 0..8 {
        let slug = format!("during{number}");
        stage.wait(&slug, "DatabaseReady", "True", "").await;
        stage.wait(&slug, "NetworkReady", "True", "").await;
        stage.wait(&slug, "SecretsReady", "False", "OpenBaoUnavailable").await;
    }
    eprintln!("eight tenants had all but OpenBao after {} ms", started.elapsed().as_millis());
    // What somebody deletes still comes back at once.
    let roles = stage.objects("Role", "tenant-before");
    roles.delete("tenantra-admin", &kube::api::DeleteParams::default()).await.unwrap();
    until(Duration::from_secs(5), "the role is back", async || Ok(roles.get_opt("tenantra-admin").await?.is_some()))
        .await
        .unwrap();

    signal(pid, Signal::CONT);
    stage.ready("before").await;
    for number in 0..8 {
        stage.ready(&format!("during{number}")).await;
    }

    signal(stage.world.openbao.pid().unwrap(), Signal::KILL);
    stage.apply("after", json!({})).await;
    stage.ready("after").await;
}

#[tokio::test]
async fn postgres_that_hangs_or_dies_stops_nobody_else_and_heals() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    stage.apply("before", json!({})).await;
    stage.ready("before").await;

    let frozen = family(stage.world.postgres.pid().unwrap());
    for pid in &frozen {
        signal(*pid, Signal::STOP);
    }
    let tenant = stage.wait("before", "DatabaseReady", "False", "PostgresUnavailable").await;
    assert_eq!(says(&tenant, "Ready").unwrap().0, "True");
    // Who is known is still repaired elsewhere; who is new has to wait for an identity and says so.
    let roles = stage.objects("Role", "tenant-before");
    roles.delete("tenantra-admin", &kube::api::DeleteParams::default()).await.unwrap();
    until(Duration::from_secs(5), "the role is back", async || Ok(roles.get_opt("tenantra-admin").await?.is_some()))
        .await
        .unwrap();
    stage.apply("during", json!({})).await;
    stage.wait("during", "Ready", "Unknown", "PostgresUnavailable").await;

    for pid in &frozen {
        signal(*pid, Signal::CONT);
    }
    stage.ready("during").await;
    stage.ready("before").await;

    let pid = stage.world.postgres.pid().unwrap();
    signal(pid, Signal::KILL);
    until(LONG, "Postgres is started again", async || Ok(stage.world.postgres.pid()? != pid)).await.unwrap();
    stage.apply("after", json!({})).await;
    stage.ready("after").await;
    stage.ready("before").await;
}
