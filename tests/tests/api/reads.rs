//! Reading: long lists by cursor, tags that save the way, files, and what each costs in statements.

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::fixture::{CATALOG, Fixture, Person, envelope, expect, fact, inventory};

/// The audit log's entries of one action: who, about what, and what was asked for.
async fn entries(fixture: &Fixture, action: &str) -> Result<Vec<(String, String, Value)>> {
    let db = PgPool::connect(&fixture.owner_url()).await?;
    let query = "SELECT actor, subject, details FROM tenant_acme.audit_log WHERE action = $1 ORDER BY created_at";
    Ok(sqlx::query_as(query).bind(action).fetch_all(&db).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_where_its_own_list_ended() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let ada = fixture.person("acme", "readonly").await?;
    let admin = fixture.admin().await?;
    let host = fixture.host("acme").await?;
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 5) })]).await?;
    host.results(&[json!({ "envelope": inventory(Uuid::now_v7(), None, &[fact("a"), fact("b"), fact("c")]) })]).await?;
    let asset = format!("/v1/assets/{}", host.asset_id);
    for list in [
        "/v1/findings?".to_owned(),
        "/v1/findings?sort=first_seen_at&status=all&".to_owned(),
        "/v1/assets?".to_owned(),
        "/v1/runs?".to_owned(),
        format!("{asset}/facts?"),
        format!("{asset}/checks?"),
        format!("{asset}/timeline?"),
    ] {
        let whole = ada.get(&format!("{list}page_size=100")).expect(StatusCode::OK).await?;
        assert_eq!((&whole["page"], &whole["next_cursor"]), (&json!(1), &Value::Null), "{list}");
        assert_eq!(whole["total_is_exact"], true, "{list}");
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let part = ada.get(&format!("{list}page_size=2{cursor}")).expect(StatusCode::OK).await?;
            assert_eq!(part["total"], whole["total"], "{list}");
            assert_eq!(part["page"], if cursor.is_empty() { json!(1) } else { Value::Null }, "{list}");
            items.extend(part["items"].as_array().unwrap().clone());
            let Some(next) = part["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(json!(items), whole["items"], "{list}");
    }

    let part = ada.get("/v1/findings?page_size=2").expect(StatusCode::OK).await?;
    let cursor = part["next_cursor"].as_str().unwrap().to_owned();
    let flipped: String = cursor.chars().rev().collect();
    for refused in [
        format!("/v1/findings?page=1&cursor={cursor}"),
        format!("/v1/findings?sort=severity&cursor={cursor}"),
        format!("/v1/findings?status=all&cursor={cursor}"),
        format!("/v1/findings?severity=high&cursor={cursor}"),
        format!("/v1/assets?cursor={cursor}"),
        format!("/v1/runs?cursor={cursor}"),
        format!("{asset}/facts?cursor={cursor}"),
        format!("/v1/findings?cursor={flipped}"),
        "/v1/findings?cursor=".to_owned(),
        "/v1/findings?cursor=%00%ff".to_owned(),
        "/v1/findings?page=102&page_size=100".to_owned(),
    ] {
        let body = ada.get(&refused).expect(StatusCode::BAD_REQUEST).await?;
        assert!(body["message"].as_str().unwrap().len() > 20, "{refused}: {body}");
    }
    // The same place in another tenant's list is another list.
    let abroad = admin.get(&format!("/v1/findings?cursor={cursor}"));
    expect(abroad.tenant("other").send().await?, StatusCode::BAD_REQUEST).await?;
    for missing in ["facts", "checks", "timeline", "facts/export.csv"] {
        let path = format!("{asset}/{missing}");
        expect(admin.get(&path).tenant("other").send().await?, StatusCode::NOT_FOUND).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_saves_the_way_as_long_as_the_answer_is_the_same() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let admin = fixture.admin().await?;
    let host = fixture.host("acme").await?;
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 2) })]).await?;
    let asset = format!("/v1/assets/{}", host.asset_id);
    for path in ["/v1/findings", "/v1/assets", "/v1/runs", &asset, &format!("{asset}/checks")] {
        let ask = |slug: &str, known: &str| admin.get(path).tenant(slug).header("if-none-match", known);
        let first = ask("acme", "W/\"none\"").send().await?;
        assert_eq!(first.status(), StatusCode::OK, "{path}");
        let tag = first.headers()["etag"].to_str()?.to_owned();
        let vary: Vec<&str> = first.headers().get_all("vary").iter().filter_map(|value| value.to_str().ok()).collect();
        assert!(vary.join(",").contains("x-tenantra-tenant"), "{path}: {vary:?}");
        let again = ask("acme", &tag).send().await?;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(again.headers()["etag"].to_str()?, tag, "{path}");
        assert!(again.bytes().await?.is_empty(), "{path}");
        // Another tenant's answer is another one.
        assert_ne!(ask("other", &tag).send().await?.status(), StatusCode::NOT_MODIFIED, "{path}");
    }
    let tag = admin.get("/v1/findings").tenant("acme").send().await?.headers()["etag"].to_str()?.to_owned();
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 3) })]).await?;
    let changed = admin.get("/v1/findings").tenant("acme").header("if-none-match", &tag).send().await?;
    assert_eq!(changed.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_the_rows_of_its_list_and_no_formulas_and_is_on_record() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let ada = fixture.person("acme", "readonly").await?;
    let bill = fixture.person("acme", "billing_viewer").await?;
    let host = fixture.host("acme").await?;
    let mut bad = envelope(Uuid::now_v7(), 3);
    bad["findings"][0]["resource"] = json!("=cmd|' /C calc'!A0,\"x\"\r\nname");
    bad["findings"][0]["evidence"] = json!({ "actual": "é, \"6\"" });
    host.results(&[json!({ "envelope": bad })]).await?;
    host.results(&[json!({ "envelope": inventory(Uuid::now_v7(), None, &[fact("@a"), fact("b")]) })]).await?;

    let response = ada.get("/v1/findings/export.csv?severity=critical,high,medium,low").send().await?;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers()["content-type"].to_str()?.starts_with("text/csv; charset=utf-8"));
    assert_eq!(response.headers()["content-disposition"], "attachment; filename=\"findings.csv\"");
    assert_eq!(response.headers()["cache-control"], "private, no-store");
    let rows = read_csv(&response.text().await?);
    assert_eq!((rows.len(), rows[0][0].as_str(), rows[0].len()), (4, "id", 15));
    assert!(rows.iter().all(|row| row.len() == 15), "{rows:?}");
    let list = ada.get("/v1/findings").expect(StatusCode::OK).await?;
    for finding in list["items"].as_array().unwrap() {
        let row = rows.iter().find(|row| finding["id"] == row[0].as_str()).unwrap();
        let texts =
            [&finding["severity"], &finding["status"], &finding["title"], &finding["check"], &finding["module"]];
        assert_eq!(texts.map(|text| text.as_str().unwrap()), [1, 2, 3, 4, 5].map(|column| row[column].as_str()));
        let resource = finding["resource"].as_str().unwrap();
        let shown = if resource.starts_with('=') { format!("'{resource}") } else { resource.to_owned() };
        assert_eq!(row[7], shown);
        let time = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>();
        assert_eq!(time(&row[10])?, time(finding["first_seen_at"].as_str().unwrap())?);
        assert_eq!(serde_json::from_str::<Value>(&row[14])?, finding["evidence"]);
    }
    let none = ada.get("/v1/findings/export.csv?status=closed").send().await?.text().await?;
    assert_eq!(read_csv(&none).len(), 1, "the header alone");

    let asset = format!("/v1/assets/{}", host.asset_id);
    let facts = ada.get(&format!("{asset}/facts/export.csv?table=users")).send().await?.text().await?;
    assert_eq!(read_csv(&facts).len(), 3);
    assert!(facts.contains("@a"), "{facts}");
    assert_eq!(read_csv(&ada.get("/v1/assets/export.csv?sort=score").send().await?.text().await?).len(), 2);
    assert_eq!(read_csv(&ada.get("/v1/runs/export.csv").send().await?.text().await?).len(), 3);

    let paths = [
        "/v1/findings/export.csv",
        "/v1/assets/export.csv",
        "/v1/runs/export.csv",
        &format!("{asset}/facts/export.csv"),
    ];
    for path in paths {
        expect(bill.get(path).send().await?, StatusCode::FORBIDDEN).await?;
        expect(fixture.request(reqwest::Method::GET, path).send().await?, StatusCode::UNAUTHORIZED).await?;
    }
    expect(ada.get("/v1/findings/export.csv?sort=colour").send().await?, StatusCode::BAD_REQUEST).await?;
    let recorded = entries(&fixture, "findings.exported").await?;
    assert_eq!(recorded.len(), 2, "{recorded:?}");
    assert_eq!(recorded[0].2["filter"]["severity"], "critical,high,medium,low");
    assert!(recorded[0].0.starts_with("user:"));
    let recorded = entries(&fixture, "facts.exported").await?;
    assert_eq!((recorded.len(), recorded[0].1.as_str()), (1, host.asset_id.to_string().as_str()));

    // Whoever leaves in the middle takes no place from others.
    for _ in 0..12 {
        let begun = ada.get("/v1/findings/export.csv").send().await?;
        assert_eq!(begun.status(), StatusCode::OK);
        drop(begun);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Begins an export and takes its head alone: what follows waits in the connection and in the program.
async fn stalled_export(fixture: &Fixture, person: &Person<'_>) -> Result<TcpStream> {
    let address = fixture.base.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await?;
    let request = format!(
        "GET /v1/findings/export.csv HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        person.access
    );
    connection.write_all(request.as_bytes()).await?;
    let mut head = [0; 15];
    connection.read_exact(&mut head).await?;
    assert_eq!(std::str::from_utf8(&head)?, "HTTP/1.1 200 OK");
    Ok(connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_reading_a_file_is_cut_off_and_one_tenant_never_has_all_exports() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let (ada, eve) = (fixture.person("acme", "readonly").await?, fixture.person("other", "readonly").await?);
    let host = fixture.host("acme").await?;
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 1) })]).await?;
    // More than the buffers of a connection take.
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    sqlx::query(
        "INSERT INTO tenant_acme.findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status,
             evidence, content_hash, run_id, first_seen_at, opened_at)
         SELECT gen_random_uuid(), f.asset_id, f.module, f.module_version, f.check_id, repeat('r', 400) || n, 'low', 'open',
             f.evidence, gen_random_uuid(), f.run_id, now(), now()
         FROM (SELECT * FROM tenant_acme.findings LIMIT 1) f, generate_series(1, 60000) n",
    )
    .execute(&db)
    .await?;

    let stalled = [stalled_export(&fixture, &ada).await?, stalled_export(&fixture, &ada).await?];
    let refused = ada.get("/v1/runs/export.csv").send().await?;
    assert!(refused.headers()["retry-after"].to_str()?.parse::<u32>()? > 0);
    let refused = expect(refused, StatusCode::TOO_MANY_REQUESTS).await?;
    assert_eq!(refused["code"], "too_many_requests");
    assert!(refused["message"].as_str().unwrap().contains("exports of this tenant"), "{refused}");
    // Nothing of it is on record: it did not happen.
    assert_eq!(entries(&fixture, "runs.exported").await?.len(), 0);
    for _ in 0..3 {
        let file = eve.get("/v1/findings/export.csv").send().await?;
        assert_eq!(file.status(), StatusCode::OK, "another tenant's places are its own");
        assert_eq!(read_csv(&file.text().await?).len(), 1);
    }
    // The connections stay open; the program gives up on them by itself.
    tests::harness::until(std::time::Duration::from_mins(1), "a place is free again", async || {
        Ok(ada.get("/v1/runs/export.csv").send().await?.status() == StatusCode::OK)
    })
    .await?;
    drop(stalled);
    Ok(())
}

