//! `bootstrap` killed at random moments, and BigQuery too, until all that landed is in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::audit::audit;
use super::bucket::Bucket;
use super::dice::Dice;
use super::files::{LandedFile, NARROW_TABLE};
use super::queue::{Queue, Rules};
use super::worker::{Fate, Terms, Turn, Worker};
use super::{Ground, Programs, Report, seconds};

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
    /// Whether a file is loaded once more in the end, by somebody who knows nothing of our ids.
    pub(crate) double: bool,
}

/// The id of that load.
pub(crate) const BEHIND_THE_BACK: &str = "behind_the_back";

const TERMS: Terms = Terms { batch_messages: 10, batch_bytes: 6_000_000, time: Duration::from_secs(6) };

const RULES: Rules = Rules {
    visibility: Duration::from_secs(7),
    asked_second: Duration::from_millis(20),
    max_receive_count: 50,
    again_once_in: 10,
};

/// S3 sends 256 KiB, then rests for this long.
const S3_PAUSE: Duration = Duration::from_millis(8);

/// How long BigQuery stays away at most.
const BIGQUERY_AWAY: Duration = Duration::from_millis(1500);

/// When no message has ended for so long, the rest is stuck.
const PATIENCE: Duration = Duration::from_secs(90);

/// New files land while fewer messages than this are left.
const MESSAGES_LEFT_MIN: usize = 30;

/// A look around.
const MOMENT: Duration = Duration::from_millis(20);

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Runs it.
pub(crate) async fn run(programs: &Programs, plan: Plan) -> Report {
    let started = Instant::now();
    let mut dice = Dice::of(plan.seed);
    let queue = Queue::new(RULES, dice.fork());
    let ground = Arc::new(Ground::start(programs, Bucket::new(S3_PAUSE), queue, &[]).await);
    let course = Arc::new(Course::new(plan.kills));
    let workers: Vec<_> = (0..plan.workers)
        .map(|_| tokio::spawn(work(Arc::clone(&ground), Arc::clone(&course), dice.fork())))
        .collect();
    let landing = tokio::spawn(land(Arc::clone(&ground), Arc::clone(&course), dice.fork()));
    let dying = bigquery_dies(&ground, &course, plan.bigquery_life, dice.fork());
    let bigquery_kills = dying.await;
    landing.await.expect("files land");
    for worker in workers {
        worker.await.expect("a worker is driven to its end");
    }
    let time = started.elapsed();
    if plan.double {
        let file = &ground.landed()[0];
        ground.bigquery.load_behind_the_back(BEHIND_THE_BACK, &file.table, &file.parquet()).await;
    }
    report(&ground, &course, plan, bigquery_kills, time).await
}

/// What the parties of a run know of each other.
struct Course {
    /// Kills that nobody has taken on yet.
    kills_left: AtomicU64,
    killed: AtomicU64,
    killed_with_reply: AtomicU64,
    kills_wanted: u64,
    invocations: AtomicU64,
    late: AtomicU64,
    /// How long invocations take, as it turns out.
    usual_ms: AtomicU64,
}

impl Course {
    fn new(kills: u64) -> Self {
        Self {
            kills_left: AtomicU64::new(kills),
            killed: AtomicU64::new(0),
            killed_with_reply: AtomicU64::new(0),
            kills_wanted: kills,
            invocations: AtomicU64::new(0),
            late: AtomicU64::new(0),
            usual_ms: AtomicU64::new(500),
        }
    }

    fn all_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed) >= self.kills_wanted
    }

    fn is_over(&self, queue: &Queue) -> bool {
        let figures = queue.figures();
        self.all_killed() && (figures.ended == figures.messages || queue.idle() > PATIENCE)
    }

    /// Every other worker is to die, at a moment that lies anywhere in an invocation, or a little behind its end.
    fn fate(&self, dice: &mut Dice) -> Fate {
        let take_on = |left: u64| left.checked_sub(1);
        if dice.once_in(2)
            || self.kills_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_on).is_err()
        {
            return Fate::Lives;
        }
        if dice.once_in(12) {
            return Fate::KilledWithItsReply;
        }
        let usual = Duration::from_millis(self.usual_ms.load(Ordering::Relaxed));
        Fate::KilledAfter(dice.within(usual * 3 / 2))
    }

    fn note(&self, fate: Fate, turn: Turn) {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        if turn != Turn::NothingWaits {
            count(&self.invocations);
        }
        match turn {
            Turn::Killed => {
                count(&self.killed);
                if fate == Fate::KilledWithItsReply {
                    count(&self.killed_with_reply);
                }
                return;
            }
            Turn::Late => {
                count(&self.late);
            }
            Turn::Answered(time) => {
                let usual_ms = self.usual_ms.load(Ordering::Relaxed);
                let time_ms = u64::try_from(time.as_millis()).expect("a short time");
                self.usual_ms.store((usual_ms * 7 + time_ms) / 8, Ordering::Relaxed);
            }
            Turn::NothingWaits => {}
        }
        if fate != Fate::Lives {
            count(&self.kills_left);
        }
    }
}

