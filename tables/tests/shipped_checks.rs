//! Checks that ship, on hosts that a test makes: what an image configures decides where no kernel runs.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

mod made;

use std::collections::BTreeMap;

use catalog::Catalog;
use catalog::envelope::Verdict;
use made::Made;
use tables::Engine;
use tables::scan::{Order, run_module};

/// The verdicts of a module by check.
fn verdicts(engine: &Engine, slug: &str) -> BTreeMap<String, Verdict> {
    let catalog = Catalog::embedded().unwrap();
    let module = &catalog.module(slug, None).unwrap().module;
    let order = Order {
        run_id: uuid::Uuid::nil(),
        started_at: chrono::Utc::now(),
        parameters: BTreeMap::new(),
        previous: None,
    };
    let run = run_module(engine, module, order);
    run.envelope.checks.into_iter().map(|check| (check.id, check.verdict)).collect()
}

fn with_a_kernel_of_its_own() -> Made {
    let package = "Package: linux-base\nStatus: install ok installed\nArchitecture: all\nVersion: 4.9\n\n";
    Made::new()
        .with("/var/lib/dpkg/status", package)
        .with("/usr/lib/systemd/systemd-sysctl", "")
        .with("/etc/sysctl.d/60-hard.conf", "net.ipv4.ip_forward = 0\nnet.ipv4.tcp_syncookies = 0\n")
        .with("/etc/modprobe.d/cramfs.conf", "install cramfs /bin/false\n")
}

#[test]
fn what_an_image_configures_decides_about_settings_of_the_kernel() {
    let host = with_a_kernel_of_its_own();
    let network = verdicts(&host.image(), "linux-kernel-network");
    assert_eq!(network["sysctl-net-ipv4-ip-forward"], Verdict::Pass);
    assert_eq!(network["sysctl-net-ipv4-tcp-syncookies"], Verdict::Fail, "another value");
    assert_eq!(network["sysctl-net-ipv4-conf-all-log-martians"], Verdict::Fail, "not set");
    let modules = verdicts(&host.image(), "linux-kernel-hardening");
    assert_eq!(modules["module-cramfs-disabled"], Verdict::Pass);
    assert_eq!(modules["module-sctp-disabled"], Verdict::Fail);
}

#[test]
fn forwarding_by_another_name_fails() {
    let forwards = |path: &str, line: &str| {
        let host = with_a_kernel_of_its_own().with(path, line);
        verdicts(&host.image(), "linux-kernel-network")["sysctl-net-ipv4-ip-forward"]
    };
    let own = "/etc/sysctl.d/99-own.conf";
    assert_eq!(forwards(own, "net.ipv4.conf.eth0.forwarding = 1\n"), Verdict::Pass);
    for line in ["/net/ipv4/ip_forward = 1\n", "net..ipv4.ip_forward = 1\n", "net.ipv4.conf.all.forwarding = 1\n"] {
        assert_eq!(forwards(own, line), Verdict::Fail, "{line}");
    }
    assert_eq!(forwards("/etc/tmpfiles.d/x.conf", "w /proc/sys/net/ipv4/ip_forward - - - - 1\n"), Verdict::Fail);
}

#[test]
fn what_runs_decides_beside_what_is_configured() {
    let host = with_a_kernel_of_its_own()
        .with("/proc/sys/kernel/osrelease", "6.1.0-30-amd64\n")
        .with("/proc/sys/net/ipv4/ip_forward", "1\n")
        .with("/proc/modules", "cramfs 53248 0 - Live 0x0000000000000000\n");
    let network = verdicts(&host.running(), "linux-kernel-network");
    assert_eq!(network["sysctl-net-ipv4-ip-forward"], Verdict::Fail);
    let modules = verdicts(&host.running(), "linux-kernel-hardening");
    assert_eq!(modules["module-cramfs-disabled"], Verdict::Fail);
}

