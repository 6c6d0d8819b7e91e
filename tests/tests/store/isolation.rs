//! One tenant attacks another, as a real session of its own role and through the API's session. Nothing it may send shows
//! the other's mark.

use std::collections::BTreeSet;

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, Row as _, ValueRef as _};

use crate::installation::{Installation, PASSWORD};

const SECRET: &str = "secret-of-bravo";

/// What a session of `tenant_alpha` tries, each with its statements. The last statement of each attempt is always the
/// plain look at the other's table.
const ATTACKS: &[&[&str]] = &[
    &["SELECT * FROM tenant_bravo.assets"],
    &["TABLE tenant_bravo.audit_log"],
    &["SET ROLE tenant_bravo"],
    &["SET LOCAL ROLE tenant_bravo"],
    &["BEGIN", "SET LOCAL ROLE tenant_bravo", "ROLLBACK"],
    &["SET SESSION AUTHORIZATION tenant_bravo"],
    &["SET ROLE tenantra_owner"],
    &["SET ROLE tenantra_api"],
    &["SET ROLE postgres"],
    &["SET ROLE tenantra_tenant", "SELECT cause FROM shared.jobs", "SELECT payload FROM shared.outbox", "RESET ROLE"],
    &["SET search_path = tenant_bravo", "SELECT * FROM assets"],
    &["SELECT set_config('search_path', 'tenant_bravo', false)", "SELECT * FROM assets"],
    &["SELECT set_config('role', 'tenant_bravo', false)"],
    &["SELECT * FROM (SELECT set_config('role', 'tenant_bravo', true)) x, LATERAL (SELECT name FROM assets) y"],
    &["UPDATE pg_settings SET setting = 'tenant_bravo' WHERE name = 'role'"],
    &["UPDATE pg_settings SET setting = 'tenant_bravo' WHERE name = 'search_path'", "SELECT * FROM assets"],
    &[
        "CREATE FUNCTION tenant_alpha.f() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS 'SELECT name FROM tenant_bravo.assets'",
    ],
    &["CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql AS 'SELECT 1::text'"],
    &["CREATE TEMP TABLE t AS SELECT * FROM tenant_bravo.assets"],
    &["CREATE TEMP VIEW pg_tables AS SELECT 1"],
    &["CREATE TABLE public.t (a text)"],
    &["CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"],
    &["CREATE TABLE tenant_alpha.t (a text)"],
    &["CREATE VIEW tenant_alpha.v AS SELECT * FROM tenant_bravo.assets"],
    &["CREATE SCHEMA mine"],
    &["DO $$ BEGIN EXECUTE 'SET ROLE tenant_bravo'; END $$"],
    &["DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; END $$"],
    &["COPY (SELECT * FROM tenant_bravo.assets) TO '/tmp/tenantra-attack'"],
    &["COPY tenant_alpha.assets (name) FROM PROGRAM 'cat /etc/passwd'"],
    &["COPY tenant_alpha.assets (name) FROM '/etc/passwd'"],
    &["SELECT query_to_xml('SELECT * FROM tenant_bravo.assets', true, true, '')"],
    &["SELECT query_to_xml('SET ROLE tenant_bravo', true, true, '')"],
    &["SELECT table_to_xml('tenant_bravo.assets', true, true, '')"],
    &["SELECT schema_to_xml('tenant_bravo', true, true, '')"],
    &["SELECT database_to_xml(true, true, '')"],
    &["SELECT * FROM ts_stat('SELECT to_tsvector(name) FROM tenant_bravo.assets')"],
    &["SELECT ts_rewrite('a'::tsquery, 'SELECT name::tsquery, name::tsquery FROM tenant_bravo.assets')"],
    &["SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE schemaname = 'tenant_bravo'"],
    &["SELECT * FROM pg_statistic"],
    &["SELECT query FROM pg_stat_activity WHERE usename <> current_user"],
    &["SELECT rolpassword FROM pg_authid"],
    &["SELECT lo_import('/etc/passwd')"],
    &["SELECT lo_from_bytea(0, 'x')"],
    &["SELECT lo_create(0)"],
    &["SELECT pg_read_file('/etc/passwd')"],
    &["SELECT pg_ls_dir('.')"],
    &[
        "SELECT pg_relation_filepath('tenant_bravo.assets')",
        "SELECT pg_read_binary_file(pg_relation_filepath('tenant_bravo.assets'))",
    ],
    &["CREATE EXTENSION dblink"],
    &["CREATE EXTENSION postgres_fdw"],
    &["CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw"],
    &["GRANT tenant_bravo TO tenant_alpha"],
    &["GRANT tenantra_owner TO tenant_alpha"],
    &["ALTER ROLE tenant_alpha SUPERUSER"],
    &["ALTER ROLE tenant_alpha SET role = 'tenant_bravo'"],
    &["CREATE ROLE mallory SUPERUSER"],
    &["ALTER TABLE tenant_bravo.assets OWNER TO tenant_alpha"],
    &["ALTER SCHEMA tenant_bravo OWNER TO tenant_alpha"],
    &["REASSIGN OWNED BY tenant_bravo TO tenant_alpha"],
    &["ALTER DEFAULT PRIVILEGES FOR ROLE tenantra_owner GRANT SELECT ON TABLES TO tenant_alpha"],
    &["ALTER SYSTEM SET session_preload_libraries = 'x'"],
    &["LOAD '/tmp/x.so'"],
    &["SELECT * FROM shared.tenants"],
    &["SELECT * FROM shared.users", "SELECT * FROM shared.sessions", "SELECT * FROM shared.memberships"],
    &["SELECT * FROM shared.agent_credentials", "SELECT * FROM shared.enrollment_tokens"],
    &["SELECT * FROM shared.tenant_rollups", "SELECT * FROM shared.platform_audit", "SELECT * FROM shared.fencing"],
    &["SELECT cause FROM shared.jobs", "SELECT payload FROM shared.outbox"],
    &["SET row_security = off", "SELECT cause FROM shared.jobs", "RESET row_security"],
    &["SELECT count(*) FROM shared.jobs WHERE 1 / (CASE WHEN cause LIKE 'secret-of-bravo%' THEN 0 ELSE 1 END) = 1"],
    &["ALTER TABLE shared.jobs DISABLE ROW LEVEL SECURITY"],
    &["CREATE POLICY p ON shared.jobs USING (true)"],
    &["INSERT INTO shared.outbox (event_id, tenant_role, kind) VALUES (gen_random_uuid(), 'tenant_bravo', 'x')"],
    &["UPDATE shared.jobs SET tenant_role = 'tenant_bravo'"],
    &["UPDATE shared.jobs SET cause = 'x' RETURNING cause"],
    &["SELECT shared.enqueue_for('tenant_bravo', '[]')"],
    &["INSERT INTO tenant_bravo.assets (asset_id, identity, kind, name) VALUES (gen_random_uuid(), 'x', 'host', 'x')"],
    &["UPDATE tenant_bravo.assets SET name = 'x' RETURNING *"],
    &["DELETE FROM tenant_bravo.assets RETURNING *"],
    &["TRUNCATE tenant_bravo.assets"],
    &["LOCK TABLE tenant_bravo.assets"],
    &["EXPLAIN ANALYZE SELECT * FROM tenant_bravo.assets"],
    &["PREPARE p AS SELECT * FROM tenant_bravo.assets", "EXECUTE p"],
    &["DECLARE c CURSOR WITH HOLD FOR SELECT * FROM tenant_bravo.assets"],
    &["UPDATE tenant_alpha.audit_log SET actor = 'nobody'", "DELETE FROM tenant_alpha.audit_log"],
    &[
        "INSERT INTO tenant_alpha.audit_log (audit_id, actor, action, sequence) VALUES (gen_random_uuid(), 'x', 'x', 1)",
        "INSERT INTO tenant_alpha.audit_log (audit_id, actor, action, created_at) VALUES (gen_random_uuid(), 'x', 'x', '2001-01-01')",
        "SELECT shared.chain_audit(tenant_id, 10) FROM shared.tenants",
        "SELECT shared.cut_audit(tenant_id, now() - interval '1 year', 10, 10) FROM shared.tenants",
        "UPDATE shared.legal_holds SET lifted_at = now(), lifted_by = 'x'",
        "SELECT reason FROM shared.legal_holds",
    ],
    &["UPDATE tenant_alpha.schema_migrations SET checksum = ''"],
    &[
        "CREATE TRIGGER t BEFORE INSERT ON tenant_alpha.assets FOR EACH ROW EXECUTE FUNCTION shared.guard_module_version()",
    ],
    &["CREATE RULE r AS ON SELECT TO tenant_alpha.assets DO INSTEAD SELECT * FROM tenant_bravo.assets"],
    &["UPDATE shared.checks SET title = 'x'", "DELETE FROM shared.modules"],
    &["SECURITY LABEL ON SCHEMA tenant_alpha IS 'x'", "COMMENT ON SCHEMA tenant_bravo IS 'x'"],
    &["NOTIFY tenantra_jobs, 'x'", "LISTEN tenantra_jobs", "UNLISTEN *"],
];

