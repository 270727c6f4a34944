//! The walk through `tests/cases/jobs_over_http`: each case is the life of one object, receive by receive.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use dms2bq::cloud::Clock;
use dms2bq::cloud::clock::SystemClock;
use dms2bq::emulator::Options;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::Value;

use super::bench::{Bench, Receive, quick};
use super::faults::FaultSpec;
use crate::cases;
use crate::twins::file;

/// The folder of the cases.
const CASES: &str = "jobs_over_http";

/// The rows of the file.
const ROWS: usize = 3;

/// So many cases are walked at once: mostly they wait.
const AT_ONCE: usize = 8;

/// Longer than any test.
const HELD: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "why")]
    _why: String,
    /// A job with the id of attempt 0 that is there before, in these fields another one than ours.
    foreign_job: Option<Value>,
    /// The reasons for which jobs fail, by attempt.
    #[serde(default)]
    failures: BTreeMap<u32, String>,
    receives: Vec<Line>,
    rows: u64,
    jobs: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// What somebody does before.
    #[serde(default)]
    first: Vec<String>,
    /// How often the message was received, this time included.
    #[serde(default = "one")]
    count: u32,
    #[serde(default)]
    sent: Sent,
    #[serde(default)]
    generation: u64,
    /// Jobs that are made now stay in this state.
    held: Option<Held>,
    #[serde(default)]
    faults: Vec<FaultSpec>,
    /// The client's patience with an answer.
    patience_ms: Option<u64>,
    /// The time that the invocation has.
    within_ms: Option<u64>,
    end: String,
    asked: String,
    /// How many calls are spoilt, where that is the point.
    spoilt: Option<usize>,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Sent {
    /// Long before.
    #[default]
    Before,
    /// Just now: redriven.
    Now,
    /// When it was sent in the receive before.
    AsBefore,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Held {
    Pending,
    Running,
}

fn options(held: Option<Held>) -> Options {
    match held {
        None => quick(),
        Some(Held::Pending) => Options { pending: HELD, ..quick() },
        Some(Held::Running) => Options { running: HELD, ..quick() },
    }
}

#[tokio::test]
async fn every_life_of_an_object_goes_as_its_case_says() {
    let files = cases::files(CASES, "json");
    assert!(files.len() >= 50, "only {} cases", files.len());
    let walks = files.iter().map(|name| async move {
        let case: Case = cases::json(&cases::root(CASES), name);
        let problems = walk(case).await;
        problems.into_iter().map(|problem| format!("{}: {problem}", stem(name))).collect::<Vec<_>>()
    });
    let problems: Vec<String> =
        stream::iter(walks).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.concat();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn stem(name: &str) -> &str {
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)
}

async fn walk(case: Case) -> Vec<String> {
    let mut held = case.receives.first().and_then(|line| line.held);
    let mut bench = Bench::start(options(held), file(ROWS)).await;
    bench.script.fail_jobs(case.failures);
    if let Some(changes) = &case.foreign_job {
        bench.make_foreign_job(changes).await;
    }
    let mut problems = Vec::new();
    let mut differs = |what: &str, wanted: &str, found: &str| {
        if wanted != found {
            problems.push(format!("{what}\n  wanted {wanted}\n  found  {found}"));
        }
    };
    let mut sent_ms = Receive::default().sent_ms;
    for (n, line) in case.receives.into_iter().enumerate() {
        if line.held != held {
            held = line.held;
            bench = bench.restart(options(held)).await;
        }
        if held.is_none() {
            bench.wait_for_jobs().await;
        }
        for action in &line.first {
            bench.act(action).await;
        }
        sent_ms = match line.sent {
            Sent::Before => Receive::default().sent_ms,
            Sent::Now => SystemClock.unix_ms() + 1,
            Sent::AsBefore => sent_ms,
        };
        let spoilt = line.spoilt;
        let (end, asked) = (line.end.clone(), line.asked.clone());
        let received = bench.receive(line.receive(sent_ms)).await;
        differs(&format!("end of receive {n}"), &end, &received.end);
        differs(&format!("asked in receive {n}"), &asked, &received.asked);
        if let Some(spoilt) = spoilt {
            differs("calls spoilt", &spoilt.to_string(), &received.spoilt.to_string());
        }
    }
    if held.is_none() {
        // Its orderly end waits for what still comes in, however late.
        bench = bench.restart(quick()).await;
        bench.wait_for_jobs().await;
    }
    differs("rows", &case.rows.to_string(), &bench.rows().await.to_string());
    differs("jobs", &case.jobs.join(", "), &bench.jobs().await.join(", "));
    bench.stop().await;
    problems
}

impl Line {
    fn receive(self, sent_ms: u64) -> Receive {
        let default = Receive::default();
        Receive {
            count: self.count,
            sent_ms,
            generation: self.generation,
            faults: self.faults,
            patience: self.patience_ms.map_or(default.patience, Duration::from_millis),
            within: self.within_ms.map_or(default.within, Duration::from_millis),
        }
    }
}