#[test]
fn hidden_files_of_a_folder_satisfy_no_check() {
    let cores = |path: &str| {
        let host = Made::new().with(path, "* hard core 0\n");
        verdicts(&host.image(), "linux-kernel-hardening")["core-dumps-limited"]
    };
    assert_eq!(cores("/etc/security/limits.d/60-core.conf"), Verdict::Pass);
    assert_eq!(cores("/etc/security/limits.d/.60-core.conf"), Verdict::Fail, "pam_limits does not see it");
}

#[test]
fn a_policy_of_nftables_in_a_comment_drops_nothing() {
    let denies = |text: &str| {
        let package = "Package: nftables\nStatus: install ok half-configured\nArchitecture: all\nVersion: 1\n\n";
        let text = format!("table inet filter {{\n chain input {{\n{text} }}\n}}\n");
        let host = Made::new().with("/var/lib/dpkg/status", package).with("/etc/nftables.conf", text);
        verdicts(&host.image(), "linux-firewall")["nftables-default-deny"]
    };
    assert_eq!(denies("  type filter hook input priority 0; policy drop;\n"), Verdict::Pass);
    assert_eq!(denies("# type filter hook input priority 0; policy drop;\n"), Verdict::Fail);
    assert_eq!(denies("type filter hook input priority 0; policy accept; # policy drop\n"), Verdict::Fail);
    let refused = "  type filter hook input priority 0; policy drop;\n bogus bogus\n";
    assert_eq!(denies(refused), Verdict::Error, "nft loads nothing of the file");
}

#[test]
fn a_job_in_a_file_that_cron_leaves_out_does_not_run() {
    let runs_nothing = |path: &str, installed: &str| {
        let host = Made::new()
            .with("/etc/crontab", "17 * * * * root /usr/bin/true\n")
            .with(&format!("/var/lib/dpkg/info/{installed}.md5sums"), "")
            .with(path, "* * * * * root /tmp/x/run\n");
        verdicts(&host.image(), "autorun-cron-system")["autorun-cron-system-temporary"]
    };
    assert_eq!(runs_nothing("/etc/cron.d/evil.disabled", "cron"), Verdict::Pass, "no dot in a name");
    assert_eq!(runs_nothing("/etc/cron.d/evil-job_2", "cron"), Verdict::Fail);
    assert_eq!(runs_nothing("/etc/cron.d/example.org-evil", "cron"), Verdict::Fail, "with -l it runs");
    assert_eq!(runs_nothing("/etc/cron.d/evil.disabled", "cronie"), Verdict::Fail, "it takes all names but a few");
}

#[test]
fn hidden_files_hold_no_required_setting_of_a_program() {
    let tokens = |path: &str| {
        let host = Made::new().with("/etc/nginx/nginx.conf", "user www-data;\n").with(path, "server_tokens off;\n");
        verdicts(&host.image(), "app-nginx")["nginx-server-tokens"]
    };
    assert_eq!(tokens("/etc/nginx/conf.d/own.conf"), Verdict::Pass);
    assert_eq!(tokens("/etc/nginx/conf.d/.own.conf"), Verdict::Fail, "glob(3) does not see it");
    let banner = |path: &str| {
        let package = "Package: gdm3\nStatus: install ok installed\nArchitecture: all\nVersion: 43\n\n";
        let host = Made::new().with("/var/lib/dpkg/status", package).with(path, "banner-message-enable=true\n");
        verdicts(&host.image(), "linux-desktop")["gnome-banner"]
    };
    assert_eq!(banner("/etc/dconf/db/gdm.d/01-policy"), Verdict::Pass);
    assert_eq!(banner("/etc/dconf/db/gdm.d/.01-policy"), Verdict::Fail, "dconf does not compile it");
    assert_eq!(banner("/etc/dconf/db/.gdm.d/01-policy"), Verdict::Fail, "nor a folder that is hidden");
}

