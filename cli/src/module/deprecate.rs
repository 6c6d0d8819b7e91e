//! `tenantra module deprecate`: a released version stays schedulable until its sunset, then it is retired by itself.

use chrono::{DateTime, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use store::{audit, modules};

use super::{database, source};
use crate::db::postgres::Address;
use crate::outcome::{Error, Outcome};
use crate::output::Format;

/// `tenantra module deprecate MODULE@VERSION --sunset DATE`.
#[derive(Debug, Args)]
pub struct Deprecate {
    /// The version: slug@version
    module: String,
    /// Until when jobs for it are queued: 2027-01-31 (its end, in UTC), or a time as in 2027-01-31T12:00:00Z
    #[arg(long, value_name = "DATE", value_parser = sunset)]
    sunset: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    module: &'a str,
    version: &'a str,
    state: &'static str,
    sunset_at: DateTime<Utc>,
}

/// Runs it.
pub async fn run(arguments: &Deprecate, format: Format) -> Result<Outcome, Error> {
    let (slug, version) = source::reference(&arguments.module)?;
    let sunset_at = arguments.sunset;
    if sunset_at <= Utc::now() {
        return Err(Error::Usage(format!("the sunset {sunset_at} is past: write a later date")));
    }
    let address = Address::owner()?;
    let db = database::connect(&address).await?;
    let work = async {
        let actor = database::actor();
        let mut tx = db.begin().await?;
        modules::deprecate(&mut tx, slug, version, sunset_at, &actor).await?;
        let entry = audit::Entry {
            actor,
            action: "module.deprecated".to_owned(),
            subject: format!("{slug}@{version}"),
            details: json!({ "sunset_at": sunset_at }),
        };
        audit::write_platform(&mut tx, None, &entry).await?;
        tx.commit().await
    };
    let done = work.await.map_err(|error| database::explain(&address, error));
    db.close().await;
    done?;
    let answer = Answer { module: slug, version, state: "deprecated", sunset_at };
    format.print(&answer, || {
        format!("{slug}@{version} is deprecated: jobs for it are queued until {sunset_at}, then it is retired; its results stay")
    })?;
    Ok(Outcome::Done)
}

fn sunset(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let date: NaiveDate = text.parse().map_err(|_| "write a date as in 2027-01-31".to_owned())?;
    let next = date.succ_opt().and_then(|day| day.and_hms_opt(0, 0, 0));
    next.map(|end| end.and_utc()).ok_or_else(|| "write a date as in 2027-01-31".to_owned())
}

#[cfg(test)]
mod tests {
    use super::sunset;

    #[test]
    fn a_date_lasts_until_its_end() {
        assert_eq!(sunset("2027-01-31").unwrap().to_rfc3339(), "2027-02-01T00:00:00+00:00");
        assert_eq!(sunset("2027-01-31T12:00:00+02:00").unwrap().to_rfc3339(), "2027-01-31T10:00:00+00:00");
        assert!(sunset("31.1.2027").is_err());
    }
}
