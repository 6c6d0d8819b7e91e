//! A database that is as it should be has no fault, and each thing that somebody changes is told in a sentence, in its
//! place, until it is taken back.

use store::verify::{self, Fault, MAX_TABLES};
use store::{OwnerDb, provision};

use crate::installation::Installation;

async fn faults(owner: &OwnerDb) -> anyhow::Result<Vec<Fault>> {
    Ok(verify::verify(owner).await?.faults)
}

/// What is changed, where it shows, a part of what is said, and how it is taken back.
const CHANGES: &[(&str, Option<&str>, &str, &str)] = &[
    ("ALTER ROLE tenantra_api INHERIT", None, "ALTER ROLE tenantra_api NOINHERIT", "ALTER ROLE tenantra_api NOINHERIT"),
    ("ALTER ROLE tenantra_api BYPASSRLS", None, "not bound by row-level", "ALTER ROLE tenantra_api NOBYPASSRLS"),
    ("ALTER ROLE tenant_acme SUPERUSER", None, "is a superuser", "ALTER ROLE tenant_acme NOSUPERUSER"),
    (
        "GRANT pg_read_all_data TO tenantra_api",
        None,
        "REVOKE pg_read_all_data FROM tenantra_api",
        "REVOKE pg_read_all_data FROM tenantra_api",
    ),
    (
        "GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO PUBLIC",
        None,
        "pg_catalog.set_config",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC",
    ),
    (
        "GRANT TEMPORARY ON DATABASE tenantra TO PUBLIC",
        None,
        "everybody has TEMPORARY on the database",
        "REVOKE TEMPORARY ON DATABASE tenantra FROM PUBLIC",
    ),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", None, "schema public", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    (
        "ALTER TABLE shared.jobs NO FORCE ROW LEVEL SECURITY",
        Some("shared"),
        "row-level security of shared.jobs",
        "ALTER TABLE shared.jobs FORCE ROW LEVEL SECURITY",
    ),
    (
        "CREATE POLICY all_of_it ON shared.outbox TO tenantra_tenant USING (true)",
        Some("shared"),
        "DROP POLICY all_of_it ON shared.outbox",
        "DROP POLICY all_of_it ON shared.outbox",
    ),
    (
        "ALTER POLICY tenants ON shared.jobs USING (true)",
        Some("shared"),
        "the policy tenants of shared.jobs",
        "ALTER POLICY tenants ON shared.jobs USING (tenant_role = current_user)",
    ),
    (
        "ALTER POLICY tenants ON shared.legal_holds USING (true)",
        Some("shared"),
        "the policy tenants of shared.legal_holds",
        "ALTER POLICY tenants ON shared.legal_holds USING (tenant_role = current_user)",
    ),
    (
        "GRANT SELECT ON shared.retention_runs TO tenantra_tenant",
        Some("shared"),
        "tenantra_tenant may SELECT on shared.retention_runs",
        "REVOKE SELECT ON shared.retention_runs FROM tenantra_tenant",
    ),
    (
        "GRANT SELECT ON shared.users TO tenantra_tenant",
        Some("shared"),
        "REVOKE SELECT ON shared.users FROM tenantra_tenant",
        "REVOKE SELECT ON shared.users FROM tenantra_tenant",
    ),
    (
        "GRANT UPDATE ON shared.fencing TO tenantra_api",
        Some("shared"),
        "tenantra_api may UPDATE on shared.fencing",
        "REVOKE UPDATE ON shared.fencing FROM tenantra_api",
    ),
    (
        "GRANT EXECUTE ON FUNCTION shared.enqueue_for(name, jsonb) TO tenantra_api",
        Some("shared"),
        "enqueues for any tenant",
        "REVOKE EXECUTE ON FUNCTION shared.enqueue_for(name, jsonb) FROM tenantra_api",
    ),
    (
        "GRANT EXECUTE ON FUNCTION shared.chain_audit(uuid, integer) TO PUBLIC",
        Some("shared"),
        "everybody may execute shared.chain_audit",
        "REVOKE EXECUTE ON FUNCTION shared.chain_audit(uuid, integer) FROM PUBLIC",
    ),
    (
        "GRANT UPDATE ON tenant_acme.audit_log TO tenant_acme",
        Some("tenant_acme"),
        "REVOKE UPDATE ON TABLE tenant_acme.audit_log",
        "REVOKE UPDATE ON tenant_acme.audit_log FROM tenant_acme",
    ),
    (
        "ALTER TABLE tenant_acme.findings OWNER TO tenantra_api",
        Some("tenant_acme"),
        "ALTER TABLE tenant_acme.findings OWNER TO tenantra_owner",
        "ALTER TABLE tenant_acme.findings OWNER TO tenantra_owner",
    ),
    (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tenant_acme.findings_asset_id'::regclass",
        Some("tenant_acme"),
        "REINDEX INDEX CONCURRENTLY tenant_acme.findings_asset_id",
        "REINDEX INDEX tenant_acme.findings_asset_id",
    ),
    (
        "UPDATE tenant_acme.schema_migrations SET checksum = checksum || 'x' WHERE version = '20261121100000'",
        Some("tenant_acme"),
        "was applied with another content",
        "UPDATE tenant_acme.schema_migrations SET checksum = rtrim(checksum, 'x') WHERE version = '20261121100000'",
    ),
];

