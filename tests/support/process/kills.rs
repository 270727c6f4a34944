//! `bootstrap` killed at random moments, and BigQuery too, until all that landed is in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::audit::{Found, FoundJob, audit};
use super::bucket::Bucket;
use super::dice::Dice;
use super::files::{LandedFile, NARROW_TABLE};
use super::queue::{LandingQueue, Rules};
use super::worker::{Fate, Terms, Turn, Worker};
use super::{Ground, Programs, Report, seconds};
use crate::lambda_api::unix_ms;

/// A run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// How often `bootstrap` is killed.
    pub(crate) kills: u64,
    /// How many of it work at the same time.
    pub(crate) workers: usize,
    /// How long BigQuery lives at most before it is killed.
    pub(crate) bigquery_life: Duration,
    /// How long an invocation may take; the queue waits a little longer for it.
    pub(crate) time: Duration,
    /// How long a message is away at most that a worker wants to be away.
    pub(crate) longest_wait_secs: u32,
    /// How large the few large files are.
    pub(crate) largest_bytes: u64,
    /// New files land while fewer messages than this are left.
    pub(crate) messages_left: u64,
    /// Of a thousand messages, how many bring more files of one table than BigQuery takes in ten seconds.
    pub(crate) bursts_in_1000: u64,
    /// Whether a file is loaded once more in the end, by somebody who knows nothing of our ids.
    pub(crate) double: bool,
}

/// The id of that load.
pub(crate) const BEHIND_THE_BACK: &str = "behind_the_back";

/// S3 sends 256 KiB, then rests for this long.
const S3_PAUSE: Duration = Duration::from_millis(8);

/// How long BigQuery stays away at most.
const BIGQUERY_AWAY: Duration = Duration::from_millis(1500);

/// When no message has ended for so long, the rest is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// A look around.
const MOMENT: Duration = Duration::from_millis(20);

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Runs it.
pub(crate) async fn run(programs: &Programs, plan: Plan) -> Report {
    let started = Instant::now();
    let mut dice = Dice::of(plan.seed);
    let rules = Rules {
        visibility: plan.time + Duration::from_secs(1),
        longest_wait_secs: plan.longest_wait_secs,
        again_once_in: 10,
    };
    let queue = LandingQueue::new(rules, dice.fork());
    let ground = Arc::new(Ground::start(programs, Bucket::new(S3_PAUSE), queue, &[]).await);
    let course = Arc::new(Course::new(plan));
    let workers: Vec<_> = (0..plan.workers)
        .map(|_| tokio::spawn(work(Arc::clone(&ground), Arc::clone(&course), dice.fork())))
        .collect();
    let landing = tokio::spawn(land(Arc::clone(&ground), Arc::clone(&course), dice.fork()));
    bigquery_dies(&ground, &course, dice.fork()).await;
    landing.await.expect("files land");
    for worker in workers {
        worker.await.expect("a worker is driven to its end");
    }
    let time = started.elapsed();
    if plan.double {
        let file = &ground.landed()[0];
        ground.bigquery.load_behind_the_back(BEHIND_THE_BACK, &file.table, &file.parquet()).await;
    }
    report(&ground, &course, time).await
}

/// What the parties of a run know of each other.
struct Course {
    plan: Plan,
    /// Kills that nobody has taken on yet.
    kills_left: AtomicU64,
    kills: Mutex<Vec<Kill>>,
    bigquery_kills: AtomicU64,
    invocations: AtomicU64,
    late: AtomicU64,
    /// How long invocations take, as it turns out.
    usual_ms: AtomicU64,
}

/// When a worker was killed, and over which files.
struct Kill {
    at_ms: u64,
    files: Vec<u64>,
}

