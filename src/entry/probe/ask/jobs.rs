//! Rows 20 to 42: jobs.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::schemas::expect_loaded;
use crate::cloud::clock::SystemClock;
use crate::cloud::{Clock, Deadline, TableLookup, Warehouse};
use crate::entry::probe::bench::{Bench, Ended, here, text};
use crate::entry::probe::experiment::{Answer, Trouble, Verdict};
use crate::entry::probe::files;
use crate::outcome::record::Chain;
use crate::route::TableRef;

/// How soon a job has to be found after its id was refused.
const VISIBLE_WITHIN_MS: u64 = 4_000;

/// Loads into one table at once: four times what BigQuery takes of an unpartitioned table in ten seconds.
const LOADS_AT_ONCE: usize = 20;

/// Rows of the load that is cancelled: 4 MB, so that there is something to cancel.
const ROWS_TO_CANCEL: i64 = 500_000;

/// 22.
pub(in crate::entry::probe) async fn found_after_conflict(bench: &Bench) -> Answer {
    let (id, table, file) = (bench.job_id(), bench.table(), files::plain()?);
    let job = bench.job(&id, &table, &json!({}));
    let (one, other) = tokio::join!(
        bench.rest.upload(&bench.project, &job, &file),
        bench.rest.upload(&bench.project, &job, &file)
    );
    let statuses = [here(one)?.status, here(other)?.status];
    let started_ms = SystemClock.unix_ms();
    loop {
        let answer = bench.get_job(&id, &bench.location).await?;
        let after_ms = SystemClock.unix_ms().saturating_sub(started_ms);
        if answer.is_success() || after_ms > 10 * VISIBLE_WITHIN_MS {
            let found = if answer.is_success() { "found" } else { "not found" };
            let evidence = format!("two at once answered {statuses:?}; {found} after {after_ms} ms");
            let as_assumed = statuses.contains(&409) && answer.is_success() && after_ms <= VISIBLE_WITHIN_MS;
            return Ok(Verdict::of(as_assumed, evidence));
        }
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
}

/// 23.
pub(in crate::entry::probe) async fn scope_of_ids(bench: &Bench) -> Answer {
    let (id, table, file) = (bench.job_id(), bench.table(), files::plain()?);
    expect_loaded(bench.run_job(&bench.job(&id, &table, &json!({})), &file).await?)?;
    let other_case = match bench.location.to_ascii_uppercase() {
        upper if upper == bench.location => bench.location.to_ascii_lowercase(),
        upper => upper,
    };
    let elsewhere = if bench.location.eq_ignore_ascii_case("us") { "EU" } else { "US" };
    let at = |location: &str| bench.job_in(&id, location, &bench.dataset, &table, &json!({}));
    let same = here(bench.rest.upload(&bench.project, &at(&other_case), &file).await)?;
    let other = here(bench.rest.upload(&bench.project, &at(elsewhere), &file).await)?;
    let evidence = format!("as {other_case}: {}; in {elsewhere}: {}", same.status, other.status);
    Ok(Verdict::of(same.status == 409 && other.status != 409, evidence))
}

/// 24.
pub(in crate::entry::probe) async fn failed_id_stays(bench: &Bench) -> Answer {
    let job = bench.job(&bench.job_id(), &bench.table(), &json!({}));
    let no_parquet = Bytes::from_static(b"PAR1 and nothing else");
    let first = bench.run_job(&job, &no_parquet).await?;
    if !matches!(first, Ended::Badly { .. }) {
        return Err(Trouble::Failed(format!("what is no Parquet: {}", first.in_words())));
    }
    let again = here(bench.rest.upload(&bench.project, &job, &files::plain()?).await)?;
    Ok(Verdict::of(again.status == 409, format!("after a failure the same id answers {}", again.status)))
}

/// 25.
pub(in crate::entry::probe) async fn deleted_id(bench: &Bench) -> Answer {
    let (id, file) = (bench.job_id(), files::plain()?);
    let job = bench.job(&id, &bench.table(), &json!({}));
    expect_loaded(bench.run_job(&job, &file).await?)?;
    let path = ["projects", &bench.project, "jobs", &id, "delete"];
    let location = [("location", bench.location.as_str())];
    let deleted = here(bench.rest.call(Method::DELETE, &path, &location, &Value::Null).await)?;
    if !deleted.is_success() {
        return Err(Trouble::Failed(format!("jobs.delete: {}", deleted.refusal.unwrap_or_default())));
    }
    let again = here(bench.rest.upload(&bench.project, &job, &file).await)?;
    Ok(Verdict::of(again.is_success(), format!("after jobs.delete the same id answers {}", again.status)))
}

/// 26.
pub(in crate::entry::probe) async fn cancelled_load(bench: &Bench) -> Answer {
    let (id, table) = (bench.job_id(), bench.table());
    // Made first, so that its rows can be counted whatever becomes of the load.
    expect_loaded(bench.load(&table, &files::plain()?, json!({})).await?)?;
    let job = bench.job(&id, &table, &json!({}));
    let sent = here(bench.rest.upload(&bench.project, &job, &files::many_rows(ROWS_TO_CANCEL)?).await)?;
    if !sent.is_success() {
        return Err(Trouble::Failed(sent.refusal.unwrap_or_default()));
    }
    let path = ["projects", &bench.project, "jobs", &id, "cancel"];
    let location = [("location", bench.location.as_str())];
    here(bench.rest.call(Method::POST, &path, &location, &json!({})).await)?;
    let ended = bench.end(&id, &bench.location).await?;
    let rows = bench.row_count(&table).await?.saturating_sub(2);
    let all_or_none = if ended.is_well() { ROWS_TO_CANCEL.unsigned_abs() } else { 0 };
    Ok(Verdict::of(rows == all_or_none, format!("cancelled: {}; {rows} rows are in", ended.in_words())))
}

/// 28.
pub(in crate::entry::probe) async fn no_rows(bench: &Bench) -> Answer {
    let file = files::parquet(
        "message m { optional int64 a; }",
        &[files::Column::I64(&[], files::Levels::Present)],
    )?;
    let ended = bench.load(&bench.table(), &file, json!({})).await?;
    let Ended::Well(job) = &ended else { return Ok(Verdict::Otherwise(ended.in_words())) };
    let rows = &job["statistics"]["load"]["outputRows"];
    Ok(Verdict::of(rows.is_null() || rows == "0", format!("outputRows is {rows}")))
}

/// 29.
pub(in crate::entry::probe) async fn creation_and_end(bench: &Bench) -> Answer {
    let file = files::plain()?;
    let mut evidence = Vec::new();
    let mut always = true;
    for at_once in [1, 1, 2] {
        let table = bench.table();
        let loads = join_all((0..at_once).map(|_| bench.load(&table, &file, json!({})))).await;
        let created_ms = number(&bench.get_table(&table).await?["creationTime"]);
        for ended in loads {
            // One of two that create a table may fail: row 30.
            let Ended::Well(job) = ended? else { continue };
            let ended_ms = number(&job["statistics"]["endTime"]);
            always &= created_ms <= ended_ms;
            evidence.push(format!("{} ms", ended_ms - created_ms));
        }
    }
    Ok(Verdict::of(always, format!("jobs ended {} after their tables' creation", evidence.join(", "))))
}

fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_i64()).unwrap_or_default()
}

