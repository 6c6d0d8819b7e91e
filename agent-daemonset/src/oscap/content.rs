//! The content of a run: copied into the run's folder while its checksum is taken, so that what is evaluated is what was
//! looked at.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use catalog::module::ScapFile;
use catalog::scap::MAX_CONTENT_BYTES;
use sha2::{Digest, Sha256};

use super::Error;

/// Copies a file from the folder of the content to `into`, if it is the one that is meant.
pub fn take(folder: &Path, file: &ScapFile, into: &Path) -> Result<(), Error> {
    let path = folder.join(&file.name);
    let failed = |source| Error::Content { path: path.clone(), source };
    let source = match open(&path) {
        Ok(source) => source,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoContent { name: file.name.clone(), folder: folder.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    let target = OpenOptions::new().write(true).create_new(true).mode(0o400).open(into.join(&file.name));
    let found = copy(source, target.map_err(failed)?).map_err(failed)?;
    if found == file.sha256 {
        return Ok(());
    }
    Err(Error::OtherContent { path, expected: file.sha256.clone(), found })
}

/// A regular file of strangers; opening never waits.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Copies, and gives the SHA-256 of what was copied.
fn copy(source: File, mut target: File) -> io::Result<String> {
    let mut source = source.take(MAX_CONTENT_BYTES + 1);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let count = source.read(&mut chunk)?;
        if count == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        length += count as u64;
        if length > MAX_CONTENT_BYTES {
            return Err(io::Error::other(format!("it has more than {MAX_CONTENT_BYTES} bytes")));
        }
        hasher.update(&chunk[..count]);
        target.write_all(&chunk[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_content_that_is_meant_is_taken() {
        let (folder, run) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let meant = ScapFile { name: "a.xml".to_owned(), sha256: hex::encode(Sha256::digest("<a/>")) };
        assert!(matches!(take(folder.path(), &meant, run.path()), Err(Error::NoContent { .. })));
        fs::write(folder.path().join("b.xml"), "<a/>").unwrap();
        std::os::unix::fs::symlink("b.xml", folder.path().join("a.xml")).unwrap();
        assert!(matches!(take(folder.path(), &meant, run.path()), Err(Error::Content { .. })), "a link");
        fs::remove_file(folder.path().join("a.xml")).unwrap();
        fs::write(folder.path().join("a.xml"), "<a/>").unwrap();
        take(folder.path(), &meant, run.path()).unwrap();
        assert_eq!(fs::read(run.path().join("a.xml")).unwrap(), b"<a/>");

        let other = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.xml"), "<b/>").unwrap();
        let error = take(folder.path(), &meant, other.path()).unwrap_err();
        assert!(matches!(error, Error::OtherContent { .. }) && error.to_string().contains(&meant.sha256), "{error}");
    }
}
