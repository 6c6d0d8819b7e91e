//! The scanner's program: at a place that the distribution uses, and such that only root could have put it there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;

/// Where packages install it. No PATH is asked: it belongs to whoever started the agent.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/opt/openscap/bin"];
const NAME: &str = "oscap";
/// Permission of others than the owner to write.
const WRITABLE: u32 = 0o022;

/// The program, with every link followed.
pub fn find() -> Result<PathBuf, Error> {
    find_in(&FOLDERS.map(PathBuf::from), 0)
}

fn find_in(folders: &[PathBuf], owner: u32) -> Result<PathBuf, Error> {
    let mut refused = None;
    for folder in folders {
        let Ok(path) = folder.join(NAME).canonicalize() else { continue };
        match fault(&path, owner) {
            None => return Ok(path),
            Some(reason) => refused = refused.or(Some(Error::Program { path, reason })),
        }
    }
    let looked = || folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(refused.unwrap_or_else(|| Error::NoProgram(looked())))
}

/// What lets somebody else than `owner` put another program in its place.
fn fault(path: &Path, owner: u32) -> Option<String> {
    for part in path.ancestors() {
        let metadata = match fs::symlink_metadata(part) {
            Ok(metadata) => metadata,
            Err(error) => return Some(error.to_string()),
        };
        // The folders above are the system's in any case.
        if metadata.uid() != owner && metadata.uid() != 0 {
            return Some(format!("{} does not belong to root", part.display()));
        }
        // In a sticky folder others can add, not replace.
        let is_sticky_folder = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
        if metadata.mode() & WRITABLE != 0 && !is_sticky_folder {
            return Some(format!("others than root can write {}", part.display()));
        }
        if part == path && (!metadata.is_file() || metadata.mode() & 0o100 == 0) {
            return Some("it is no program".to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_that_others_could_have_put_there_is_not_started() {
        let root = tempfile::tempdir().unwrap();
        let owner = fs::metadata(root.path()).unwrap().uid();
        let folders = ["one", "two"].map(|name| root.path().join(name));
        for folder in &folders {
            fs::create_dir(folder).unwrap();
            mode(folder, 0o755);
        }
        assert!(matches!(find_in(&folders, owner), Err(Error::NoProgram(_))));
        let program = folders[0].join(NAME);
        fs::write(&program, "").unwrap();
        mode(&program, 0o755);
        assert_eq!(find_in(&folders, owner).unwrap(), program.canonicalize().unwrap());
        for (path, wrong, right) in [(&program, 0o775, 0o755), (&program, 0o644, 0o755), (&folders[0], 0o777, 0o755)] {
            mode(path, wrong);
            assert!(matches!(find_in(&folders, owner), Err(Error::Program { .. })), "{path:?} {wrong:o}");
            mode(path, right);
        }
        // The next folder is asked then.
        mode(&folders[0], 0o777);
        let other = folders[1].join(NAME);
        fs::write(&other, "").unwrap();
        mode(&other, 0o755);
        assert_eq!(find_in(&folders, owner).unwrap(), other.canonicalize().unwrap());
    }
}
