//! Which calls go wrong, and how.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dms2bq::cloud::CallError;

use crate::rng::Rng;
use crate::secrets::TransportError;
use crate::story::Settings;

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It happened, and was answered.
    None,
    /// It did not happen, and the answer says so; or there was no answer.
    Fails(Failure),
    /// It takes this much longer.
    Slow(Duration),
    /// There is never an answer. It did not happen.
    Hangs,
    /// The answer is an old one: for a job, an older record or none; for a table, what was there before.
    Stale,
    /// The stream breaks after so many bytes.
    Breaks(usize),
    /// The call panics.
    Panics,
    /// It happened, and no answer comes.
    HappensUnanswered,
    /// It happened, and hangs all the same.
    HappensAndHangs,
    /// No answer comes, and it happens this much later, though nobody waits.
    HappensLate(Duration),
    /// It happened, and somebody on the way sent it once more: the answer is that of the second.
    HappensTwice,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no fault",
            Self::Fails(failure) => failure.name(),
            Self::Slow(_) => "slow",
            Self::Hangs => "hangs",
            Self::Stale => "stale",
            Self::Breaks(_) => "breaks",
            Self::Panics => "panics",
            Self::HappensUnanswered => "happens unanswered",
            Self::HappensAndHangs => "happens and hangs",
            Self::HappensLate(_) => "happens late",
            Self::HappensTwice => "happens twice",
        }
    }
}

/// How a call that did not happen fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    NotSent,
    NoAnswer,
    Throttled,
    QuotaExceeded,
    Denied,
    NotFound,
    Rejected,
}

/// What a call does, which decides how it can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ReadJob,
    ReadTable,
    Insert,
    ReadObject,
    SetVisibility,
}

pub(crate) struct Faults {
    rng: Mutex<Rng>,
    percent: u64,
    is_calm: AtomicBool,
}

impl Faults {
    pub(crate) fn new(rng: Rng, settings: &Settings) -> Self {
        Self { rng: Mutex::new(rng), percent: settings.faults_percent, is_calm: AtomicBool::new(false) }
    }

    /// Nothing goes wrong any more.
    pub(crate) fn end(&self) {
        self.is_calm.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::SeqCst)
    }

    /// How long a call takes on its way there, or back.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.with(|rng| rng.between(1, 40)))
    }

    /// A choice that has nothing to do with calls.
    pub(crate) fn with<T>(&self, choose: impl FnOnce(&mut Rng) -> T) -> T {
        choose(&mut self.rng.lock().expect("no choice panics"))
    }

    /// Whether something happens that has its own chance.
    pub(crate) fn percent(&self, chance: u64) -> bool {
        !self.is_calm() && self.with(|rng| rng.percent(chance))
    }

    pub(crate) fn of_call(&self, kind: Kind) -> Fault {
        if self.is_calm() {
            return Fault::None;
        }
        self.with(|rng| match rng.percent(self.percent) {
            true => choose(rng, kind),
            false => Fault::None,
        })
    }
}

fn choose(rng: &mut Rng, kind: Kind) -> Fault {
    let slow = |rng: &mut Rng| Fault::Slow(Duration::from_millis(rng.between(500, 40_000)));
    match (kind, rng.below(100)) {
        (_, 0..20) => slow(rng),
        (_, 20..25) => Fault::Hangs,
        (_, 25..28) => Fault::Panics,
        (Kind::Insert, 28..45) => Fault::HappensUnanswered,
        (Kind::Insert, 45..50) => Fault::HappensAndHangs,
        (Kind::Insert, 50..60) => Fault::HappensLate(Duration::from_millis(rng.between(100, 40_000))),
        (Kind::Insert, 60..68) => Fault::HappensTwice,
        (Kind::Insert, 68..80) => Fault::Fails(Failure::NoAnswer),
        (Kind::ReadJob | Kind::ReadTable, 28..60) => Fault::Stale,
        (Kind::ReadObject, 28..55) => Fault::Breaks(rng.index(2_000)),
        (Kind::SetVisibility, 28..50) => Fault::HappensUnanswered,
        (_, _) => Fault::Fails(failure(rng, kind)),
    }
}

fn failure(rng: &mut Rng, kind: Kind) -> Failure {
    let all = [
        Failure::NotSent,
        Failure::NoAnswer,
        Failure::NoAnswer,
        Failure::Throttled,
        Failure::Denied,
        Failure::Rejected,
        Failure::QuotaExceeded,
        Failure::NotFound,
    ];
    // S3 and SQS know neither quotas of a day nor datasets, and BigQuery's lookups answer what is missing.
    let possible = if kind == Kind::Insert { all.len() } else { all.len() - 2 };
    all[rng.index(possible)]
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Self::NotSent => "not sent",
            Self::NoAnswer => "no answer",
            Self::Throttled => "throttled",
            Self::QuotaExceeded => "quota exceeded",
            Self::Denied => "denied",
            Self::NotFound => "not found",
            Self::Rejected => "rejected",
        }
    }

    /// The error that the real client makes of it.
    pub(crate) fn error(self, call: &'static str, kind: Kind) -> CallError {
        let detail = "as the world would have it".to_owned();
        match self {
            Self::NotSent => CallError::NotSent { call, source: Box::new(TransportError) },
            Self::NoAnswer => match kind {
                Kind::Insert | Kind::SetVisibility => CallError::Unanswered { call, detail },
                Kind::ReadJob | Kind::ReadTable | Kind::ReadObject => CallError::Unavailable { call, detail },
            },
            Self::Throttled => {
                CallError::Throttled { call, detail, retry_after: Some(Duration::from_millis(300)) }
            }
            Self::QuotaExceeded => CallError::QuotaExceeded { call, detail },
            Self::Denied => CallError::Denied { call, detail },
            Self::NotFound => CallError::NotFound { call, detail },
            Self::Rejected => CallError::Rejected { call, detail },
        }
    }
}
