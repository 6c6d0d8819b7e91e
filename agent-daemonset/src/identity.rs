//! What makes this host this host, read from files alone: firmware tables, machine-id and os-release. No cloud's metadata
//! address is asked, because an agent that may reach it could be made to fetch credentials there.

use std::path::{Path, PathBuf};

use catalog::wire::{HostIdentity, OsInfo};
use uuid::Uuid;

/// Where the facts about a host lie.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The host's root.
    pub root: PathBuf,
    /// The firmware's tables, `/sys/class/dmi/id`.
    pub dmi: PathBuf,
}

impl Sources {
    /// Of the running host, with its root at `root`.
    pub fn running(root: &Path) -> Self {
        Sources { root: root.to_owned(), dmi: "/sys/class/dmi/id".into() }
    }

    fn dmi(&self, name: &str) -> Option<String> {
        read(&self.dmi, Path::new(name))
    }

    fn file(&self, path: &str) -> Option<String> {
        read(&self.root, Path::new(path))
    }

    /// The identity, with the node's UID if the orchestrator gave it and the UUID of the state folder.
    pub fn identity(&self, node_uid: Option<String>, state_uuid: Uuid) -> HostIdentity {
        HostIdentity {
            cloud_instance_id: self.cloud_instance_id(),
            node_uid: node_uid.filter(|uid| !uid.trim().is_empty()),
            smbios_uuid: self.dmi("product_uuid").filter(|uuid| is_distinct(uuid)).map(|uuid| uuid.to_lowercase()),
            machine_id: self.file("etc/machine-id").filter(|id| is_distinct(id)),
            state_uuid,
        }
    }

    /// AWS shows the instance in the board's asset tag; cloud-init keeps what each cloud told it at boot.
    fn cloud_instance_id(&self) -> Option<String> {
        let tag = self.dmi("board_asset_tag").filter(|tag| tag.starts_with("i-") && tag.len() >= 10);
        tag.or_else(|| {
            let id = self.file("var/lib/cloud/data/instance-id")?;
            // What cloud-init writes where there is no cloud.
            let is_real = !["iid-datasource-none", "nocloud", "iid-local"].iter().any(|none| id.starts_with(none));
            (is_real && is_distinct(&id)).then_some(id)
        })
    }

    /// What the host runs.
    pub fn os(&self) -> OsInfo {
        let release = self.file("etc/os-release").or_else(|| self.file("usr/lib/os-release")).unwrap_or_default();
        let field = |name: &str| {
            release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
                .map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
                .unwrap_or_default()
        };
        let kernel = rustix::system::uname();
        OsInfo {
            name: field("PRETTY_NAME"),
            version: field("VERSION_ID"),
            id: field("ID"),
            arch: kernel.machine().to_string_lossy().into_owned(),
            kernel: kernel.release().to_string_lossy().into_owned(),
        }
    }

    /// The host's name: the orchestrator's name of the node, else the host's own.
    pub fn hostname(&self, node_name: Option<&str>) -> String {
        node_name
            .map(str::to_owned)
            .filter(|name| !name.is_empty())
            .or_else(|| self.file("etc/hostname").and_then(|text| Some(text.lines().next()?.trim().to_owned())))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
    }
}

/// Vendors ship boards with one and the same placeholder.
fn is_distinct(id: &str) -> bool {
    let significant: String = id.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let first = significant.chars().next();
    significant.len() >= 8
        && !significant.chars().all(|c| Some(c) == first)
        && !["03000200040005000006000700080009", "uninitialized", "notspecified", "tobefilledbyoem"]
            .contains(&significant.as_str())
}

/// The text of a small file below a folder. A link there leads nowhere else, and what is no file is not waited for.
fn read(folder: &Path, path: &Path) -> Option<String> {
    let text = tables::text_below(folder, path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let sources = Sources { root: folder.path().to_owned(), dmi: folder.path().join("dmi") };
        (folder, sources)
    }

    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, String);

    #[test]
    fn the_most_lasting_identity_counts() {
        let state = Uuid::new_v4();
        let machine = ("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        let firmware = ("dmi/product_uuid", "4C4C4544-0042-3010-8052-B4C04F4A4D32\n");
        let cases: [Case<'_>; 5] = [
            (
                &[machine, firmware, ("dmi/board_asset_tag", "i-0123456789abcdef0")],
                Some("uid-1"),
                "cloud:i-0123456789abcdef0".into(),
            ),
            (&[machine, firmware], Some("uid-1"), "node:uid-1".into()),
            (
                &[machine, firmware],
                None,
                "machine:4c4c4544-0042-3010-8052-b4c04f4a4d32:0123456789abcdef0123456789abcdef".into(),
            ),
            (&[machine, ("dmi/product_uuid", "00000000-0000-0000-0000-000000000000")], None, format!("state:{state}")),
            (&[("etc/machine-id", "uninitialized\n"), firmware], None, format!("state:{state}")),
        ];
        for (files, node, expected) in cases {
            let (_folder, sources) = host(files);
            assert_eq!(sources.identity(node.map(str::to_owned), state).key(), expected);
        }
    }

    #[test]
    fn a_link_out_of_the_root_says_nothing_about_it() {
        let (outside, _) = host(&[("secret", "PRETTY_NAME=secret\n")]);
        let (folder, sources) = host(&[("etc/hostname", "web-1\n")]);
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("etc/os-release")).unwrap();
        assert_eq!(sources.os().name, "");
    }

    #[test]
    fn the_operating_system_is_the_roots_not_the_containers() {
        let (_folder, sources) = host(&[
            ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n"),
            ("etc/hostname", "web-1\n"),
        ]);
        let os = sources.os();
        assert_eq!(
            (os.name.as_str(), os.version.as_str(), os.id.as_str()),
            ("Debian GNU/Linux 12 (bookworm)", "12", "debian")
        );
        assert_eq!(sources.hostname(None), "web-1");
        assert_eq!(sources.hostname(Some("node-7")), "node-7");
    }
}
