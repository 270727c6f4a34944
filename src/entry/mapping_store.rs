//! The mappings in force: read at the start, looked at again beside the work, never exchanged for broken ones.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::sync::Mutex;

use crate::cloud::{Clock, Deadline};
use crate::route::{MappingFile, MappingProblems, Mappings};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{self, panic_message};

/// How long after one look for newer mappings the next one is due.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What a look may take. It costs a listing, a small read and, if there is something new, a read for each file.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What a look may take beyond its invocation's work, if the work was over before the look last time: a worker whose
/// invocations all take milliseconds would never hear of a change, and go on to ignore what it should load.
const LINGER: Duration = Duration::from_secs(2);

/// How often files that change while a process starts are read again.
const TRIES: usize = 3;

/// Problems that are written out in one line of the log; `dms2bq check` shows all.
const PROBLEMS_SHOWN: usize = 10;

/// From so many failed looks in a row on, a quarter of an hour, it is said as an error.
const FAILURES_UNTIL_LOUD: u32 = 16;

/// Where mapping files come from.
#[async_trait]
pub trait MappingSource: Send + Sync {
    /// Looks which version of the mappings is there now, and reads as little as it can for that.
    ///
    /// # Errors
    /// Why it could not look, or why what is there is none.
    async fn look(&self, deadline: Deadline) -> Result<Offer, SourceError>;

    /// Reads all files of a version that [`MappingSource::look`] has told of.
    ///
    /// # Errors
    /// What kept them from being read.
    async fn read(&self, version: &Version, deadline: Deadline) -> Result<Vec<MappingFile>, SourceError>;
}

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The version that should be in force.
    pub version: Version,
    /// The version that was in force before, for a process that starts while the one in force is broken.
    pub before: Option<Version>,
}

/// One state of the mappings. Two with the same name hold the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// Files beside the program, which do not change.
    Package,
    /// A version that was published as a whole.
    Published(String),
    /// A state of a plain folder, which changes file by file and may be seen half-way.
    Folder(String),
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package => f.write_str("the package's"),
            Self::Published(id) => f.write_str(id),
            Self::Folder(fingerprint) => write!(f, "folder {fingerprint}"),
        }
    }
}

/// Why mappings were not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// They could not be read now, and that may pass.
    Unread(String),
    /// They changed while they were read.
    Changing(String),
    /// What is there is of no use until a person does something about it.
    Broken(String),
}

impl SourceError {
    /// What kept them from being read, in words.
    pub fn into_detail(self) -> String {
        match self {
            Self::Unread(detail) | Self::Changing(detail) | Self::Broken(detail) => detail,
        }
    }
}

/// The mappings of a process. One snapshot serves a whole invocation.
pub struct MappingStore {
    source: Option<Arc<dyn MappingSource>>,
    metrics: Option<Metrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_force: Option<InForce>,
    /// When the last look began, in milliseconds since 1970. The wall clock, since the other one may stand still
    /// while a process is frozen.
    looked_at_ms: u64,
    /// Whether the last look was dropped because the work was over.
    was_dropped: bool,
    /// The state of a plain folder that the last look has seen.
    seen: Option<Version>,
    /// A version that has problems, and which.
    rejected: Option<Rejected>,
    /// How many looks in a row have failed.
    failures: u32,
}

#[derive(Clone)]
struct InForce {
    version: Version,
    mappings: Arc<Mappings>,
}

#[derive(Clone)]
struct Rejected {
    version: Version,
    reason: String,
    /// Whether all of it was read, so that it will have the same problems whenever it is read again.
    is_final: bool,
}

impl Rejected {
    /// What could not be read whole; it may be mended under the same name.
    fn unread(version: Version, reason: String) -> Self {
        Self { version, reason, is_final: false }
    }
}

