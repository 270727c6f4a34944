//! A full load beside other tables' changes, in simulated time; `cargo bench --bench full_load` does the same over HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dms2bq::cloud::memory::warehouse::{Course, MemoryWarehouse};
use dms2bq::cloud::{Clock, Warehouse};

use crate::full_load::{self, Announced, Figures};
use crate::twins::{PausedClock, file};

/// A BigQuery in memory that takes so many changes of a table in ten seconds, and whose jobs take a second or so.
fn limited_warehouse(clock: &Arc<dyn Clock>, changes_per_10_s: usize) -> Arc<MemoryWarehouse> {
    let warehouse = MemoryWarehouse::new(Arc::clone(clock));
    warehouse.create_dataset("acme-dw", "shop", "asia-northeast3");
    let mut changes: BTreeMap<String, VecDeque<tokio::time::Instant>> = BTreeMap::new();
    let clock = Arc::clone(clock);
    warehouse.direct(move |load| {
        let now = clock.now();
        let table = load.resource["configuration"]["load"]["destinationTable"]["tableId"].to_string();
        let changes = changes.entry(table).or_default();
        changes.retain(|at| now < *at + Duration::from_secs(10));
        if changes.len() >= changes_per_10_s {
            return Course::fails(
                "rateLimitExceeded",
                "Exceeded rate limits: too many table update operations",
            );
        }
        changes.push_back(now);
        Course { reads_running: 3, ..Course::default() }
    });
    Arc::new(warehouse)
}

async fn full_load(partitioned: bool) -> Figures {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
    let announced =
        Announced { files: 300, within: Duration::from_secs(60), other_tables: 20, workers: 3, partitioned };
    let warehouse = limited_warehouse(&clock, if partitioned { 50 } else { 5 });
    let same = vec![Arc::clone(&warehouse) as Arc<dyn Warehouse>; announced.workers];
    let bytes: Vec<_> = (1..=7).map(file).collect();
    let figures = full_load::run(announced, clock, same, |n| bytes[n as usize % bytes.len()].clone()).await;
    println!("{figures}");
    figures
}

#[tokio::test(start_paused = true)]
async fn a_full_load_of_a_partitioned_table_goes_in_at_the_pace_that_bigquery_allows() {
    full_load(true).await.check();
}

#[tokio::test(start_paused = true)]
async fn a_full_load_of_an_unpartitioned_table_goes_in_at_the_pace_that_bigquery_allows() {
    full_load(false).await.check();
}