/// RFC 4180, for reading what was written.
fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, is_quoted) {
            ('"', true) if characters.peek() == Some(&'"') => cell.push(characters.next().unwrap()),
            ('"', _) => is_quoted = !is_quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\r', false) => {
                assert_eq!(characters.next(), Some('\n'), "rows end with CR and LF");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (other, _) => cell.push(other),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !is_quoted, "the last row ends as the others do");
    rows
}

/// BEGIN, its settings and ROLLBACK of the one transaction of a request.
const AROUND: i64 = 6;

/// What one request sends to Postgres: statements of its work, and those that begin and end its transactions. What runs in
/// the background meanwhile is not the request's: the least of several tries, and of more with pauses while it is above the
/// limit.
async fn statements(db: &PgPool, limit: (i64, i64), ask: impl AsyncFn() -> Result<()>) -> Result<(i64, i64)> {
    let mut least = (i64::MAX, i64::MAX);
    for number in 0..40 {
        if number >= 6 {
            if least.0 <= limit.0 && least.1 <= limit.1 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        sqlx::query("SELECT pg_stat_statements_reset()").execute(db).await?;
        ask().await?;
        let (work, control) = sent(db).await?;
        least = (least.0.min(work), least.1.min(control));
    }
    Ok(least)
}

/// The same of a request of a person.
async fn statements_of(db: &PgPool, limit: (i64, i64), person: &Person<'_>, path: &str) -> Result<(i64, i64)> {
    let ask = async || {
        let response = person.get(path).send().await?;
        assert_eq!(response.status(), StatusCode::OK, "{}", response.url());
        response.bytes().await?;
        Ok(())
    };
    statements(db, limit, ask).await
}

/// What was sent to Postgres since the figures were reset: work, and what is around it.
async fn sent(db: &PgPool) -> Result<(i64, i64)> {
    let sent = sqlx::query_as(
        "SELECT COALESCE(sum(s.calls) FILTER (WHERE NOT is_control), 0)::bigint,
                 COALESCE(sum(s.calls) FILTER (WHERE is_control), 0)::bigint
             FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid,
                 LATERAL (SELECT s.query ~* '^(BEGIN|SET|COMMIT|ROLLBACK|SELECT pg_catalog.pg_backend_pid)' AS is_control) c
             WHERE r.rolname = 'tenantra_api' OR r.rolname LIKE 'tenant\\_%'",
        )
    .fetch_one(db)
    .await?;
    Ok(sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_costs_a_bounded_number_of_statements() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let ada = fixture.person("acme", "readonly").await?;
    let host = fixture.host("acme").await?;
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 5) })]).await?;
    host.results(&[json!({ "envelope": inventory(Uuid::now_v7(), None, &[fact("a"), fact("b")]) })]).await?;
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&db).await?;
    let finding = ada.get("/v1/findings").expect(StatusCode::OK).await?["items"][0]["id"].as_str().unwrap().to_owned();
    let run = ada.get("/v1/runs").expect(StatusCode::OK).await?["items"][0]["id"].as_str().unwrap().to_owned();
    let asset = format!("/v1/assets/{}", host.asset_id);
    let cursor = ada.get("/v1/findings?page_size=2").expect(StatusCode::OK).await?["next_cursor"].clone();
    let behind = format!("/v1/findings?page_size=2&cursor={}", cursor.as_str().unwrap());

    let first = &CATALOG.module("linux-sshd-hardening", None).unwrap().module.checks[0];
    let (check, control) = (&first.id, &first.controls["cis-debian-12"][0]);

    // Each begins by asking whose session it is, outside of the transaction that BEGIN, its settings and ROLLBACK come with.
    for (path, most) in [
        ("/v1/overview", 3),
        ("/v1/findings?page_size=100", 3),
        ("/v1/findings?page_size=100&severity=critical,low&sort=-first_seen_at", 3),
        ("/v1/findings?page_size=100&q=ssh&status=all", 3),
        (&behind, 3),
        (&format!("/v1/findings/{finding}"), 3),
        ("/v1/assets?page_size=100&q=a&sort=score", 3),
        (&asset, 3),
        (&format!("{asset}/facts?table=users"), 3),
        (&format!("{asset}/checks?verdict=fail"), 3),
        (&format!("{asset}/timeline"), 3),
        (&format!("{asset}/risk"), 2),
        ("/v1/risk", 2),
        ("/v1/risk/trend?days=366", 2),
        ("/v1/drift?page_size=100&min_rarity=10", 3),
        ("/v1/runs?page_size=100&module=linux-inventory-users", 3),
        (&format!("/v1/runs/{run}"), 3),
        ("/v1/compliance/scores", 3),
        ("/v1/compliance/frameworks?page_size=100", 3),
        ("/v1/compliance/frameworks/cis-debian-12", 3),
        ("/v1/compliance/frameworks/cis-debian-12/coverage?page_size=100&status=fail", 3),
        ("/v1/compliance/frameworks/cis-debian-12/assets?page_size=100", 3),
        (&format!("/v1/compliance/frameworks/cis-debian-12/controls/{control}/checks"), 3),
        (&format!("/v1/compliance/frameworks/cis-debian-12/controls/{control}/evidence?page_size=100"), 3),
        (&format!("/v1/compliance/results?module=linux-sshd-hardening&check={check}&verdict=fail"), 3),
        ("/v1/compliance/groups?key=environment&value=test", 3),
        ("/v1/compliance/trends?days=366", 2),
        ("/v1/waivers?page_size=100&state=in_force", 3),
    ] {
        let (work, control) = statements_of(&db, (most, AROUND), &ada, path).await?;
        println!("{path}: {work} statements, and {control} around them");
        assert!((1..=most).contains(&work), "{path}: {work} statements");
        assert!(control <= AROUND, "{path}: {control} statements around them");
    }

    // An agent's request: its number, without a transaction around it. What it says of itself is written with what others say.
    let heartbeat = json!({ "state": { "agent_version": "1", "queue_depth": 0, "spool_bytes": 0 } });
    let beat = async || {
        assert_eq!(host.post("/v1/agents/heartbeat", &heartbeat).await?.status(), StatusCode::OK);
        Ok(())
    };
    let least = statements(&db, (1, 0), beat).await?;
    assert_eq!(least, (1, 0), "statements of a heartbeat");

    // A file: the session, the record, and one statement for all of its rows, however many.
    let few = statements_of(&db, (3, 2 * AROUND), &ada, "/v1/findings/export.csv").await?;
    sqlx::query(
        "INSERT INTO tenant_acme.findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status,
             evidence, content_hash, run_id, first_seen_at, opened_at)
         SELECT gen_random_uuid(), f.asset_id, f.module, f.module_version, f.check_id, 'r' || n, 'low', 'open', f.evidence,
             gen_random_uuid(), f.run_id, now(), now()
         FROM (SELECT * FROM tenant_acme.findings LIMIT 1) f, generate_series(1, 30000) n",
    )
    .execute(&db)
    .await?;
    let many = statements_of(&db, (few.0, 2 * AROUND), &ada, "/v1/findings/export.csv").await?;
    println!("a file: {few:?}, of 30,000 rows {many:?} statements");
    // What runs in the background falls into the time that so many rows take.
    assert!(few.0 <= 3 && many.0 <= few.0 + 3, "{few:?} {many:?}");
    let text = ada.get("/v1/findings/export.csv").send().await?.text().await?;
    assert_eq!(read_csv(&text).len(), 30_006);
    Ok(())
}
