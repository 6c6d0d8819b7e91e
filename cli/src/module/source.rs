//! Where modules come from: the catalog in this program, or a folder that somebody works on.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use catalog::framework::Framework;
use catalog::{Catalog, Entry, Problems};

/// Folders of a catalog lie two levels deep.
pub const MODULES: &str = "modules";
/// The folder beside it.
const FRAMEWORKS: &str = "frameworks";

/// What is wrong with modules or their names.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalog that is compiled in: a bug.
    #[error("the catalog in this program is broken; get another release:\n{0}")]
    Embedded(Problems),
    /// A file or folder cannot be read.
    #[error("{} cannot be read ({source}): give the folder that holds modules/ and frameworks/", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of another engine cannot be read.
    #[error("{} cannot be read ({source}): give a file that this account may read", path.display())]
    ReadSource {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{} cannot be written ({source}): give a --dir where this account may write", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of another engine that cannot be brought over.
    #[error("nothing was written:\n{0}")]
    Import(Problems),
    /// A framework of this program: a bug.
    #[error("a framework of this program cannot be written: {0}")]
    Framework(#[source] serde_json::Error),
    /// The SQL engine.
    #[error("the SQL engine does not start ({0})")]
    Engine(String),
    /// A version that has to be named in full.
    #[error("'{0}' names no version: write slug@version, such as linux-cron@1.0.0")]
    NoVersion(String),
    /// There is nothing in it.
    #[error("{} holds no modules: give the folder that holds modules/ and frameworks/", .0.display())]
    NoModules(PathBuf),
    /// Files that cannot be used.
    #[error("the files in {} have to be corrected:\n{problems}", path.display())]
    Files {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        problems: Problems,
    },
    /// A name that no module has.
    #[error("there is no module '{name}'{}: `tenantra module list` shows those there are", near(similar.as_deref()))]
    Unknown {
        /// What was asked for.
        name: String,
        /// A module that is called much the same.
        similar: Option<String>,
    },
    /// A check that the module does not have.
    #[error("{module} has no check '{check}': `tenantra module show {module}` lists them")]
    UnknownCheck {
        /// The module.
        module: String,
        /// What was asked for.
        check: String,
    },
    /// A filter that can match nothing.
    #[error("there is no {kind} '{name}': write one of {known}")]
    UnknownFilter {
        /// `category` or `framework`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
}

fn near(similar: Option<&str>) -> String {
    similar.map(|name| format!(", but '{name}'")).unwrap_or_default()
}

/// Most bytes of a file of a catalog; the largest that ships has a hundredth of it.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// Opens a file of at most so many bytes. To open a pipe would wait for whoever writes to it.
pub fn plain_file(path: &Path, most: u64) -> io::Result<std::fs::File> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is a folder, a pipe or a device and no plain file"));
    }
    if metadata.len() > most {
        return Err(io::Error::other(format!("it has {} bytes, more than {most}", metadata.len())));
    }
    std::fs::File::open(path)
}

/// Reads such a file; what grows meanwhile is cut.
fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain_file(path, MAX_FILE_BYTES)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The catalog in this program.
pub fn embedded() -> Result<Catalog, Error> {
    Catalog::embedded().map_err(Error::Embedded)
}

/// The slug and version of `slug@version`.
pub fn reference(name: &str) -> Result<(&str, &str), Error> {
    name.split_once('@').ok_or_else(|| Error::NoVersion(name.to_owned()))
}

/// The files of a catalog's folder, each with its path below `frameworks/` or `modules/`.
#[derive(Debug, Clone)]
pub struct Files {
    /// `<slug>.yaml`.
    pub frameworks: Vec<(String, Vec<u8>)>,
    /// `<category>/<slug>@<version>.yaml`.
    pub modules: Vec<(String, Vec<u8>)>,
    /// What looks like one of them and is not read: its path below the folder, and why.
    pub unread: Vec<(String, &'static str)>,
}

impl Files {
    /// Reads them.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut files = Self { frameworks: Vec::new(), modules: Vec::new(), unread: Vec::new() };
        let unread = collect(&folder.join(MODULES), "", &mut files.modules)?;
        files.unread.extend(unread.into_iter().map(|(name, why)| (format!("{MODULES}/{name}"), why)));
        let own = folder.join(FRAMEWORKS);
        if own.is_dir() {
            let unread = collect(&own, "", &mut files.frameworks)?;
            files.unread.extend(unread.into_iter().map(|(name, why)| (format!("{FRAMEWORKS}/{name}"), why)));
        } else {
            files.frameworks = Self::frameworks(folder)?;
        }
        if files.modules.is_empty() { Err(Error::NoModules(folder.to_owned())) } else { Ok(files) }
    }

