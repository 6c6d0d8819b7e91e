//! Files as the programs that own them read them: what glibc, sshd, sudo, systemd and their kin take from a file, the tables
//! show, and what they leave out, the tables leave out.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

mod made;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use made::{Made, ask, lines};

#[test]
fn accounts_that_glibc_accepts_are_there() {
    let host = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0\nevil:x: 0:0::/root:/bin/sh\nada:x:1000:1000\n")
        .with("/etc/group", "root:x:0:\nsudo:x:27: ada, root\n")
        .with("/etc/shadow", "root:*:19000:0:99999:7:::\ntoor::19000:0:99999\n");
    let engine = host.image();
    let users = ask(&engine, "SELECT username, shell FROM users WHERE uid = 0");
    assert_eq!(lines(&users), ["root|/bin/sh", "toor|", "evil|/bin/sh"]);
    assert!(users.warnings.is_empty(), "{:?}", users.warnings);
    let members = "SELECT u.username FROM user_groups g JOIN users u USING (uid) WHERE g.gid = 27 AND u.uid > 0";
    assert_eq!(lines(&ask(&engine, members)), ["ada"]);
    let empty = ask(&engine, "SELECT username, max, warning FROM shadow WHERE password_status = 'empty'");
    assert_eq!(lines(&empty), ["toor|99999|-1"]);
}

#[test]
fn a_line_that_glibc_leaves_out_is_said() {
    let host = Made::new()
        .with("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n# a comment\n+::::::\nmallory:x:zero:0::/root:/bin/sh\n")
        .with("/etc/shadow", "root:*:19000:0:99999:7:::\nmallory::19000:0:99999:7\n");
    let engine = host.image();
    for (table, file, line) in [("users", "/etc/passwd", 4), ("shadow", "/etc/shadow", 2)] {
        let found = ask(&engine, &format!("SELECT username FROM {table} WHERE username <> 'root'"));
        assert!(found.rows.is_empty(), "{found:?}");
        let messages: Vec<&str> = found.warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert_eq!(messages, [format!("line {line} of {file} is no entry as the C library reads it, and is left out")]);
    }
}

#[test]
fn settings_of_sshd_are_what_it_prints_itself() {
    let host = Made::new()
        .with(
            "/etc/ssh/sshd_config",
            "Include \"/etc/ssh/my conf.d/*.conf\" /etc/ssh/absent.conf\n\"PermitRootLogin\" yes\nX11Forwarding n\"o\"\n\
             AllowUsers ada 'bob'\nAcceptEnv LANG LC_*\nSetEnv A=1\nSetEnv B=2\nListenAddress 10.0.0.1\n\
             ListenAddress [::1]:80\nPort 22\nPort 2222\n",
        )
        .with("/etc/ssh/my conf.d/10-own.conf", "MaxAuthTries = 3\n")
        // Neither `glob` nor sshd sees it.
        .with("/etc/ssh/my conf.d/.00-hidden.conf", "PermitRootLogin no\nMaxAuthTries 1\n");
    let engine = host.image();
    let value = |keyword: &str| {
        let found = ask(&engine, &format!("SELECT value FROM sshd_effective_config WHERE keyword = '{keyword}'"));
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        lines(&found).join(" ")
    };
    for (keyword, expected) in [
        ("permitrootlogin", "yes"),
        ("x11forwarding", "no"),
        ("maxauthtries", "3"),
        ("allowusers", "ada bob"),
        ("acceptenv", "LANG LC_*"),
        ("setenv", "A=1"),
        ("listenaddress", "10.0.0.1:22 10.0.0.1:2222 [::1]:80"),
        ("hostkey", "/etc/ssh/ssh_host_rsa_key /etc/ssh/ssh_host_ecdsa_key /etc/ssh/ssh_host_ed25519_key"),
        ("modulifile", "/etc/ssh/moduli"),
    ] {
        assert_eq!(value(keyword), expected, "{keyword}");
    }
    assert!(value("hostkeyalgorithms").starts_with("ssh-ed25519-cert"));
    let defaults = Made::new().with("/etc/ssh/sshd_config", "");
    let printed = "SELECT value FROM sshd_effective_config WHERE keyword IN ('listenaddress', 'permitrootlogin')";
    assert_eq!(lines(&ask(&defaults.image(), printed)), ["[::]:22", "0.0.0.0:22", "without-password"]);
}

