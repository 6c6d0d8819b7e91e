//! The policy of a tenant's resource as the store takes it, and a policy that somebody wrote in a request.

use std::{collections::BTreeSet, time::Duration};

use crds::{
    duration::Duration as Length,
    tenant::{Retention, RetentionType},
};
use serde::Deserialize;
use store::retention::{Kind, Policy};
use utoipa::ToSchema;

use crate::error::{Error, Result};

/// The policy of a tenant's resource.
pub fn of(said: &Retention) -> Policy {
    let Retention { operational_logs, security_events, findings, audit, archive } = said;
    Policy {
        operational_logs: operational_logs.into(),
        security_events: security_events.into(),
        findings: findings.into(),
        audit: audit.into(),
        archive: archive.iter().copied().map(kind).collect(),
    }
}

const fn kind(named: RetentionType) -> Kind {
    match named {
        RetentionType::OperationalLogs => Kind::OperationalLogs,
        RetentionType::SecurityEvents => Kind::SecurityEvents,
        RetentionType::Findings => Kind::Findings,
        RetentionType::Audit => Kind::Audit,
    }
}

const fn named(kind: Kind) -> RetentionType {
    match kind {
        Kind::OperationalLogs => RetentionType::OperationalLogs,
        Kind::SecurityEvents => RetentionType::SecurityEvents,
        Kind::Findings => RetentionType::Findings,
        Kind::Audit => RetentionType::Audit,
    }
}

/// A policy; what is left out is as the tenant has it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// What ran, and its log; at least 7d.
    #[serde(default)]
    #[schema(example = "30d")]
    pub operational_logs: Option<String>,
    /// What appeared, changed and vanished on assets; at least 1d.
    #[serde(default)]
    #[schema(example = "90d")]
    pub security_events: Option<String>,
    /// Closed findings, and the history of verdicts and scores; at least 1d.
    #[serde(default)]
    #[schema(example = "365d")]
    pub findings: Option<String>,
    /// The audit log; at least 30d.
    #[serde(default)]
    #[schema(example = "7y")]
    pub audit: Option<String>,
    /// Types that are written to the archive before they are deleted: `operational_logs`, `security_events`, findings, audit.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["audit"]))]
    pub archive: Option<BTreeSet<Kind>>,
}

impl PolicyBody {
    /// The policy that this makes of the one that the tenant has.
    ///
    /// # Errors
    /// 422 for what is no duration, or keeps less than is kept in any case.
    pub fn over(&self, has: &Retention) -> Result<Retention> {
        let length = |kind: Kind, said: Option<&str>, has: &Length| match said {
            Some(text) => parse(kind, text),
            None => Ok(has.clone()),
        };
        Ok(Retention {
            operational_logs: length(Kind::OperationalLogs, self.operational_logs.as_deref(), &has.operational_logs)?,
            security_events: length(Kind::SecurityEvents, self.security_events.as_deref(), &has.security_events)?,
            findings: length(Kind::Findings, self.findings.as_deref(), &has.findings)?,
            audit: length(Kind::Audit, self.audit.as_deref(), &has.audit)?,
            archive: match &self.archive {
                Some(kinds) => kinds.iter().copied().map(named).collect(),
                None => has.archive.clone(),
            },
        })
    }
}

fn parse(kind: Kind, text: &str) -> Result<Length> {
    let length: Length = text
        .parse()
        .map_err(|error: crds::duration::DurationError| Error::field(kind.as_str(), format!("{error}.")))?;
    if Duration::from(&length) < kind.least() {
        let days = kind.least().as_secs() / 86_400;
        return Err(Error::field(kind.as_str(), format!("Write {days}d or more: so much is kept in any case.")));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(json: serde_json::Value) -> Result<Retention> {
        let body: PolicyBody = serde_json::from_value(json).unwrap();
        body.over(&Retention::default())
    }

    #[test]
    fn what_a_body_leaves_out_is_as_the_tenant_has_it() {
        let policy = over(serde_json::json!({ "findings": "10d", "archive": ["audit", "findings"] })).unwrap();
        assert_eq!(policy.findings, Length::days(10));
        assert_eq!((&policy.audit, &policy.operational_logs), (&Length::years(7), &Length::days(30)));
        assert_eq!(policy.archive, [RetentionType::Findings, RetentionType::Audit]);
        assert_eq!(over(serde_json::json!({})).unwrap(), Retention::default());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_field() {
        for (field, text) in [("findings", "1 year"), ("audit", "29d"), ("operational_logs", "6d"), ("findings", "23h")]
        {
            let error = over(serde_json::json!({ field: text })).unwrap_err();
            let Error::Unprocessable { field: Some(named), .. } = &error else { panic!("{error:?}") };
            assert_eq!(named, field);
        }
        assert!(serde_json::from_value::<PolicyBody>(serde_json::json!({ "archive": ["runs"] })).is_err());
        assert!(serde_json::from_value::<PolicyBody>(serde_json::json!({ "colour": "red" })).is_err());
    }

    #[test]
    fn every_type_of_the_resource_is_one_of_the_stores() {
        for one in Kind::ALL {
            assert_eq!(kind(named(one)), one);
        }
        let policy = of(&Retention { archive: vec![RetentionType::Audit], ..Retention::default() });
        assert_eq!(policy.audit, Duration::from_hours(7 * 365 * 24));
        assert_eq!(policy.archive, BTreeSet::from([Kind::Audit]));
    }
}
