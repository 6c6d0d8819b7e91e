//! The baseline that an agent keeps of its host, as the table `file_integrity` sees it.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use super::compare::{Summary, compare_in};
use super::{Change, Error, Made, Survey};
use crate::root::Root;

/// Differences that are kept of one comparison, and the bytes of their paths; a host with more was changed as a whole.
const MAX_CHANGES: usize = 10_000;
const MAX_PATH_BYTES: usize = 4 << 20;

/// What is to be done with the baseline.
#[derive(Debug)]
pub enum BaselineFile {
    /// There is none: what is there now is written to this file.
    Make(File),
    /// There is none, and there was one: the same, and it is told that nothing was compared.
    Remake(File),
    /// What is there now is compared with this file.
    Compare(File),
}

/// What one comparison found.
#[derive(Debug)]
pub struct Differences {
    /// The first of them, in the order of the walk.
    pub changes: Vec<Change>,
    /// There were more.
    pub is_cut: bool,
    /// The baseline was gone and is made anew.
    pub is_anew: bool,
    /// The figures.
    pub summary: Summary,
}

/// The baseline of a run. The comparison is made once, whatever number of queries ask for it.
#[derive(Debug)]
pub struct Kept {
    file: Mutex<Option<BaselineFile>>,
    done: Mutex<Option<(Made, Arc<Differences>)>>,
}

impl Kept {
    /// Works with this file.
    pub fn new(file: BaselineFile) -> Self {
        Self { file: Mutex::new(Some(file)), done: Mutex::default() }
    }

    /// What differs, or what this run found before if it was asked for the same.
    pub(crate) fn differences(&self, root: &Root, survey: &Survey) -> Result<Arc<Differences>, Error> {
        let made = Made::of(survey);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, differences)) = &*done {
            return if *before == made {
                Ok(Arc::clone(differences))
            } else {
                Err(Error::Other { made: before.to_string(), asked: made.to_string() })
            };
        }
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        let file =
            file.ok_or_else(|| Error::Baseline("an earlier query of this run did not come to its end".to_owned()))?;
        let mut changes = Vec::new();
        let mut is_cut = false;
        let mut path_bytes = 0;
        let tell = |change: Change| {
            path_bytes +=
                [&change.before, &change.after].into_iter().flatten().map(|one| one.path.len()).sum::<usize>();
            if changes.len() < MAX_CHANGES && path_bytes <= MAX_PATH_BYTES {
                changes.push(change);
            } else {
                is_cut = true;
            }
        };
        let is_anew = matches!(file, BaselineFile::Remake(_));
        let summary = match file {
            BaselineFile::Make(mut file) | BaselineFile::Remake(mut file) => {
                compare_in(root, survey, None, Some(&mut file), tell)?
            }
            BaselineFile::Compare(mut file) => compare_in(root, survey, Some(&mut file), None, tell)?,
        };
        let differences = Arc::new(Differences { changes, is_cut, is_anew, summary });
        *done = Some((made, Arc::clone(&differences)));
        Ok(differences)
    }
}
