//! Small versions of the runs of `tests/process`, and the checker itself.

use std::time::Duration;

use crate::process::audit::Problem;
use crate::process::{Programs, kills, load};

const FIVE_KILLS: kills::Plan =
    kills::Plan { seed: 7, kills: 5, workers: 2, bigquery_life: Duration::from_secs(2), double: false };

fn programs() -> Programs {
    Programs {
        bootstrap: env!("CARGO_BIN_EXE_bootstrap").to_owned(),
        dms2bq: env!("CARGO_BIN_EXE_dms2bq").to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_is_in_once_after_five_kills() {
    let report = kills::run(&programs(), FIVE_KILLS).await;
    assert!(report.problems.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_loaded_once_more_behind_the_back_does_not_go_unnoticed() {
    let report = kills::run(&programs(), kills::Plan { kills: 1, double: true, ..FIVE_KILLS }).await;
    let doubled = report.problems.iter().filter(|problem| matches!(problem, Problem::Doubled { .. }));
    assert_eq!(doubled.count(), report.problems.len() - 1, "{report}");
    assert!(
        report.problems.contains(&Problem::StrangeJob { id: kills::BEHIND_THE_BACK.to_owned() }),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_messages_go_through_without_loss() {
    let plan = load::Plan { seed: 7, messages: 300, batch_messages: 100, workers: 2 };
    let report = load::run(&programs(), plan).await;
    assert!(report.problems.is_empty(), "{report}");
}