/// 30.
pub(in crate::entry::probe) async fn creation_race(bench: &Bench) -> Answer {
    let (table, file) = (bench.table(), files::plain()?);
    let loads = join_all((0..4).map(|_| bench.load(&table, &file, json!({})))).await;
    let ended = loads.into_iter().collect::<Result<Vec<_>, _>>()?;
    let expected = |end: &Ended| end.is_well() || end.reason() == "duplicate";
    let rows = bench.row_count(&table).await?;
    let well = ended.iter().filter(|end| end.is_well()).count();
    let evidence = format!("four at once: {}; {rows} rows", counted(&ended));
    Ok(Verdict::of(ended.iter().all(expected) && well > 0 && rows == 2 * well as u64, evidence))
}

/// 31.
pub(in crate::entry::probe) async fn rate_limit(bench: &Bench) -> Answer {
    let (table, file) = (bench.table(), files::plain()?);
    expect_loaded(bench.load(&table, &file, json!({})).await?)?;
    let loads = join_all((0..LOADS_AT_ONCE).map(|_| bench.load(&table, &file, json!({})))).await;
    let ended = loads.into_iter().collect::<Result<Vec<_>, _>>()?;
    let expected =
        |end: &Ended| end.is_well() || matches!(end.reason(), "rateLimitExceeded" | "jobRateLimitExceeded");
    let limited = ended.iter().any(|end| !end.is_well());
    let evidence = format!("{LOADS_AT_ONCE} at once: {}", counted(&ended));
    Ok(Verdict::of(ended.iter().all(expected) && limited, evidence))
}