impl Course {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            kills_left: AtomicU64::new(plan.kills),
            kills: Mutex::default(),
            bigquery_kills: AtomicU64::new(0),
            invocations: AtomicU64::new(0),
            late: AtomicU64::new(0),
            usual_ms: AtomicU64::new(500),
        }
    }

    fn all_killed(&self) -> bool {
        self.kills.lock().unwrap().len() as u64 >= self.plan.kills
    }

    fn is_over(&self, queue: &LandingQueue) -> bool {
        self.all_killed() && (queue.messages_left() == 0 || queue.idle() > PATIENCE)
    }

    /// Every other worker is to die, at a moment that lies anywhere in an invocation, or a little behind its end.
    fn fate(&self, dice: &mut Dice) -> Fate {
        let take_on = |left: u64| left.checked_sub(1);
        if dice.once_in(2)
            || self.kills_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_on).is_err()
        {
            return Fate::Lives;
        }
        if dice.once_in(20) {
            return Fate::KilledWithItsReply;
        }
        let usual = Duration::from_millis(self.usual_ms.load(Ordering::Relaxed));
        Fate::KilledAfter(dice.within(usual * 3 / 2))
    }

    fn note(&self, fate: Fate, turn: &Turn) {
        if *turn != Turn::NothingWaits {
            self.invocations.fetch_add(1, Ordering::Relaxed);
        }
        match turn {
            Turn::Killed(files) => {
                self.kills.lock().unwrap().push(Kill { at_ms: unix_ms(), files: files.clone() });
                return;
            }
            Turn::Late => drop(self.late.fetch_add(1, Ordering::Relaxed)),
            Turn::Answered(time) => {
                let usual_ms = self.usual_ms.load(Ordering::Relaxed);
                let time_ms = u64::try_from(time.as_millis()).expect("a short time");
                self.usual_ms.store((usual_ms * 7 + time_ms) / 8, Ordering::Relaxed);
            }
            Turn::NothingWaits => {}
        }
        if fate != Fate::Lives {
            // It got away; somebody else will have to die.
            self.kills_left.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn work(ground: Arc<Ground>, course: Arc<Course>, mut dice: Dice) {
    let terms = Terms { batch_messages: 10, batch_bytes: 6 * 1024 * 1024, time: course.plan.time };
    let mut worker = Worker::new(Arc::clone(&ground), terms);
    while !course.is_over(&ground.queue) {
        let fate = course.fate(&mut dice);
        let turn = worker.turn(fate).await;
        course.note(fate, &turn);
        if turn == Turn::NothingWaits {
            tokio::time::sleep(MOMENT).await;
        }
    }
    worker.end();
}

/// Lets files land as long as somebody is to be killed over them.
async fn land(ground: Arc<Ground>, course: Arc<Course>, mut dice: Dice) {
    let mut number = 0;
    while !course.all_killed() {
        if ground.queue.messages_left() >= course.plan.messages_left {
            tokio::time::sleep(MOMENT).await;
            continue;
        }
        let files = wave(number, &course.plan, &mut dice);
        number += files.len() as u64;
        ground.land(&files, !dice.once_in(10));
        // S3 may tell of the same object twice, and at any time.
        if dice.once_in(20) {
            let landed = ground.landed();
            let drawn = usize::try_from(dice.below(landed.len() as u64)).expect("an index");
            ground.announce(&landed[drawn..=drawn], true);
        }
    }
}

/// The files of one message: one as a rule, at times a few, and at times more than their table takes in ten seconds.
fn wave(first: u64, plan: &Plan, dice: &mut Dice) -> Vec<LandedFile> {
    let wide = format!("wide_{}", dice.below(8));
    let (table, count) = match dice.below(1000) {
        drawn if drawn < plan.bursts_in_1000 => (NARROW_TABLE.to_owned(), 7),
        900.. => (wide, 3),
        _ => (wide, 1),
    };
    let file = |number| {
        let is_narrow = table == NARROW_TABLE;
        let size_bytes = match dice.below(100) {
            _ if is_narrow => 4 * KIB,
            0 => plan.largest_bytes,
            1..=4 => 8 * MIB + 512 * KIB + dice.below(2 * MIB),
            5..=14 => 256 * KIB + dice.below(3 * MIB),
            _ => 2 * KIB + dice.below(64 * KIB),
        };
        let row_count = 1 + dice.below(40);
        let text_bytes = usize::try_from(size_bytes / row_count).expect("a small number");
        LandedFile { number, table: table.clone(), row_count, text_bytes }
    };
    (first..first + count).map(file).collect()
}

/// Kills BigQuery now and then, until everybody else has died often enough.
async fn bigquery_dies(ground: &Ground, course: &Course, mut dice: Dice) {
    while !course.all_killed() {
        tokio::time::sleep(dice.within(course.plan.bigquery_life)).await;
        ground.bigquery.kill();
        course.bigquery_kills.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(dice.within(BIGQUERY_AWAY)).await;
        tokio::task::block_in_place(|| ground.bigquery.restart());
    }
}

async fn report(ground: &Ground, course: &Course, time: Duration) -> Report {
    let (landed, found) = (ground.landed(), ground.found().await);
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut report = Report { figures: Vec::new(), problems: Vec::new() };
    report.figure("seed", course.plan.seed);
    report.figure("kills of bootstrap", course.kills.lock().unwrap().len());
    kill_figures(&mut report, &course.kills.lock().unwrap(), &landed, &found);
    report.figure("kills of BigQuery", load(&course.bigquery_kills));
    report.figure("invocations", load(&course.invocations));
    report.figure("  no reply by the deadline", load(&course.late));
    queue_figures(&mut report, ground);
    report.figure("files", landed.len());
    let bytes = landed.iter().map(|file| file.row_count * file.text_bytes as u64).sum::<u64>();
    report.figure("  MiB", bytes / MIB);
    report.figure("  downloads broken off", ground.bucket.broken_off());
    report.figure("rows", landed.iter().map(|file| file.row_count).sum::<u64>());
    report.figure("jobs made", found.jobs.len());
    report.figure("  failed", found.jobs.values().filter(|job| !job.succeeded()).count());
    for (what, count) in ground.lines().iter().filter(|(what, _)| !what.is_empty()) {
        report.figure(format!("  {what} (lines)"), count);
    }
    report.judge(audit(&landed, &found));
    report.figure("time", seconds(time));
    report
}

fn queue_figures(report: &mut Report, ground: &Ground) {
    let figures = ground.queue.figures();
    report.figure("messages", figures.messages);
    report.figure("  receives", figures.receives);
    report.figure("  most of one message", figures.most_receives);
    report.figure("  dead-lettered", ground.queue.dead_lettered().len());
    report.figure("  visibility set", figures.visibility_changes);
    report.figure("  visibility refused", figures.visibility_refusals);
}

/// How far the files were that a killed worker had in hand: proof that kills fall into every part of the work.
fn kill_figures(report: &mut Report, kills: &[Kill], landed: &[LandedFile], found: &Found) {
    let stems: BTreeMap<u64, String> = landed.iter().map(|file| (file.number, file.job_stem())).collect();
    let (mut without_job, mut with_job, mut with_rows) = (0, 0, 0);
    for kill in kills {
        for file in &kill.files {
            let made = stems.get(file).and_then(|stem| found.jobs.get(&format!("{stem}_0")));
            let was = |moment_ms: fn(&FoundJob) -> Option<u64>| {
                made.and_then(moment_ms).is_some_and(|moment_ms| moment_ms <= kill.at_ms)
            };
            match (was(|job| Some(job.created_ms)), was(|job| job.ended_ms)) {
                (_, true) => with_rows += 1,
                (true, false) => with_job += 1,
                (false, false) => without_job += 1,
            }
        }
    }
    report.figure("  files in hand, no job made", without_job);
    report.figure("  files in hand, job under way", with_job);
    report.figure("  files in hand, job ended", with_rows);
}