#[test]
fn a_configuration_that_sshd_refuses_is_said() {
    let broken = Made::new().with("/etc/ssh/sshd_config", "PermitRootLogin no\nBanner \"/etc/issue\nUsePAM\n");
    let linked = Made::new().with_link("/etc/ssh/sshd_config", "/nowhere");
    let folder = Made::new().with("/etc/ssh/sshd_config/x", "");
    let without = Made::new().with("/usr/sbin/sshd", "");
    let included = Made::new().with("/etc/ssh/sshd_config", "Include x/*\n").with("/etc/ssh/x/folder/y", "");
    for (host, expected) in [
        (broken, "line 2 of /etc/ssh/sshd_config has a quote that is not closed: sshd does not start with it"),
        (linked, "/etc/ssh/sshd_config cannot be read as a file, and sshd does not start without it"),
        (folder, "/etc/ssh/sshd_config cannot be read as a file, and sshd does not start without it"),
        (without, "/etc/ssh/sshd_config cannot be read as a file, and sshd does not start without it"),
        (included, "/etc/ssh/x/folder cannot be read as a file, and sshd does not start without it"),
    ] {
        let found = ask(&host.image(), "SELECT value FROM sshd_effective_config WHERE keyword = 'permitrootlogin'");
        assert_eq!(found.warnings.first().map(|warning| warning.message.as_str()), Some(expected));
    }
}

#[test]
fn rules_of_sudo_are_those_that_sudo_reads() {
    let host = Made::new()
        .with(
            "/etc/sudoers",
            "# a comment \\\n#1000 ALL=(#0) NOPASSWD: ALL\nDefaults env_reset,!authenticate\nDefaults use_pty\n\
             @includedir /etc/sudo.d\nCmnd_Alias SHELLS = /bin/sh, \\\n  /bin/bash\n@include own\n",
        )
        .with(
            "/etc/sudo.d/eve",
            "Defaults:eve timestamp_timeout=-1\nDefaults !use_pty\neve ALL=(ALL) NOPASSWD: SHELLS\n",
        )
        // sudo skips a name with a dot.
        .with("/etc/sudo.d/mallory.off", "mallory ALL=(ALL) NOPASSWD: ALL\n")
        .with("/etc/own", "bob ALL=(ALL) ALL # NOPASSWD: ALL\n");
    let engine = host.image();
    let free = ask(&engine, "SELECT source, users, runas, command FROM sudo_commands WHERE needs_password = 0");
    assert_eq!(
        lines(&free),
        ["/etc/sudoers|#1000|#0|ALL", "/etc/sudo.d/eve|eve|ALL|/bin/sh", "/etc/sudo.d/eve|eve|ALL|/bin/bash"]
    );
    assert!(free.warnings.is_empty(), "{:?}", free.warnings);
    let settings = ask(&engine, "SELECT scope, name, value FROM sudo_defaults ORDER BY position");
    assert_eq!(
        lines(&settings),
        ["|env_reset|on", "|authenticate|off", "|use_pty|on", ":eve|timestamp_timeout|-1", "|use_pty|off"]
    );
    assert_eq!(lines(&ask(&engine, "SELECT rule_details FROM sudoers WHERE header = 'bob'")).len(), 1);
    let broken = Made::new().with("/etc/sudoers", "ada ALL\n");
    assert_eq!(ask(&broken.image(), "SELECT * FROM sudo_commands").warnings.len(), 1);
}

#[test]
fn a_comment_of_pam_hides_no_rule_behind_a_backslash() {
    let text = "# a comment \\\nauth sufficient pam_permit.so # why \\\nauth required \\\n  pam_unix.so nullok\n";
    let host = Made::new().with("/etc/pam.d/sshd", text);
    let rules = ask(&host.image(), "SELECT line, control, module, arguments FROM pam_rules");
    assert_eq!(lines(&rules), ["2|sufficient|pam_permit.so|", "3|required|pam_unix.so|nullok"]);
}

