//! Six hours without BigQuery at full rate, in simulated time: `cargo bench --bench outage`, some minutes.

#![allow(clippy::expect_used, reason = "a bench stops at what it did not expect")]

#[path = "../tests/support/event_source.rs"]
mod event_source;
#[path = "../tests/support/outage.rs"]
mod outage;
#[path = "../tests/it/twins.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "made for the tests")]
mod twins;

use std::sync::Arc;
use std::time::Duration;

use outage::{Outage, Trouble};

/// The environments that the templates allow at most.
const WORKERS: usize = 40;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::time::pause();
    let outage =
        Outage { trouble: Trouble::Away, tables: 70, lasts: Duration::from_secs(6 * 3600), workers: WORKERS };
    let figures = outage::run(outage, Arc::new(twins::PausedClock::new()), twins::file(3)).await;
    println!("{figures}");
    figures.check();
}