/// What a look came to.
enum Finding {
    /// What is in force is what is there.
    Same,
    /// A plain folder that may still be changing.
    Unsettled(Version),
    /// Newer mappings, checked.
    Newer(InForce),
    /// Newer mappings that have problems.
    Rejected(Rejected),
}

impl MappingStore {
    /// Mappings that are at hand.
    pub fn fixed(mappings: Arc<Mappings>) -> Self {
        let in_force = Some(InForce { version: Version::Package, mappings });
        Self { source: None, metrics: None, state: Mutex::new(State { in_force, ..State::default() }) }
    }

    /// Mappings that are read from `source` when they are first needed.
    pub fn from_source(source: Arc<dyn MappingSource>) -> Self {
        Self { source: Some(source), metrics: None, state: Mutex::default() }
    }

    /// Counts mappings that were rejected, besides saying so.
    pub fn count_rejected(&mut self, metrics: Metrics) {
        self.metrics = Some(metrics);
    }

    /// Reads the mappings that a process begins with, and says so if there are none.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub async fn begin(&self, clock: &dyn Clock, deadline: Deadline) -> Result<(), String> {
        let Err(error) = self.at_hand(clock, deadline).await else { return Ok(()) };
        // What may pass is nobody's mistake, and is not counted as one.
        let counted = self.metrics.as_ref().filter(|_| matches!(error, SourceError::Broken(_)));
        let reason = error.into_detail();
        telemetry::no_mappings_yet(&reason, counted, clock.unix_ms());
        Err(reason)
    }

    /// The mappings to go by. While there are none, each call tries to read them: a network that failed at the
    /// start must not cost more than the invocations that it failed.
    ///
    /// # Errors
    /// Why there are none, in words; all problems of all files at once.
    pub async fn snapshot(&self, clock: &dyn Clock, deadline: Deadline) -> Result<Arc<Mappings>, String> {
        self.at_hand(clock, deadline).await.map_err(SourceError::into_detail)
    }

    async fn at_hand(&self, clock: &dyn Clock, deadline: Deadline) -> Result<Arc<Mappings>, SourceError> {
        let unread = |why: String| Err(SourceError::Unread(why));
        let mut state = self.state.lock().await;
        if let Some(in_force) = &state.in_force {
            return Ok(Arc::clone(&in_force.mappings));
        }
        let Some(source) = &self.source else { return unread("no mappings were given".to_owned()) };
        let read = AssertUnwindSafe(read_first(source.as_ref(), deadline)).catch_unwind();
        let (in_force, rejected) = match tokio::time::timeout_at(deadline.instant(), read).await {
            Ok(Ok(read)) => read?,
            Ok(Err(panic)) => {
                return unread(format!("reading them panicked: {}", panic_message(panic.as_ref())));
            }
            Err(_elapsed) => return unread("reading them took longer than there was time".to_owned()),
        };
        telemetry::mappings_in_force(&in_force.version.to_string(), None);
        if let Some(rejected) = &rejected {
            self.say_rejected(rejected, &in_force, clock.unix_ms());
        }
        let mappings = Arc::clone(&in_force.mappings);
        *state =
            State { in_force: Some(in_force), looked_at_ms: clock.unix_ms(), rejected, ..State::default() };
        Ok(mappings)
    }

    /// Does the work, and beside it, once a minute at most, looks for newer mappings: what it finds is in force from
    /// the next snapshot on. The look does not hold up the work and is dropped when the work is done, but for one
    /// that follows a dropped one: that may take two seconds longer.
    pub async fn look_beside<W: Future>(&self, clock: &dyn Clock, deadline: Deadline, work: W) -> W::Output {
        let Some((source, may_linger)) = self.begin_look(clock.unix_ms()).await else { return work.await };
        let look = Box::pin(self.look(source.as_ref(), clock, deadline.within(clock, LOOK_TIMEOUT)));
        match select(pin!(work), look).await {
            Either::Right(((), work)) => work.await,
            Either::Left((done, look)) => {
                let linger = if may_linger { LINGER } else { Duration::ZERO };
                let until = deadline.within(clock, linger).instant();
                if tokio::time::timeout_at(until, look).await.is_err() {
                    self.note_dropped(may_linger).await;
                }
                done
            }
        }
    }

    /// Whether a look is due, and whether it may go on when the work is done.
    async fn begin_look(&self, now_ms: u64) -> Option<(&Arc<dyn MappingSource>, bool)> {
        let source = self.source.as_ref()?;
        let mut state = self.state.lock().await;
        // A clock that was set back makes it due, too.
        let since_last = Duration::from_millis(now_ms.abs_diff(state.looked_at_ms));
        let in_force = state.in_force.as_ref()?;
        if in_force.version == Version::Package || since_last < LOOK_EVERY {
            return None;
        }
        state.looked_at_ms = now_ms;
        let may_linger = std::mem::replace(&mut state.was_dropped, false);
        Some((source, may_linger))
    }

    async fn note_dropped(&self, has_lingered: bool) {
        let mut state = self.state.lock().await;
        state.was_dropped = true;
        if has_lingered {
            note_failure(&mut state, "looking for newer ones took longer than the invocations did");
        }
    }

    async fn look(&self, source: &dyn MappingSource, clock: &dyn Clock, deadline: Deadline) {
        let finding = AssertUnwindSafe(self.find(source, deadline)).catch_unwind();
        let finding = match tokio::time::timeout_at(deadline.instant(), finding).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(panic)) => Err(format!("it panicked: {}", panic_message(panic.as_ref()))),
            Err(_elapsed) => Err("looking for newer ones took too long".to_owned()),
        };
        let mut state = self.state.lock().await;
        let has_rejected = matches!(finding, Ok(Finding::Rejected(_)));
        note(&mut state, finding);
        if let (true, Some(rejected), Some(in_force)) = (has_rejected, &state.rejected, &state.in_force) {
            self.say_rejected(rejected, in_force, clock.unix_ms());
        }
    }

    fn say_rejected(&self, rejected: &Rejected, in_force: &InForce, now_ms: u64) {
        let (rejected_version, in_force) = (rejected.version.to_string(), in_force.version.to_string());
        let reason = &rejected.reason;
        telemetry::mappings_rejected(&rejected_version, &in_force, reason, self.metrics.as_ref(), now_ms);
    }

    /// Looks, and reads and checks what is new. What it cannot read, it gives in words.
    async fn find(&self, source: &dyn MappingSource, deadline: Deadline) -> Result<Finding, String> {
        let (in_force, seen, rejected) = {
            let state = self.state.lock().await;
            let in_force = state.in_force.as_ref().map(|in_force| in_force.version.clone());
            (in_force, state.seen.clone(), state.rejected.clone())
        };
        let version = match source.look(deadline).await {
            Ok(offer) => offer.version,
            Err(SourceError::Unread(detail) | SourceError::Changing(detail)) => return Err(detail),
            // It has no name, so it is taken for another one each time.
            Err(SourceError::Broken(reason)) => {
                return Ok(Finding::Rejected(Rejected::unread(Version::Published("?".to_owned()), reason)));
            }
        };
        if in_force.as_ref() == Some(&version) {
            return Ok(Finding::Same);
        }
        if matches!((&in_force, &version), (Some(Version::Published(_)), Version::Folder(_))) {
            let reason =
                "CURRENT is gone, and files beside it are not taken for what was published. Publish again"
                    .to_owned();
            return Ok(Finding::Rejected(Rejected::unread(version, reason)));
        }
        if matches!(version, Version::Folder(_)) && seen.as_ref() != Some(&version) {
            return Ok(Finding::Unsettled(version));
        }
        if let Some(known) = rejected.filter(|known| known.is_final && known.version == version) {
            return Ok(Finding::Rejected(known));
        }
        let files = match source.read(&version, deadline).await {
            Ok(files) => files,
            Err(SourceError::Broken(reason)) => {
                return Ok(Finding::Rejected(Rejected::unread(version, reason)));
            }
            Err(SourceError::Changing(_)) => return Ok(Finding::Unsettled(version)),
            Err(SourceError::Unread(detail)) => return Err(detail),
        };
        Ok(match parse(version.clone(), files) {
            Ok(in_force) => Finding::Newer(in_force),
            Err(reason) => Finding::Rejected(Rejected { version, reason, is_final: true }),
        })
    }
}

