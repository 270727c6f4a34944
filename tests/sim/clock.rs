//! Simulated time: that of a paused tokio runtime, which jumps ahead whenever everybody waits.

use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::Clock;
use tokio::time::Instant;

/// When every simulation begins, in milliseconds since 1970.
const STARTED_UNIX_MS: u64 = 1_700_000_000_000;

pub(crate) struct SimClock {
    origin: Instant,
}

impl SimClock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// How long the simulation has run.
    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now() - self.origin
    }
}

#[async_trait]
impl Clock for SimClock {
    fn unix_ms(&self) -> u64 {
        STARTED_UNIX_MS + u64::try_from(self.elapsed().as_millis()).expect("a simulation is short")
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
