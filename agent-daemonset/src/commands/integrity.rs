//! `integrity`: a baseline of what folders hold, and what differs from it later.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use catalog::printable::{is_unfit, printable_json, printable_line};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use tables::integrity::{Change, Content, Digest, Field, Limits, Record, Summary, Survey, baseline, compare};

use crate::cli::Outcome;
use crate::sandbox;

const PATHS: [&str; 5] = ["/boot", "/etc", "/opt", "/usr", "/root"];

/// What to do with a baseline.
#[derive(Debug, Subcommand)]
pub enum IntegrityCommand {
    /// Write a baseline of these paths
    Init(InitArgs),
    /// Tell what differs from a baseline; it stays as it is
    Check(CheckArgs),
    /// Tell what differs from a baseline, and put what is there now in its place
    Update(CheckArgs),
}

/// What a new baseline is made of.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write; keep it where only root writes, or on another machine
    baseline: PathBuf,
    /// Files and folders; without any: /boot /etc /opt /usr /root
    paths: Vec<String>,
    /// Leave out what matches, with all below it: `*` within a name, `**` for folders, such as /etc/mtab or **/__pycache__
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// How content is digested
    #[arg(long, value_enum, default_value = "sha256")]
    digest: DigestArg,
    #[command(flatten)]
    how: HowArgs,
}

/// What is compared with which baseline.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The file that `integrity init` wrote; it says which paths are meant
    baseline: PathBuf,
    /// Read also files whose inode, size, ctime and mtime are as they were
    #[arg(long)]
    full: bool,
    /// A report for people, or a JSON object for each difference and one with the figures last
    #[arg(short, long, value_enum, default_value = "text")]
    output: Form,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
struct HowArgs {
    /// The root of a mounted image or disk; paths are below it
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// Of larger files only the metadata is compared
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().file_bytes, value_parser = clap::value_parser!(u64).range(1..))]
    max_file_bytes: u64,
    /// End after this time without a result
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().time.as_secs())]
    max_seconds: u64,
}

