//! The people behind sign-ins, asked for together: each answer stands where it was asked for, and all cost one statement.

use chrono::{TimeDelta, Utc};
use store::principal::{self, SignIn};
use store::sessions::{self, NewSession};
use store::users::{self, NewUser, Role};
use uuid::Uuid;

use crate::installation::Installation;

/// A person with this role in the tenant, and a sign-in that ends at that time.
async fn person(
    installation: &Installation,
    name: &str,
    tenant_id: Uuid,
    role: Role,
    lasts: TimeDelta,
) -> anyhow::Result<SignIn> {
    let mut tx = installation.api.platform().await?;
    let new = NewUser {
        email: format!("{name}@acme.example"),
        username: None,
        name: name.to_owned(),
        password_hash: None,
        is_super_admin: false,
    };
    let user_id = users::create(&mut tx, &new).await?.user_id;
    users::grant(&mut tx, user_id, tenant_id, role).await?;
    let family_id = Uuid::now_v7();
    let mut refresh_hash = [0; 32];
    refresh_hash[..16].copy_from_slice(family_id.as_bytes());
    let session = NewSession {
        family_id,
        user_id,
        refresh_hash,
        user_agent: String::new(),
        address: String::new(),
        expires_at: Utc::now() + lasts,
    };
    sessions::create(&mut tx, &session).await?;
    tx.commit().await?;
    Ok(SignIn { user_id, family_id })
}

#[tokio::test]
async fn each_sign_in_is_answered_where_it_was_asked_for_and_all_by_one_statement() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let (acme, other) = (installation.row("acme").await?, installation.row("other").await?);
    let day = TimeDelta::days(1);
    let ada = person(&installation, "ada", acme.id, Role::Admin, day).await?;
    let bob = person(&installation, "bob", other.id, Role::Readonly, day).await?;
    let late = person(&installation, "late", acme.id, Role::User, -day).await?;
    let gone = person(&installation, "gone", acme.id, Role::User, day).await?;
    let mut tx = installation.api.platform().await?;
    sessions::revoke_family(&mut tx, gone.family_id).await?;
    tx.commit().await?;
    let thief = SignIn { user_id: ada.user_id, family_id: bob.family_id };
    let nobody = SignIn { user_id: Uuid::now_v7(), family_id: Uuid::now_v7() };

    installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    installation.admin("SELECT pg_stat_statements_reset()").await?;
    let asked = [bob, late, ada, thief, gone, nobody, ada, bob];
    let found = principal::of_sign_ins(&installation.api, &asked).await?;
    let sent = "SELECT sum(calls)::bigint FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
        WHERE r.rolname = 'tenantra_api'";
    assert_eq!(installation.number(sent).await?, 1, "no BEGIN, no COMMIT");

    let found = found.into_iter().collect::<store::Result<Vec<_>>>()?;
    let names: Vec<Option<&str>> = found.iter().map(|one| one.as_ref().map(|known| known.name.as_str())).collect();
    assert_eq!(names, [Some("bob"), None, Some("ada"), None, None, None, Some("ada"), Some("bob")]);
    for (one, tenant, role) in [(&found[2], &acme, Role::Admin), (&found[0], &other, Role::Readonly)] {
        let memberships = &one.as_ref().unwrap().memberships;
        assert_eq!(memberships.len(), 1);
        assert_eq!((&memberships[0].tenant, memberships[0].role), (tenant, role));
    }
    assert!(principal::of_sign_ins(&installation.api, &[]).await?.is_empty());

    // From the next look-up on.
    let mut tx = installation.api.platform().await?;
    sessions::revoke_user(&mut tx, ada.user_id).await?;
    users::revoke(&mut tx, bob.user_id, other.id).await?;
    tx.commit().await?;
    let found = principal::of_sign_ins(&installation.api, &[ada, bob]).await?;
    let found = found.into_iter().collect::<store::Result<Vec<_>>>()?;
    assert!(found[0].is_none() && found[1].as_ref().unwrap().memberships.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_of_one_person_is_no_error_of_the_others() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let (acme, other) = (installation.row("acme").await?, installation.row("other").await?);
    let ada = person(&installation, "ada", acme.id, Role::Admin, TimeDelta::days(1)).await?;
    let bob = person(&installation, "bob", other.id, Role::Readonly, TimeDelta::days(1)).await?;
    // As a newer version may write it while this one still serves.
    installation.admin("ALTER TABLE shared.tenants DROP CONSTRAINT tenants_state_check").await?;
    installation.admin("UPDATE shared.tenants SET state = 'of_tomorrow' WHERE slug = 'other'").await?;
    let found = principal::of_sign_ins(&installation.api, &[ada, bob, ada]).await?;
    for one in [&found[0], &found[2]] {
        assert_eq!(one.as_ref().unwrap().as_ref().unwrap().memberships[0].tenant, acme);
    }
    let error = found[1].as_ref().unwrap_err();
    assert!(error.to_string().contains("of_tomorrow"), "{error}");
    Ok(())
}
