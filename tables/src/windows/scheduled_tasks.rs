//! `scheduled_tasks`: the task scheduler's jobs of a Windows image: their definitions from `System32\Tasks`, when they ran last
//! from the registry. When one runs next only a running scheduler knows.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::paths;
use crate::posix::FileType;
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::{u32_of, u64_of, unix_time};
use crate::windows::machine::{Entry, Machine};
use crate::windows::task::{self, Task};

table! {
    /// Tasks of a Windows image's scheduler.
    scheduled_tasks {
        name: Text,
        action: Text,
        path: Text,
        enabled: Integer,
        state: Text,
        hidden: Integer,
        last_run_time: BigInt,
        next_run_time: BigInt,
        last_run_message: Text,
        last_run_code: Text,
    }
}

/// Folders in each other, and tasks in all: the scheduler's own are about 200.
const MAX_DEPTH: usize = 32;
const MAX_TASKS: usize = 20_000;
const CACHE: &str = r"Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache";

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let found = all(&machine);
    let cache = machine.software(CACHE);
    Box::new(found.map(move |task| to_row(task, cache.as_ref())))
}

/// A task with the name that its file has.
#[derive(Debug, Clone)]
pub(crate) struct NamedTask {
    /// Below the folder of tasks, with backslashes: `\Microsoft\Windows\Defrag\ScheduledDefrag`.
    pub path: String,
    pub task: Task,
}

impl NamedTask {
    pub fn name(&self) -> &str {
        self.path.rsplit('\\').next().unwrap_or_default()
    }

    /// The programs as osquery joins them: folder, program, arguments.
    pub fn action(&self) -> String {
        let commands = self.task.commands.iter();
        commands.map(|one| format!("{} {} {}", one.folder, one.program, one.arguments)).collect::<Vec<_>>().join(",")
    }
}

/// The tasks that have a file, read one at a time.
pub(crate) fn all(machine: &Rc<Machine>) -> impl Iterator<Item = NamedTask> + use<> {
    let machine = Rc::clone(machine);
    let warner = machine.scan().clone();
    let mut waiting: Vec<(PathBuf, String, usize)> =
        machine.below(&["System32", "Tasks"]).map(|folder| (folder, String::new(), 0)).into_iter().collect();
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    let tasks = std::iter::from_fn(move || {
        loop {
            if let Some((file, path)) = files.pop() {
                if let Some(task) = read(machine.scan(), &file) {
                    return Some(NamedTask { path, task });
                }
                continue;
            }
            let (folder, path, depth) = waiting.pop()?;
            // Reversed, so that both stacks give them in order.
            for entry in machine.scan().list(&folder).into_iter().rev() {
                let (below, path) = (folder.join(&entry.name), format!(r"{path}\{}", paths::name(&entry.name)));
                let kind = match entry.kind {
                    FileType::Unknown => machine.scan().metadata(&below, Follow::Never).map(|found| found.kind),
                    kind => Some(kind),
                };
                match kind {
                    Some(FileType::Directory) if depth < MAX_DEPTH => waiting.push((below, path, depth + 1)),
                    Some(FileType::Directory) => {
                        machine.scan().warn(format!("{path} lies too deep; the tasks in it are not shown"));
                    }
                    Some(FileType::RegularFile) => files.push((below, path)),
                    _ => {}
                }
            }
        }
    });
    tasks.enumerate().map_while(move |(count, task)| {
        if count == MAX_TASKS {
            warner.warn("there are more tasks than are read; the rest is not shown");
        }
        (count < MAX_TASKS).then_some(task)
    })
}

fn read(scan: &Scan, file: &Path) -> Option<Task> {
    let bytes = scan.bytes(file, Follow::Never)?;
    let task = task::parse(&task::decode(&bytes));
    if task.is_none() {
        scan.warn(format!("{} is not the definition of a task", file.display()));
    }
    task
}

fn to_row(task: NamedTask, cache: Option<&Entry>) -> Row {
    let ran = cache.and_then(|cache| last_run(cache, &task.path));
    row! {
        name: task.name(),
        action: task.action(),
        enabled: task.task.is_enabled,
        state: if task.task.is_enabled { "unknown" } else { "disabled" },
        hidden: task.task.is_hidden,
        last_run_time: ran.map(|(time, _)| time),
        last_run_code: ran.map(|(_, code)| code.to_string()),
        path: task.path,
    }
}

/// When a task ran last and how it ended, from the record that the scheduler keeps beside its definition.
fn last_run(cache: &Entry, path: &str) -> Option<(i64, u32)> {
    let id = cache.child("Tree")?.at(path)?.text("Id")?;
    let record = cache.child("Tasks")?.child(&id)?.value("DynamicInfo")?.bytes;
    // A version, when it was made, when it ran last, two numbers of which the second is the result.
    let started = u64_of(&record, 12);
    (record.len() >= 28 && started != 0).then(|| (unix_time(started), u32_of(&record, 24)))
}
