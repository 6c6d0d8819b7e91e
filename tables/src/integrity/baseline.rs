//! A baseline: what a tree held, one record an entry, in the order of the walk.
//!
//! The file is `TNTRBASE`, a version, JSON that says of what it was made, the records with the beginning of each path
//! that is the same as in the last one left out, a count, and the SHA-256 of all before it. A reader that has come to the
//! end knows that nothing was cut off or changed.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::{Error, Survey};

const MAGIC: &[u8; 8] = b"TNTRBASE";
const VERSION: u64 = 1;
/// A path is at most 4 KiB for the kernel; a walk below open folders can reach deeper ones.
const MAX_PATH_BYTES: u64 = 64 << 10;
const MAX_MADE_BYTES: u64 = 1 << 20;
const RECORD: u8 = 1;
const END: u8 = 0;

/// Of what a baseline is made; only surveys of the same can be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// How content is digested.
    pub digest: Digest,
    /// The paths, sorted.
    pub paths: Vec<String>,
    /// The excludes, sorted.
    pub excludes: Vec<String>,
}

impl Made {
    /// What a survey makes.
    pub fn of(survey: &Survey) -> Self {
        let mut made = Self { digest: survey.digest, paths: survey.paths.clone(), excludes: survey.excludes.clone() };
        for list in [&mut made.paths, &mut made.excludes] {
            list.sort_unstable();
            list.dedup();
        }
        made
    }

    /// The survey that makes the same.
    pub fn survey(self) -> Survey {
        Survey { digest: self.digest, excludes: self.excludes, ..Survey::of(self.paths) }
    }
}

impl std::fmt::Display for Made {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} by {}", self.paths.join(" "), self.digest.as_str())?;
        if self.excludes.is_empty() { Ok(()) } else { write!(formatter, " without {}", self.excludes.join(" ")) }
    }
}

/// How content is digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// What package databases and other tools can be compared with.
    Sha256,
    /// Faster where the processor has no instructions for SHA.
    Blake3,
}

impl Digest {
    /// The name as it is written in options and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    File,
    Folder,
    Link,
    Fifo,
    Socket,
    Character,
    Block,
}

impl Kind {
    const ALL: [Self; 7] =
        [Self::File, Self::Folder, Self::Link, Self::Fifo, Self::Socket, Self::Character, Self::Block];

    /// The name as it is written in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "regular",
            Self::Folder => "directory",
            Self::Link => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Character => "character",
            Self::Block => "block",
        }
    }
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing that could be compared: a folder, a socket.
    None,
    /// The digest of a file, and that of its capabilities and access list (zeros: it has neither).
    Digest([u8; 32], [u8; 16]),
    /// Where a link points.
    Target(Vec<u8>),
    /// The number of a device.
    Device(u64),
    /// A file that could not be read, or is larger than the limit.
    Unknown,
}

/// A moment as the file system tells it: seconds since 1970 and nanoseconds.
pub type Moment = (i64, u32);

/// What is known of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Absolute, below the root that was surveyed.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions with the set-id and sticky bits.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Last change of the content.
    pub modified: Moment,
    /// Last change of content or metadata, by the kernel.
    pub changed: Moment,
    /// Number in its file system.
    pub inode: u64,
    /// Whether the content was read long enough after its last change that a later one must show in `changed`.
    pub is_settled: bool,
    /// What it holds.
    pub content: Content,
}

/// Writes a baseline, record by record.
pub struct Writer<W: Write> {
    out: Hashing<W>,
    last: Vec<u8>,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a baseline.
    pub fn new(out: W, made: &Made) -> io::Result<Self> {
        let mut out = Hashing { inner: out, hash: sha2::Sha256::new() };
        out.write_all(MAGIC)?;
        put(&mut out, VERSION)?;
        put_bytes(&mut out, &serde_json::to_vec(made)?)?;
        Ok(Self { out, last: Vec::new(), count: 0 })
    }

    /// Adds a record; it must come after the last one in the order of the walk.
    pub fn add(&mut self, record: &Record) -> io::Result<()> {
        let same = self.last.iter().zip(&record.path).take_while(|(left, right)| left == right).count();
        let out = &mut self.out;
        out.write_all(&[RECORD])?;
        put(out, same as u64)?;
        put_bytes(out, &record.path[same..])?;
        out.write_all(&[record.kind as u8, u8::from(record.is_settled)])?;
        put(out, record.mode.into())?;
        put(out, record.uid.into())?;
        put(out, record.gid.into())?;
        put(out, record.size)?;
        put(out, record.inode)?;
        put_moment(out, record.modified)?;
        put_moment(out, record.changed)?;
        match &record.content {
            Content::None => out.write_all(&[0])?,
            Content::Digest(digest, attributes) => {
                out.write_all(&[1])?;
                out.write_all(digest)?;
                out.write_all(attributes)?;
            }
            Content::Target(target) => {
                out.write_all(&[2])?;
                put_bytes(out, target)?;
            }
            Content::Unknown => out.write_all(&[3])?,
            Content::Device(number) => {
                out.write_all(&[4])?;
                put(out, *number)?;
            }
        }
        self.last.clone_from(&record.path);
        self.count += 1;
        Ok(())
    }

    /// Ends the baseline. Without it a reader refuses what was written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(&[END])?;
        put(&mut self.out, self.count)?;
        let digest = self.out.hash.finalize();
        self.out.inner.write_all(&digest)?;
        self.out.inner.flush()
    }
}

