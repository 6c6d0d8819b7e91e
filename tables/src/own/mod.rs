//! Tables that osquery lacks: configuration as the programs that read it would see it.

pub(crate) mod apk_packages;
pub(crate) mod audit_rules;
mod bolt;
mod containerd;
pub(crate) mod containerd_containers;
pub(crate) mod containerd_images;
pub(crate) mod containerd_mounts;
pub(crate) mod deb_package_checksums;
mod endpoints;
pub(crate) mod file_integrity;
pub(crate) mod file_lines;
pub(crate) mod grub_config;
pub(crate) mod login_defs;
pub(crate) mod modprobe_configured;
pub(crate) mod mount_options_configured;
pub(crate) mod nftables_rules;
pub(crate) mod pam_rules;
pub(crate) mod rdp_endpoints;
pub(crate) mod ssh_endpoints;
mod sshd_defaults;
pub(crate) mod sshd_effective_config;
pub(crate) mod sysctl_configured;
pub(crate) mod systemd_timers;
mod tls;
pub(crate) mod tls_endpoints;
pub(crate) mod unusual_files;
pub(crate) mod weak_passwords;