#[test]
fn arguments_of_pam_are_cut_as_libpam_cuts_them() {
    let text = "auth [Required] /lib/security/pam_unix.so [nullok]\n\
                auth requisite pam_faillock.so preauth deny=3 [deny=0] conf=/etc/none.conf conf=/etc/own.conf\n\
                password requisite pam_pwquality.so minlen=14 minlen=6 minlen=many\n\
                password requisite pam_pwhistory.so remember=24 remember=0\n";
    let host = Made::new()
        .with("/etc/pam.d/common-auth", text)
        .with("/etc/security/faillock.conf", "unlock_time = 900\n")
        .with("/etc/own.conf", "unlock_time 60 # short\ndeny = 5\n")
        .with("/etc/security/pwquality.conf", "minlen = 20\nminclass = 4 # all\n")
        .with("/etc/security/pwquality.conf.d/50-own.conf", "minclass = 1\ndifok 2\n");
    let engine = host.image();
    let rules = ask(&engine, "SELECT control, module, arguments, on_failure FROM pam_rules WHERE line = 1");
    assert_eq!(lines(&rules), ["required|/lib/security/pam_unix.so|nullok|bad"]);
    let settings = |module: &str| {
        let asked = "SELECT name, value, position, source FROM pam_settings WHERE line > 0 AND name <> 'conf'";
        lines(&ask(&engine, &format!("{asked} AND module = '{module}' ORDER BY name")))
    };
    assert_eq!(settings("pam_unix.so"), ["nullok||1|/etc/pam.d/common-auth"]);
    assert_eq!(
        settings("pam_faillock.so"),
        ["deny|0|3|/etc/pam.d/common-auth", "preauth||1|/etc/pam.d/common-auth", "unlock_time|60|0|/etc/own.conf"]
    );
    assert_eq!(
        settings("pam_pwquality.so"),
        [
            "difok|2|0|/etc/security/pwquality.conf.d/50-own.conf",
            "minclass|4|0|/etc/security/pwquality.conf",
            "minlen|6|2|/etc/pam.d/common-auth",
        ]
    );
    assert_eq!(settings("pam_pwhistory.so"), ["remember|0|2|/etc/pam.d/common-auth"]);
    let uncalled = Made::new().with("/etc/security/faillock.conf", "deny = 3 # three\n");
    let asked = "SELECT file, line, module, name, value, source FROM pam_settings";
    assert_eq!(lines(&ask(&uncalled.image(), asked)), ["||pam_faillock.so|deny|3|/etc/security/faillock.conf"]);
    let broken = Made::new().with("/etc/security/pwquality.conf", "minlen = 14\nminlen = many\ndifok = 2\n");
    let broken = ask(&broken.image(), "SELECT name, value FROM pam_settings");
    assert_eq!(lines(&broken), ["minlen|14"]);
    assert_eq!(broken.warnings.len(), 1, "{:?}", broken.warnings);
}

#[test]
fn rules_of_pam_are_those_of_the_places_that_it_reads() {
    let asked = "SELECT file, type, module FROM pam_rules ORDER BY file";
    let one_file = || Made::new().with("/etc/pam.conf", "# a comment\nlogin auth sufficient pam_permit.so\n");
    assert_eq!(lines(&ask(&one_file().image(), asked)), ["/etc/pam.conf|auth|pam_permit.so"]);
    let folders = one_file()
        .with("/etc/pam.d/su", "auth required pam_unix.so\n")
        .with("/usr/lib/pam.d/su", "auth sufficient pam_permit.so\n")
        .with("/usr/lib/pam.d/vendor", "auth sufficient pam_permit.so\n");
    assert_eq!(
        lines(&ask(&folders.image(), asked)),
        ["/etc/pam.d/su|auth|pam_unix.so", "/usr/lib/pam.d/vendor|auth|pam_permit.so"]
    );
}

