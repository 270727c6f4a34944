//! Time, as an argument.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

/// Time as the pipeline may know it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock in milliseconds since 1970, to compare with what SQS and BigQuery say.
    fn unix_ms(&self) -> u64;
    /// A clock that only goes forward, for spans and deadlines.
    fn now(&self) -> Instant;
    /// Waits.
    async fn sleep(&self, duration: Duration);
}

/// The real clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
    fn unix_ms(&self) -> u64 {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since_1970.map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The moment by which a piece of work must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline at a moment.
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// The moment.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left until then; zero once it has passed.
    pub fn left(self, clock: &dyn Clock) -> Duration {
        self.0.saturating_duration_since(clock.now())
    }

    /// The earlier of this deadline and `span` from now.
    pub fn within(self, clock: &dyn Clock, span: Duration) -> Self {
        Self(self.0.min(clock.now() + span))
    }
}