/// Two tenants with a row each, and rows of `shared` that tell of the second.
async fn two_tenants() -> anyhow::Result<Installation> {
    let installation = Installation::start().await?;
    installation.module("m").await?;
    for slug in ["alpha", "bravo"] {
        installation.tenant(slug).await?;
        installation
            .admin(&format!(
                "INSERT INTO tenant_{slug}.assets (asset_id, identity, kind, name) VALUES (gen_random_uuid(), 'i', 'host', 'secret-of-{slug}')"
            ))
            .await?;
        installation
            .admin(&format!(
                "INSERT INTO shared.jobs (job_id, tenant_role, agent_id, run_id, module, version, profile, cause)
                 VALUES (gen_random_uuid(), 'tenant_{slug}', gen_random_uuid(), gen_random_uuid(), 'm', '1.0.0', 'baseline_fast', 'secret-of-{slug}')"
            ))
            .await?;
        installation
            .admin(&format!(
                "INSERT INTO shared.outbox (event_id, tenant_role, kind, payload) VALUES (gen_random_uuid(), 'tenant_{slug}', 'x', '\"secret-of-{slug}\"')"
            ))
            .await?;
    }
    let user = "INSERT INTO shared.users (user_id, email) VALUES (gen_random_uuid(), 'secret-of-bravo@example.org')";
    installation.admin(user).await?;
    installation.admin("ANALYZE").await?;
    Ok(installation)
}

