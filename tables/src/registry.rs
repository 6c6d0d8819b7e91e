//! Every table, one line each, by name. A new table is a new file, a line in its folder's `mod.rs`, and a line here.

use crate::schema::Table;
use crate::{osquery, own};

pub(crate) static TABLES: &[&Table] = &[
    &own::audit_rules::TABLE,
    &osquery::deb_packages::TABLE,
    &osquery::file::TABLE,
    &own::file_lines::TABLE,
    &osquery::groups::TABLE,
    &own::grub_config::TABLE,
    &osquery::hash::TABLE,
    &own::login_defs::TABLE,
    &own::modprobe_configured::TABLE,
    &own::mount_options_configured::TABLE,
    &osquery::os_version::TABLE,
    &own::pam_rules::TABLE,
    &osquery::shadow::TABLE,
    &own::sshd_effective_config::TABLE,
    &osquery::suid_bin::TABLE,
    &own::sysctl_configured::TABLE,
    &own::systemd_timers::TABLE,
    &osquery::systemd_units::TABLE,
    &own::unusual_files::TABLE,
    &osquery::user_groups::TABLE,
    &osquery::users::TABLE,
];
