//! A full load beside other tables' changes, in simulated time; `cargo bench --bench full_load` does the same over HTTP.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use dms2bq::cloud::memory::warehouse::{Course, MemoryWarehouse};
use dms2bq::cloud::{Clock, Deadline, Warehouse};
use dms2bq::job::pace::Pace;
use dms2bq::route::TableRef;

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

fn table(name: &str) -> TableRef {
    let [project, dataset, table] = ["acme-dw", "shop", name].map(str::to_owned);
    TableRef { project, dataset, table }
}

/// A pace, and a deadline that is far away.
fn pace() -> (Pace, Deadline, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new());
    (Pace::new(Arc::clone(&clock)), Deadline::at(clock.now() + Duration::from_secs(60)), clock)
}

#[tokio::test(start_paused = true)]
async fn four_loads_of_a_table_are_in_flight_at_once_and_another_table_has_its_own_four() {
    let (pace, deadline, _) = pace();
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(pace.turn(&table("a"), deadline).await.expect("a free place"));
    }
    let fifth = tokio::time::timeout(Duration::from_secs(29), pace.turn(&table("a"), deadline)).await;
    assert!(fifth.is_err(), "a fifth load of the table began");
    let too_late = pace.turn(&table("a"), deadline).await;
    assert!(too_late.is_err(), "half of the time is kept for the load itself");
    assert!(pace.turn(&table("b"), deadline).await.is_ok(), "the other table is not held up");
    drop(turns.pop());
    assert!(pace.turn(&table("a"), deadline).await.is_ok(), "a place is free again");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_outlived_its_receive_and_went_well_ends_the_trying() {
    let (pace, deadline, clock) = pace();
    let turn = pace.turn(&table("a"), deadline).await.expect("a free place");
    let next = turn.give_up(true).after;
    drop(turn);
    clock.sleep(next).await;
    let _one_that_tries = pace.turn(&table("a"), deadline).await.expect("its turn has come");
    assert!(pace.turn(&table("a"), deadline).await.is_err(), "one at a time");
    pace.went_well(&table("a"));
    assert!(pace.turn(&table("a"), deadline).await.is_ok(), "loads go on, a gap apart");
}

#[tokio::test(start_paused = true)]
async fn after_a_refusal_one_tries_further_and_further_apart_and_the_others_are_spread_over_time() {
    let (pace, deadline, clock) = pace();
    let mut tries = pace.turn(&table("a"), deadline).await.expect("a free place");
    let mut refused_too = pace.turn(&table("a"), deadline).await.expect("a free place");
    let refused_at = clock.now();
    let ((), (), waits) = tokio::join!(
        async {
            tries.try_again(false, deadline).await.expect("the first refused tries again");
            assert_eq!(clock.now() - refused_at, Duration::from_secs(2));
            tries.try_again(false, deadline).await.expect("and again");
            assert_eq!(clock.now() - refused_at, Duration::from_secs(6));
            assert!(tries.try_again(false, deadline).await.is_err(), "not a third time in one receive");
        },
        async {
            assert!(refused_too.try_again(false, deadline).await.is_err(), "only one tries");
        },
        async {
            let mut waits = Vec::new();
            for _ in 0..5 {
                waits.push(
                    pace.turn(&table("a"), deadline).await.err().expect("no turn while one tries").after,
                );
            }
            waits
        },
    );
    let gaps: Vec<Duration> = waits.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [Duration::from_secs(4); 4], "they come back one by one: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_tries_again_beyond_the_deadline() {
    let (pace, _, clock) = pace();
    let soon = Deadline::at(clock.now() + Duration::from_millis(1_500));
    let mut turn = pace.turn(&table("a"), soon).await.expect("a free place");
    assert!(turn.try_again(true, soon).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_place_is_told_when_the_table_meets_its_limit() {
    let (pace, deadline, clock) = pace();
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(pace.turn(&table("a"), deadline).await.expect("a free place"));
    }
    let began = clock.now();
    let (told, _) = tokio::join!(
        async {
            let waiting = (0..8).map(|_| async { pace.turn(&table("a"), deadline).await.is_err() });
            futures_util::future::join_all(waiting).await
        },
        async { turns[0].give_up(false) },
    );
    assert_eq!((told, clock.now() - began), (vec![true; 8], Duration::ZERO));
}
