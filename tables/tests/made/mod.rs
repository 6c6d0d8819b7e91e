//! A host that a test makes: files below a folder, with the kernel's own files beside them if it is to look alive.
#![allow(dead_code)] // each test file uses its part

use std::path::PathBuf;

use tables::{Engine, Host, Limits, Parameters, QueryOutput};

pub struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    pub fn new() -> Self {
        Made { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    pub fn with(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    pub fn with_link(self, path: &str, target: &str) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    /// Without a kernel: a mounted disk.
    pub fn image(&self) -> Engine {
        Engine::open(Host::image(self.folder.path()), Limits::default()).unwrap()
    }

    /// With the kernel whose files lie in `/proc` and `/sys` of the folder.
    pub fn running(&self) -> Engine {
        let image = Host::image(self.folder.path());
        let host = Host { live: true, proc: self.path("/proc"), sys: self.path("/sys"), ..image };
        Engine::open(host, Limits::default()).unwrap()
    }
}

pub fn ask(engine: &Engine, sql: &str) -> QueryOutput {
    engine.query(sql, &Parameters::new()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// The rows as text, cells joined with `|`.
pub fn lines(output: &QueryOutput) -> Vec<String> {
    output.rows.iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")).collect()
}
