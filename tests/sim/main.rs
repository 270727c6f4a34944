//! The whole pipeline over the in-memory twins, while everything goes wrong at once.
//!
//! A seed decides a world: what lands, what is sent, which calls fail and how, when a process is killed. Time is
//! simulated, so a day passes in milliseconds, and the same seed gives the same world, to the last line of its trace.
//! `docs/testing.md` tells what is checked, and how to run more seeds or one of them again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod capture;
mod checks;
mod clock;
mod defects;
mod event_source;
mod faults;
mod files;
mod rng;
mod run;
mod secrets;
mod station;
mod story;
mod truth;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use defects::Defect;
use run::{Run, run};

/// How many seeds are run if nobody says.
const SEEDS: u64 = 1_000;

/// In how many seeds a deliberate defect has to be noticed.
const SEEDS_PER_DEFECT: u64 = 200;

/// How many threads run them.
const THREADS: usize = 2;

/// How much of a failing seed's trace is shown. The rest is there when it is run again.
const TRACE_LINES: usize = 100;

#[test]
fn whatever_goes_wrong_every_row_is_in_once_and_every_message_ends() {
    be_quiet_about_planted_panics();
    if let Some(seed) = number("DMS2BQ_SIM_SEED") {
        let run = run(seed, None);
        println!("{}", run.trace.join("\n"));
        assert!(run.violations.is_empty(), "{}", told(&run, 0));
        return;
    }
    let seeds = number("DMS2BQ_SIM_SEEDS").unwrap_or(SEEDS);
    let failed = in_parallel(seeds);
    let all: Vec<String> = failed.iter().map(|run| format!("{}: {}", run.seed, run.violations[0])).collect();
    assert!(
        failed.is_empty(),
        "{}\n{} of {seeds} seeds failed:\n{}",
        told(&failed[0], TRACE_LINES),
        failed.len(),
        all.join("\n")
    );
}

#[test]
fn a_seed_replays_to_the_last_line() {
    be_quiet_about_planted_panics();
    for seed in 0..20 {
        let (first, second) = (run(seed, None), run(seed, None));
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
        for (line, again) in first.trace.iter().zip(&second.trace) {
            assert_eq!(line, again, "seed {seed}");
        }
        assert_eq!(first, second);
    }
}

#[test]
fn every_deliberate_defect_is_caught() {
    be_quiet_about_planted_panics();
    let (mut table, mut missed) = (String::new(), Vec::new());
    for defect in Defect::ALL {
        let caught =
            (0..SEEDS_PER_DEFECT).map(|seed| run(seed, Some(defect))).find(|run| !run.violations.is_empty());
        let (by, seeds) = match &caught {
            Some(run) => (run.violations[0].invariant, (run.seed + 1).to_string()),
            None => ("nothing", format!("none of {SEEDS_PER_DEFECT}")),
        };
        table += &format!("{:<52} {by:<32} {seeds}\n", defect.describe());
        if caught.is_some() != defect.is_harmful() {
            missed.push(defect);
        }
    }
    println!("{:<52} {:<32} seeds it took\n{table}", "defect", "caught by");
    assert!(missed.is_empty(), "not as expected: {missed:?}\n{table}");
}

/// Runs so many seeds, and gives those that failed, the lowest first.
fn in_parallel(seeds: u64) -> Vec<Run> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return failed;
            }
            let run = run(seed, None);
            if !run.violations.is_empty() {
                failed.push(run);
            }
        }
    };
    let mut failed: Vec<Run> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failed.sort_by_key(|run| run.seed);
    failed
}

fn told(run: &Run, lines: usize) -> String {
    let Run { seed, violations, trace, .. } = run;
    let violations: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let from = trace.len().saturating_sub(lines);
    format!(
        "{}\n\nseed {seed} breaks:\n  {}\n\nreplay it with: ./test --sim-seed {seed}\n",
        trace[from..].join("\n"),
        violations.join("\n  ")
    )
}

#[expect(clippy::disallowed_methods, reason = "./test says by the environment how much is to be run")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The worlds make calls panic, and the program catches that; nobody wants to read a thousand of them.
fn be_quiet_about_planted_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let message = dms2bq::telemetry::panic_message(panic.payload());
            if !message.starts_with("planted: ") {
                loud(panic);
            }
        }));
    });
}
