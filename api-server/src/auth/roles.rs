//! Who may do what: one table of roles and permissions, and the extractor that asks it.

use std::{fmt, marker::PhantomData};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::{identity::Identity, scope::Scope},
    error::Error,
    state::App,
};

/// A role, as product.md names them; ordered from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Usage and invoices only.
    BillingViewer,
    /// The auditor: read results, audit log, exports.
    Readonly,
    /// The analyst: reads results, acknowledges alerts, runs remediation.
    User,
    /// Manages users (not admins) and settings.
    Manager,
    /// Everything in one tenant.
    Admin,
    /// A tenant and its descendants.
    MspAdmin,
    /// Everything, all tenants.
    SuperAdmin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] =
        [Self::BillingViewer, Self::Readonly, Self::User, Self::Manager, Self::Admin, Self::MspAdmin, Self::SuperAdmin];

    /// The name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BillingViewer => "billing_viewer",
            Self::Readonly => "readonly",
            Self::User => "user",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::MspAdmin => "msp_admin",
            Self::SuperAdmin => "super_admin",
        }
    }

    /// The highest role that this one may give to others: a manager makes users, not admins.
    pub const fn may_grant(self) -> Option<Self> {
        match self {
            Self::SuperAdmin | Self::MspAdmin => Some(Self::MspAdmin),
            Self::Admin => Some(Self::Admin),
            Self::Manager => Some(Self::User),
            Self::User | Self::Readonly | Self::BillingViewer => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<store::users::Role> for Role {
    fn from(role: store::users::Role) -> Self {
        match role {
            store::users::Role::MspAdmin => Self::MspAdmin,
            store::users::Role::Admin => Self::Admin,
            store::users::Role::Manager => Self::Manager,
            store::users::Role::User => Self::User,
            store::users::Role::Readonly => Self::Readonly,
            store::users::Role::BillingViewer => Self::BillingViewer,
        }
    }
}

impl Role {
    /// The role as the store knows it; none for the platform's own, which is no membership.
    pub const fn in_tenant(self) -> Option<store::users::Role> {
        match self {
            Self::BillingViewer => Some(store::users::Role::BillingViewer),
            Self::Readonly => Some(store::users::Role::Readonly),
            Self::User => Some(store::users::Role::User),
            Self::Manager => Some(store::users::Role::Manager),
            Self::Admin => Some(store::users::Role::Admin),
            Self::MspAdmin => Some(store::users::Role::MspAdmin),
            Self::SuperAdmin => None,
        }
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident $scope:ident $text:literal : $($role:ident)+;)+) => {
        /// What a handler may ask for; one type each, so that the signature of a handler says what it needs.
        pub mod permission {
            use super::{Permission, Reach, Role};
            $(
                $(#[$doc])*
                #[derive(Clone, Copy, Debug)]
                pub enum $name {}
                impl Permission for $name {
                    const NAME: &'static str = $text;
                    const REACH: Reach = Reach::$scope;
                    const ROLES: &'static [Role] = &[$(Role::$role),+];
                }
            )+
            /// Every permission, its reach and the roles that have it.
            pub const TABLE: &[(&str, Reach, &[Role])] = &[$(($name::NAME, $name::REACH, $name::ROLES)),+];
        }
    };
}

// The table. A line reads: permission, where it holds, its name for people, and every role that has it.
permissions! {
    /// Reads findings, assets, runs, scores.
    ReadResults Tenant "results.read": Readonly User Manager Admin MspAdmin SuperAdmin;
    /// Accepts failing checks for a time, and takes that back.
    ManageWaivers Tenant "waivers.manage": Manager Admin MspAdmin SuperAdmin;
    /// Sees how the tenants below the tenant stand.
    ReadTenantsBelow Tenant "tenants.read_below": MspAdmin SuperAdmin;
    /// Says how much assets matter and whether the internet reaches them.
    ManageAssets Tenant "assets.manage": Manager Admin MspAdmin SuperAdmin;
    /// Approves changes and plans maintenance, of which nobody is told as drift.
    ManageDrift Tenant "drift.manage": Manager Admin MspAdmin SuperAdmin;
    /// Sees agents and their state.
    ReadAgents Tenant "agents.read": Readonly User Manager Admin MspAdmin SuperAdmin;
    /// Enrols and removes agents, makes enrolment tokens.
    ManageAgents Tenant "agents.manage": Admin MspAdmin SuperAdmin;
    /// Sees the modules that the catalog has and the tenant may use.
    ReadModules Tenant "modules.read": Readonly User Manager Admin MspAdmin SuperAdmin;
    /// Chooses the tenant's modules.
    ManageModules Tenant "modules.manage": Admin MspAdmin SuperAdmin;
    /// Sees who belongs to the tenant.
    ReadUsers Tenant "users.read": Manager Admin MspAdmin SuperAdmin;
    /// Makes users, up to the role that the caller's own may give.
    ManageUsers Tenant "users.manage": Manager Admin MspAdmin SuperAdmin;
    /// Sees the tenant itself.
    ReadTenant Tenant "tenant.read": BillingViewer Readonly User Manager Admin MspAdmin SuperAdmin;
    /// Sees how long things are kept, what was deleted, and legal holds.
    ReadRetention Tenant "retention.read": Readonly User Manager Admin MspAdmin SuperAdmin;
    /// Changes how long things are kept.
    ManageRetention Tenant "retention.manage": Admin MspAdmin SuperAdmin;
    /// Places legal holds.
    PlaceLegalHolds Tenant "legal_holds.place": Admin MspAdmin SuperAdmin;
    /// Lifts legal holds; not a tenant's own administrators, whom one may be about.
    LiftLegalHolds Tenant "legal_holds.lift": MspAdmin SuperAdmin;
    /// Lists every tenant and sees their conditions.
    ReadTenants Platform "tenants.read": SuperAdmin;
    /// Adds modules to the catalog and moves them through their states.
    ManageCatalog Platform "catalog.manage": SuperAdmin;
    /// Sees the work that failed for good, and has it tried again.
    ManageJobs Platform "jobs.manage": SuperAdmin;
    /// Makes and removes tenants.
    ManageTenants Platform "tenants.manage": SuperAdmin;
}

/// Where a permission holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In the tenant that the request is about.
    Tenant,
    /// Over all tenants.
    Platform,
}

/// A permission as a type.
pub trait Permission: Send + Sync + 'static {
    /// Its name for people.
    const NAME: &'static str;
    /// Where it holds.
    const REACH: Reach;
    /// The roles that have it.
    const ROLES: &'static [Role];
}

