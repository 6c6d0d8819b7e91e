//! Tables that osquery lacks: configuration as the programs that read it would see it.

pub(crate) mod audit_rules;
pub(crate) mod deb_package_checksums;
pub(crate) mod file_lines;
pub(crate) mod grub_config;
pub(crate) mod login_defs;
pub(crate) mod modprobe_configured;
pub(crate) mod mount_options_configured;
pub(crate) mod pam_rules;
mod sshd_defaults;
pub(crate) mod sshd_effective_config;
pub(crate) mod sysctl_configured;
pub(crate) mod systemd_timers;
pub(crate) mod unusual_files;