#[test]
fn options_of_the_service_come_before_the_settings_of_sshd() {
    let host = || Made::new().with("/etc/ssh/sshd_config", "PermitRootLogin no\nX11Forwarding no\n");
    let asked = "SELECT value, source FROM sshd_effective_config WHERE keyword = 'permitrootlogin'";
    let options = host().with("/etc/default/ssh", "SSHD_OPTS=-oPermitRootLogin=yes\n");
    assert_eq!(lines(&ask(&options.image(), asked)), ["yes|/etc/default/ssh"]);
    let elsewhere =
        host().with("/etc/default/ssh", "SSHD_OPTS='-f /etc/ssh/own'\n").with("/etc/ssh/own", "PermitRootLogin yes\n");
    assert_eq!(lines(&ask(&elsewhere.image(), asked)), ["yes|/etc/ssh/own"]);
    let none = host().with("/etc/default/ssh", "# Options to pass to sshd\nSSHD_OPTS=\n");
    assert_eq!(lines(&ask(&none.image(), asked)), ["no|/etc/ssh/sshd_config"]);
}

#[test]
fn a_block_of_sshd_that_holds_for_everybody_decides() {
    let asked = "SELECT value FROM sshd_effective_config WHERE keyword = 'permitrootlogin'";
    let value = |block: &str| {
        let text = format!("PermitRootLogin no\nMatch {block}\nInclude own\nMatch User ada\nPermitRootLogin no\n");
        let host = Made::new().with("/etc/ssh/sshd_config", text).with("/etc/ssh/own", "PermitRootLogin yes\n");
        lines(&ask(&host.image(), asked)).join(" ")
    };
    for block in ["all", "User *", "Address 0.0.0.0/0", "Address *"] {
        assert_eq!(value(block), "yes", "{block}");
    }
    assert_eq!(value("User eve"), "no");
}

#[test]
fn a_block_of_sshd_for_some_says_what_holds_for_them() {
    let asked = "SELECT criteria, keyword, value, may_be_root FROM sshd_match_config";
    let found = |text: &str| {
        let host = Made::new().with("/etc/ssh/sshd_config", text).with(
            "/etc/ssh/own",
            "PermitRootLogin yes\nMatch Address 10.0.0.0/8\nBanner none\nMatch all\nLogLevel quiet\n",
        );
        let found = ask(&host.image(), asked);
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        lines(&found)
    };
    assert!(found("PermitRootLogin no\nMatch all\nPermitRootLogin yes\n").is_empty());
    // Of a keyword the first value in a block counts.
    let text = "PermitRootLogin no\nMatch User root\nPermitRootLogin YES\nPermitRootLogin no\nMatch User ada\nMaxSessions 20\n";
    assert_eq!(found(text), ["User root|permitrootlogin|yes|1", "User ada|maxsessions|20|0"]);
    // What a block for everybody says first holds in those behind it as well, and not in those before it.
    let text = "Match Group a\nBanner none\nMatch all\nBanner /x\nPermitRootLogin no\nMatch Group b\nBanner none\nPermitRootLogin yes\n";
    assert_eq!(found(text), ["Group a|banner|none|1"]);
    let expected =
        ["User ada|permitrootlogin|yes|0", "User ada|loglevel|QUIET|0", "User ada Address 10.0.0.0/8|banner|none|0"];
    assert_eq!(found("Match User ada\nInclude own\n"), expected);
}

#[test]
fn options_of_sshd_are_found_wherever_its_units_look() {
    let unit = |more: &str| format!("[Service]\n{more}\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n");
    let host = |more: &str| {
        let server = Made::new().with("/etc/ssh/sshd_config", "PermitRootLogin no\n");
        server.with("/usr/lib/systemd/system/ssh.service", unit(more))
    };
    let asked = "SELECT value FROM sshd_effective_config WHERE keyword = 'permitrootlogin'";
    let joined = host("EnvironmentFile=-/etc/default/ssh")
        .with("/etc/default/ssh", "SSHD_OPTS=-4 \\\n  -oPermitRootLogin=yes\n");
    assert_eq!(lines(&ask(&joined.image(), asked)), ["yes"]);
    let several = host("EnvironmentFile=-/etc/default/ssh*")
        .with("/etc/default/ssh", "SSHD_OPTS=-4\n")
        .with("/etc/default/ssh.own", "SSHD_OPTS=-oPermitRootLogin=yes\n");
    assert_eq!(lines(&ask(&several.image(), asked)), ["yes"]);
    let each = |options: &str| {
        let command = format!("[Service]\nExecStart=\nExecStart=-/usr/sbin/sshd -i {options}\n");
        let host = host("")
            .with("/usr/lib/systemd/system/ssh@.service", "[Service]\nExecStart=-/usr/sbin/sshd -i $SSHD_OPTS\n")
            .with("/etc/systemd/system/ssh@.service.d/own.conf", command);
        ask(&host.image(), asked).warnings.len()
    };
    assert_eq!(each("$SSHD_OPTS"), 0);
    assert_eq!(each("-o PermitRootLogin=yes"), 1);
}

