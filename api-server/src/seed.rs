//! The first super admin, from the configuration: made once the database answers, never changed afterwards.

use std::time::Duration;

use store::{Slug, users};

use crate::{
    auth::password,
    error::{Error, Result, chain},
    state::App,
};

/// Before trying again while Postgres is down or not migrated.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Makes what the configuration asks for; tries until it is there or the program ends.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let _ = shutdown
        .run_until_cancelled(async {
            loop {
                match seed(&app).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(error) => tracing::warn!(error = %chain(&error), "the first user cannot be made yet"),
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        })
        .await;
}

/// Whether everything asked for is there.
async fn seed(app: &App) -> Result<bool> {
    let (Some(email), Some(secret)) = (&app.config.seed_admin_email, &app.config.seed_admin_password) else {
        return Ok(true);
    };
    let email = email.trim().to_lowercase();
    let mut tx = app.db.platform().await?;
    let user_id = if let Some(user) = users::by_login(&mut tx, &email).await? {
        user.user_id
    } else {
        let new = users::NewUser {
            email,
            username: None,
            name: "Administrator".to_owned(),
            password_hash: Some(password::hash(secret.expose().to_owned()).await?),
            is_super_admin: true,
        };
        // Another replica may be as fast: whoever comes first made it.
        let user = users::ensure(&mut tx, &new).await?;
        tracing::info!(user_id = %user.user_id, "the first super admin is there");
        user.user_id
    };
    let mut is_complete = true;
    if let Some(slug) = &app.config.seed_tenant_slug {
        let slug = Slug::parse(slug).map_err(Error::from)?;
        // The tenant comes by its custom resource, perhaps later.
        match store::tenants::by_slug(&mut tx, &slug).await? {
            Some(row) => users::grant(&mut tx, user_id, row.tenant.id, users::Role::Admin).await?,
            None => is_complete = false,
        }
    }
    tx.commit().await?;
    Ok(is_complete)
}
