//! Tables with osquery's names, columns and types.

pub(crate) mod deb_packages;
pub(crate) mod file;
pub(crate) mod groups;
pub(crate) mod hash;
pub(crate) mod os_version;
pub(crate) mod shadow;
pub(crate) mod suid_bin;
pub(crate) mod systemd_units;
pub(crate) mod user_groups;
pub(crate) mod users;