#[tokio::test]
async fn each_change_is_told_where_it_is_and_nothing_else_is() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let acme = installation.tenant("acme").await?;
    installation.tenant("bravo").await?;
    let report = verify::verify(&installation.owner).await?;
    assert_eq!((report.tenants, report.faults), (2, vec![]));
    for (change, schema, says, back) in CHANGES {
        installation.admin(change).await?;
        let found = faults(&installation.owner).await?;
        let is_told = |fault: &Fault| fault.schema.as_deref() == *schema && fault.problem.contains(says);
        assert!(found.iter().any(is_told), "{change}: {found:?}");
        assert!(found.iter().all(|fault| fault.schema.as_deref() != Some("tenant_bravo")), "{change}: {found:?}");
        installation.admin(back).await?;
        // What owner and grants were is the provisioner's to repair.
        provision::ensure(&installation.owner, &acme, None).await?;
        assert_eq!(faults(&installation.owner).await?, [], "{back}");
    }
    Ok(())
}

#[tokio::test]
async fn marks_counts_and_versions_are_held_against_what_is_known() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let owner = &installation.owner;
    installation.tenant("acme").await?;
    let tables = installation.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'tenant_acme'").await?;
    for number in tables..=MAX_TABLES {
        installation.admin(&format!("CREATE TABLE tenant_acme.extra_{number} (a integer)")).await?;
    }
    let found = faults(owner).await?;
    assert!(found.iter().any(|fault| fault.problem.contains("it has 25 tables")), "{found:?}");
    assert!(found.iter().any(|fault| fault.problem.contains("OWNER TO tenantra_owner")), "{found:?}");
    for number in tables..=MAX_TABLES {
        installation.admin(&format!("DROP TABLE tenant_acme.extra_{number}")).await?;
    }
    assert_eq!(faults(owner).await?, []);

    // A tenant whose row is gone, and one whose schema is.
    installation.row("charlie").await?;
    let found = faults(owner).await?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].schema.as_deref(), Some("tenant_charlie"));
    installation.admin("UPDATE shared.tenants SET state = 'purged'").await?;
    let found = faults(owner).await?;
    let of_acme = found.iter().filter(|fault| fault.problem.contains("which shared.tenants does not have"));
    assert_eq!(of_acme.count(), 2, "schema and role: {found:?}");

    // An older database is behind, and nothing more is asked of it.
    installation
        .admin(
            "DELETE FROM shared.schema_migrations WHERE version = (SELECT max(version) FROM shared.schema_migrations)",
        )
        .await?;
    let found = faults(owner).await?;
    assert!(found.iter().any(|fault| fault.problem.contains("it lacks 1 migration of this program")), "{found:?}");
    installation.admin("DROP SCHEMA shared CASCADE").await?;
    let found = faults(owner).await?;
    assert!(found.iter().any(|fault| fault.problem.contains("run `tenantra db migrate`")), "{found:?}");
    Ok(())
}
