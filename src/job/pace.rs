//! How fast one table is loaded: a few loads at once, and turns once BigQuery has said "too often".
//!
//! BigQuery takes about 5 changes of a table in ten seconds, 50 if it is partitioned
//! (<https://cloud.google.com/bigquery/quotas#load_jobs>), and each job that it refuses counts against the table's
//! day. A full load announces hundreds of files of one table within a minute, to workers that know nothing of each
//! other. So each process finds its own share: after a refusal one object at a time tries the table, and once that
//! has gone well, loads begin a gap apart. A refusal doubles the gap, a success takes a little off. Whatever finds
//! no turn soon goes back to the queue and is told when to come again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cloud::{Clock, Deadline};
use crate::route::TableRef;

/// Loads of one table in flight at once. More would only meet the limit sooner.
const LOADS_AT_ONCE: usize = 4;

/// The gap between two loads after the first refusal: twice what BigQuery's limit would be for a process alone.
const FIRST_GAP: Duration = Duration::from_secs(4);

/// The same for a partitioned table, which takes ten times as many: it is missed less easily, so it begins more slowly.
const FIRST_GAP_PARTITIONED: Duration = Duration::from_millis(600);

/// No gap grows beyond this: a minute's file must find its turn within the minute.
const LONGEST_GAP: Duration = Duration::from_secs(60);

/// Below this gap the table is not limited any more.
const NO_GAP: Duration = Duration::from_millis(100);

/// What a success leaves of the gap. With this and the doubling, some three loads in a hundred are refused where
/// the limit is met all day.
const GAP_LEFT_BY_SUCCESS: f64 = 0.97;

/// The waits of the one that tries a table again in the same receive.
const TRY_AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];

/// The span over which BigQuery counts.
const COUNTED_OVER: Duration = Duration::from_secs(10);

/// How long an object waits for its turn within the receive: a gap, within these bounds. Longer would keep a worker from
/// other tables.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));

/// No message is sent away for longer; it asks for another turn then.
const LONGEST_AWAY: Duration = Duration::from_secs(600);

/// A table that nobody has asked for in this time is limited no more.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(120);

/// How many tables are remembered at most, so that it cannot grow without end.
const KEPT_TABLES: usize = 10_000;

/// The pace of every table, as one process knows it.
pub struct Pace {
    clock: Arc<dyn Clock>,
    lanes: Mutex<HashMap<TableRef, Arc<Lane>>>,
}

/// One table.
struct Lane {
    state: Mutex<State>,
    /// Told when a load has ended.
    freed: Notify,
}

struct State {
    in_flight: usize,
    asked_at: Instant,
    limited: Option<Limited>,
}

/// What a table's refusal has led to.
struct Limited {
    /// Between the beginnings of two loads.
    gap: Duration,
    /// No load begins before this moment.
    next_start: Instant,
    /// Nothing has gone well since the refusal: one at a time.
    probing: bool,
    /// When the gap was last doubled. The refusal of a load that began before is no news.
    slowed_at: Instant,
    /// The last turn that was given away.
    line_ends: Instant,
}

/// The right to load a table now. Dropping it lets the next one begin.
pub struct Turn {
    lane: Arc<Lane>,
    clock: Arc<dyn Clock>,
    began_at: Instant,
    tried_again: usize,
}

/// No turn in this receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoTurn {
    /// When to come again.
    pub after: Duration,
}

/// What asking for a turn comes to.
enum Asked {
    Now,
    At(Instant),
    WhenOneEnds,
    NotNow(NoTurn),
}

impl Pace {
    /// Knows of no limit yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lanes: Mutex::default() }
    }

    /// Waits for a turn to load a table: for a place while the table is not limited, as long as half of the time is
    /// left; otherwise if that is a matter of moments.
    ///
    /// # Errors
    /// [`NoTurn`] says when to come again.
    pub async fn turn(&self, table: &TableRef, deadline: Deadline) -> Result<Turn, NoTurn> {
        let lane = self.lane(table);
        let gives_up_at = Instant::now() + deadline.left(self.clock.as_ref()) / 2;
        loop {
            let freed = lane.freed.notified();
            let now = self.clock.now();
            let asked = lane.lock().ask(now, deadline);
            let begins_at = match asked {
                Asked::Now => now,
                Asked::At(moment) => moment,
                Asked::NotNow(no_turn) => return Err(no_turn),
                Asked::WhenOneEnds => {
                    if tokio::time::timeout_at(gives_up_at, freed).await.is_err() {
                        return Err(NoTurn { after: COUNTED_OVER });
                    }
                    continue;
                }
            };
            // From here on the place is taken, and given back by dropping it.
            let turn = Turn {
                lane: Arc::clone(&lane),
                clock: Arc::clone(&self.clock),
                began_at: begins_at,
                tried_again: 0,
            };
            if begins_at > now {
                self.clock.sleep(begins_at - now).await;
            }
            return Ok(turn);
        }
    }

    /// A load of the table has gone well of which nobody here holds the turn: it outlived the receive that made it.
    pub fn went_well(&self, table: &TableRef) {
        let lane = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).get(table).cloned();
        if let Some(lane) = lane {
            lane.lock().went_well();
        }
    }

    fn lane(&self, table: &TableRef) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(table) {
            return Arc::clone(lane);
        }
        if lanes.len() >= KEPT_TABLES {
            lanes.retain(|_, lane| lane.lock().in_flight > 0);
        }
        let state = State { in_flight: 0, asked_at: self.clock.now(), limited: None };
        let lane = Arc::new(Lane { state: Mutex::new(state), freed: Notify::new() });
        lanes.insert(table.clone(), Arc::clone(&lane));
        lane
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made in one step, so a poisoned lock still guards a good state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ask(&mut self, now: Instant, deadline: Deadline) -> Asked {
        if now > self.asked_at + FORGOTTEN_AFTER {
            self.limited = None;
        }
        self.asked_at = now;
        let Some(limited) = &mut self.limited else {
            if self.in_flight < LOADS_AT_ONCE {
                self.in_flight += 1;
                return Asked::Now;
            }
            return Asked::WhenOneEnds;
        };
        let places = if limited.probing { 1 } else { LOADS_AT_ONCE };
        let begins_at = limited.next_start.max(now);
        let patience = limited.gap.clamp(PATIENCE.0, PATIENCE.1);
        let is_near = begins_at <= now + patience && begins_at < deadline.instant();
        if self.in_flight >= places || !is_near {
            return Asked::NotNow(limited.give_turn(now));
        }
        self.in_flight += 1;
        limited.next_start = begins_at + limited.gap;
        if begins_at > now { Asked::At(begins_at) } else { Asked::Now }
    }
}

