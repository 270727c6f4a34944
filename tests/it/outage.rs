//! Six hours without BigQuery, in simulated time and for a few tables; `cargo bench --bench outage` has 70 tables.

use std::sync::Arc;
use std::time::Duration;

use crate::outage_of::{self, Outage, Trouble};
use crate::twins::{PausedClock, file};

#[tokio::test(start_paused = true)]
async fn an_outage_of_six_hours_dead_letters_nothing_but_poison_and_is_made_up_for_in_minutes() {
    let outage =
        Outage { trouble: Trouble::Away, tables: 4, lasts: Duration::from_secs(6 * 3600), workers: 4 };
    let figures = outage_of::run(outage, Arc::new(PausedClock::new()), file(3)).await;
    println!("{figures}");
    figures.check();
}

#[tokio::test(start_paused = true)]
async fn tables_that_take_no_change_for_six_hours_dead_letter_nothing_but_poison() {
    let outage =
        Outage { trouble: Trouble::Crowded, tables: 2, lasts: Duration::from_secs(6 * 3600), workers: 2 };
    let figures = outage_of::run(outage, Arc::new(PausedClock::new()), file(3)).await;
    println!("{figures}");
    figures.check();
}