/// Reads the mappings of a process that has none: those in force, or, if these are broken, the version before.
async fn read_first(
    source: &dyn MappingSource,
    deadline: Deadline,
) -> Result<(InForce, Option<Rejected>), SourceError> {
    let mut tries = 1;
    let (offer, error) = loop {
        let offer = source.look(deadline).await?;
        match load(source, &offer.version, deadline).await {
            Ok(in_force) => return Ok((in_force, None)),
            Err(SourceError::Changing(_)) if tries < TRIES => tries += 1,
            Err(error) => break (offer, error),
        }
    };
    let (reason, before) = match (error, offer.before) {
        (SourceError::Broken(reason), Some(before)) => (reason, before),
        (error, _) => return Err(error),
    };
    match load(source, &before, deadline).await {
        Ok(in_force) => Ok((in_force, Some(Rejected::unread(offer.version, reason)))),
        Err(error) => {
            let also = error.into_detail();
            let both =
                format!("version {}: {reason}; and the version before, {before}: {also}", offer.version);
            Err(SourceError::Broken(both))
        }
    }
}

async fn load(
    source: &dyn MappingSource,
    version: &Version,
    deadline: Deadline,
) -> Result<InForce, SourceError> {
    let files = source.read(version, deadline).await?;
    parse(version.clone(), files).map_err(SourceError::Broken)
}

