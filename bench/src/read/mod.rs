//! Reading as people do: the overview with 50 who look at once, lists of 100 rows under many filters and sorts, and a file of a
//! million findings; with a million findings on 10,000 hosts, then with ten million. PostgreSQL is durable, the API is the real
//! program. No peer does the same; the goals stand beside.
//!
//! The people ask again as soon as they are answered, with no pause, and share the machine's processors with all that answers
//! them: an answer waits while the machine works for 49 others. `api_cpu_ms`, `postgres_cpu_ms` and `people_cpu_ms` are what one
//! overview takes of whom, readings that many share among them. `csv_start_mib` is what the API held before the file,
//! `csv_start_program_mib` of it the program and other files. Nobody asks for anything for a moment before, in which the API gives
//! back what the readings left; the file took at least `csv_peak_mib` less `csv_start_mib`: what was freed and is still held serves
//! it as well.
//!
//! The findings are brought in without indexes, which are then built at once from all rows: their pages are full and in order, as
//! those of an installation that has lived for months are not. The figures are of that best case.
//!
//! The file of ten million is one of a million of its rows (the closed ones), and all of it once for the rate. Where the disk has
//! no room for them, which is asked before the first run, or they fail, the million is told all the same.

mod bare;
mod disk;
mod load;
mod people;

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use store::TenantRef;

use crate::installation::{Installation, QUIET, Transport};
use crate::process;
use crate::report::{Figures, Report};

use load::Loader;
use people::People;

const MILLION: u64 = 1_000_000;
/// The API gives memory back every ten seconds.
const GIVES_BACK: Duration = Duration::from_secs(11);

pub async fn run(runs: u32, is_ten_million_too: bool) -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let mut loader = Loader::new(&platform.installation).await?;
    loader.hosts().await?;
    loader.findings(&platform.tenant, &platform.installation.api_url, MILLION).await?;
    let has_more = is_ten_million_too && loader.has_room(10).await?;
    let people = People::sign_in(&platform.installation).await?;
    let mut ours: Vec<Figures> = Vec::new();
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        ours.push(platform.measure(&people, &KEYS, "status=all", MILLION).await?);
    }
    let mut limit = Figures::from([
        ("p95_ms", 50.0),
        ("statements", 5.0),
        ("list_p95_ms", 60.0),
        ("list_statements", 3.0),
        ("csv_wall_s", 10.0),
        ("csv_peak_mib", 64.0),
    ]);
    let ended =
        if has_more { ten_million(&platform, &mut loader, &people, &mut ours, &mut limit).await } else { Ok(()) };
    Report { bench: "read", ours, peer: Vec::new(), limit, ratio: "p95_ms" }.print();
    ended
}

/// The same with ten times as many findings, beside what was found before.
async fn ten_million(
    platform: &Platform,
    loader: &mut Loader,
    people: &People,
    ours: &mut [Figures],
    limit: &mut Figures,
) -> anyhow::Result<()> {
    loader.findings(&platform.tenant, &platform.installation.api_url, 10 * MILLION).await?;
    let runs = ours.len();
    for (run, figures) in (1..).zip(ours.iter_mut()) {
        eprintln!("run {run} of {runs} at ten million");
        figures.append(&mut platform.measure(people, &TEN, "status=closed", MILLION).await?);
    }
    for (key, of) in [("x10_p95_ms", "p95_ms"), ("x10_list_p95_ms", "list_p95_ms"), ("x10_csv_wall_s", "csv_wall_s")] {
        limit.insert(key, 1.5 * median(ours, of));
    }
    limit.insert("x10_statements", 5.0);
    limit.insert("x10_list_statements", 3.0);
    limit.insert("x10_csv_peak_mib", 64.0);
    // All ten million: not measured again, as its limit is a rate.
    let all = people.file("status=all").await?;
    ensure!(all.rows == 10 * MILLION, "the file has {} rows", all.rows);
    #[expect(clippy::cast_precision_loss, reason = "ten million")]
    let rows_per_s = all.rows as f64 / all.wall_s;
    if let Some(first) = ours.first_mut() {
        first.insert("x10_csv_rows_per_s", rows_per_s);
    }
    Ok(())
}