/// How many ended how.
fn counted(ended: &[Ended]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for end in ended {
        let how = match end {
            Ended::Well(_) => "loaded".to_owned(),
            Ended::Badly { reason, .. } => format!("{reason} in the job"),
            Ended::Refused { status, reason, .. } => format!("{reason} as {status} to the insert"),
        };
        match counts.iter_mut().find(|(known, _)| *known == how) {
            Some((_, count)) => *count += 1,
            None => counts.push((how, 1)),
        }
    }
    counts.iter().map(|(how, count)| format!("{count} {how}")).collect::<Vec<_>>().join(", ")
}

/// 37.
pub(in crate::entry::probe) async fn what_is_missing(bench: &Bench) -> Answer {
    let deadline = Deadline::at(SystemClock.now() + Duration::from_secs(30));
    let look = async |dataset: &str| {
        let table = TableRef {
            project: bench.project.clone(),
            dataset: dataset.to_owned(),
            table: "dms2bq_probe_nothing".to_owned(),
        };
        bench.warehouse.get_table(&table, deadline).await
    };
    let failed = |error: crate::cloud::CallError| Trouble::Failed(Chain(&error).to_string());
    let no_table = look(&bench.dataset).await.map_err(failed)?;
    let no_dataset = look("dms2bq_probe_nowhere").await.map_err(failed)?;
    let told = no_table == TableLookup::NoTable && no_dataset == TableLookup::NoDataset;
    Ok(Verdict::of(told, format!("no table: {no_table:?}; no dataset: {no_dataset:?}")))
}

/// 38.
pub(in crate::entry::probe) async fn table_with_a_space(bench: &Bench) -> Answer {
    let table = bench.table_named(&format!("{} bonus rules é", bench.run()));
    let ended = bench.load(&table, &files::plain()?, json!({})).await?;
    if !ended.is_well() {
        return Ok(Verdict::Otherwise(ended.in_words()));
    }
    let found = bench.get_table(&table).await;
    let is_found = found.as_ref().is_ok_and(|it| text(&it["tableReference"]["tableId"]) == table);
    Ok(Verdict::of(
        is_found,
        if is_found { "loaded, and found under its name".to_owned() } else { format!("loaded; {found:?}") },
    ))
}

/// 39.
pub(in crate::entry::probe) async fn labels(bench: &Bench) -> Answer {
    let mut job = bench.job(&bench.job_id(), &bench.table(), &json!({}));
    let longest = "a".repeat(63);
    let labels = json!({ "object": "0123456789abcdef0123456789abcdef", "table": longest, "kind": "full_load", "mapping": "casino-a", "empty": "" });
    job["configuration"]["labels"] = labels.clone();
    let ended = bench.run_job(&job, &files::plain()?).await?;
    let Ended::Well(job) = &ended else { return Ok(Verdict::Otherwise(ended.in_words())) };
    let kept = &job["configuration"]["labels"];
    Ok(Verdict::of(*kept == labels, format!("kept: {kept}")))
}

/// 40.
pub(in crate::entry::probe) async fn partitioning(bench: &Bench) -> Answer {
    let table = bench.table();
    let by = |unit: &str| json!({ "timePartitioning": { "type": unit } });
    expect_loaded(bench.load(&table, &files::plain()?, by("DAY")).await?)?;
    let made = text(&bench.get_table(&table).await?["timePartitioning"]["type"]).to_owned();
    let differs = bench.load(&table, &files::plain()?, by("HOUR")).await?;
    let evidence = format!("made by {made}; then by HOUR: {}", differs.in_words());
    Ok(Verdict::of(made == "DAY" && !differs.is_well(), evidence))
}

/// 42.
pub(in crate::entry::probe) async fn missing_dataset(bench: &Bench) -> Answer {
    let file = files::plain()?;
    let elsewhere = if bench.location.eq_ignore_ascii_case("us") { "EU" } else { "US" };
    let nowhere = bench.job_in(&bench.job_id(), &bench.location, "dms2bq_probe_nowhere", "t", &json!({}));
    let other = bench.job_in(&bench.job_id(), elsewhere, &bench.dataset, &bench.table(), &json!({}));
    let (nowhere, other) = (bench.run_job(&nowhere, &file).await?, bench.run_job(&other, &file).await?);
    let evidence = format!("no dataset: {}; {elsewhere}: {}", nowhere.in_words(), other.in_words());
    Ok(Verdict::of(nowhere.reason() == "notFound" && other.reason() == "notFound", evidence))
}
