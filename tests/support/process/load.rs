//! Thousands of messages through `bootstrap`: how many a second, and in how much memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audit::{Problem, audit};
use super::bucket::Bucket;
use super::dice::Dice;
use super::files::LandedFile;
use super::queue::{LandingQueue, Rules};
use super::worker::{Fate, Terms, Turn, Worker};
use super::{Ground, Programs, Report, seconds};

/// A run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) messages: u64,
    /// The messages of one batch at most.
    pub(crate) batch_messages: usize,
    /// How many of `bootstrap` work at the same time.
    pub(crate) workers: usize,
}

/// What Lambda takes as one event (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const BATCH_BYTES_MAX: usize = 6 * 1024 * 1024;

/// The longest time that Lambda gives an invocation.
const TIME: Duration = Duration::from_secs(15 * 60);

/// How many tables the files are of.
const TABLES: u64 = 100;

/// How much more than after a tenth of the messages a worker may hold at the end, or at any time.
const MEMORY_GROWTH_MAX: u64 = 32 * MIB;

const MIB: u64 = 1024 * 1024;

const SAMPLE_PAUSE: Duration = Duration::from_millis(50);

/// When no message has ended for so long, the rest is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs it.
pub(crate) async fn run(programs: &Programs, plan: Plan) -> Report {
    let mut dice = Dice::of(plan.seed);
    let rules = Rules { visibility: TIME * 6, longest_wait_secs: 600, again_once_in: 0 };
    let queue = LandingQueue::new(rules, dice.fork());
    let ground =
        Arc::new(Ground::start(programs, Bucket::new(Duration::ZERO), queue, &["--no-limits"]).await);
    for number in 0..plan.messages {
        let table = format!("table_{}", number % TABLES);
        let (row_count, text_bytes) =
            (1 + dice.below(8), 64 + usize::try_from(dice.below(512)).expect("small"));
        ground.land(&[LandedFile { number, table, row_count, text_bytes }], true);
    }
    let terms = Terms { batch_messages: plan.batch_messages, batch_bytes: BATCH_BYTES_MAX, time: TIME };
    let (mut workers, mut pids) = (Vec::new(), Vec::new());
    for _ in 0..plan.workers {
        let mut worker = Worker::new(Arc::clone(&ground), terms);
        pids.push(worker.start().await);
        workers.push(worker);
    }
    let (started, mut memory) = (Instant::now(), Memory::default());
    let cpu_before = cpu_seconds(&pids, &ground);
    let working: Vec<_> =
        workers.into_iter().map(|worker| tokio::spawn(work(Arc::clone(&ground), worker))).collect();
    while !is_over(&ground.queue) {
        memory.sample(&pids);
        tokio::time::sleep(SAMPLE_PAUSE).await;
    }
    memory.sample(&pids);
    let time = started.elapsed();
    let cpu =
        cpu_seconds(&pids, &ground).iter().zip(cpu_before).map(|(after, before)| after - before).collect();
    let mut batches = 0;
    for worker in working {
        let (mut worker, turns) = worker.await.expect("a worker is driven to its end");
        worker.end();
        batches += turns;
    }
    report(&ground, &Measured { plan, batches, time, memory, cpu }).await
}

fn is_over(queue: &LandingQueue) -> bool {
    queue.messages_left() == 0 || queue.idle() > PATIENCE
}

async fn work(ground: Arc<Ground>, mut worker: Worker) -> (Worker, u64) {
    let mut turns = 0;
    while !is_over(&ground.queue) {
        match worker.turn(Fate::Lives).await {
            Turn::NothingWaits => tokio::time::sleep(SAMPLE_PAUSE).await,
            Turn::Answered(_) | Turn::Killed(_) | Turn::Late => turns += 1,
        }
    }
    (worker, turns)
}

/// What the largest worker held, in the course of a run.
#[derive(Default)]
struct Memory {
    /// At even distances in time.
    samples_bytes: Vec<u64>,
    peak_bytes: u64,
}

impl Memory {
    fn sample(&mut self, pids: &[u32]) {
        let of_all = |name| pids.iter().filter_map(|pid| status_bytes(*pid, name)).max().unwrap_or(0);
        self.samples_bytes.push(of_all("VmRSS:"));
        self.peak_bytes = self.peak_bytes.max(of_all("VmHWM:"));
    }

    /// When this share of the time had passed.
    fn at(&self, percent: usize) -> u64 {
        let last = self.samples_bytes.len().saturating_sub(1);
        self.samples_bytes.get(last * percent / 100).copied().unwrap_or(0)
    }
}

/// A line of `/proc/PID/status`, such as `VmRSS:   12345 kB`.
fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The parties whose work is told apart.
const PARTIES: [&str; 3] = ["bootstrap", "BigQuery", "SQS, S3, Lambda"];

/// The processor time that each of the parties has used, in seconds.
fn cpu_seconds(workers: &[u32], ground: &Ground) -> Vec<f64> {
    let of = |pids: &[u32]| pids.iter().filter_map(|pid| process_seconds(*pid)).sum::<f64>();
    vec![of(workers), of(&Vec::from_iter(ground.bigquery.pid())), of(&[std::process::id()])]
}

/// User and system time from `/proc/PID/stat`: fields 14 and 15, in hundredths of a second on every Linux.
fn process_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_name, fields) = stat.rsplit_once(") ")?;
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / 100.0)
}

struct Measured {
    plan: Plan,
    batches: u64,
    time: Duration,
    memory: Memory,
    cpu: Vec<f64>,
}

async fn report(ground: &Ground, measured: &Measured) -> Report {
    let Measured { plan, batches, time, memory, cpu } = measured;
    let (landed, found, queue) = (ground.landed(), ground.found().await, ground.queue.figures());
    let mut report = Report { figures: Vec::new(), problems: Vec::new() };
    report.figure("seed", plan.seed);
    report.figure("bootstrap", &ground.bootstrap);
    report.figure("workers", plan.workers);
    report.figure("messages", queue.messages);
    report.figure("  receives", queue.receives);
    report.figure("batches", batches);
    report.figure("  messages in each, on average", queue.receives / (*batches).max(1));
    report.figure("rows", landed.iter().map(|file| file.row_count).sum::<u64>());
    report.figure("jobs made", found.jobs.len());
    for (what, count) in ground.lines().iter().filter(|(what, _)| what.starts_with("returned")) {
        report.figure(format!("  {what} (lines)"), count);
    }
    report.figure("time", seconds(*time));
    report.figure("messages per second", format!("{:.1}", queue.deleted as f64 / time.as_secs_f64()));
    // A worker that got no batch has not been busy.
    let busy_workers =
        u32::try_from(plan.workers).expect("a small number").min(u32::try_from(*batches).unwrap_or(1));
    let batch_time = *time * busy_workers / u32::try_from(*batches).unwrap_or(1).max(1);
    report.figure("time of a batch, on average", format!("{:.2} s", batch_time.as_secs_f64()));
    for percent in [10, 50, 100] {
        report.figure(format!("memory of a worker at {percent} % of the time"), mib(memory.at(percent)));
    }
    report.figure("memory of a worker, peak", mib(memory.peak_bytes));
    for (party, used) in PARTIES.iter().zip(cpu) {
        report
            .figure(format!("processors kept busy by {party}"), format!("{:.2}", used / time.as_secs_f64()));
    }
    report.judge(audit(&landed, &found));
    let grown_bytes = memory.peak_bytes.saturating_sub(memory.at(10));
    if grown_bytes > MEMORY_GROWTH_MAX {
        report.problems.push(Problem::MemoryGrew { bytes: grown_bytes });
    }
    report
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}
