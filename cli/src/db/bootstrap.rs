//! `tenantra db bootstrap`: roles and database, as a superuser.

use clap::Args;
use serde::Serialize;

use super::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::Format;
use crate::settings;

/// The environment it needs.
pub const HELP: &str = "\
Environment (each also as …_FILE, a file that holds it):
  TENA_DB_ADMIN_URL       a superuser: postgres://postgres:password@host:5432/postgres
  TENA_DB_OWNER_PASSWORD  the password that tenantra_owner gets
  TENA_DB_API_PASSWORD    the password that tenantra_api gets";

/// `tenantra db bootstrap`.
#[derive(Debug, Args)]
pub struct Bootstrap {
    /// The database to make
    #[arg(long, default_value = "tenantra", value_name = "NAME")]
    database: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    database: String,
    roles: [&'static str; 3],
    warnings: Vec<String>,
}

/// Runs it.
pub async fn run(arguments: Bootstrap, format: Format) -> Result<Outcome, Error> {
    let url = settings::required_secret("TENA_DB_ADMIN_URL", "the URL of Postgres as a superuser")?;
    let wanted = store::Bootstrap {
        owner_password: settings::required_secret("TENA_DB_OWNER_PASSWORD", "the password for tenantra_owner")?,
        api_password: settings::required_secret("TENA_DB_API_PASSWORD", "the password for tenantra_api")?,
        database: arguments.database,
    };
    let address = Address::parse("TENA_DB_ADMIN_URL", url, "a superuser")?;
    address.reach().await?;
    let warnings = store::bootstrap(address.url(), &wanted).await.map_err(|error| address.explain(error))?;
    let answer =
        Answer { database: wanted.database, roles: ["tenantra_owner", "tenantra_api", "tenantra_tenant"], warnings };
    format.print(&answer, || text(&answer, &address.place()))?;
    Ok(Outcome::Done)
}

fn text(answer: &Answer, place: &str) -> String {
    let mut lines =
        vec![format!("The database {} and the roles {} are there.", answer.database, answer.roles.join(", "))];
    if !answer.warnings.is_empty() {
        lines.push("This Postgres did not allow all that protects tenants from each other:".to_owned());
        lines.extend(answer.warnings.iter().map(|warning| format!("  warning: {warning}")));
    }
    lines.push(format!(
        "Next: TENA_DB_OWNER_URL=postgres://tenantra_owner:<its password>@{place}/{} tenantra db migrate",
        answer.database
    ));
    lines.join("\n")
}
