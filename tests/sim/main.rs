//! The whole pipeline over the in-memory twins, while everything goes wrong at once.
//!
//! A seed decides a world: what lands, what is sent, which calls fail and how, when a process is killed. Time is
//! simulated, so hours pass in milliseconds, and the same seed gives the same world, to the last line of its trace.
//! `docs/testing.md` tells what is checked, and how to run more seeds or one of them again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]

mod bigquery;
mod capture;
mod checks;
mod clock;
mod defects;
mod event_source;
mod faults;
mod files;
mod judge;
mod rng;
mod run;
mod secrets;
mod station;
mod story;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use defects::Defect;
use run::{Run, run};

/// How many seeds are run if nobody says.
const SEEDS: u64 = 1_000;

/// In how many seeds a deliberate defect has to be noticed.
const SEEDS_PER_DEFECT: u64 = 200;

/// How many seeds are run twice to see that they replay.
const SEEDS_TWICE: u64 = 20;

/// How many threads run them.
const THREADS: usize = 2;

/// How much of a failing seed's trace is shown. The rest is there when it is run again.
const TRACE_LINES: usize = 100;

/// What has to have been seen in a thousand seeds: a simulation proves nothing of what it never reaches.
const REACHED: &[&str] = &[
    // What went wrong with calls.
    "slow",
    "hangs",
    "stale",
    "breaks",
    "panics",
    "happens unanswered",
    "happens and hangs",
    "happens late",
    "happens twice",
    "not sent",
    "no answer",
    "throttled",
    "quota exceeded",
    "denied",
    "not found",
    "rejected",
    // And around them.
    "kills",
    "lost acks",
    "throttled receives",
    "sqs.visibility",
    // What the program said of it.
    "job.adopted",
    "job.running",
    "job.rejected",
    "job.failed",
    "job.quota_exceeded",
    "job.dataset_not_found",
    "job.id_collision",
    "job.row_mismatch",
    "job.table_recreated",
    "job.unreadable",
    "job.not_visible",
    "job.out_of_time",
    "job.unavailable",
    "job.unanswered",
    "job.not_sent",
    "job.throttled",
    "job.denied",
    "job.refused",
    "job.paced",
    "job.not_begun",
    "bug.panic",
    "mapping.kept_last_good",
    "mapping.not_refreshed",
    "mapping.unusable",
    "object.superseded",
    "object.missing",
    "object.copied",
    "object.not_parquet",
    "object.truncated",
    "object.unavailable",
    "object.denied",
    "event.not_json",
    "event.unknown_shape",
    "event.version",
    "route.excluded",
    "route.unmapped",
    "key.not_parquet",
];

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
    let (failed, tally) = in_parallel(seeds);
    let counts: Vec<String> = tally.iter().map(|(what, count)| format!("{what} {count}")).collect();
    tell(&format!("{seeds} seeds: {}", counts.join(", ")));
    let broken: Vec<String> =
        failed.iter().map(|run| format!("{}: {}", run.seed, run.violations[0])).collect();
    if let Some(first) = failed.first() {
        panic!(
            "{}\n{} of {seeds} seeds failed:\n{}",
            told(first, TRACE_LINES),
            failed.len(),
            broken.join("\n")
        );
    }
    let unseen: Vec<&&str> = REACHED.iter().filter(|what| !tally.contains_key(**what)).collect();
    assert!(seeds < SEEDS || unseen.is_empty(), "never reached: {unseen:?}");
}

#[test]
fn a_seed_replays_to_the_last_line() {
    be_quiet_about_planted_panics();
    for seed in 0..SEEDS_TWICE {
        let (first, second) = (run(seed, None), run(seed, None));
        for (line, again) in first.trace.iter().zip(&second.trace) {
            assert_eq!(line, again, "seed {seed}");
        }
        assert_eq!(first, second, "seed {seed}");
    }
}

#[test]
fn every_deliberate_defect_is_caught() {
    be_quiet_about_planted_panics();
    let next = AtomicUsize::new(0);
    let work = || {
        let defects = std::iter::from_fn(|| Defect::ALL.get(next.fetch_add(1, Ordering::Relaxed)));
        defects.map(|defect| (*defect, first_to_notice(*defect))).collect::<Vec<_>>()
    };
    let mut caught: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    caught.sort_by_key(|(defect, _)| *defect as usize);
    let rows = caught.iter().map(|(defect, run)| match run {
        Some(run) => {
            format!("{:<54} {:<32} {}", defect.describe(), run.violations[0].invariant, run.seed + 1)
        }
        None => format!("{:<54} {:<32} none of {SEEDS_PER_DEFECT}", defect.describe(), "nothing"),
    });
    let table = rows.collect::<Vec<_>>().join("\n");
    tell(&format!("{:<54} {:<32} seeds it took\n{table}", "defect", "caught by"));
    let unexpected: Vec<_> =
        caught.iter().filter(|(defect, run)| run.is_some() != defect.is_harmful()).collect();
    assert!(unexpected.is_empty(), "{} not as expected:\n{table}", unexpected.len());
}

fn first_to_notice(defect: Defect) -> Option<Run> {
    (0..SEEDS_PER_DEFECT).map(|seed| run(seed, Some(defect))).find(|run| !run.violations.is_empty())
}

/// Runs so many seeds: those that failed, the lowest first, and what all of them have seen.
fn in_parallel(seeds: u64) -> (Vec<Run>, BTreeMap<String, u64>) {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut failed, mut tally) = (Vec::new(), BTreeMap::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (failed, tally);
            }
            let run = run(seed, None);
            add(&mut tally, &run.tally);
            if !run.violations.is_empty() {
                failed.push(run);
            }
        }
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (mut failed, mut tally) = (Vec::new(), BTreeMap::new());
    for (of_part, tally_of_part) in parts {
        failed.extend(of_part);
        add(&mut tally, &tally_of_part);
    }
    failed.sort_by_key(|run: &Run| run.seed);
    (failed, tally)
}

fn add(tally: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (what, count) in more {
        *tally.entry(what.clone()).or_default() += count;
    }
}

/// Prints figures that are to be seen although the test passes: what is written in this way is not captured.
fn tell(figures: &str) {
    writeln!(std::io::stderr(), "\n{figures}\n").expect("standard error is open");
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
