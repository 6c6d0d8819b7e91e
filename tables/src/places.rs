//! The files that a query asks for by `path` and `directory`, each with the text that stands for it in a row. A table reads
//! what one exact condition names, else what any of the patterns reaches; SQLite tests all conditions on each row.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use crate::constraints::Operator;
use crate::paths::{self, Pattern};
use crate::reader::Scan;
use crate::root::{Follow, Metadata};

/// What a table goes through.
pub(crate) type Places = Box<dyn Iterator<Item = Place>>;

/// A path to show. What a query names exactly is shown as the query writes it (`/dev/`), so that the row satisfies it.
pub(crate) struct Place {
    pub path: PathBuf,
    pub shown: String,
    pub directory: String,
}

impl Place {
    fn of(path: PathBuf) -> Self {
        let directory = path.parent().map_or_else(String::new, paths::display);
        Place { shown: paths::display(&path), directory, path }
    }
}

/// The places that `path` or `directory` ask for.
pub(crate) fn asked_for(scan: &Scan) -> Places {
    if let Some(places) = exactly(scan) {
        return places;
    }
    let folders = scan.texts("directory", Operator::Equals);
    if !folders.is_empty() {
        let scan = scan.clone();
        let absolute = folders.into_iter().filter(|folder| folder.starts_with('/'));
        return Box::new(absolute.flat_map(move |directory| {
            let folder = named(&scan, &directory);
            below(&scan, folder, directory)
        }));
    }
    let (by_path, by_folder) = (patterns(scan, "path"), patterns(scan, "directory"));
    let is_one = by_path.len() + by_folder.len() == 1;
    let (expander, lister) = (scan.clone(), scan.clone());
    let files = by_path.into_iter().flat_map(move |pattern| expanded(&expander, pattern));
    let entries = by_folder.into_iter().flat_map(move |pattern| {
        let scan = lister.clone();
        expanded(&lister, pattern).flat_map(move |folder| below(&scan, folder.path, folder.shown))
    });
    once_each(files.chain(entries), is_one)
}

/// The places that `path` asks for, of a table that has no `directory`; none where the query has no condition on it.
pub(crate) fn asked_for_by_path(scan: &Scan) -> Option<Places> {
    if let Some(places) = exactly(scan) {
        return Some(places);
    }
    let patterns = patterns(scan, "path");
    if patterns.is_empty() {
        return None;
    }
    let is_one = patterns.len() == 1;
    let expander = scan.clone();
    Some(once_each(patterns.into_iter().flat_map(move |pattern| expanded(&expander, pattern)), is_one))
}

/// What lies in folders that a table reads without being asked for any.
pub(crate) fn below_each(scan: &Scan, folders: &'static [&'static str]) -> Places {
    let scan = scan.clone();
    Box::new(folders.iter().flat_map(move |folder| below(&scan, PathBuf::from(folder), (*folder).to_owned())))
}

/// The places that `path` names without a pattern, if it names any.
fn exactly(scan: &Scan) -> Option<Places> {
    let exact = scan.texts("path", Operator::Equals);
    if exact.is_empty() {
        return None;
    }
    let scan = scan.clone();
    let absolute = exact.into_iter().filter(|path| path.starts_with('/'));
    Some(Box::new(absolute.map(move |shown| {
        let path = named(&scan, &shown);
        Place { shown, ..Place::of(path) }
    })))
}

/// The file that a text names: what a table shows so, else one whose name has these very letters.
fn named(scan: &Scan, shown: &str) -> PathBuf {
    let is_there = |path: &Path| scan.source.root.metadata(path, Follow::Never).is_ok();
    let as_written = PathBuf::from(shown);
    if shown.contains('\u{fffd}') && !is_there(&as_written) {
        scan.warn(format!("{shown}: letters of this name are lost; one that is not UTF-8 is to be asked for as \\xff"));
    }
    match paths::path_of(shown) {
        path if shown.contains('\\') && !is_there(&path) && is_there(&as_written) => as_written,
        path => path,
    }
}

/// The patterns of `column`. One that begins in no folder could only mean every file there is.
fn patterns(scan: &Scan, column: &str) -> Vec<Pattern> {
    type Reading = fn(&str) -> Pattern;
    const KINDS: [(Operator, Reading); 2] = [(Operator::Like, Pattern::like), (Operator::Glob, Pattern::glob)];
    let is_absolute = |text: &String| text.starts_with('/');
    let has_absolute = ["path", "directory"]
        .iter()
        .any(|column| KINDS.iter().any(|(operator, _)| scan.texts(column, *operator).iter().any(is_absolute)));
    let mut patterns = Vec::new();
    for (operator, pattern) in KINDS {
        for text in scan.texts(column, operator) {
            if is_absolute(&text) {
                patterns.push(pattern(&text));
            } else if !has_absolute {
                scan.warn(format!("'{text}' begins in no folder: nothing is looked for but below / itself"));
                patterns.push(pattern(&text));
            }
        }
    }
    patterns
}

/// What a pattern reaches. One that ends in a slash reaches folders and shows them so, as `glob(3)` with `GLOB_MARK`.
fn expanded(scan: &Scan, pattern: Pattern) -> impl Iterator<Item = Place> + use<> {
    let asks_for_folders = pattern.ends_in_slash();
    let looker = scan.clone();
    pattern.expand(scan).filter_map(move |path| {
        let mut place = Place::of(path);
        if asks_for_folders {
            looker.metadata(&place.path, Follow::Links).filter(Metadata::is_dir)?;
            if !place.shown.ends_with('/') {
                place.shown.push('/');
            }
        }
        Some(place)
    })
}

/// What lies in a folder that is shown as `directory`.
fn below(scan: &Scan, folder: PathBuf, directory: String) -> impl Iterator<Item = Place> + use<> {
    let entries = scan.list(&folder).into_iter();
    entries.map(move |entry| Place { directory: directory.clone(), ..Place::of(folder.join(entry.name)) })
}

/// Leaves out what another pattern has reached already.
fn once_each(places: impl Iterator<Item = Place> + 'static, is_one_pattern: bool) -> Places {
    if is_one_pattern {
        return Box::new(places);
    }
    let key = RandomState::new();
    let mut seen = HashSet::new();
    Box::new(places.filter(move |place| seen.insert(key.hash_one((&place.shown, &place.directory)))))
}