/// Proof that the caller has the permission `P`; a handler that takes it cannot run without.
#[derive(Debug)]
pub struct Allow<P> {
    /// The caller.
    pub identity: Identity,
    /// The role by which it is allowed.
    pub role: Role,
    permission: PhantomData<P>,
}

impl<P: Permission> FromRequestParts<App> for Allow<P> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let identity = Identity::of(parts, app).await?;
        let role = match P::REACH {
            Reach::Tenant => Some(Scope::of(parts, app).await?.role),
            Reach::Platform => identity.is_super_admin.then_some(Role::SuperAdmin),
        };
        match role {
            Some(role) if P::ROLES.contains(&role) => Ok(Self { identity, role, permission: PhantomData }),
            _ => Err(Error::Forbidden { permission: P::NAME }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_super_admin_may_do_everything() {
        for (name, _, roles) in permission::TABLE {
            assert!(roles.contains(&Role::SuperAdmin), "{name}");
        }
    }

    #[test]
    fn a_higher_role_has_what_a_lower_one_has() {
        for (name, reach, roles) in permission::TABLE {
            if *reach == Reach::Tenant {
                let least = roles.iter().min().unwrap();
                let expected: Vec<Role> = Role::ALL.into_iter().filter(|role| role >= least).collect();
                assert_eq!(*roles, expected, "{name}");
            }
        }
    }

    #[test]
    fn no_platform_permission_reaches_a_tenants_role() {
        for (name, reach, roles) in permission::TABLE {
            assert!(*reach == Reach::Tenant || *roles == [Role::SuperAdmin], "{name}");
        }
    }

    #[test]
    fn nobody_grants_more_than_they_are_but_the_platform() {
        for role in Role::ALL {
            assert!(role.may_grant().is_none_or(|granted| granted <= role), "{role}");
            assert!(role.in_tenant().is_none_or(|stored| Role::from(stored) == role));
        }
    }
}
