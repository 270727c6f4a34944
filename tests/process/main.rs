//! The runs that take minutes: `cargo test --test process -- kills` and `cargo test --test process -- load`.
//!
//! Both print their figures, and end with 1 if a row was lost or doubled, or anything else was found that must not be.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

#[path = "../support/runtime_api.rs"]
#[allow(dead_code, reason = "other tests ask it for more")]
mod lambda_api;
#[path = "../support/process/mod.rs"]
mod process;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use process::{Programs, Report, kills, load};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the real programs against each other, kills and loads them, and counts rows.
#[derive(Parser)]
struct Cli {
    /// What chance starts from; a run prints it
    #[arg(long, default_value_t = 1, global = true)]
    seed: u64,
    /// Another build of bootstrap, such as that of the profile `lambda-release`
    #[arg(long, default_value = env!("CARGO_BIN_EXE_bootstrap"), global = true)]
    bootstrap: String,
    /// How many of bootstrap work at the same time
    #[arg(long, default_value_t = 3, global = true)]
    workers: usize,
    /// A file for everything that the workers log
    #[arg(long, global = true)]
    log: Option<PathBuf>,
    #[command(subcommand)]
    command: Run,
}

#[derive(Subcommand)]
enum Run {
    /// Kill bootstrap and BigQuery at random moments
    Kills {
        /// How often bootstrap is killed
        #[arg(long, default_value_t = 100)]
        kills: u64,
        /// Load one file once more in the end, to see that this does not go unnoticed
        #[arg(long)]
        double: bool,
    },
    /// Send many messages
    Load {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        messages: u64,
        /// The messages of one batch at most; it has 6 MB at most in any case
        #[arg(long, default_value_t = 10)]
        batch: usize,
    },
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tokio::select! {
        report = run(cli) => {
            print!("{report}");
            if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        // Whoever gives up must not leave programs behind, and they are killed when their owners are dropped.
        () = interrupted() => ExitCode::FAILURE,
    }
}

async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).expect("a signal");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn run(cli: Cli) -> Report {
    let Cli { seed, bootstrap, workers, log, command } = cli;
    let programs = Programs { bootstrap, dms2bq: env!("CARGO_BIN_EXE_dms2bq").to_owned(), log };
    match command {
        Run::Kills { kills, double } => {
            let plan = kills::Plan {
                seed,
                kills,
                workers,
                bigquery_life: Duration::from_secs(8),
                time: Duration::from_secs(6),
                longest_wait_secs: 5,
                largest_bytes: 36 * 1024 * 1024,
                messages_left: 40,
                bursts_in_1000: 5,
                double,
            };
            kills::run(&programs, plan).await
        }
        Run::Load { messages, batch } => {
            let plan = load::Plan { seed, messages, batch_messages: batch, workers };
            load::run(&programs, plan).await
        }
    }
}
