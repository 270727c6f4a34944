//! Every reason that a failed job may have: what it leads to in the receive that made the job, and in later ones.

use std::collections::BTreeMap;

use dms2bq::cloud::Clock;
use dms2bq::cloud::clock::SystemClock;
use futures_util::{StreamExt, stream};
use serde::Deserialize;

use super::bench::{Bench, Receive, quick};
use super::faults::FaultSpec;
use crate::cases;
use crate::twins::file;

/// The rows of the file.
const ROWS: usize = 3;

/// A reason for which the first job fails, and four ends with the number of jobs that there are then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: String,
    /// Of the receive that made the job.
    first: String,
    /// Of the next receive of the same message.
    later: String,
    /// Of a receive of the message when it was sent anew, once the job had failed.
    redriven: String,
    /// Of a receive that finds the failed job of a worker that died.
    found: String,
}

#[tokio::test]
async fn every_reason_leads_where_its_line_says_in_this_receive_and_in_later_ones() {
    let reasons: Vec<Reason> = cases::json(&cases::root("jobs_over_http"), "reasons/all.json");
    let walks = stream::iter(reasons.into_iter().map(walk)).buffer_unordered(8);
    let problems: Vec<String> = walks.collect::<Vec<_>>().await.concat();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn walk(wanted: Reason) -> Vec<String> {
    let reason = wanted.reason.as_str();
    // It makes the job, and never learns how that ended.
    let blind = Receive { faults: vec![FaultSpec::always("get", "503 html")], ..Receive::default() };
    let [first, later] = life(reason, Receive::default(), again).await;
    let [_, redriven] = life(reason, Receive::default(), redriven).await;
    let [_, found] = life(reason, blind, again).await;
    let ends = [
        ("first", wanted.first, first),
        ("later", wanted.later, later),
        ("redriven", wanted.redriven, redriven),
        ("found", wanted.found, found),
    ];
    let differing = ends.into_iter().filter(|(_, wanted, found)| wanted != found);
    differing
        .map(|(what, wanted, found)| format!("{reason}, {what}: wanted {wanted}, found {found}"))
        .collect()
}

fn again() -> Receive {
    Receive { count: 2, ..Receive::default() }
}

fn redriven() -> Receive {
    Receive { sent_ms: SystemClock.unix_ms() + 1, ..again() }
}

/// Two receives of an object whose first job fails: how each ends, and the number of jobs then.
async fn life(reason: &str, first: Receive, second: fn() -> Receive) -> [String; 2] {
    let bench = Bench::start(quick(), file(ROWS)).await;
    bench.script.fail_jobs(BTreeMap::from([(0, reason.to_owned())]));
    let first = end(&bench, first).await;
    let second = end(&bench, second()).await;
    bench.stop().await;
    [first, second]
}

async fn end(bench: &Bench, receive: Receive) -> String {
    let received = bench.receive(receive).await;
    bench.wait_for_jobs().await;
    let rows = if received.end.starts_with("loaded") { ROWS as u64 } else { 0 };
    assert_eq!(bench.rows().await, rows, "{received:?}");
    let jobs = bench.jobs().await.len();
    format!("{}, {jobs} {}", received.end, if jobs == 1 { "job" } else { "jobs" })
}