#[test]
fn another_unit_that_starts_sshd_with_other_options_is_told() {
    let asked = "SELECT value FROM sshd_effective_config WHERE keyword = 'permitrootlogin'";
    let told = |unit: &str, command: &str| {
        let service =
            |command: &str| format!("[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n");
        let host = Made::new()
            .with("/etc/ssh/sshd_config", "PermitRootLogin no\n")
            .with("/usr/lib/systemd/system/ssh.service", service("/usr/sbin/sshd -D"))
            .with("/usr/lib/systemd/system/other.service", service("/usr/bin/other -f /etc/ssh/sshd_config"))
            .with(unit, service(command));
        ask(&host.image(), asked).warnings.len()
    };
    let admin = "/etc/systemd/system/sshd-admin.service";
    assert_eq!(told(admin, "/usr/sbin/sshd -D -f /etc/ssh/other_config"), 1);
    assert_eq!(told(admin, "-/usr/sbin/sshd -D -o PermitRootLogin=yes"), 1);
    assert_eq!(told("/etc/systemd/system/admin@.service", "/usr/sbin/sshd -i -oPermitRootLogin=yes"), 1);
    assert_eq!(told("/etc/systemd/system/other.service.d/own.conf", "\nExecStart=/usr/sbin/sshd -f /x"), 1);
    assert_eq!(told(admin, "/usr/sbin/sshd -D -f /etc/ssh/sshd_config -p 2222"), 0);
    assert_eq!(told("/run/systemd/generator/sshd-unix@.service", "-/usr/sbin/sshd -i -o \"UsePAM no\""), 0);
}

#[test]
fn a_drop_in_of_the_service_gives_sshd_its_options() {
    let host = || {
        Made::new()
            .with("/etc/ssh/sshd_config", "PermitRootLogin no\n")
            .with(
                "/usr/lib/systemd/system/ssh.service",
                "[Service]\nEnvironmentFile=-/etc/default/ssh\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n",
            )
            .with("/etc/default/ssh", "SSHD_OPTS=-oMaxAuthTries=9\n")
    };
    let asked = "SELECT value, source FROM sshd_effective_config WHERE keyword IN ('maxauthtries', 'permitrootlogin')";
    assert_eq!(lines(&ask(&host().image(), asked)), ["9|/etc/default/ssh", "no|/etc/ssh/sshd_config"]);
    let drop_in = |text: &str| host().with("/etc/systemd/system/ssh.service.d/own.conf", text);
    let options = drop_in(
        "[Service]\nEnvironment=ROOT=yes\nExecStart=\nExecStart=-/usr/sbin/sshd -D -o PermitRootLogin=${ROOT} -f /x\n",
    )
    .with("/x", "MaxAuthTries 2\n");
    assert_eq!(lines(&ask(&options.image(), asked)), ["2|/x", "yes|ssh.service"]);
    let wrapped = drop_in("[Service]\nExecStart=\nExecStart=/usr/local/bin/start\n");
    let messages = ask(&wrapped.image(), asked).warnings;
    let expected = "ssh.service starts /usr/local/bin/start; with which options that starts sshd is not known";
    assert_eq!(messages.first().map(|warning| warning.message.as_str()), Some(expected));
}

