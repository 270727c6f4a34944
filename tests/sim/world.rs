//! One world: the twins, what is true in it, what went wrong in it, and every line of what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use dms2bq::cloud::memory::objects::MemoryObjects;
use dms2bq::cloud::memory::queue::{MemoryQueue, RedrivePolicy};
use dms2bq::cloud::memory::warehouse::MemoryWarehouse;
use dms2bq::cloud::{Clock, TableLookup};
use dms2bq::event::QueueArn;
use dms2bq::job::{ColumnMode, JobRef, TableColumn, TableInfo};
use dms2bq::object::ETag;
use dms2bq::outcome::record::Record;
use dms2bq::route::TableRef;
use tokio::sync::Notify;

use crate::bigquery;
use crate::capture::Output;
use crate::clock::SimClock;
use crate::defects::Defect;
use crate::faults::Faults;
use crate::rng::Rng;
use crate::secrets;
use crate::station::Received;
use crate::story::{self, Act, Settings, Story, VERSIONED_BUCKET};
use crate::truth::{LOCATION, Letter, PROJECT, Piece, Version};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

pub(crate) struct World {
    pub(crate) clock: Arc<SimClock>,
    pub(crate) settings: Settings,
    pub(crate) objects: Arc<MemoryObjects>,
    pub(crate) warehouse: Arc<MemoryWarehouse>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) dead_letters: Arc<MemoryQueue>,
    /// Told whenever a message may have become visible.
    pub(crate) arrivals: Notify,
    pub(crate) output: Output,
    pub(crate) defect: Option<Defect>,
    pub(crate) faults: Faults,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    trace: Vec<String>,
    violations: Vec<Violation>,
    pub(crate) versions: Vec<Version>,
    pub(crate) letters: Vec<Letter>,
    /// Which letter a message is.
    addressed: BTreeMap<String, usize>,
    /// The lines of each receive (message id, receive count): written, and told to the observer.
    lines: BTreeMap<(String, String), (usize, usize)>,
    /// And what they said: an outcome, or a disposition.
    told: BTreeMap<(String, String), Vec<&'static str>>,
    /// Insertions that are still on their way although nobody waits for them.
    pub(crate) stray_inserts: usize,
    pub(crate) held: Vec<JobRef>,
    /// What a table looks like, what it looked like before, and when that changed.
    pub(crate) tables: BTreeMap<TableRef, (TableLookup, TableLookup, Duration)>,
    /// The changes of each table in the last ten seconds, refused ones too.
    pub(crate) changes: BTreeMap<String, Vec<Duration>>,
    /// Until when jobs are not found although they are there.
    pub(crate) unseen_until: BTreeMap<String, Duration>,
    /// How often what was seen.
    tally: BTreeMap<String, u64>,
    is_over: bool,
    ended_after: Duration,
}

impl World {
    pub(crate) fn new(story: &Story, rng: &mut Rng, output: Output, defect: Option<Defect>) -> Arc<Self> {
        let clock = Arc::new(SimClock::new());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let settings = story.settings.clone();
        let dead_letters =
            Arc::new(MemoryQueue::new(arn("dms2bq-dlq"), Arc::clone(&shared), Duration::from_secs(30)));
        let policy = RedrivePolicy {
            max_receive_count: settings.max_receive_count,
            dead_letters: Arc::clone(&dead_letters),
        };
        let queue =
            MemoryQueue::new(arn("dms2bq"), Arc::clone(&shared), settings.visibility).with_redrive(policy);
        let world = Arc::new(Self {
            objects: Arc::new(MemoryObjects::new()),
            warehouse: Arc::new(MemoryWarehouse::new(shared)),
            queue: Arc::new(queue),
            dead_letters,
            arrivals: Notify::new(),
            output,
            defect,
            faults: Faults::new(rng.fork(), &settings),
            state: Mutex::new(State {
                versions: story.versions.clone(),
                letters: story.letters.clone(),
                ..State::default()
            }),
            settings,
            clock,
        });
        world.furnish(story, rng.fork());
        world
    }

    fn furnish(self: &Arc<Self>, story: &Story, mut rng: Rng) {
        self.objects.create_versioned_bucket(VERSIONED_BUCKET);
        self.warehouse.create_dataset(PROJECT, "casino_a", LOCATION);
        if story.has_logs {
            self.make_dataset();
        }
        let id =
            TableColumn { name: "id".to_owned(), kind: "INTEGER".to_owned(), mode: ColumnMode::Nullable };
        let name =
            TableColumn { name: "name".to_owned(), kind: "STRING".to_owned(), mode: ColumnMode::Nullable };
        let info = TableInfo { created_ms: self.clock.unix_ms(), columns: vec![id, name], partitioned: true };
        self.warehouse.create_table(&story::destination("fixed"), info);
        let world = Arc::downgrade(self);
        self.warehouse.direct(move |load| bigquery::direct(&world, &mut rng, load));
    }