#[test]
fn packages_that_are_installed_by_half_are_looked_at() {
    for (package, state, module, check) in [
        ("gdm3", "half-configured", "linux-desktop", "gnome-banner"),
        ("ufw", "unpacked", "linux-firewall-rules", "ufw-active"),
        ("linux-base", "triggers-awaited", "linux-journal-upload", "journal-remote-installed"),
        ("linux-base", "triggers-pending", "packages-updates", "update-unattended"),
        ("php7.4-fpm", "half-installed", "eol-php", "eol-php"),
    ] {
        let status = format!(
            "Package: {package}\nStatus: install ok {state}\nMaintainer: Vendor <packages@example.org>\n\
             Architecture: all\nVersion: 7.4.33\n\n"
        );
        let host = Made::new().with("/var/lib/dpkg/status", status);
        assert_eq!(verdicts(&host.image(), module)[check], Verdict::Fail, "{check}");
    }
}

#[test]
fn a_policy_of_nftables_that_is_not_loaded_drops_nothing() {
    let denies = |main: &str, path: &str, rule: &str| {
        let package = "Package: nftables\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
        let chain = format!(
            "table inet filter {{\nchain input {{ type filter hook input priority 0; policy drop; {rule} }}\n}}\n"
        );
        let host = Made::new().with("/var/lib/dpkg/status", package).with("/etc/nftables.conf", main).with(path, chain);
        verdicts(&host.image(), "linux-firewall")["nftables-default-deny"]
    };
    let (all, own) = ("flush ruleset\ninclude \"/etc/nftables.d/*.nft\"\n", "/etc/nftables.d/own.nft");
    assert_eq!(denies(all, own, "iif lo accept"), Verdict::Pass);
    assert_eq!(denies("include \"nftables.d/*.nft\"\n", own, ""), Verdict::Pass, "below /etc");
    assert_eq!(denies("flush ruleset\n", own, ""), Verdict::Fail, "nothing is included");
    assert_eq!(denies(all, "/etc/nftables.d/own.off", ""), Verdict::Fail, "another name");
    assert_eq!(denies(all, "/etc/nftables.d/.own.nft", ""), Verdict::Fail, "glob(3) does not see it");
    assert_eq!(denies(all, own, "counter accept"), Verdict::Fail, "nothing is left for the policy");
    for (rule, expected) in [
        ("ct state vmap { established : accept, related : accept, invalid : drop }", Verdict::Pass),
        ("icmp type vmap { * : accept }", Verdict::Pass),
        ("ip saddr 10.0.0.0/8 tcp dport vmap { * : accept }", Verdict::Pass),
        ("ct state vmap { established : accept, new : accept }", Verdict::Fail),
        ("ct state vmap { invalid : drop } accept", Verdict::Pass),
        ("ct state vmap { established : continue } accept", Verdict::Pass),
        ("ct state vmap { new : continue } accept", Verdict::Fail),
        ("tcp dport vmap { 25 : drop, * : continue } counter accept", Verdict::Fail),
        ("iifname . tcp dport vmap { \"eth1\" . 25 : drop, * : accept }", Verdict::Fail),
        ("meta protocol vmap { ip : jump first }; } chain first { counter accept", Verdict::Fail),
    ] {
        assert_eq!(denies(all, own, rule), expected, "{rule}");
    }
}

#[test]
fn what_an_image_configures_decides_about_options_of_mounts() {
    let host = || {
        Made::new().with("/etc/fstab", "tmpfs /tmp tmpfs nodev,nosuid,noexec 0 0\n/dev/sda3 /home ext4 defaults 0 2\n")
    };
    let image = verdicts(&host().image(), "linux-filesystem-mounts");
    assert_eq!(image["mount-tmp-nodev"], Verdict::Pass);
    assert_eq!(image["mount-home-nodev"], Verdict::Fail);
    assert_eq!(image["mount-var-nodev"], Verdict::NotApplicable, "it has no line");
    let mounts = "tmpfs /tmp tmpfs rw,nosuid,noexec 0 0\n";
    let running = host().with("/proc/sys/kernel/osrelease", "6.1.0-30-amd64\n").with("/proc/1/mounts", mounts);
    let running = verdicts(&running.running(), "linux-filesystem-mounts");
    assert_eq!(running["mount-tmp-nodev"], Verdict::Fail, "mounted without it");
    assert_eq!(running["mount-tmp-nosuid"], Verdict::Pass);
}