impl HowArgs {
    fn limits(&self) -> Limits {
        Limits { time: Duration::from_secs(self.max_seconds), file_bytes: self.max_file_bytes, ..Limits::default() }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DigestArg {
    Sha256,
    Blake3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

/// Runs one of them.
pub fn integrity(command: &IntegrityCommand) -> anyhow::Result<Outcome> {
    match command {
        IntegrityCommand::Init(args) => init(args),
        IntegrityCommand::Check(args) => check(args, false),
        IntegrityCommand::Update(args) => check(args, true),
    }
}

fn init(args: &InitArgs) -> anyhow::Result<Outcome> {
    let paths = if args.paths.is_empty() { PATHS.map(str::to_owned).to_vec() } else { args.paths.clone() };
    let digest = match args.digest {
        DigestArg::Sha256 => Digest::Sha256,
        DigestArg::Blake3 => Digest::Blake3,
    };
    let survey = Survey { excludes: args.exclude.clone(), digest, limits: args.how.limits(), ..Survey::of(paths) };
    // Also a link that points to nothing: what it is called would not be what was written.
    if args.baseline.symlink_metadata().is_ok() {
        bail!(
            "{} is there already; see what changed with `integrity check`, accept it with `integrity update`, or remove \
             the file",
            args.baseline.display()
        );
    }
    let mut new = NewFile::beside(&args.baseline, &survey, &args.how.root)?;
    let summary = compare(&args.how.root, &survey, None, Some(&mut new.file), |_| {})?;
    if let Some(path) = summary.missing.first().filter(|_| !args.paths.is_empty() || summary.entries == 0) {
        bail!("{} is not there, so nothing would be known of it; name paths that are", shown(&path.to_string_lossy()));
    }
    new.keep()?;
    let mut output = io::stdout().lock();
    writeln!(
        output,
        "{} written: {} entries, {} files, {} MiB read in {:.1} s",
        args.baseline.display(),
        summary.entries,
        summary.files,
        summary.bytes_read >> 20,
        summary.elapsed.as_secs_f64()
    )?;
    gaps(&mut output, &summary)?;
    Ok(Outcome::Done)
}

fn check(args: &CheckArgs, updates: bool) -> anyhow::Result<Outcome> {
    let name = args.baseline.display();
    let mut previous = File::open(&args.baseline)
        .with_context(|| format!("cannot open the baseline {name}; `integrity init` writes one"))?;
    // To its end before anything is told: who can write there must not choose what is said.
    let made = baseline::check(io::BufReader::with_capacity(256 << 10, &previous))?;
    previous.rewind()?;
    let survey = Survey { reads_all: args.full, limits: args.how.limits(), ..made.survey() };
    let mut new = if updates {
        // A link stays one, and what it points to is brought up to date.
        let place = args.baseline.canonicalize().with_context(|| format!("cannot open the baseline {name}"))?;
        Some(NewFile::beside(&place, &survey, &args.how.root)?)
    } else {
        None
    };
    if !updates {
        sandbox::confine_reader()?;
    }
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut told = Ok(());
    let record = new.as_mut().map(|new| &mut new.file as &mut dyn Write);
    let summary = compare(&args.how.root, &survey, Some(&mut previous), record, |change| {
        if told.is_ok() {
            told = match args.output {
                Form::Text => line(&mut output, &change),
                Form::Json => writeln!(output, "{}", printable_json(&object(&change, survey.digest).to_string())),
            };
        }
    })?;
    told?;
    match args.output {
        Form::Text => {
            writeln!(
                output,
                "{} entries in {:.1} s: {} added, {} removed, {} changed",
                summary.entries,
                summary.elapsed.as_secs_f64(),
                summary.added,
                summary.removed,
                summary.changed
            )?;
            gaps(&mut output, &summary)?;
        }
        Form::Json => writeln!(output, "{}", printable_json(&figures(&summary).to_string()))?,
    }
    output.flush()?;
    if let Some(new) = new {
        new.keep()?;
    }
    Ok(if updates { Outcome::Done } else { outcome(&summary) })
}

/// What was not looked at is not known to be as it was.
fn outcome(summary: &Summary) -> Outcome {
    if summary.added + summary.removed + summary.changed > 0 {
        Outcome::Findings
    } else if summary.gap_count > 0 || summary.entries == 0 {
        Outcome::Incomplete
    } else {
        Outcome::Done
    }
}

/// A baseline that is being written beside the one it becomes: that one is there whole, old or new, at every moment.
struct NewFile {
    file: File,
    path: PathBuf,
    becomes: PathBuf,
    is_kept: bool,
}

impl NewFile {
    /// Opens it, and forbids this process to write anywhere else.
    fn beside(baseline: &Path, survey: &Survey, root: &Path) -> anyhow::Result<Self> {
        let Some(name) = baseline.file_name() else { bail!("{} is no name of a file", baseline.display()) };
        let folder = match baseline.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot write a baseline in {}; make that folder first", folder.display()))?;
        let becomes = folder.join(name);
        refuse_inside(&becomes, survey, root)?;
        let mut new_name = name.to_owned();
        new_name.push(".new");
        let path = folder.join(new_name);
        // What an attempt left behind goes, and a link that somebody put there: nothing is written through it.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        // It says what is on the host, and who can change it can hide what changed.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o600))?;
        if sandbox::has_landlock() {
            sandbox::confine_daemon(&folder, None)?;
        }
        Ok(Self { file, path, becomes, is_kept: false })
    }

    fn keep(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.becomes)?;
        self.is_kept = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // What is left is without use; the next attempt writes over it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A baseline in a folder that it is about would differ from itself.
fn refuse_inside(baseline: &Path, survey: &Survey, root: &Path) -> anyhow::Result<()> {
    let root = root.canonicalize().with_context(|| format!("cannot survey {}", root.display()))?;
    let Ok(below) = baseline.strip_prefix(&root) else { return Ok(()) };
    let below = Path::new("/").join(below);
    // A path may lead through links; what it leads to is compared then.
    let leads_to = |path: &str| root.join(path.trim_start_matches('/')).canonicalize();
    let holds = |path: &str| below.starts_with(path) || leads_to(path).is_ok_and(|path| baseline.starts_with(path));
    if let Some(path) = survey.paths.iter().find(|path| holds(path)) {
        bail!("the baseline lies in {path}, which it is about; write it to another folder");
    }
    Ok(())
}

fn gaps(output: &mut impl Write, summary: &Summary) -> io::Result<()> {
    for path in &summary.missing {
        writeln!(output, "Not there: {}", shown(&path.to_string_lossy()))?;
    }
    if summary.gap_count == 0 {
        return Ok(());
    }
    writeln!(output, "Not known, {} in all:", summary.gap_count)?;
    for gap in &summary.gaps {
        writeln!(output, "  {}: {}", shown(&gap.path), printable_line(&gap.reason))?;
    }
    Ok(())
}

/// A name is whatever who made the file chose: it must not steer a terminal.
fn shown(path: &str) -> String {
    if path.contains(is_unfit) { format!("{path:?}") } else { path.to_owned() }
}

fn line(output: &mut impl Write, change: &Change) -> io::Result<()> {
    write!(output, "{:8} {}", change.kind.as_str(), shown(&change.path_text()))?;
    if let (Some(before), Some(after)) = (&change.before, &change.after) {
        let parts: Vec<String> = change.fields.iter().map(|field| difference(*field, before, after)).collect();
        write!(output, "  {}", parts.join(", "))?;
    }
    writeln!(output)
}

fn difference(field: Field, before: &Record, after: &Record) -> String {
    let name = field.as_str();
    match field {
        Field::Kind => format!("{name} {} → {}", before.kind.as_str(), after.kind.as_str()),
        Field::Mode => format!("{name} {:04o} → {:04o}", before.mode, after.mode),
        Field::Owner => format!("{name} {} → {}", before.uid, after.uid),
        Field::Group => format!("{name} {} → {}", before.gid, after.gid),
        Field::Size => format!("{name} {} → {}", before.size, after.size),
        Field::Target => format!("{name} {} → {}", target(before), target(after)),
        Field::Device => format!("{name} {} → {}", device(before), device(after)),
        Field::Content | Field::Attributes | Field::Modified => name.to_owned(),
    }
}

fn target(record: &Record) -> String {
    match &record.content {
        Content::Target(target) => shown(&String::from_utf8_lossy(target)),
        _ => String::new(),
    }
}

fn device(record: &Record) -> String {
    match record.content {
        Content::Device(number) => format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number)),
        _ => String::new(),
    }
}

fn object(change: &Change, digest: Digest) -> Value {
    let fields: Vec<&str> = change.fields.iter().map(|field| field.as_str()).collect();
    json!({
        "path": change.path_text(),
        "change": change.kind.as_str(),
        "fields": fields,
        "before": change.before.as_ref().map(|record| side(record, digest)),
        "after": change.after.as_ref().map(|record| side(record, digest)),
    })
}

fn side(record: &Record, digest: Digest) -> Value {
    let mut side = Map::new();
    side.insert("type".into(), record.kind.as_str().into());
    side.insert("mode".into(), format!("{:04o}", record.mode).into());
    side.insert("uid".into(), record.uid.into());
    side.insert("gid".into(), record.gid.into());
    side.insert("size".into(), record.size.into());
    side.insert("mtime".into(), record.modified.0.into());
    match &record.content {
        Content::Digest(content, _) => {
            side.insert(digest.as_str().into(), hex::encode(content).into());
        }
        Content::Target(_) => {
            side.insert("target".into(), target(record).into());
        }
        Content::Device(_) => {
            side.insert("device".into(), device(record).into());
        }
        Content::None | Content::Unknown => {}
    }
    Value::Object(side)
}

fn figures(summary: &Summary) -> Value {
    let gaps: Vec<Value> = summary.gaps.iter().map(|gap| json!({ "path": gap.path, "reason": gap.reason })).collect();
    json!({
        "entries": summary.entries,
        "files": summary.files,
        "files_read": summary.files_read,
        "bytes_read": summary.bytes_read,
        "added": summary.added,
        "removed": summary.removed,
        "changed": summary.changed,
        "gap_count": summary.gap_count,
        "gaps": gaps,
        "missing": summary.missing.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "seconds": summary.elapsed.as_secs_f64(),
    })
}
