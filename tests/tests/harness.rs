//! The harness itself: what it starts answers, and nothing of it is left when the guard is gone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use sqlx::Connection;
use tests::harness::{Cluster, World, until};

#[tokio::test]
async fn a_world_answers_and_ends_with_its_guard() {
    let world = World::start().await.unwrap();

    let namespaces: Api<Namespace> = Api::all(world.cluster.client.clone());
    assert!(!namespaces.list(&ListParams::default()).await.unwrap().items.is_empty());

    let mut connection = sqlx::PgConnection::connect(world.postgres.url()).await.unwrap();
    let (is_superuser,): (String,) = sqlx::query_as("SHOW is_superuser").fetch_one(&mut connection).await.unwrap();
    assert_eq!(is_superuser, "on");
    connection.close().await.unwrap();

    let health = reqwest::get(format!("{}/v1/sys/health", world.openbao.address())).await.unwrap();
    assert_eq!(health.status(), 200, "initialised, unsealed and active");
    assert!(world.openbao.audit_log().exists());

    let processes = [world.postgres.pid().unwrap(), world.openbao.pid().unwrap()];
    assert!(processes.iter().all(|pid| Path::new(&format!("/proc/{pid}")).exists()));
    drop(world);
    until(Duration::from_secs(10), "every process has ended", async || {
        Ok(processes.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_client_can_act_as_anybody() {
    let cluster = Cluster::start().await.unwrap();
    let client: Client = cluster.client_as("ada", &["tenantra:acme:admin"]).await.unwrap();
    let reviews: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let user = review.status.unwrap().user_info.unwrap();
    assert_eq!(user.username.as_deref(), Some("ada"));
    assert!(user.groups.unwrap().contains(&"tenantra:acme:admin".to_owned()));

    let namespaces: Api<Namespace> = Api::all(client);
    let refused = namespaces.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
}