    /// Those of its frameworks; a folder without any is read with those of this program.
    pub fn frameworks(folder: &Path) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let own = folder.join(FRAMEWORKS);
        if own.is_dir() {
            let mut frameworks = Vec::new();
            collect(&own, "", &mut frameworks)?;
            return Ok(frameworks);
        }
        // JSON is YAML too.
        let written = |framework: &Framework| {
            let bytes = serde_json::to_vec(framework).map_err(Error::Framework)?;
            Ok((format!("{}.yaml", framework.slug), bytes))
        };
        embedded()?.frameworks().map(written).collect()
    }

    /// The catalog they make.
    pub fn catalog(self) -> Result<Catalog, Problems> {
        Catalog::load(self.frameworks, self.modules)
    }
}

/// Adds the files of a folder and of those in it, and gives what was passed over and looks as if it were meant.
fn collect(
    folder: &Path,
    prefix: &str,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<Vec<(String, &'static str)>, Error> {
    let mut unread = Vec::new();
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    };
    let mut entries: Vec<_> =
        folder.read_dir().map_err(failed(folder))?.collect::<Result<_, _>>().map_err(failed(folder))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(failed(&path))?;
        let ends_in = |wanted: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
        let is_meant = ends_in("yaml") || ends_in("yml");
        if kind.is_dir() && prefix.is_empty() {
            unread.extend(collect(&path, &format!("{name}/"), files)?);
        } else if kind.is_dir() {
            unread.push((name, "lies too deep to be read: write <category>/<slug>@<version>.yaml"));
        } else if kind.is_symlink() && (is_meant || path.is_dir()) {
            unread.push((name, "is a link, which is not read: put the file itself here"));
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "yaml") {
            files.push((name, read_plain(&path).map_err(failed(&path))?));
        } else if is_meant {
            unread.push((name, "is not read: a module is a plain file whose name ends in .yaml"));
        }
    }
    Ok(unread)
}

/// The catalog of `folder`, or the one in this program.
pub fn open(folder: Option<&Path>) -> Result<Catalog, Error> {
    match folder {
        None => embedded(),
        Some(folder) => {
            Files::read(folder)?.catalog().map_err(|problems| Error::Files { path: folder.to_owned(), problems })
        }
    }
}

/// The module that `name` means: `slug`, or `slug@version`.
pub fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Entry, Error> {
    let (slug, version) = name.split_once('@').map_or((name, None), |(slug, version)| (slug, Some(version)));
    catalog.module(slug, version).ok_or_else(|| {
        let mut slugs = catalog.latest().map(|entry| entry.module.slug.as_str());
        let similar = slugs.find(|known| *known == slug || known.contains(slug) || slug.contains(known));
        let similar =
            similar.or_else(|| catalog.latest().map(|e| e.module.slug.as_str()).find(|known| is_near(known, slug)));
        Error::Unknown { name: name.to_owned(), similar: similar.map(str::to_owned) }
    })
}

/// Whether one is the other with at most two letters changed, left out or added.
fn is_near(a: &str, b: &str) -> bool {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()] <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
        for (a, b, near) in
            [("linux-cron", "linux-corn", true), ("linux-cron", "linux-crn", true), ("linux-cron", "linux-sudo", false)]
        {
            assert_eq!(is_near(a, b), near, "{a} {b}");
        }
    }

    #[test]
    fn a_pipe_and_a_file_without_end_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, large) = (folder.path().join("pipe"), folder.path().join("large"));
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::fs::File::create(&large).unwrap().set_len(800 << 20).unwrap();
        for (path, word) in
            [(&pipe, "no plain file"), (&large, "more than"), (&folder.path().to_owned(), "no plain file")]
        {
            let error = plain_file(path, MAX_FILE_BYTES).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn what_looks_like_a_module_and_is_not_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(MODULES).join(name);
        std::fs::create_dir_all(at("identity/deep")).unwrap();
        for name in ["identity/a@1.0.0.yaml", "identity/b@1.0.0.yml", "identity/c@1.0.0.YAML", "identity/README.md"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("identity/a@1.0.0.yaml"), at("identity/d@1.0.0.yaml")).unwrap();
        std::os::unix::fs::symlink(at("identity"), at("network")).unwrap();
        let files = Files::read(folder.path()).unwrap();
        let unread: Vec<&str> = files.unread.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            unread,
            [
                "modules/identity/b@1.0.0.yml",
                "modules/identity/c@1.0.0.YAML",
                "modules/identity/d@1.0.0.yaml",
                "modules/identity/deep",
                "modules/network",
            ]
        );
        assert_eq!(files.modules.len(), 1);
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_one_that_was_meant() {
        let catalog = embedded().unwrap();
        let first = catalog.latest().next().unwrap().module.slug.clone();
        assert_eq!(find(&catalog, &first).unwrap().module.slug, first);
        let error = find(&catalog, &first[..first.len() - 1]).unwrap_err().to_string();
        assert!(error.contains(&format!("but '{first}'")), "{error}");
        assert!(find(&catalog, &format!("{first}@99.0.0")).is_err());
    }
}
