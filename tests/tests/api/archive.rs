//! The archive over HTTP: signed requests to a server that keeps what it is given, and one that gives back something else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::fixture::Fixture;
use crate::retention::{ROWS, next_run, number, of, send};

/// What a bucket was given.
#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Bytes>>,
    unsigned: AtomicBool,
    gives_something_else: AtomicBool,
}

async fn answer(
    State(bucket): State<Arc<Bucket>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signature = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signature.starts_with("AWS4-HMAC-SHA256 Credential=a-key/") || !signature.contains("/eu-test-1/s3/") {
        bucket.unsigned.store(true, Ordering::Relaxed);
    }
    let mut objects = bucket.objects.lock().expect("no test panics while it holds this");
    let tag = [("etag", "\"1\""), ("last-modified", "Wed, 21 Oct 2026 07:28:00 GMT")];
    match method {
        Method::PUT => {
            objects.insert(uri.path().to_owned(), body);
            (StatusCode::OK, tag).into_response()
        }
        Method::GET if bucket.gives_something_else.load(Ordering::Relaxed) => {
            (StatusCode::OK, tag, "something else").into_response()
        }
        Method::GET => match objects.get(uri.path()) {
            Some(object) => (StatusCode::OK, tag, object.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_only_when_a_bucket_gives_back_what_it_was_given() -> Result<()> {
    let bucket = Arc::new(Bucket::default());
    bucket.gives_something_else.store(true, Ordering::Relaxed);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let router = axum::Router::new().fallback(answer).with_state(bucket.clone());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let fixture = Fixture::start_with(&[
        ("TENA_RETENTION_LOOK_SECONDS", "1"),
        ("TENA_ARCHIVE_URL", "s3://bucket/some/prefix"),
        ("TENA_ARCHIVE_ENDPOINT", &endpoint),
        ("TENA_ARCHIVE_REGION", "eu-test-1"),
        ("TENA_ARCHIVE_ACCESS_KEY_ID", "a-key"),
        ("TENA_ARCHIVE_SECRET_ACCESS_KEY", "a-secret-of-this-test"),
    ])
    .await?;
    let retention = json!({ "operationalLogs": "30d", "archive": ["operationalLogs"] });
    let tenant = fixture.tenant("acme", json!({ "plan": "Pro", "retention": retention })).await?;
    let admin = fixture.person("acme", "admin").await?;
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    for statement in ROWS {
        send(&db, statement).await?;
    }
    let mut run = next_run(&db, &admin).await?;
    // The first one may have begun before the rows were there.
    if of(&run, "runs", "planned_rows") == 0 {
        run = next_run(&db, &admin).await?;
    }
    assert_eq!((&run["state"], &run["deleted_rows"]), (&json!("failed"), &json!(0)), "{run}");
    let problem = of(&run, "runs", "problem");
    assert!(problem.as_str().is_some_and(|said| said.contains("another content")), "{run}");
    assert_eq!(number(&db, "SELECT count(*) FROM tenant_acme.runs").await?, 47);

    bucket.gives_something_else.store(false, Ordering::Relaxed);
    let run = next_run(&db, &admin).await?;
    assert_eq!((&run["state"], &run["deleted_rows"]), (&json!("done"), &json!(40)), "{run}");
    assert_eq!(number(&db, "SELECT count(*) FROM tenant_acme.runs").await?, 7);
    let objects = bucket.objects.lock().expect("no test panics while it holds this").clone();
    // The run that failed and the one that did not wrote the same rows to the same place.
    assert_eq!(objects.len(), 2, "{:?}", objects.keys());
    let folder = format!("/bucket/some/prefix/acme/{}/runs/", tenant.id);
    assert!(objects.keys().all(|name| name.starts_with(&folder)), "{:?}", objects.keys());
    let (name, object) = objects.iter().find(|(name, _)| name.ends_with(".jsonl.zst")).expect("the rows");
    let manifest: Value = serde_json::from_slice(&objects[&format!("{name}.manifest.json")])?;
    let lines = zstd::stream::decode_all(&object[..])?;
    assert_eq!((&manifest["rows"], &manifest["bytes"]), (&json!(40), &json!(lines.len())));
    assert!(!bucket.unsigned.load(Ordering::Relaxed), "every request is signed with the key and the region");
    server.abort();
    Ok(())
}