#[test]
fn accounts_of_which_nothing_is_known_do_not_pass() {
    let bare = Made::new().with("/etc/hostname", "bare\n");
    let accounts = verdicts(&bare.image(), "linux-accounts");
    for check in ["uid-zero-root-only", "gids-unique", "passwords-not-empty", "passwords-shadowed", "home-mode"] {
        assert_eq!(accounts[check], Verdict::Error, "{check}");
    }
    let policy = verdicts(&bare.image(), "linux-password-policy");
    assert_eq!(policy["password-max-days"], Verdict::Error);
    let host = |passwords: &str| {
        Made::new()
            .with("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
            .with("/etc/group", "root:x:0:\n")
            .with(passwords, "root:*:19000:0:99999:7:::\n")
    };
    let whole = verdicts(&host("/etc/shadow").image(), "linux-accounts");
    assert!(whole.values().all(|verdict| *verdict == Verdict::Pass), "{whole:?}");
    let without_passwords = verdicts(&host("/etc/shadow-").image(), "linux-accounts");
    assert_eq!(without_passwords["uid-zero-root-only"], Verdict::Pass);
    assert_eq!(without_passwords["root-access-controlled"], Verdict::Error);
}

#[test]
fn a_host_without_a_list_of_packages_does_not_pass_for_what_the_list_lacks() {
    let of = |host: Made, module: &str, check: &str| verdicts(&host.image(), module)[check];
    for (module, check) in [
        ("linux-client-packages", "telnet-client-absent"),
        ("linux-services-disabled", "nis-server-absent"),
        ("linux-benchmark-rest", "prelink-absent"),
    ] {
        let package = "Package: dash\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
        assert_eq!(of(Made::new().with("/etc/hostname", "bare\n"), module, check), Verdict::NotApplicable, "{check}");
        assert_eq!(of(Made::new().with("/var/lib/dpkg/status", package), module, check), Verdict::Pass, "{check}");
    }
}

/// Debian's files of PAM with lockout, history and quality.
fn with_pam() -> Made {
    let package = "Package: libpam-pwquality\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n";
    Made::new()
        .with("/var/lib/dpkg/status", package)
        .with(
            "/etc/pam.d/common-auth",
            "auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so try_first_pass\n\
             auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so\n",
        )
        .with(
            "/etc/pam.d/common-account",
            "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\n\
             account required pam_permit.so\naccount required pam_faillock.so\n",
        )
        .with(
            "/etc/pam.d/common-password",
            "password requisite pam_pwquality.so retry=3\npassword requisite pam_pwhistory.so remember=24\n\
             password [success=1 default=ignore] pam_unix.so use_authtok yescrypt\npassword requisite pam_deny.so\n\
             password required pam_permit.so\n",
        )
        .with(
            "/etc/pam.d/common-session",
            "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\n\
             session required pam_unix.so\n",
        )
        .with("/etc/security/faillock.conf", "deny = 3 # three\nunlock_time 900\nroot_unlock_time=900\n")
        .with("/etc/security/pwquality.conf", "minlen = 14 # long\n")
}

const OF_PAM: [&str; 10] = [
    "faillock-deny",
    "faillock-unlock-time",
    "pwquality-minlen",
    "pam-faillock-in-use",
    "pam-pwquality-in-use",
    "pam-pwhistory-in-use",
    "pam-unix-in-use",
    "pam-no-nullok",
    "pam-unix-strong-hash",
    "pam-pwhistory-remember",
];

#[test]
fn settings_of_pam_are_those_that_its_modules_take() {
    let verdicts = |host: Made| verdicts(&host.image(), "linux-password-policy");
    let sound = verdicts(with_pam());
    for check in OF_PAM {
        assert_eq!(sound[check], Verdict::Pass, "{check}");
    }
    let auth = |line: &str| with_pam().with("/etc/pam.d/sshd", format!("{line}\n"));
    let password = |line: &str| with_pam().with("/etc/pam.d/common-password", format!("{line}\n"));
    let lockout = |text: &str| with_pam().with("/etc/security/faillock.conf", text);
    let quality = |text: &str| with_pam().with("/etc/security/pwquality.conf", text);
    for (host, check) in [
        (auth("auth sufficient pam_unix.so [nullok]"), "pam-no-nullok"),
        (auth("auth requisite pam_faillock.so preauth [deny=0]"), "faillock-deny"),
        (auth("auth requisite pam_faillock.so preauth deny=3 deny=0"), "faillock-deny"),
        (
            auth("auth requisite pam_faillock.so preauth conf=/etc/x.conf").with("/etc/x.conf", "deny 0\n"),
            "faillock-deny",
        ),
        (lockout("deny = 3\ndeny = 0 # off\nunlock_time = 900\n"), "faillock-deny"),
        (lockout("deny 0\nunlock_time = 900\n"), "faillock-deny"),
        (lockout("deny = 3\nunlock_time = none\n"), "faillock-unlock-time"),
        (quality("minlen = 14\nminlen = 6 # short\n"), "pwquality-minlen"),
        (quality("minlen 6\n"), "pwquality-minlen"),
        (password("password requisite pam_pwquality.so [minlen=6]"), "pwquality-minlen"),
        (password("password requisite pam_pwquality.so minlen=14 minlen=6"), "pwquality-minlen"),
        (password("password requisite pam_pwhistory.so remember=24 remember=0"), "pam-pwhistory-remember"),
        (password("password required pam_unix.so yescrypt md5"), "pam-unix-strong-hash"),
    ] {
        assert_eq!(verdicts(host)[check], Verdict::Fail, "{check}");
    }
}

#[test]
fn rules_of_pam_that_others_pass_over_or_that_nobody_minds_do_not_count() {
    let with_first = |line: &str, file: &str| {
        let host = with_pam();
        let rules = std::fs::read_to_string(host.path(file)).unwrap();
        verdicts(&host.with(file, format!("{line}\n{rules}")).image(), "linux-password-policy")
    };
    let auth = |line: &str| with_first(line, "/etc/pam.d/common-auth");
    assert_eq!(auth("auth optional pam_faildelay.so")["pam-faillock-in-use"], Verdict::Pass);
    assert_eq!(auth("auth [default=1] pam_permit.so")["pam-faillock-in-use"], Verdict::Fail);
    assert_eq!(auth("auth sufficient pam_unix.so")["pam-faillock-in-use"], Verdict::Fail, "before anything is counted");
    let open = auth("auth [sufficient] pam_permit.so");
    for check in ["pam-faillock-in-use", "pam-unix-in-use", "faillock-deny"] {
        assert_eq!(open[check], Verdict::Fail, "{check}");
    }
    for (rule, expected) in [
        ("auth required pam_permit.so", Verdict::Pass),
        ("auth [Sufficient] /lib/security/pam_permit.so", Verdict::Fail),
        ("-auth [default=1] pam_permit.so", Verdict::Fail),
        ("auth [success=done default=ignore] pam_permit.so", Verdict::Fail),
    ] {
        let host = Made::new().with("/etc/pam.d/x", format!("{rule}\n"));
        assert_eq!(verdicts(&host.image(), "app-pam-custom")["pam-permit-auth"], expected, "{rule}");
    }
    let password = with_first("password sufficient pam_permit.so", "/etc/pam.d/common-password");
    assert_eq!(password["pam-pwquality-in-use"], Verdict::Fail);
    assert_eq!(password["pam-pwhistory-in-use"], Verdict::Fail);
}

#[test]
fn no_way_through_pam_leads_past_every_password() {
    let verdict = |host: Made| verdicts(&host.image(), "app-pam-custom")["pam-auth-without-secret"];
    let with_first = |line: &str| {
        let file = "/etc/pam.d/common-auth";
        let host = with_pam();
        let rules = std::fs::read_to_string(host.path(file)).unwrap();
        verdict(host.with(file, format!("{line}\n{rules}")))
    };
    let of_sudo = |rules: &str| verdict(with_pam().with("/etc/pam.d/sudo", rules));
    for (rule, expected) in [
        ("auth optional pam_faildelay.so delay=3000000", Verdict::Pass),
        ("auth required pam_shells.so", Verdict::Pass),
        ("auth sufficient pam_rootok.so", Verdict::Pass),
        ("auth [success=3 default=ignore] pam_succeed_if.so user = guest", Verdict::Pass),
        ("auth [success=4 default=ignore] pam_succeed_if.so user = guest", Verdict::Fail),
        ("auth [default=4] pam_localuser.so", Verdict::Fail),
        ("auth [default=4] pam_echo.so", Verdict::Fail),
        ("auth [default=5] pam_deny.so", Verdict::Pass),
        ("auth [success=9 default=ignore] pam_succeed_if.so user = guest", Verdict::Pass),
    ] {
        assert_eq!(with_first(rule), expected, "{rule}");
    }
    for (rules, expected) in [
        ("@include common-auth\n@include common-account\n", Verdict::Pass),
        ("auth [success=3 default=ignore] pam_access.so\n@include common-auth\n", Verdict::Pass),
        ("auth [success=4 default=ignore] pam_access.so\n@include common-auth\n", Verdict::Fail),
        ("auth [success=4 default=ignore] pam_access.so\nauth include common-auth\n", Verdict::Fail),
        ("auth required pam_shells.so\n@include absent\n", Verdict::Pass),
        (
            "auth [success=1 default=ignore] pam_access.so\nauth required pam_unix.so\nauth required pam_permit.so\n",
            Verdict::Fail,
        ),
        ("auth required pam_faillock.so preauth\nauth sufficient pam_unix.so\n", Verdict::Fail),
        ("auth required pam_shells.so\nauth sufficient pam_unix.so\nauth required pam_deny.so\n", Verdict::Pass),
    ] {
        assert_eq!(of_sudo(rules), expected, "{rules}");
    }
}

#[test]
fn su_is_restricted_by_what_pam_wheel_makes_of_its_arguments() {
    let restricted = |rules: &str| {
        let host = Made::new().with("/etc/pam.d/su", rules);
        verdicts(&host.image(), "linux-sudo")["su-restricted"]
    };
    let root = "auth sufficient pam_rootok.so\n";
    assert_eq!(restricted(&format!("{root}auth required pam_wheel.so use_uid group=none\n")), Verdict::Pass);
    let with_folder = "auth requisite /usr/lib/x86_64-linux-gnu/security/pam_wheel.so use_uid [group=none]\n";
    assert_eq!(restricted(&format!("{root}{with_folder}")), Verdict::Pass);
    for rules in [
        "auth required pam_wheel.so use_uid deny group=none\n",
        "auth required pam_wheel.so use_uid group=none group=\n",
        "auth optional pam_wheel.so use_uid group=none\n",
        "auth sufficient pam_permit.so\nauth required pam_wheel.so use_uid group=none\n",
        "auth [default=1] pam_permit.so\nauth required pam_wheel.so use_uid group=none\n",
        "auth sufficient pam_unix.so\nauth required pam_wheel.so use_uid group=none\n",
    ] {
        assert_eq!(restricted(rules), Verdict::Fail, "{rules}");
    }
}

#[test]
fn programs_with_capabilities_are_found_unless_they_are_known_to_need_them() {
    use rustix::fs::{XattrFlags, setxattr};
    use rustix::io::Errno;
    use std::os::unix::fs::PermissionsExt;
    let host = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        .with("/etc/group", "root:x:0:\n")
        .with("/usr/bin/ping", "x")
        .with("/opt/x/python3", "x")
        .with("/opt/x/nothing", "x");
    // `struct vfs_cap_data` of version 2 with the effective bit: CAP_NET_RAW, CAP_SETUID.
    for (path, permitted) in [("/usr/bin/ping", 1_u32 << 13), ("/opt/x/python3", 1 << 7)] {
        let mut value = [0; 20];
        value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
        value[4..8].copy_from_slice(&permitted.to_le_bytes());
        match setxattr(host.path(path), "security.capability", &value, XattrFlags::empty()) {
            // Only root may, and not on every file system.
            Err(Errno::PERM | Errno::NOTSUP) => return,
            set => set.unwrap(),
        }
    }
    for path in ["/usr/bin/ping", "/opt/x/python3", "/opt/x/nothing"] {
        std::fs::set_permissions(host.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let asked = "SELECT path, capabilities FROM unusual_files WHERE capabilities <> '' ORDER BY path";
    assert_eq!(
        made::lines(&made::ask(&host.image(), asked)),
        ["/opt/x/python3|cap_setuid=ep", "/usr/bin/ping|cap_net_raw=ep"]
    );
    assert_eq!(verdicts(&host.image(), "integrity-set-uid")["capabilities-known"], Verdict::Fail);
    std::fs::remove_file(host.path("/opt/x/python3")).unwrap();
    assert_eq!(verdicts(&host.image(), "integrity-set-uid")["capabilities-known"], Verdict::Pass);
}

#[test]
fn banners_that_name_the_system_fail() {
    let banners = |id: &str, text: &str| {
        let mut host = Made::new().with("/etc/os-release", format!("ID={id}\n"));
        for path in ["/etc/motd", "/etc/issue", "/etc/issue.net"] {
            host = host.with(path, text);
        }
        let verdicts = verdicts(&host.image(), "linux-sessions-banners");
        ["banner-motd", "banner-issue", "banner-issue-net"].map(|check| verdicts[check])
    };
    assert_eq!(banners("ubuntu", "Ubuntu 24.04.2 LTS \\n \\l\n\n"), [Verdict::Fail; 3]);
    assert_eq!(banners("alpine", "Welcome to Alpine Linux 3.20\n"), [Verdict::Fail; 3]);
    assert_eq!(banners("debian", "Authorized users only.\n"), [Verdict::Pass; 3]);
    let license = "The programs included with the Debian GNU/Linux system are free software;\n";
    assert_eq!(banners("debian", license), [Verdict::Pass, Verdict::Fail, Verdict::Fail]);
}

#[test]
fn a_time_for_idle_shells_that_is_taken_back_does_not_count() {
    let timeout = |set: &str| {
        let host = Made::new().with("/etc/profile.d/50-own.sh", set).with("/etc/profile.d/zz.sh", "unset TMOUT\n");
        verdicts(&host.image(), "linux-sessions-banners")["shell-timeout"]
    };
    assert_eq!(timeout("TMOUT=900\nexport TMOUT\n"), Verdict::Fail);
    assert_eq!(timeout("TMOUT=900\nreadonly TMOUT\nexport TMOUT\n"), Verdict::Pass);
    assert_eq!(timeout("typeset -xr TMOUT=900\n"), Verdict::Pass);
}

#[test]
fn a_block_of_match_fails_where_it_loosens_a_setting_of_sshd() {
    let (root, tries, log) = ("sshd-permit-root-login", "sshd-max-auth-tries", "sshd-log-level");
    let verdict = |block: &str, check: &str| {
        let text = format!("PermitRootLogin no\nLogLevel VERBOSE\nMaxAuthTries 4\n{block}");
        let host = Made::new().with("/etc/ssh/sshd_config", text);
        verdicts(&host.image(), "linux-sshd-hardening")[check]
    };
    for check in [root, tries, log] {
        assert_eq!(verdict("", check), Verdict::Pass, "{check}");
    }
    for (block, check, expected) in [
        ("Match User root\nPermitRootLogin yes\n", root, Verdict::Fail),
        ("Match Address 10.0.0.0/8\nPermitRootLogin prohibit-password\n", root, Verdict::Fail),
        ("Match User ada\nPermitRootLogin yes\n", root, Verdict::Pass),
        ("Match Group ops\nMaxAuthTries 20\n", tries, Verdict::Fail),
        ("Match Group ops\nMaxAuthTries 2\n", tries, Verdict::Pass),
        ("Match User ada\nLogLevel QUIET\n", log, Verdict::Fail),
    ] {
        assert_eq!(verdict(block, check), expected, "{block}");
    }
    let second = "[Service]\nExecStart=/usr/sbin/sshd -D -f /etc/ssh/other_config\n";
    let host = Made::new()
        .with("/etc/ssh/sshd_config", "PermitRootLogin no\n")
        .with("/etc/systemd/system/sshd-admin.service", second);
    assert_eq!(verdicts(&host.image(), "linux-sshd-hardening")[root], Verdict::Error);
}

#[test]
fn services_with_rules_of_pam_of_their_own_need_what_the_common_ones_have() {
    let verdict = |service: &str, rules: &str, module: &str, check: &str| {
        let host = with_pam().with(&format!("/etc/pam.d/{service}"), rules);
        verdicts(&host.image(), module)[check]
    };
    let policy = "linux-password-policy";
    let own = "password required pam_unix.so yescrypt\n";
    for (service, rules, check, expected) in [
        ("sshd", "auth required pam_unix.so\n", "pam-faillock-in-use", Verdict::Fail),
        ("sshd", "@include common-auth\n", "pam-faillock-in-use", Verdict::Pass),
        ("passwd", own, "pam-pwquality-in-use", Verdict::Fail),
        ("passwd", own, "pam-pwhistory-in-use", Verdict::Fail),
        ("passwd", "@include common-password\n", "pam-pwquality-in-use", Verdict::Pass),
    ] {
        assert_eq!(verdict(service, rules, policy, check), expected, "{service}: {rules}");
    }
    for (service, rules, expected) in [
        ("sudo", "auth sufficient pam_succeed_if.so user ingroup users\n@include common-auth\n", Verdict::Fail),
        ("su", "auth sufficient pam_wheel.so trust\n@include common-auth\n", Verdict::Fail),
        ("su", "auth sufficient pam_rootok.so\n@include common-auth\n", Verdict::Pass),
        ("sshd", "@include common-auth\nauth sufficient pam_access.so\n", Verdict::Pass),
        ("lightdm", "auth sufficient pam_succeed_if.so user ingroup nopasswdlogin\n", Verdict::Pass),
    ] {
        let found = verdict(service, rules, "app-pam-custom", "pam-sufficient-without-secret");
        assert_eq!(found, expected, "{service}: {rules}");
    }
}

#[test]
fn a_rule_of_polkit_that_asks_for_nothing_fails() {
    for (rule, expected) in [
        ("polkit.addRule(function(a,s){return polkit.Result.YES;});\n", Verdict::Fail),
        ("polkit.addRule(function(a, s) {\n    return polkit.Result.YES;\n});\n", Verdict::Fail),
        ("polkit.addRule(function(a, s)\n{\n    return \"yes\";\n});\n", Verdict::Fail),
        (
            "polkit.addRule(function(a, s) {\n  if (a.id == \"x\") {\n    return polkit.Result.YES;\n  }\n});\n",
            Verdict::Pass,
        ),
        ("// polkit.addRule(function(a,s){return polkit.Result.YES;});\n", Verdict::Pass),
        ("polkit.addAdminRule(function(a, s) {\n    return [\"unix-group:sudo\"];\n});\n", Verdict::Pass),
    ] {
        let host = Made::new().with("/etc/polkit-1/rules.d/50-own.rules", rule);
        assert_eq!(verdicts(&host.image(), "app-polkit")["polkit-rules-yes"], expected, "{rule}");
    }
}
