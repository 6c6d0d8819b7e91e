//! The kernel's files: procfs and sysfs, where they belong to the host's root. They come and go with what they are about.

use std::io::{self, Read};
use std::path::Path;

use super::Scan;
use super::files::{MAX_FILE_BYTES, Reader, lossy};
use crate::posix::MetadataExt;
use crate::root;

impl Scan {
    /// The text of a file of the kernel's procfs, such as `meminfo`; none for an image.
    pub fn proc(&self, path: impl AsRef<Path>) -> Option<String> {
        self.kernel_file(&self.host().proc.join(path))
    }

    /// The text of a file of the kernel's sysfs without its final newline; none for an image.
    pub fn sys(&self, path: impl AsRef<Path>) -> Option<String> {
        self.kernel_file(&self.host().sys.join(path)).map(|text| text.trim_end().to_owned())
    }

    /// The names in a folder of procfs or sysfs.
    pub fn kernel_names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let path = path.as_ref();
        if !self.host().live || !self.budget().is_open() {
            return Vec::new();
        }
        let Ok(folder) = std::fs::read_dir(path) else { return Vec::new() };
        let names = folder.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names = self.bounded(path, names, String::len);
        names.sort_unstable();
        names
    }

    /// A file about the host's network; a container with its own network sees the host's through process 1.
    pub fn net(&self, name: &str) -> Option<String> {
        self.kernel_file(&self.host().proc.join("1/net").join(name))
            .or_else(|| self.kernel_file(&self.host().proc.join("net").join(name)))
    }

    /// The bytes of a file of sysfs, such as the tables of the firmware; none for an image.
    pub fn sys_bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.kernel_bytes(&self.host().sys.join(path))
    }

    fn kernel_file(&self, path: &Path) -> Option<String> {
        self.kernel_bytes(path).map(lossy)
    }

    fn kernel_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        if !self.host().live || !self.budget().is_open() {
            return None;
        }
        let mut bytes = Vec::new();
        let read = root::open_kernel_file(path).and_then(|file| {
            Reader { file, query: self.query.clone() }.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => {
                if bytes.len() as u64 > MAX_FILE_BYTES {
                    self.warn(format!("{} is longer than 16 MiB; the rest is not read", path.display()));
                    bytes.truncate(usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX));
                }
                Some(bytes)
            }
            Err(error) => {
                self.warn_if_refused(path, &error);
                None
            }
        }
    }

    /// The kernel's files come and go with what they are about, and some can only be written: no news but a refusal to who
    /// could be another user.
    fn warn_if_refused(&self, path: &Path, error: &io::Error) {
        let is_readable = || std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o444 != 0);
        if error.kind() == io::ErrorKind::PermissionDenied && is_readable() {
            let below_proc = path.strip_prefix(&self.host().proc).ok().and_then(|below| below.iter().next());
            let is_of_a_process = below_proc.is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok());
            if is_of_a_process {
                self.warn_of_closed_processes(format!("cannot read what belongs to other processes: {error}"));
            } else {
                self.warn(format!("cannot read {}: {error}", path.display()));
            }
        }
    }
}
