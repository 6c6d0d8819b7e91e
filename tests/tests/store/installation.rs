//! A Postgres with our roles and schema, and ways in as each of them.

use anyhow::Context as _;
use secrecy::SecretString;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use store::{Bootstrap, Db, OwnerDb, PoolOptions, Slug, TenantRef, provision, tenants};
use tests::harness::Postgres;

pub const PASSWORD: &str = "a-password-of-the-tests";

pub struct Installation {
    pub postgres: Postgres,
    pub owner: OwnerDb,
    pub api: Db,
    /// The superuser, inside the database `tenantra`.
    pub admin: PgPool,
}

impl Installation {
    /// Roles, database and the schema `shared`.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with_pool(10).await
    }

    /// The same with so many connections for the API.
    pub async fn with_pool(connections: u32) -> anyhow::Result<Self> {
        let postgres = Postgres::start().await?;
        let wanted = Bootstrap {
            owner_password: SecretString::from(PASSWORD),
            api_password: SecretString::from(PASSWORD),
            database: "tenantra".to_owned(),
        };
        let warnings = store::bootstrap(postgres.url(), &wanted).await?;
        assert_eq!(warnings, Vec::<String>::new());
        let options = PoolOptions { max_connections: connections, ..PoolOptions::named("tests") };
        let owner = OwnerDb::connect(&url(&postgres, "tenantra_owner")?, &PoolOptions::named("tests"))?;
        let api = Db::connect(&url(&postgres, "tenantra_api")?, &options)?;
        store::migrate::platform(&owner).await?;
        let admin = PgPoolOptions::new().max_connections(4).connect(&inside(&postgres)?).await?;
        Ok(Self { postgres, owner, api, admin })
    }

    /// A provisioned tenant.
    pub async fn tenant(&self, slug: &str) -> anyhow::Result<TenantRef> {
        let tenant = self.row(slug).await?;
        provision::ensure(&self.owner, &tenant, None).await?;
        Ok(tenant)
    }

    /// A tenant that has nothing but its row.
    pub async fn row(&self, slug: &str) -> anyhow::Result<TenantRef> {
        let mut tx = self.owner.begin().await?;
        let row = tenants::ensure(&mut tx, &Slug::parse(slug)?).await?;
        tx.commit().await?;
        Ok(row.tenant)
    }

    /// A released module without any check, so that jobs for it can be queued.
    pub async fn module(&self, slug: &str) -> anyhow::Result<()> {
        self.admin(&format!("INSERT INTO shared.modules (slug, title, category, latest_version) VALUES ('{slug}', '', 'identity', '1.0.0')")).await?;
        self.admin(&format!(
            "INSERT INTO shared.module_versions (module, version, state, checksum, profile, document, parameters_schema, gates)
             VALUES ('{slug}', '1.0.0', 'draft', 'c', 'baseline_fast', '{{}}', '{{}}', '{{\"checksum\": \"c\", \"passed\": true}}')"
        ))
        .await?;
        for state in ["qa", "released"] {
            self.admin(&format!("UPDATE shared.module_versions SET state = '{state}' WHERE module = '{slug}'")).await?;
        }
        Ok(())
    }

    /// Runs a statement as the superuser.
    pub async fn admin(&self, statement: &str) -> anyhow::Result<()> {
        self.admin.execute(sqlx::query(AssertSqlSafe(statement))).await.with_context(|| statement.to_owned())?;
        Ok(())
    }

    /// A number that the superuser asks for.
    pub async fn number(&self, query: &str) -> anyhow::Result<i64> {
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.admin).await.with_context(|| query.to_owned())
    }

    /// The URL of a login into the database `tenantra`.
    pub fn url_of(&self, role: &str) -> anyhow::Result<String> {
        url(&self.postgres, role)
    }
}

fn inside(postgres: &Postgres) -> anyhow::Result<String> {
    let mut url = url::Url::parse(postgres.url())?;
    url.set_path("/tenantra");
    Ok(url.into())
}

fn url(postgres: &Postgres, role: &str) -> anyhow::Result<String> {
    let mut url = url::Url::parse(&inside(postgres)?)?;
    let refused = || anyhow::anyhow!("the URL takes no user");
    url.set_username(role).map_err(|()| refused())?;
    url.set_password(Some(PASSWORD)).map_err(|()| refused())?;
    Ok(url.into())
}