/// Sends one statement and gives all that came back as text, the error's too.
async fn send(connection: &mut PgConnection, statement: &str) -> (bool, String) {
    // An attacker with a session of its own has the simple protocol.
    #[allow(clippy::disallowed_methods)]
    let sent = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(connection).await;
    match sent {
        Ok(rows) => (true, rows.iter().map(text).collect()),
        Err(error) => (false, error.to_string()),
    }
}

fn text(row: &PgRow) -> String {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index).unwrap();
            if value.is_null() { String::new() } else { value.as_str().unwrap_or_default().to_owned() + "\n" }
        })
        .collect()
}

#[tokio::test]
async fn a_session_of_one_tenant_sees_nothing_of_another() -> anyhow::Result<()> {
    let installation = two_tenants().await?;
    installation.admin(&format!("ALTER ROLE tenant_alpha LOGIN PASSWORD '{PASSWORD}'")).await?;
    installation.admin("GRANT CONNECT ON DATABASE tenantra TO tenant_alpha").await?;
    let options: PgConnectOptions = installation.url_of("tenant_alpha")?.parse()?;
    let mut session = options.connect().await?;
    let (may, own) = send(&mut session, "SELECT name FROM tenant_alpha.assets").await;
    assert!(may && own.contains("secret-of-alpha"), "the tenant reads its own");
    let (may, own) = send(&mut session, "SELECT cause FROM shared.jobs").await;
    assert!(may && own.contains("secret-of-alpha"), "the tenant reads its own jobs");
    let before = content_of_bravo(&installation).await?;
    assert!(ATTACKS.len() >= 25);
    for attack in ATTACKS {
        for statement in *attack {
            let (_, answer) = send(&mut session, statement).await;
            assert!(!answer.contains(SECRET), "{statement} showed {answer}");
            assert!(!answer.contains("division by zero"), "{statement} told of a row it may not see");
            assert!(!answer.contains("root:x:0"), "{statement} read a file");
        }
        let (was_allowed, answer) = send(&mut session, "SELECT name FROM tenant_bravo.assets").await;
        assert!(!was_allowed && answer.contains("permission denied"), "{attack:?} opened tenant_bravo: {answer}");
        send(&mut session, "RESET ROLE").await;
        send(&mut session, "RESET search_path").await;
    }
    session.close().await?;
    assert_eq!(content_of_bravo(&installation).await?, before, "nothing of the other was changed");
    let forged = "SELECT count(*) FROM tenant_alpha.audit_log WHERE actor IN ('x', 'nobody')";
    assert_eq!(installation.number(forged).await?, 0, "the tenant's own log takes no forged row");
    Ok(())
}