impl State {
    fn went_well(&mut self) {
        let Some(limited) = &mut self.limited else { return };
        limited.probing = false;
        limited.gap = limited.gap.mul_f64(GAP_LEFT_BY_SUCCESS);
        if limited.gap < NO_GAP {
            self.limited = None;
        }
    }
}

impl Limited {
    fn new(now: Instant, partitioned: bool) -> Self {
        let gap = if partitioned { FIRST_GAP_PARTITIONED } else { FIRST_GAP };
        Self { gap, next_start: now, probing: true, slowed_at: now, line_ends: now }
    }

    /// The next free turn. Those that are too far away are spread over the second half of the longest time.
    fn give_turn(&mut self, now: Instant) -> NoTurn {
        self.line_ends = self.line_ends.max(self.next_start) + self.gap;
        let away = self.line_ends.saturating_duration_since(now);
        if away <= LONGEST_AWAY {
            return NoTurn { after: away.max(self.gap) };
        }
        let half = LONGEST_AWAY / 2;
        let place = away.as_millis() % half.as_millis().max(1);
        NoTurn { after: half + Duration::from_millis(u64::try_from(place).unwrap_or_default()) }
    }
}

impl Turn {
    /// The load has gone well: the table takes changes.
    pub fn went_well(&self) {
        self.lane.lock().went_well();
    }

    /// BigQuery has refused the load as one too many. One of those refused may try again in the same receive,
    /// further and further apart; waits for that moment.
    ///
    /// # Errors
    /// [`NoTurn`] if another one tries, or this one has tried often enough for one receive.
    pub async fn try_again(&mut self, partitioned: bool, deadline: Deadline) -> Result<(), NoTurn> {
        let now = self.clock.now();
        let wait = TRY_AGAIN_AFTER.get(self.tried_again).copied();
        let wait = wait.filter(|wait| now + *wait < deadline.instant());
        let begins_at = self.slow_down(now, partitioned, wait)?;
        self.clock.sleep(begins_at - now).await;
        self.began_at = begins_at;
        self.tried_again += 1;
        Ok(())
    }

    /// BigQuery has refused the load as one too many, and it will not be tried again in this receive.
    pub fn give_up(&self, partitioned: bool) -> NoTurn {
        let now = self.clock.now();
        match self.slow_down(now, partitioned, None) {
            Ok(begins_at) => NoTurn { after: begins_at.saturating_duration_since(now) },
            Err(no_turn) => no_turn,
        }
    }

    fn slow_down(&self, now: Instant, partitioned: bool, wait: Option<Duration>) -> Result<Instant, NoTurn> {
        let mut state = self.lane.lock();
        let alone = state.in_flight == 1;
        let is_first = state.limited.is_none();
        let limited = state.limited.get_or_insert_with(|| Limited::new(now, partitioned));
        let was_probing = limited.probing && !is_first;
        let is_news = is_first || self.began_at > limited.slowed_at;
        // While the table is only tried, each receive comes later by itself; the gap is for when it takes loads again.
        if is_news && !is_first && !was_probing {
            limited.gap = (limited.gap * 2).min(LONGEST_GAP);
        }
        if is_news {
            limited.slowed_at = now;
        }
        limited.probing = true;
        let begins_at = now + wait.unwrap_or(COUNTED_OVER);
        limited.next_start = limited.next_start.max(begins_at + limited.gap);
        // Whoever brings the news tries again, or who is the last in flight.
        let answer = match wait {
            Some(_) if is_news || alone => Ok(begins_at),
            Some(_) | None => Err(limited.give_turn(now)),
        };
        drop(state);
        // Whoever waits for a place finds out that there is none.
        self.lane.freed.notify_waiters();
        answer
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.lane.freed.notify_one();
    }
}
