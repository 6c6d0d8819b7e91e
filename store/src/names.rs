//! Names that reach SQL as text. They can only be built valid, so the one place that formats SQL (the transaction
//! opener and the provisioner) needs no quoting: `[a-z0-9_]` only, beginning with `tenant_`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Error;

/// A tenant's slug: `^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// Parses a slug.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let bytes = value.as_bytes();
        let is_edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_valid = (1..=40).contains(&bytes.len())
            && bytes.iter().all(|b| is_edge(b) || *b == b'-')
            && bytes.first().is_some_and(is_edge)
            && bytes.last().is_some_and(is_edge);
        if is_valid { Ok(Self(value.to_owned())) } else { Err(Error::Slug { value: value.to_owned() }) }
    }

    /// The slug.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = Error;
    fn from_str(value: &str) -> Result<Self, Error> {
        Self::parse(value)
    }
}

impl TryFrom<String> for Slug {
    type Error = Error;
    fn try_from(value: String) -> Result<Self, Error> {
        Self::parse(&value)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The schema of a tenant, and the role of the same name: `tenant_` and the slug with `_` for `-`.
///
/// Two slugs never share one, because a slug holds no `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaName(String);

impl SchemaName {
    /// The schema of `slug`.
    pub fn of(slug: &Slug) -> Self {
        Self(format!("tenant_{}", slug.as_str().replace('-', "_")))
    }

    /// The name, safe as an SQL identifier without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug whose schema this is.
    pub fn slug(&self) -> Result<Slug, Error> {
        Slug::parse(&self.0.strip_prefix("tenant_").unwrap_or_default().replace('_', "-"))
    }

    /// Parses the name of a tenant's role, as `shared.jobs` and `shared.outbox` keep it.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let unknown = || Error::Slug { value: value.to_owned() };
        let slug = Slug::parse(&value.strip_prefix("tenant_").ok_or_else(unknown)?.replace('_', "-"))?;
        let name = Self::of(&slug);
        if name.0 == value { Ok(name) } else { Err(unknown()) }
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant as the store addresses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TenantRef {
    /// The slug, unique among tenants that are not purged.
    pub slug: Slug,
    /// The UUID of `shared.tenants`.
    pub id: Uuid,
}

impl TenantRef {
    /// The tenant's schema (and role).
    pub fn schema(&self) -> SchemaName {
        SchemaName::of(&self.slug)
    }

    /// The mark that our schema and role carry as their comment.
    pub fn mark(&self) -> String {
        format!("tenantra:{}", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_only_built_valid() {
        for good in ["a", "acme", "a-b", "0", "a0-9z", &"x".repeat(40)] {
            assert!(Slug::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "a;drop", "ä", "a\n", "a\"", &"x".repeat(41)] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_schema_name_leads_back_to_its_slug() {
        let slug = Slug::parse("a-b-c").unwrap();
        let schema = SchemaName::of(&slug);
        assert_eq!(schema.as_str(), "tenant_a_b_c");
        assert_eq!(SchemaName::parse("tenant_a_b_c").unwrap().slug().unwrap(), slug);
        assert!(SchemaName::parse("tenantra_owner").is_err());
        assert!(SchemaName::parse("tenant_a-b").is_err());
    }
}