/// Reads a baseline, record by record.
pub struct Reader<R: Read> {
    input: Hashed<R>,
    made: Made,
    last: Vec<u8>,
    count: u64,
    is_at_end: bool,
}

impl<R: Read> Reader<R> {
    /// Begins to read; an error if it is no baseline of a version that is known.
    pub fn new(input: R) -> Result<Self, Error> {
        let mut input = Hashed { inner: input, hash: sha2::Sha256::new() };
        let mut magic = [0; 8];
        input.fill(&mut magic)?;
        if &magic != MAGIC {
            return Err(damaged("it does not begin as a baseline does"));
        }
        let version = input.number()?;
        if version != VERSION {
            return Err(Error::Baseline(format!("it has version {version}, this program knows {VERSION}")));
        }
        let made = serde_json::from_slice(&input.bytes(MAX_MADE_BYTES)?)
            .map_err(|error| Error::Baseline(format!("it does not say of what it is made: {error}")))?;
        Ok(Self { input, made, last: Vec::new(), count: 0, is_at_end: false })
    }

    /// Of what it was made.
    pub const fn made(&self) -> &Made {
        &self.made
    }

    /// The next record; none at the end, where the digest of the whole was right.
    pub fn read(&mut self) -> Result<Option<Record>, Error> {
        if self.is_at_end {
            return Ok(None);
        }
        match self.input.byte()? {
            RECORD => {}
            END => {
                self.end()?;
                return Ok(None);
            }
            _ => return Err(damaged("a record does not begin as one does")),
        }
        let same = usize::try_from(self.input.number()?).unwrap_or(usize::MAX);
        let rest = self.input.bytes(MAX_PATH_BYTES)?;
        let mut path = self.last.get(..same).ok_or_else(|| damaged("a path is wrong"))?.to_vec();
        path.extend(rest);
        if !self.last.is_empty() && super::order::of_paths(&self.last, &path).is_ge() {
            return Err(damaged("its paths are not in order"));
        }
        let record = self.input.record(path)?;
        self.last.clone_from(&record.path);
        self.count += 1;
        Ok(Some(record))
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.input.number()? != self.count {
            return Err(damaged("records are missing"));
        }
        let digest = self.input.hash.clone().finalize();
        let mut written = [0; 32];
        self.input.fill(&mut written)?;
        if digest.as_slice() != written {
            return Err(damaged("its content does not match its digest"));
        }
        self.is_at_end = true;
        Ok(())
    }
}

/// Reads a baseline to its end, and gives of what it was made: nothing of it was cut off or changed.
pub fn check(input: impl Read) -> Result<Made, Error> {
    let mut reader = Reader::new(input)?;
    while reader.read()?.is_some() {}
    Ok(reader.made)
}

fn damaged(why: &str) -> Error {
    Error::Baseline(why.to_owned())
}

struct Hashing<W> {
    inner: W,
    hash: sha2::Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// LEB128.
fn put(out: &mut impl Write, mut value: u64) -> io::Result<()> {
    let mut bytes = [0; 10];
    let mut length = 0;
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes[length] = if value == 0 { low } else { low | 0x80 };
        length += 1;
        if value == 0 {
            return out.write_all(&bytes[..length]);
        }
    }
}

fn put_bytes(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    put(out, bytes.len() as u64)?;
    out.write_all(bytes)
}

fn put_moment(out: &mut impl Write, (seconds, nanoseconds): Moment) -> io::Result<()> {
    out.write_all(&seconds.to_le_bytes())?;
    out.write_all(&nanoseconds.to_le_bytes())
}

struct Hashed<R> {
    inner: R,
    hash: sha2::Sha256,
}

impl<R: Read> Hashed<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it is cut off"),
            _ => Error::Io(error),
        })?;
        self.hash.update(&*bytes);
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            value |= low << shift;
            if (low << shift) >> shift != low {
                break;
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too large"))
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        T::try_from(self.number()?).map_err(|_| damaged("a number is too large"))
    }

    fn bytes(&mut self, most: u64) -> Result<Vec<u8>, Error> {
        let length = self.number()?;
        if length > most {
            return Err(damaged("a text is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn moment(&mut self) -> Result<Moment, Error> {
        let (mut seconds, mut nanoseconds) = ([0; 8], [0; 4]);
        self.fill(&mut seconds)?;
        self.fill(&mut nanoseconds)?;
        Ok((i64::from_le_bytes(seconds), u32::from_le_bytes(nanoseconds)))
    }

    fn record(&mut self, path: Vec<u8>) -> Result<Record, Error> {
        let kind = usize::from(self.byte()?);
        Ok(Record {
            path,
            kind: *Kind::ALL.get(kind).ok_or_else(|| damaged("an entry is of no known kind"))?,
            is_settled: self.byte()? == 1,
            mode: self.small()?,
            uid: self.small()?,
            gid: self.small()?,
            size: self.number()?,
            inode: self.number()?,
            modified: self.moment()?,
            changed: self.moment()?,
            content: match self.byte()? {
                0 => Content::None,
                1 => {
                    let (mut digest, mut attributes) = ([0; 32], [0; 16]);
                    self.fill(&mut digest)?;
                    self.fill(&mut attributes)?;
                    Content::Digest(digest, attributes)
                }
                2 => Content::Target(self.bytes(MAX_PATH_BYTES)?),
                3 => Content::Unknown,
                4 => Content::Device(self.number()?),
                _ => return Err(damaged("an entry has no known content")),
            },
        })
    }
}
