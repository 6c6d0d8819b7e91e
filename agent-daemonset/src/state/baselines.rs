//! Baselines of the host's files: one for each module that keeps one. A worker reads and writes them through files that
//! this process opened; it can open none for writing itself.
//!
//! The name says of which parameters a baseline is. Where they change (other paths, or `accepted`, by which an
//! administrator says that what is there now is right) there is none yet, and a new one takes the old one's place. Beside
//! them stands which modules ever had one, so that a baseline which somebody removed is missed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tables::integrity::{BaselineFile, baseline};

use super::{Error, StateDir, UNFINISHED};

const FOLDER: &str = "baselines";
const KNOWN: &str = "baselines-known";
/// The table whose readers need one.
pub const TABLE: &str = "file_integrity";

/// The baseline of a module while it runs.
#[derive(Debug)]
pub struct Lent {
    /// The old name and the new one of what is being made; none if there is one to compare with.
    made: Option<(PathBuf, PathBuf)>,
    module: String,
}

/// Opens the baseline for a run, or a file in which the run makes one.
pub fn lend(state: &StateDir, slug: &str, parameters: &BTreeMap<String, Value>) -> Result<(BaselineFile, Lent), Error> {
    let folder = state.folder(FOLDER)?;
    let module = digest(slug.as_bytes());
    let name = format!("{module}-{}", digest(Value::from_iter(parameters.clone()).to_string().as_bytes()));
    let path = folder.join(&name);
    match File::open(&path) {
        Ok(file) => return Ok((BaselineFile::Compare(file), Lent { made: None, module })),
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::Read { path, source }),
        Err(_) => {}
    }
    let unfinished = folder.join(format!("{UNFINISHED}{name}"));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(|source| Error::Write { path: unfinished.clone(), source })?;
    let was_kept = state.read(&known(&module))?.is_some();
    let file =
        if was_kept && !has_any(&folder, &module)? { BaselineFile::Remake(file) } else { BaselineFile::Make(file) };
    Ok((file, Lent { made: Some((unfinished, path)), module }))
}

/// Whether a baseline of the module is there, of whatever parameters.
fn has_any(folder: &Path, module: &str) -> Result<bool, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        if entry.map_err(failed)?.file_name().to_string_lossy().starts_with(module) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn known(module: &str) -> String {
    format!("{KNOWN}/{module}")
}

impl Lent {
    /// Keeps what the run made if it is whole. Other baselines of the module are removed then.
    pub fn take_back(self, state: &StateDir) -> Result<(), Error> {
        let Some((unfinished, path)) = self.made else { return note(state, &self.module) };
        let failed = |source| Error::Write { path: path.clone(), source };
        let written = File::open(&unfinished).map_err(failed)?;
        if baseline::check(BufReader::new(&written)).is_err() {
            // The run says why it did not come to its end.
            return fs::remove_file(&unfinished).map_err(failed);
        }
        written.sync_all().map_err(failed)?;
        fs::rename(&unfinished, &path).map_err(failed)?;
        let folder = state.folder(FOLDER)?;
        for entry in fs::read_dir(&folder).map_err(failed)?.filter_map(Result::ok) {
            if entry.path() != path && entry.file_name().to_string_lossy().starts_with(&self.module) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        note(state, &self.module)
    }
}

/// Writes down that the module has a baseline.
fn note(state: &StateDir, module: &str) -> Result<(), Error> {
    state.folder(KNOWN)?;
    let name = known(module);
    if state.read(&name)?.is_some() { Ok(()) } else { state.write(&name, b"") }
}

/// Short, and a name whatever the text holds.
fn digest(text: &[u8]) -> String {
    hex::encode(&Sha256::digest(text)[..12])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tables::integrity::{Survey, compare};

    fn parameters(accepted: &str) -> BTreeMap<String, Value> {
        BTreeMap::from([("accepted".to_owned(), Value::from(accepted))])
    }

    fn state() -> (tempfile::TempDir, StateDir) {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        (folder, state)
    }

    /// What a worker does with the file.
    fn make(file: BaselineFile) {
        let (BaselineFile::Make(mut file) | BaselineFile::Remake(mut file)) = file else {
            panic!("there is a baseline already")
        };
        let host = tempfile::tempdir().unwrap();
        compare(host.path(), &Survey::of(["/etc"]), None, Some(&mut file), |_| {}).unwrap();
    }

    fn names(state: &StateDir) -> Vec<String> {
        fs::read_dir(state.path().join(FOLDER))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn what_a_run_made_is_compared_with_from_then_on() {
        let (_folder, state) = state();
        let (file, lent) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        make(file);
        lent.take_back(&state).unwrap();
        let (file, lent) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        assert!(matches!(file, BaselineFile::Compare(_)));
        lent.take_back(&state).unwrap();
        assert_eq!(names(&state).len(), 1);
    }

    #[test]
    fn a_baseline_that_was_removed_is_missed_once() {
        let (_folder, state) = state();
        let (file, lent) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        assert!(matches!(file, BaselineFile::Make(_)));
        make(file);
        lent.take_back(&state).unwrap();
        for name in names(&state) {
            fs::remove_file(state.path().join(FOLDER).join(name)).unwrap();
        }
        let (file, lent) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        assert!(matches!(file, BaselineFile::Remake(_)));
        make(file);
        lent.take_back(&state).unwrap();
        let (file, _) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        assert!(matches!(file, BaselineFile::Compare(_)));
        // Another module never had one.
        let (file, _) = lend(&state, "another-module", &parameters("")).unwrap();
        assert!(matches!(file, BaselineFile::Make(_)));
    }

    #[test]
    fn other_parameters_begin_a_new_baseline_that_takes_the_place_of_the_old_one() {
        let (_folder, state) = state();
        for accepted in ["", "2026-11-21"] {
            let (file, lent) = lend(&state, "linux-file-integrity", &parameters(accepted)).unwrap();
            make(file);
            lent.take_back(&state).unwrap();
        }
        let (other, _) = lend(&state, "another-module", &parameters("")).unwrap();
        make(other);
        assert_eq!(names(&state).iter().filter(|name| !name.starts_with(UNFINISHED)).count(), 1);
        let (file, _) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        assert!(matches!(file, BaselineFile::Make(_)), "the old one is gone");
    }

    #[test]
    fn what_a_run_did_not_finish_is_not_kept() {
        let (_folder, state) = state();
        let (file, lent) = lend(&state, "linux-file-integrity", &parameters("")).unwrap();
        let BaselineFile::Make(mut file) = file else { panic!("there is a baseline already") };
        io::Write::write_all(&mut file, b"TNTRBASE").unwrap();
        lent.take_back(&state).unwrap();
        assert_eq!(names(&state), [""; 0]);
    }
}