#[test]
fn sudo_reads_the_file_that_its_own_settings_name_and_includes_by_the_name_of_the_host() {
    let host = Made::new()
        .with(
            "/etc/sudo.conf",
            "# Plugin\nplugin sudoers_policy sudoers.so sudoers_file=/etc/absent:/etc/other sudoers_mode=0400\n",
        )
        .with("/etc/sudoers", "ada ALL=(ALL) ALL\n")
        .with("/etc/other", "@include /etc/rules.%h\n")
        .with("/etc/hostname", "web1.example.org\n")
        .with("/etc/rules.web1", "mallory ALL=(ALL) NOPASSWD: ALL\n");
    let free = ask(&host.image(), "SELECT source, users FROM sudo_commands WHERE needs_password = 0");
    assert_eq!(lines(&free), ["/etc/rules.web1|mallory"]);
    let nameless = Made::new().with("/etc/sudoers", "@include /etc/rules.%h\n");
    assert_eq!(ask(&nameless.image(), "SELECT * FROM sudo_commands").warnings.len(), 1);
}

#[test]
fn files_of_sudo_that_others_can_write_are_not_read() {
    let settings = |path: &str, mode: u32| {
        let host = Made::new()
            .with("/etc/sudoers", "Defaults env_reset\n@includedir /etc/sudoers.d\n")
            .with("/etc/sudoers.d/own", "Defaults use_pty\n");
        std::fs::set_permissions(host.path(path), Permissions::from_mode(mode)).unwrap();
        lines(&ask(&host.image(), "SELECT name FROM sudo_defaults")).join(" ")
    };
    assert_eq!(settings("/etc/sudoers.d/own", 0o440), "env_reset use_pty");
    assert_eq!(settings("/etc/sudoers.d/own", 0o666), "env_reset");
    assert_eq!(settings("/etc/sudoers.d", 0o777), "env_reset");
    assert_eq!(settings("/etc/sudoers", 0o646), "");
}

#[test]
fn lines_of_sudo_that_it_does_not_read_are_said_and_those_that_go_on_are_joined() {
    let settings = |text: &str| {
        let found = ask(&Made::new().with("/etc/sudoers", text).image(), "SELECT name, value FROM sudo_defaults");
        (lines(&found), found.warnings.len())
    };
    assert_eq!(
        settings("Defaults use_pty, \\  \n  !use_pty, !authenticate\n"),
        (["use_pty|on", "use_pty|off", "authenticate|off"].map(str::to_owned).to_vec(), 0)
    );
    for text in ["Defaults use_pty !authenticate\n", "!use_pty, !authenticate\n"] {
        assert_eq!(settings(text), (Vec::new(), 1), "{text}");
    }
}

#[test]
fn rules_of_sudo_that_are_in_no_file_are_said() {
    let host = || Made::new().with("/etc/sudoers", "Defaults use_pty\nada ALL=(ALL) ALL\n");
    let warnings = |host: &Made, table: &str| ask(&host.image(), &format!("SELECT * FROM {table}")).warnings.len();
    for table in ["sudo_commands", "sudo_defaults"] {
        assert_eq!(warnings(&host().with("/etc/nsswitch.conf", "passwd: files sss\nsudoers: files\n"), table), 0);
        assert_eq!(warnings(&host().with("/etc/nsswitch.conf", "sudoers: files sss\n"), table), 1);
        assert_eq!(warnings(&host().with("/etc/sudo.conf", "Plugin sudoers_policy sudoers.so\n"), table), 0);
        assert_eq!(warnings(&host().with("/etc/sudo.conf", "Plugin own_policy own.so\n"), table), 1);
    }
    let without_sudo = Made::new().with("/etc/nsswitch.conf", "sudoers: files sss\n");
    assert_eq!(warnings(&without_sudo, "sudo_commands"), 0);
}

#[test]
fn hidden_files_of_a_folder_are_not_read() {
    let host = Made::new()
        .with("/etc/sysctl.d/.60-hard.conf", "kernel.sysrq = 0\n")
        .with("/etc/sysctl.d/60-own.conf", "kernel.sysrq = 1\n")
        .with("/etc/modprobe.d/.hard.conf", "blacklist cramfs\n")
        .with("/etc/audit/rules.d/.x.rules", "-w /etc/shadow -p wa\n")
        .with("/etc/audit/rules.d/y.rules", "-e 2\n")
        .with("/etc/default/grub.d/.x.cfg", "GRUB_CMDLINE_LINUX=audit=1\n")
        .with("/etc/ssh/ssh_config.d/.x.conf", "StrictHostKeyChecking yes\n");
    let engine = host.image();
    assert_eq!(lines(&ask(&engine, "SELECT name, value FROM sysctl_configured")), ["kernel.sysrq|1"]);
    for table in ["modprobe_configured", "grub_config", "ssh_configs"] {
        assert!(ask(&engine, &format!("SELECT * FROM {table}")).rows.is_empty(), "{table}");
    }
    assert_eq!(lines(&ask(&engine, "SELECT rule FROM audit_rules")), ["-e 2"]);
}