fn parse(version: Version, files: Vec<MappingFile>) -> Result<InForce, String> {
    let mappings = Mappings::parse(files).map_err(|problems| describe(&problems))?;
    Ok(InForce { version, mappings: Arc::new(mappings) })
}

/// Every problem with its place and what to do, up to a number.
fn describe(problems: &MappingProblems) -> String {
    let count = problems.iter().len();
    let shown = problems.iter().take(PROBLEMS_SHOWN);
    let shown: Vec<String> = shown.map(|problem| format!("{problem} ({})", problem.remedy())).collect();
    let more = count.saturating_sub(PROBLEMS_SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

/// Writes down what a look came to, and says what a person may want to know of it.
fn note(state: &mut State, finding: Result<Finding, String>) {
    let finding = match finding {
        Ok(finding) => finding,
        Err(reason) => return note_failure(state, &reason),
    };
    state.failures = 0;
    (state.seen, state.rejected) = (None, None);
    match finding {
        Finding::Same => {}
        Finding::Unsettled(version) => state.seen = Some(version),
        Finding::Newer(newer) => {
            let before = state.in_force.as_ref().map(|in_force| in_force.version.to_string());
            telemetry::mappings_in_force(&newer.version.to_string(), before.as_deref());
            state.in_force = Some(newer);
        }
        Finding::Rejected(rejected) => {
            // A folder that was settled stays so.
            state.seen = Some(rejected.version.clone());
            state.rejected = Some(rejected);
        }
    }
}

/// Says the first failure, and then each time that their number has doubled: an outage of S3 is no news each minute.
fn note_failure(state: &mut State, reason: &str) {
    state.failures = state.failures.saturating_add(1);
    if let Some(in_force) = state.in_force.as_ref().filter(|_| state.failures.is_power_of_two()) {
        let is_loud = state.failures >= FAILURES_UNTIL_LOUD;
        telemetry::mappings_not_looked_at(is_loud, state.failures, &in_force.version.to_string(), reason);
    }
}