async fn content_of_bravo(installation: &Installation) -> anyhow::Result<BTreeSet<String>> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT 'asset ' || name FROM tenant_bravo.assets UNION ALL SELECT 'job ' || cause FROM shared.jobs WHERE tenant_role = 'tenant_bravo'
         UNION ALL SELECT 'event ' || payload::text FROM shared.outbox WHERE tenant_role = 'tenant_bravo'
         UNION ALL SELECT 'audit ' || actor FROM tenant_alpha.audit_log",
    )
    .fetch_all(&installation.admin)
    .await?;
    Ok(rows.into_iter().collect())
}

#[tokio::test]
async fn the_api_reads_no_tenant_before_it_takes_the_role() -> anyhow::Result<()> {
    let installation = two_tenants().await?;
    let options: PgConnectOptions = installation.url_of("tenantra_api")?.parse()?;
    let mut session = options.connect().await?;
    for slug in ["alpha", "bravo"] {
        let (was_allowed, answer) = send(&mut session, &format!("SELECT name FROM tenant_{slug}.assets")).await;
        assert!(!was_allowed && answer.contains("permission denied"), "{answer}");
    }
    session.close().await?;
    Ok(())
}

#[tokio::test]
async fn an_injected_expression_finds_nothing_to_call() -> anyhow::Result<()> {
    let installation = two_tenants().await?;
    let options: PgConnectOptions = installation.url_of("tenantra_api")?.parse()?;
    let mut session = options.connect().await?;
    let opening = "BEGIN; SET LOCAL ROLE tenant_alpha; SET LOCAL search_path = tenant_alpha, pg_temp";
    for injected in [
        "(SELECT set_config('role', 'tenant_bravo', true))",
        "(SELECT set_config('role', 'none', true))",
        "(SELECT query_to_xml('SET ROLE tenant_bravo', true, true, '')::text)",
        "(SELECT query_to_xml('SELECT set_config(''role'', ''tenant_bravo'', true)', true, true, '')::text)",
        "(SELECT name FROM tenant_bravo.assets LIMIT 1)",
        "(SELECT email FROM shared.users LIMIT 1)",
        "(SELECT string_agg(cause, '') FROM shared.jobs)",
        "(SELECT lo_create(0)::text)",
        "name; SET ROLE tenant_bravo",
        "name FROM assets; SET LOCAL ROLE tenant_bravo; SELECT name",
    ] {
        assert!(send(&mut session, opening).await.0);
        // The extended protocol, as every statement of the store is sent.
        let statement = format!("SELECT ({injected})::text FROM assets");
        let answer: Result<Option<String>, _> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut session).await;
        if let Ok(Some(answer)) = &answer {
            assert!(!answer.contains(SECRET), "{injected} showed {answer}");
        }
        if answer.is_ok() {
            let (_, who) = send(&mut session, "SELECT current_user").await;
            assert_eq!(who.trim(), "tenant_alpha", "{injected} changed the role");
        }
        send(&mut session, "ROLLBACK").await;
    }
    session.close().await?;
    Ok(())
}
