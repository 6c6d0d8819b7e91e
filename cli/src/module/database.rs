//! The catalog in the database, for the commands that change or compare it, and how long replaced versions live on.

use std::time::Duration;

use store::OwnerDb;
use store::modules::Succession;

use crate::db::postgres::Address;
use crate::outcome::Error;
use crate::settings;

/// The environment of commands that use the database.
pub const HELP: &str = "\
Environment:
  TENA_DB_OWNER_URL          postgres://tenantra_owner:password@host:5432/tenantra
  TENA_DB_OWNER_URL_FILE     a file that holds it
  TENA_MODULE_VERSIONS_KEPT  deprecated versions that a module keeps; older ones are retired (2)
  TENA_MODULE_SUNSET_DAYS    days that a version stays schedulable after a newer one was released (90)";

const KEPT: &str = "TENA_MODULE_VERSIONS_KEPT";
const DAYS: &str = "TENA_MODULE_SUNSET_DAYS";
const CONNECTIONS: u32 = 2;

/// How long replaced versions live on, by the same variables as the API server's.
pub fn succession() -> Result<Succession, Error> {
    let usual = Succession::default();
    let kept = number(KEPT, 0..=20)?.map_or(usual.kept, |kept| usize::try_from(kept).unwrap_or(usize::MAX));
    let window = number(DAYS, 1..=3_650)?.map_or(usual.window, |days| Duration::from_hours(days * 24));
    Ok(Succession { kept, window })
}

fn number(name: &'static str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, Error> {
    let Some(text) = settings::text(name)? else { return Ok(None) };
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(Error::Usage(format!(
            "{name} is '{}': write a whole number from {} to {}",
            text.trim(),
            range.start(),
            range.end()
        ))),
    }
}

/// Who did it, in the audit log: the name of the account that runs this program, for what it is worth.
pub fn actor() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| settings::text(name).ok().flatten());
    format!("cli:{}", user.unwrap_or_else(|| "unknown".to_owned()))
}

/// The database as its owner, with its address for what to tell when something fails.
pub async fn connect(address: &Address) -> Result<OwnerDb, Error> {
    Ok(address.connect(CONNECTIONS).await?)
}

/// What a refusal of the store means for whoever typed the command.
pub fn explain(address: &Address, error: store::Error) -> Error {
    match error {
        store::Error::ReleasedChanged { .. }
        | store::Error::WrongState { .. }
        | store::Error::NoGates { .. }
        | store::Error::NotFound(_)
        | store::Error::Invalid(_) => Error::NotDone(error.to_string()),
        other => address.explain(other).into(),
    }
}