#[test]
fn rules_of_audit_are_those_that_the_service_loads() {
    let rules = |unit: &str| {
        let host = Made::new()
            .with("/usr/lib/systemd/system/auditd.service", unit)
            .with("/etc/audit/audit.rules", "-w /etc/passwd -p wa\n")
            .with("/etc/audit/rules.d/x.rules", "-e 2\n");
        lines(&ask(&host.image(), "SELECT rule FROM audit_rules"))
    };
    assert_eq!(rules("[Service]\nExecStartPost=-/sbin/augenrules --load\n"), ["-e 2"]);
    assert_eq!(rules("[Service]\nExecStartPost=-/sbin/auditctl -R /etc/audit/audit.rules\n"), ["-w /etc/passwd -p wa"]);
}

#[test]
fn where_the_service_of_auditd_loads_no_rules_there_are_none() {
    let host = Made::new()
        .with(
            "/usr/lib/systemd/system/auditd.service",
            "[Service]\nExecStart=/sbin/auditd\nExecStartPost=-/sbin/augenrules --load\n",
        )
        .with("/etc/audit/rules.d/x.rules", "-w /etc/passwd -p wa\n");
    assert_eq!(lines(&ask(&host.image(), "SELECT rule FROM audit_rules")), ["-w /etc/passwd -p wa"]);
    let host = host.with("/etc/systemd/system/auditd.service.d/own.conf", "[Service]\nExecStartPost=\n");
    assert!(lines(&ask(&host.image(), "SELECT rule FROM audit_rules")).is_empty());
}

#[test]
fn a_drop_in_of_the_service_says_which_program_loads_the_rules_of_audit() {
    let host = Made::new()
        .with("/usr/lib/systemd/system/auditd.service", "[Service]\nExecStartPost=-/sbin/augenrules --load\n")
        .with(
            "/etc/systemd/system/auditd.service.d/own.conf",
            "[Service]\nExecStartPost=\nExecStartPost=/sbin/auditctl -R /etc/audit/audit.rules\n",
        )
        .with("/etc/audit/audit.rules", "-w /etc/passwd -p wa\n")
        .with("/etc/audit/rules.d/x.rules", "-e 2\n");
    assert_eq!(lines(&ask(&host.image(), "SELECT rule FROM audit_rules")), ["-w /etc/passwd -p wa"]);
}

#[test]
fn settings_of_the_kernel_have_the_order_of_systemd_sysctl() {
    let host = || {
        Made::new()
            .with("/etc/sysctl.conf", "kernel.sysrq = 0\nkernel.dmesg_restrict = 1\n")
            .with("/etc/sysctl.d/99-z.conf", "kernel.sysrq = 1\n")
    };
    let asked = "SELECT name, value, source FROM sysctl_configured ORDER BY name";
    let with_systemd = || host().with("/usr/lib/systemd/systemd-sysctl", "");
    let linked = with_systemd().with_link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf");
    assert_eq!(
        lines(&ask(&linked.image(), asked)),
        ["kernel.dmesg_restrict|1|/etc/sysctl.d/99-sysctl.conf", "kernel.sysrq|1|/etc/sysctl.d/99-z.conf"]
    );
    let unlinked = with_systemd();
    assert_eq!(lines(&ask(&unlinked.image(), asked)).len(), 1, "without the link it is not read");
    let without = host();
    assert_eq!(
        lines(&ask(&without.image(), asked)),
        ["kernel.dmesg_restrict|1|/etc/sysctl.conf", "kernel.sysrq|0|/etc/sysctl.conf"]
    );
}