fn median(runs: &[Figures], key: &str) -> f64 {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(key).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What the figures of one size are called.
struct Keys {
    overview: [&'static str; 8],
    list: [&'static str; 4],
    csv: [&'static str; 6],
}

const KEYS: Keys = Keys {
    overview: ["p50_ms", "p95_ms", "p99_ms", "per_s", "statements", "api_cpu_ms", "postgres_cpu_ms", "people_cpu_ms"],
    list: ["list_p50_ms", "list_p95_ms", "list_worst_p95_ms", "list_statements"],
    csv: ["csv_wall_s", "csv_cpu_s", "csv_peak_mib", "csv_bytes", "csv_start_mib", "csv_start_program_mib"],
};
const TEN: Keys = Keys {
    overview: [
        "x10_p50_ms",
        "x10_p95_ms",
        "x10_p99_ms",
        "x10_per_s",
        "x10_statements",
        "x10_api_cpu_ms",
        "x10_postgres_cpu_ms",
        "x10_people_cpu_ms",
    ],
    list: ["x10_list_p50_ms", "x10_list_p95_ms", "x10_list_worst_p95_ms", "x10_list_statements"],
    csv: [
        "x10_csv_wall_s",
        "x10_csv_cpu_s",
        "x10_csv_peak_mib",
        "x10_csv_bytes",
        "x10_csv_start_mib",
        "x10_csv_start_program_mib",
    ],
};

/// The API with a tenant.
struct Platform {
    tenant: TenantRef,
    installation: Installation,
}

impl Platform {
    async fn start() -> anyhow::Result<Self> {
        let installation = Installation::start(Transport::Plain, &[QUIET]).await?;
        Ok(Self { tenant: installation.tenant("acme", &[]).await?, installation })
    }

    async fn measure(&self, people: &People, keys: &Keys, file: &str, rows: u64) -> anyhow::Result<Figures> {
        let api_pid = self.installation.api_pid();
        let (used_before, people_before) = (self.installation.usage()?, process::cpu_seconds(std::process::id())?);
        let overview = people.overviews().await?;
        let used = self.installation.usage()? - used_before;
        let people_cpu = process::cpu_seconds(std::process::id())? - people_before;
        // Of one answer.
        let [api_ms, postgres_ms, people_ms] =
            [used.api_s, used.postgres_s, people_cpu].map(|cpu_s| cpu_s * 1_000.0 / overview.count());
        let lists = people.lists().await?;
        let counted = people.statements(&self.installation.admin).await?;
        tokio::time::sleep(GIVES_BACK).await;
        // What the process has taken so far is forgotten; what the kernel says from here on is the file's.
        fs::write(format!("/proc/{api_pid}/clear_refs"), "5")?;
        let (resident, of_files) = process::resident_mib(api_pid)?;
        let cpu_before = process::cpu_seconds(api_pid)?;
        let written = people.file(file).await?;
        let csv_cpu = process::cpu_seconds(api_pid)? - cpu_before;
        let peak = process::peak_mib(api_pid)?;
        let expected = rows..=rows + rows / 100;
        let is_about = (rows - rows / 100) <= written.rows && written.rows <= *expected.end();
        ensure!(is_about, "the file has {} rows, not about {rows}", written.rows);
        eprintln!(
            "overview p95 {:.1} ms ({:.0}/s); lists p95 {:.1} ms, the worst ({}) {:.1} ms; a file of {} rows in {:.1} s, {peak:.0} MiB of which {resident:.0} were there before; an overview takes {api_ms:.2} ms of the API, {postgres_ms:.2} ms of Postgres, {people_ms:.2} ms of those who ask",
            overview.at(95),
            overview.per_s,
            lists.all.at(95),
            lists.worst_name,
            lists.worst.at(95),
            written.rows,
            written.wall_s
        );
        let values = [
            overview.at(50),
            overview.at(95),
            overview.at(99),
            overview.per_s,
            counted.overview,
            api_ms,
            postgres_ms,
            people_ms,
            lists.all.at(50),
            lists.all.at(95),
            lists.worst.at(95),
            counted.list,
            written.wall_s,
            csv_cpu,
            peak,
            written.bytes,
            resident,
            of_files,
        ];
        let names = keys.overview.iter().chain(&keys.list).chain(&keys.csv).copied();
        let figures: Figures = names.zip(values).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(figures)
    }
}