    // ---- what is said ----

    /// Writes a line of the trace.
    pub(crate) fn say(&self, who: &str, what: &dyn fmt::Display) {
        let at = self.clock.elapsed();
        let line = format!("{:>6}.{:03} {who:<8} {what}", at.as_secs(), at.subsec_millis());
        self.state().trace.push(line);
    }

    /// Notes that an invariant does not hold.
    pub(crate) fn violated(&self, invariant: &'static str, detail: impl Into<String>) {
        let violation = Violation { invariant, detail: detail.into() };
        self.say("!!!", &violation);
        self.state().violations.push(violation);
    }

    /// Counts something, so that it can be told how much a number of seeds has seen.
    pub(crate) fn count(&self, what: &str) {
        let mut state = self.state();
        match state.tally.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                state.tally.insert(what.to_owned(), 1);
            }
        }
    }

    /// All that was counted, and what can be counted now.
    pub(crate) fn final_tally(&self) -> BTreeMap<String, u64> {
        let state = self.state();
        let mut tally = state.tally.clone();
        tally.insert("objects".to_owned(), state.versions.len() as u64);
        tally.insert("messages".to_owned(), state.letters.len() as u64);
        tally.insert("jobs".to_owned(), self.warehouse.jobs().len() as u64);
        tally.insert("simulated seconds".to_owned(), state.ended_after.as_secs());
        tally
    }

    pub(crate) fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.state().violations.clone()
    }

    /// Takes in what the program has written: looks for secrets, and counts the lines of objects.
    pub(crate) fn hear(&self) {
        for line in self.output.take() {
            if let Some(code) = &line.code {
                self.count(code);
            }
            if let Some(secret) = secrets::found_in(&line.text) {
                self.violated("no-secret", format!("{secret} in: {}", line.text));
            }
            if let Some(outcome) = line.outcome {
                let short: Vec<&str> = line.text.split(' ').filter(|field| is_telling(field)).collect();
                self.say(
                    "log",
                    &format_args!(
                        "{outcome} {} #{} {}",
                        line.message_id,
                        line.receive_count,
                        short.join(" ")
                    ),
                );
                self.state().lines.entry((line.message_id, line.receive_count)).or_default().0 += 1;
            }
        }
    }

    pub(crate) fn observe(&self, record: &Record) {
        if self.defect == Some(Defect::SecondLine) {
            dms2bq::telemetry::write_record(record, None, 0);
        }
        let dump = format!("{record:?}");
        if let Some(secret) = secrets::found_in(&dump) {
            self.violated("no-secret", format!("{secret} in: {dump}"));
        }
        let key = (record.message_id.clone(), record.receive_count.to_string());
        let told = record.disposition.map_or(record.outcome, |disposition| disposition.as_str());
        let mut state = self.state();
        state.lines.entry(key.clone()).or_default().1 += 1;
        state.told.entry(key).or_default().push(told);
    }

    /// What the objects of a receive were told, for defects that go by it.
    pub(crate) fn told(&self, message_id: &str, receive_count: u32) -> Vec<&'static str> {
        let key = (message_id.to_owned(), receive_count.to_string());
        self.state().told.get(&key).cloned().unwrap_or_default()
    }

    /// How many lines a receive has left, in the log and with the observer.
    pub(crate) fn lines_of(&self, message_id: &str, receive_count: u32) -> (usize, usize) {
        let key = (message_id.to_owned(), receive_count.to_string());
        self.state().lines.get(&key).copied().unwrap_or_default()
    }

    // ---- what happens ----

    pub(crate) async fn act(self: &Arc<Self>, act: &Act) {
        self.say("world", &format_args!("{act:?}"));
        match act {
            Act::Put { version } => self.put(*version),
            Act::Restore { version } => self.restore(*version),
            Act::Send { letter } => self.send(*letter),
            Act::Delete { version } => {
                let mut state = self.state();
                let version = &mut state.versions[*version];
                version.is_deleted = true;
                self.objects.delete(version.bucket, &version.key);
            }
            Act::TakeId { version, other_destination } => self.take_id(*version, *other_destination).await,
            Act::DropTable { table } => self.drop_table(table),
            Act::MakeDataset => self.make_dataset(),
            Act::DeliverTwice { which } => {
                let ids = self.queue.message_ids();
                if let Some(id) = ids.get(which % ids.len().max(1)) {
                    self.queue.expose(id);
                    self.arrivals.notify_waiters();
                }
            }
        }
    }

    fn put(&self, version: usize) {
        let at = self.clock.elapsed();
        let mut state = self.state();
        let (bucket, key) = (state.versions[version].bucket, state.versions[version].key.clone());
        for other in &mut state.versions {
            if other.bucket == bucket && other.key == key && other.replaced_at.is_none() {
                other.replaced_at = Some(at);
            }
        }
        let new = &mut state.versions[version];
        new.replaced_at = None;
        let etag = ETag::parse(&new.etag).expect("an etag");
        let object = self.objects.put_as(bucket, &key, etag, new.file.bytes.clone());
        new.version_id = object.version_id().map(|id| id.as_str().to_owned());
    }

    /// Puts a deleted object back, as it was.
    fn restore(&self, version: usize) {
        let mut state = self.state();
        let version = &mut state.versions[version];
        version.is_deleted = false;
        let etag = ETag::parse(&version.etag).expect("an etag");
        self.objects.put_as(version.bucket, &version.key, etag, version.file.bytes.clone());
    }

    fn send(&self, letter: usize) {
        let mut state = self.state();
        let body = state.letters[letter].body(&state.versions);
        let id = self.queue.send(body);
        state.addressed.insert(id, letter);
        drop(state);
        self.arrivals.notify_waiters();
    }

    pub(crate) fn make_dataset(&self) {
        self.warehouse.create_dataset(PROJECT, "logs", LOCATION);
    }

    /// Ends all faults, and lets what was held go on.
    pub(crate) fn calm_down(&self) {
        self.say("world", &"calm");
        self.faults.end();
        for job in std::mem::take(&mut self.state().held) {
            self.warehouse.release(&job);
        }
    }

    /// Sends everything in the dead-letter queue anew.
    pub(crate) fn redrive(&self) {
        let moved = self.dead_letters.move_all_to(&self.queue, self.settings.moved);
        self.say("person", &format_args!("redrives {} messages", moved.len()));
        let mut state = self.state();
        for (old, new) in moved {
            let letter = state.addressed[&old];
            state.addressed.insert(new, letter);
        }
        drop(state);
        self.arrivals.notify_waiters();
    }

    /// Takes out of the dead-letter queue what no redrive mends.
    pub(crate) async fn set_aside_what_is_stuck(&self) {
        loop {
            let dead = self.dead_letters.receive(10);
            if dead.is_empty() {
                break;
            }
            for message in dead {
                if self.letter(&message.message_id).is_none_or(|letter| self.is_stuck(&letter)) {
                    self.dead_letters.delete(&message.receipt_handle);
                    self.say("person", &format_args!("sets {} aside", message.message_id));
                }
            }
        }
        // The others are away for as long as the queue's visibility timeout.
        self.clock.sleep(Duration::from_secs(31)).await;
    }

    /// Whether the queue is empty, and nothing that was asked of BigQuery is still on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.queue.message_ids().is_empty() && self.state().stray_inserts == 0
    }

    pub(crate) fn end(&self) {
        let ended_after = self.clock.elapsed();
        self.state().ended_after = ended_after;
        self.state().is_over = true;
        self.arrivals.notify_waiters();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    // ---- what is true ----

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// The letter that a message is.
    pub(crate) fn letter(&self, message_id: &str) -> Option<Letter> {
        let state = self.state();
        state.addressed.get(message_id).map(|letter| state.letters[*letter].clone())
    }

    pub(crate) fn version(&self, bucket: &str, key: &str, etag: &str) -> Option<Version> {
        let state = self.state();
        let is_it = |v: &&Version| v.bucket == bucket && v.key == key && v.etag == etag;
        state.versions.iter().find(is_it).cloned()
    }

    pub(crate) fn version_of_job(&self, base: &str) -> Option<Version> {
        self.state().versions.iter().find(|version| version.identity.job_base == base).cloned()
    }

    /// How many records of these messages are about the object of a job.
    pub(crate) fn receives_about(&self, messages: &[Received], base: &str) -> usize {
        let state = self.state();
        let key = state.versions.iter().find(|v| v.identity.job_base == base).map(|v| (v.bucket, &v.key));
        let letters = messages.iter().filter_map(|message| state.addressed.get(&message.message_id));
        let pieces = letters.flat_map(|letter| &state.letters[*letter].pieces);
        let is_about = |piece: &&Piece| match piece {
            Piece::Other { .. } => false,
            Piece::Object { version, .. } => {
                let version = &state.versions[*version];
                key == Some((version.bucket, &version.key))
            }
        };
        pieces.filter(is_about).count()
    }
}

/// The fields of a line that say what happened.
fn is_telling(field: &str) -> bool {
    ["code=", "disposition=", "job_id=", "attempt="].iter().any(|name| field.starts_with(name))
}

fn arn(name: &str) -> QueueArn {
    QueueArn::parse(&format!("arn:aws:sqs:ap-northeast-2:111122223333:{name}")).expect("an ARN")
}