#[test]
fn units_have_the_states_of_systemctl_is_enabled() {
    let service = "[Service]\nExecStart=/bin/x\n[Install]\n";
    let host = Made::new()
        .with("/usr/lib/systemd/system/controlled.service", format!("{service}WantedBy=multi-user.target\n"))
        .with_link("/etc/systemd/system/controlled.service", "/dev/null")
        .with("/etc/systemd/system.control/controlled.service", format!("{service}WantedBy=multi-user.target\n"))
        .with_link("/run/systemd/system/for-now.service", "/dev/null")
        .with("/etc/systemd/system/blank.service", "\n\n")
        .with("/etc/systemd/system/empty.service", "")
        .with_link("/etc/systemd/system/relative.service", "../../../dev/null")
        .with("/usr/lib/systemd/system/gdm.service", format!("{service}Alias=display-manager.service\n"))
        .with_link("/etc/systemd/system/display-manager.service", "/usr/lib/systemd/system/gdm.service")
        .with("/usr/lib/systemd/system/sddm.service", format!("{service}Alias=display-manager.service\n"))
        .with("/opt/own.service", service)
        .with_link("/etc/systemd/system/own.service", "/opt/own.service")
        .with("/usr/lib/systemd/system/also.service", format!("{service}Also=x.socket\n"));
    let found = ask(&host.image(), "SELECT id, unit_file_state, load_state FROM systemd_units ORDER BY id");
    assert_eq!(
        lines(&found),
        [
            "also.service|indirect|loaded",
            "blank.service|static|loaded",
            "controlled.service|disabled|loaded",
            "display-manager.service|alias|loaded",
            "empty.service|masked|masked",
            "for-now.service|masked-runtime|masked",
            "gdm.service|enabled|loaded",
            "own.service|linked|loaded",
            "relative.service|masked|masked",
            "sddm.service|disabled|loaded",
        ]
    );
}

#[test]
fn rules_of_nftables_that_look_their_verdict_up_are_those_that_they_stand_for() {
    let host = Made::new().with(
        "/etc/nftables.conf",
        "table inet filter {\n map hosts {\n  type ipv4_addr : verdict\n  elements = { 10.0.0.1 : accept,\n   10.0.0.2 : drop }\n }\n\
         chain input {\n  ct state vmap { established : accept, new : jump services }\n  ip saddr vmap @hosts\n }\n}\n\
         add element inet filter hosts { 0.0.0.0/0 : accept }\n",
    );
    let rules =
        ask(&host.image(), "SELECT line, statement FROM nftables_configured WHERE chain = 'input' AND line > 7");
    assert!(rules.warnings.is_empty(), "{:?}", rules.warnings);
    assert_eq!(
        lines(&rules),
        [
            "8|ct state established accept",
            "8|ct state new jump services",
            "9|ip saddr 10.0.0.1 accept",
            "9|ip saddr 10.0.0.2 drop",
            "9|ip saddr 0.0.0.0/0 accept",
        ]
    );
}

#[test]
fn verdicts_of_nftables_beyond_the_bound_stay_as_they_are_written() {
    let elements = "10.0.0.1 : drop, ".repeat(6_000);
    let host = Made::new().with(
        "/etc/nftables.conf",
        format!(
            "table inet filter {{\n map hosts {{ type ipv4_addr : verdict; elements = {{ {elements} }} }}\n chain input {{\n\
             ip saddr vmap @hosts\niif eth0 ip saddr vmap @hosts\niif lo accept\nct state vmap {{ new : drop }}\n }}\n}}\n"
        ),
    );
    let rules = ask(
        &host.image(),
        "SELECT line, statement, count(*) FROM nftables_configured WHERE chain = 'input' AND line > 3 GROUP BY 1, 2 ORDER BY 1",
    );
    assert_eq!(
        lines(&rules),
        [
            "4|ip saddr 10.0.0.1 drop|6000",
            "5|iif eth0 ip saddr vmap @hosts|1",
            "6|iif lo accept|1",
            "7|ct state vmap { new : drop }|1",
        ]
    );
    let [warning] = &rules.warnings[..] else { panic!("one warning, and not {:?}", rules.warnings) };
    assert!(warning.message.contains(":5: there are too many verdicts to look up"), "{}", warning.message);
}
