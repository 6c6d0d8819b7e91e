//! Signing in, staying signed in, signing out, and what each role may do.

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::fixture::{ADMIN_EMAIL, ADMIN_PASSWORD, Fixture, expect};

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_lasts_until_sign_out_and_a_refresh_token_works_once() -> Result<()> {
    let fixture = Fixture::start().await?;
    let login = |body: Value| fixture.request(Method::POST, "/v1/auth/login").0.json(&body).send();

    let wrong =
        expect(login(json!({ "email": ADMIN_EMAIL, "password": "no" })).await?, StatusCode::UNAUTHORIZED).await?;
    let unknown = expect(login(json!({ "email": "x@y.z", "password": "no" })).await?, StatusCode::UNAUTHORIZED).await?;
    assert_eq!(wrong["code"], "wrong_credentials");
    assert_eq!(wrong["message"], unknown["message"], "an answer does not say whether the account exists");

    let response = login(json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "remember": true })).await?;
    let trace_id = response.headers()["x-trace-id"].to_str()?.to_owned();
    let body = expect(response, StatusCode::UNPROCESSABLE_ENTITY).await?;
    assert_eq!((&body["details"]["field"], &body["trace_id"]), (&json!("remember"), &json!(trace_id)));

    let form = [("username", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    let response = fixture.request(Method::POST, "/v1/auth/login").0.form(&form).send().await?;
    expect(response, StatusCode::OK).await?;

    let admin = fixture.admin().await?;
    let me = admin.get("/v1/auth/me").expect(StatusCode::OK).await?;
    assert_eq!((&me["email"], &me["is_super_admin"]), (&json!(ADMIN_EMAIL), &json!(true)));

    let refresh = |token: &str| {
        fixture.request(Method::POST, "/v1/auth/refresh").0.json(&json!({ "refresh_token": token })).send()
    };
    let second = expect(refresh(&admin.refresh).await?, StatusCode::OK).await?;
    let access = second["access_token"].as_str().unwrap().to_owned();
    let me_by = |access: &str| fixture.request(Method::GET, "/v1/auth/me").0.bearer_auth(access).send();
    assert_eq!(me_by(&access).await?.status(), StatusCode::OK);
    // Used a second time, by whoever has it: the whole sign-in ends.
    expect(refresh(&admin.refresh).await?, StatusCode::UNAUTHORIZED).await?;
    assert_eq!(me_by(&access).await?.status(), StatusCode::UNAUTHORIZED);
    let latest = second["refresh_token"].as_str().unwrap();
    expect(refresh(latest).await?, StatusCode::UNAUTHORIZED).await?;

    let admin = fixture.admin().await?;
    let response = admin.call(Method::POST, "/v1/auth/logout").send().await?;
    expect(response, StatusCode::NO_CONTENT).await?;
    admin.get("/v1/auth/me").expect(StatusCode::UNAUTHORIZED).await?;
    expect(refresh(&admin.refresh).await?, StatusCode::UNAUTHORIZED).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_has_its_tokens_in_cookies_and_writes_only_from_our_own_pages() -> Result<()> {
    let fixture = Fixture::start().await?;
    let host = fixture.base.trim_start_matches("http://").to_owned();
    let origin = fixture.base.clone();
    let body = json!({ "email": ADMIN_EMAIL, "password": ADMIN_PASSWORD });
    let login = || fixture.request(Method::POST, "/v1/auth/login").header("x-tenantra-browser", "1");

    let foreign = login().header("origin", "https://evil.example").0.json(&body).send().await?;
    assert_eq!(expect(foreign, StatusCode::FORBIDDEN).await?["code"], "cross_site");
    let response = login().header("origin", &origin).0.json(&body).send().await?;
    let cookies: Vec<String> =
        response.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    let body = expect(response, StatusCode::OK).await?;
    assert!(body.get("access_token").is_none(), "no script sees a token");
    assert_eq!(cookies.len(), 2);
    for cookie in &cookies {
        for part in ["__Host-tenantra_", "Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
    let jar: Vec<&str> = cookies.iter().filter_map(|cookie| cookie.split(';').next()).collect();
    let jar = jar.join("; ");
    let call = |method, path: &str| fixture.request(method, path).header("cookie", &jar).header("host", &host);

    call(Method::GET, "/v1/auth/me").expect(StatusCode::OK).await?;
    let both =
        call(Method::GET, "/v1/auth/me").header("authorization", "Bearer x").expect(StatusCode::BAD_REQUEST).await?;
    assert_eq!(both["code"], "two_credentials");
    let user = json!({ "slug": "x" });
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "same-site"), ("x-none", "1")] {
        let response = call(Method::POST, "/v1/tenants").header(name, value).0.json(&user).send().await?;
        assert_eq!(expect(response, StatusCode::FORBIDDEN).await?["code"], "cross_site", "{name}: {value}");
    }
    let response = call(Method::POST, "/v1/auth/refresh").header("sec-fetch-site", "same-origin").send().await?;
    expect(response, StatusCode::OK).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_the_table_says() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let (ok, no) = (StatusCode::OK, StatusCode::FORBIDDEN);
    let expected = [
        // role, findings, agents, tokens, users, tenants
        ("admin", [ok, ok, ok, ok, no]),
        ("manager", [ok, ok, no, ok, no]),
        ("user", [ok, ok, no, no, no]),
        ("readonly", [ok, ok, no, no, no]),
        ("billing_viewer", [no, no, no, no, no]),
    ];
    let paths = ["/v1/findings", "/v1/agents", "/v1/agents/enrollment-tokens", "/v1/users", "/v1/tenants"];
    for (role, statuses) in expected {
        let person = fixture.person("acme", role).await?;
        for (path, status) in paths.iter().zip(statuses) {
            let response = person.get(path).send().await?;
            assert_eq!(response.status(), status, "{role} {path}");
        }
        person.get("/v1/tenants/current").expect(StatusCode::OK).await?;
    }
    let manager = fixture.sign_in("manager@acme.example", "Another-Horse-Battery-8").await?;
    let user = |role: &str, password: &str| json!({ "email": format!("new-{role}@acme.example"), "role": role, "password": password });
    manager.post("/v1/users", &user("admin", "Fourth-Horse-Battery-9")).expect(StatusCode::FORBIDDEN).await?;
    manager.post("/v1/users", &user("super_admin", "Fourth-Horse-Battery-9")).expect(StatusCode::FORBIDDEN).await?;
    let weak = manager.post("/v1/users", &user("user", "short")).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    assert_eq!(weak["details"]["field"], "password");
    manager.post("/v1/users", &user("user", "Fourth-Horse-Battery-9")).expect(StatusCode::CREATED).await?;
    manager.post("/v1/users", &user("user", "Fourth-Horse-Battery-9")).expect(StatusCode::CONFLICT).await?;

    // Roles are read with each request: one that is taken away is gone at once.
    let admin = fixture.admin().await?;
    admin.get("/v1/overview").expect(StatusCode::BAD_REQUEST).await?;
    admin.get("/v1/overview").tenant("nowhere").expect(StatusCode::NOT_FOUND).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_first_admin_gets_the_first_password_from_the_platform() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Pro", "admin": { "email": "Ada@acme.example" } })).await?;
    let admin = fixture.admin().await?;
    tests::harness::until(std::time::Duration::from_secs(20), "the account is there", async || {
        let users = admin.get("/v1/users").tenant("acme").expect(StatusCode::OK).await?;
        Ok(users["items"][0]["email"] == "ada@acme.example")
    })
    .await?;
    let body = json!({ "email": "ada@acme.example", "role": "admin", "password": "Another-Horse-Battery-8" });
    admin.post("/v1/users", &body).tenant("acme").expect(StatusCode::CREATED).await?;
    let ada = fixture.sign_in("ada@acme.example", "Another-Horse-Battery-8").await?;
    let me = ada.get("/v1/auth/me").expect(StatusCode::OK).await?;
    assert_eq!((&me["tenant"]["slug"], &me["roles"][0]["role"]), (&json!("acme"), &json!("admin")));
    // A second time it is not a first password any more.
    admin.post("/v1/users", &body).tenant("acme").expect(StatusCode::CONFLICT).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_another_tenant_made_is_not_let_in_by_a_manifest() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Pro" })).await?;
    let mallory = fixture.person("acme", "admin").await?;
    let (email, password) = ("ciso@other.example", "Fourth-Horse-Battery-9");
    let body = json!({ "email": email, "role": "user", "password": password });
    mallory.post("/v1/users", &body).expect(StatusCode::CREATED).await?;
    let other = fixture.tenant("other", json!({ "plan": "Pro", "admin": { "email": email } })).await?;
    fixture.tenant("third", json!({ "plan": "Pro", "admin": { "email": "new@third.example" } })).await?;
    let admin = fixture.admin().await?;
    // Tenants are taken in the order of their slugs: what was to happen to `other` has.
    tests::harness::until(std::time::Duration::from_secs(20), "the last tenant's account is there", async || {
        let users = admin.get("/v1/users").tenant("third").expect(StatusCode::OK).await?;
        Ok(users["items"][0]["email"] == "new@third.example")
    })
    .await?;
    let users = admin.get("/v1/users").tenant("other").expect(StatusCode::OK).await?;
    assert_eq!(users["total"], 0, "{users}");
    let person = fixture.sign_in(email, password).await?;
    person.get("/v1/overview").tenant("other").expect(StatusCode::NOT_FOUND).await?;

    // Of two tenants none is guessed.
    person.get("/v1/tenants/current").expect(StatusCode::OK).await?;
    let mut tx = fixture.api_db()?.platform().await?;
    let user = store::users::by_login(&mut tx, email).await?.unwrap();
    store::users::grant(&mut tx, user.user_id, other.id, store::users::Role::Readonly).await?;
    tx.commit().await?;
    let person = fixture.sign_in(email, password).await?;
    let refused = person.get("/v1/tenants/current").expect(StatusCode::BAD_REQUEST).await?;
    assert_eq!(refused["code"], "tenant_required");
    let me = person.get("/v1/auth/me").expect(StatusCode::OK).await?;
    assert_eq!((&me["tenant"], me["roles"].as_array().unwrap().len()), (&Value::Null, 2));
    for slug in ["acme", "other"] {
        let current = person.get("/v1/tenants/current").tenant(slug).expect(StatusCode::OK).await?;
        assert_eq!(current["slug"], slug);
    }
    Ok(())
}
