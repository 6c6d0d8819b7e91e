//! Benchmarks: each measures ours and a peer, or the limit of the same machine, in turn in one run, several times, and
//! prints a table, then one JSON line. `hack/bench.sh` builds what they need with optimisation.

mod agreement;
mod chaos;
mod fleet;
mod idle;
mod ingest;
mod installation;
mod integrity;
mod isolation;
mod migrate;
mod noop;
mod process;
mod raw;
mod read;
mod report;
mod scan;
mod simulator;
mod tenants;

use clap::{Parser, Subcommand};

/// Measures Tenantra on this machine.
#[derive(Debug, Parser)]
#[command(name = "tenantra-bench")]
struct Arguments {
    /// How often each side is measured; the median is the figure.
    #[arg(long, env = "RUNS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Tenants applied at once, all Ready, beside the same raw writes.
    Tenants {
        /// How many.
        #[arg(long, env = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=2000))]
        tenants: u32,
    },
    /// All checks of CIS Debian 12 and the inventory on a tree of 570,000 inodes, beside OpenSCAP and Lynis, and on this machine.
    Scan,
    /// Verdicts of the agent and of OpenSCAP on a fresh system and on changed copies of it; once, whatever RUNS says.
    Agreement {
        /// Only roots with this in their names, and the fresh system itself.
        #[arg(long, env = "ROOTS", default_value = "")]
        roots: String,
    },
    /// A baseline of /usr and /etc, and a second look at them, beside AIDE.
    Integrity,
    /// New findings by way of the API, beside a binary COPY of the same rows; then the same report again.
    Ingest,
    /// Simulated agents that report a change every five minutes; once, whatever RUNS says.
    Fleet {
        /// How many.
        #[arg(long, env = "AGENTS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
        agents: u32,
        /// How long they are watched once all have enrolled.
        #[arg(long, env = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
    },
    /// The overview for 50 people at once, lists of 100 rows, and a file of a million findings; at one and at ten million.
    Read {
        /// Whether ten million are brought in as well, which takes some ten minutes and up to 10 GB of disk.
        #[arg(long, env = "X10", default_value_t = true, action = clap::ArgAction::Set)]
        x10: bool,
    },
    /// An upgrade of many schemas, killed twice and resumed, beside the same statements alone.
    Migrate {
        /// How many.
        #[arg(long, env = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(30..=5_000))]
        tenants: u32,
        /// How many of the newest migrations the schemas lack.
        #[arg(long, env = "BEHIND", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
        behind: u16,
    },
    /// Random requests of everybody with known things of every tenant, over shared connections; once, whatever RUNS says.
    Isolation {
        /// How many.
        #[arg(long, env = "REQUESTS", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
        requests: u64,
        /// What they are drawn from: the same number, the same requests.
        #[arg(long, env = "SEED", default_value_t = 1)]
        seed: u64,
    },
    /// API and Postgres killed again and again while simulated agents report; once, whatever RUNS says.
    Chaos {
        /// How often each of the two.
        #[arg(long, env = "KILLS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        kills: u32,
    },
    /// An agent's first scan for the API, and then what it costs to wait for work; once, whatever RUNS says.
    Idle {
        /// How long it is watched while it waits.
        #[arg(long, env = "TIME", default_value_t = 120, value_parser = clap::value_parser!(u64).range(10..=86_400))]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tests::harness::init();
    match arguments.bench {
        Bench::Tenants { tenants } => tenants::run(arguments.runs, tenants).await,
        Bench::Scan => scan::run(arguments.runs),
        Bench::Agreement { roots } => agreement::run(&roots),
        Bench::Integrity => integrity::run(arguments.runs),
        Bench::Ingest => ingest::run(arguments.runs).await,
        Bench::Fleet { agents, minutes } => fleet::run(agents, minutes).await,
        Bench::Read { x10 } => read::run(arguments.runs, x10).await,
        Bench::Migrate { tenants, behind } => migrate::run(arguments.runs, tenants, behind.into()).await,
        Bench::Isolation { requests, seed } => isolation::run(requests, seed).await,
        Bench::Chaos { kills } => chaos::run(kills).await,
        Bench::Idle { seconds } => idle::run(seconds).await,
    }
}