async fn work(ground: Arc<Ground>, course: Arc<Course>, mut dice: Dice) {
    let mut worker = Worker::new(Arc::clone(&ground), TERMS);
    while !course.is_over(&ground.queue) {
        let fate = course.fate(&mut dice);
        let turn = worker.turn(fate).await;
        course.note(fate, turn);
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
        let figures = ground.queue.figures();
        if figures.messages - figures.ended < MESSAGES_LEFT_MIN {
            let files: Vec<LandedFile> =
                (0..1 + u64::from(dice.once_in(10)) * 2).map(|at| file(number + at, &mut dice)).collect();
            number += files.len() as u64;
            ground.land(&files, !dice.once_in(10));
            if dice.once_in(20) {
                ground.announce(&files, true);
            }
        } else {
            tokio::time::sleep(MOMENT).await;
        }
    }
}

/// Most files are small, some go up in a resumable session, and a few in one of several chunks.
fn file(number: u64, dice: &mut Dice) -> LandedFile {
    let size_bytes = match dice.below(50) {
        0 => 36 * MIB,
        1..=4 => 8 * MIB + 512 * KIB + dice.below(4 * MIB),
        5..=14 => 256 * KIB + dice.below(4 * MIB),
        _ => 2 * KIB + dice.below(64 * KIB),
    };
    let table = match dice.below(30) {
        0 => NARROW_TABLE.to_owned(),
        table => format!("wide_{}", table % 8),
    };
    let row_count = 1 + dice.below(40);
    let text_bytes = usize::try_from(size_bytes / row_count).expect("a small number");
    LandedFile { number, table, row_count, text_bytes }
}

/// Kills BigQuery now and then, until everybody else has died often enough. Gives how often.
async fn bigquery_dies(ground: &Ground, course: &Course, life: Duration, mut dice: Dice) -> u64 {
    let mut kills = 0;
    while !course.all_killed() {
        tokio::time::sleep(dice.within(life)).await;
        ground.bigquery.kill();
        kills += 1;
        tokio::time::sleep(dice.within(BIGQUERY_AWAY)).await;
        tokio::task::block_in_place(|| ground.bigquery.restart());
    }
    kills
}

async fn report(ground: &Ground, course: &Course, plan: Plan, bigquery_kills: u64, time: Duration) -> Report {
    let (landed, found) = (ground.landed(), ground.found().await);
    let (queue, lines) = (ground.queue.figures(), ground.lines());
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut report = Report { figures: Vec::new(), problems: Vec::new() };
    report.figure("seed", plan.seed);
    report.figure("kills of bootstrap", load(&course.killed));
    report.figure("  its reply unheard", load(&course.killed_with_reply));
    report.figure("kills of BigQuery", bigquery_kills);
    report.figure("invocations", load(&course.invocations));
    report.figure("  no reply by the deadline", load(&course.late));
    report.figure("messages", queue.messages);
    report.figure("  receives", queue.receives);
    report.figure("  most of one message", queue.most_receives);
    report.figure("  visibility set", queue.visibility_changes);
    report.figure("files", landed.len());
    report.figure(
        "  MiB",
        landed.iter().map(|file| file.row_count * file.text_bytes as u64).sum::<u64>() / MIB,
    );
    report.figure("  downloads broken off", ground.bucket.broken_off());
    report.figure("rows", landed.iter().map(|file| file.row_count).sum::<u64>());
    report.figure("jobs made", found.jobs.len());
    report.figure("  failed", found.jobs.values().filter(|job| !job.succeeded()).count());
    report.figure("  adopted (lines)", lines.get("loaded job.adopted").unwrap_or(&0));
    for (what, count) in lines.iter().filter(|(what, _)| what.starts_with("returned")) {
        report.figure(format!("  {what} (lines)"), count);
    }
    report.judge(audit(&landed, &found));
    report.figure("time", seconds(time));
    report
}
