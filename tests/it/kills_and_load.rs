//! Small versions of the runs of `tests/process`, and the checker itself.

use std::time::Duration;

use crate::process::audit::{Found, FoundJob, FoundRow, Problem, audit};
use crate::process::files::LandedFile;
use crate::process::queue::Done;
use crate::process::{Programs, kills, load};

const FIVE_KILLS: kills::Plan = kills::Plan {
    seed: 7,
    kills: 5,
    workers: 2,
    bigquery_life: Duration::from_secs(2),
    time: Duration::from_secs(3),
    longest_wait_secs: 1,
    largest_bytes: 9 * 1024 * 1024,
    messages_left: 10,
    bursts_in_1000: 0,
    double: false,
};

fn programs() -> Programs {
    Programs {
        bootstrap: env!("CARGO_BIN_EXE_bootstrap").to_owned(),
        dms2bq: env!("CARGO_BIN_EXE_dms2bq").to_owned(),
        log: None,
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

/// Two files of two rows each, and what there is to see when all went well.
fn all_well() -> (Vec<LandedFile>, Found) {
    let file = |number| LandedFile { number, table: format!("t{number}"), row_count: 2, text_bytes: 10 };
    let landed = vec![file(1), file(2)];
    let mut found = Found::default();
    for file in &landed {
        for row in 0..2 {
            let (table, text) = (file.table.clone(), file.text(row));
            found.rows.push(FoundRow { table, file: file.number, row, text });
        }
        found.jobs.insert(format!("{}_0", file.job_stem()), job(file, None, 1_000));
        found.done.push(Done { files: vec![file.number], at_ms: 2_500 });
    }
    (landed, found)
}

/// A job that took a second.
fn job(file: &LandedFile, failure: Option<&str>, created_ms: u64) -> FoundJob {
    FoundJob {
        destination: file.table.clone(),
        state: "DONE".to_owned(),
        failure: failure.map(str::to_owned),
        created_ms,
        ended_ms: Some(created_ms + 1_000),
    }
}

/// What the checker says once something is changed.
fn problems_after(change: impl FnOnce(&[LandedFile], &mut Found)) -> Vec<Problem> {
    let (landed, mut found) = all_well();
    change(&landed, &mut found);
    audit(&landed, &found)
}

#[test]
fn where_all_is_well_the_checker_finds_nothing() {
    assert_eq!(problems_after(|_, _| {}), []);
}

#[test]
fn a_row_that_is_lost_and_one_that_is_doubled_do_not_make_up_for_each_other() {
    let problems = problems_after(|_, found| found.rows[0] = found.rows[3].clone());
    assert_eq!(problems, [Problem::Doubled { file: 2, row: 1, times: 2 }, Problem::Lost { file: 1, row: 0 }]);
}

#[test]
fn a_row_in_another_table_or_with_other_bytes_or_of_no_file_is_found() {
    let problems = problems_after(|_, found| found.rows[0].table = "t2".to_owned());
    assert_eq!(problems, [Problem::WrongTable { file: 1, row: 0, table: "t2".to_owned() }]);
    let problems = problems_after(|_, found| found.rows[1].text = "something ".to_owned());
    assert_eq!(problems, [Problem::Altered { file: 1, row: 1 }]);
    for (file, row) in [(1, 2), (3, 0)] {
        let stray = FoundRow { table: "t1".to_owned(), file, row, text: String::new() };
        let problems = problems_after(|_, found| found.rows.push(stray));
        assert_eq!(problems, [Problem::Unknown { file, row, table: "t1".to_owned() }]);
    }
}

#[test]
fn a_message_that_ends_badly_or_before_its_rows_are_in_is_found() {
    assert_eq!(problems_after(|_, found| found.stuck = vec![2]), [Problem::Stuck { file: 2 }]);
    assert_eq!(problems_after(|_, found| found.dead_lettered = vec![1]), [Problem::DeadLettered { file: 1 }]);
    let problems = problems_after(|_, found| found.done[0].at_ms = 1_999);
    assert_eq!(problems, [Problem::DoneTooEarly { file: 1, early_ms: 1 }]);
}

#[test]
fn another_attempt_needs_a_failure_before_it_and_every_job_a_file() {
    let after = |failure: Option<&'static str>, created_ms| {
        problems_after(|landed, found| {
            let stem = landed[0].job_stem();
            found.jobs.insert(format!("{stem}_0"), job(&landed[0], failure, 0));
            found.jobs.insert(format!("{stem}_1"), job(&landed[0], None, created_ms));
        })
    };
    let id = format!("{}_1", all_well().0[0].job_stem());
    assert_eq!(after(Some("rateLimitExceeded"), 1_000), []);
    assert_eq!(after(Some("rateLimitExceeded"), 999), [Problem::AttemptWithoutFailure { id: id.clone() }]);
    assert_eq!(after(None, 1_000), [Problem::AttemptWithoutFailure { id }]);
    for strange in ["LOAD00000001_game_t1_0123456789abcdef_0", "LOAD00000001"] {
        let insert = |landed: &[LandedFile], found: &mut Found| {
            found.jobs.insert(strange.to_owned(), job(&landed[0], None, 0));
        };
        let problems = problems_after(insert);
        assert_eq!(problems, [Problem::StrangeJob { id: strange.to_owned() }]);
    }
}
