//! What the embedded BigQuery holds in the end, asked over HTTP like everybody else: the rows of each table, and
//! the rows that its jobs say they brought. Where the two differ, or one object was loaded by two jobs, a row is lost
//! or doubled, and the run has failed.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde_json::Value;

use crate::job::plan::OBJECT_LABEL;
use crate::route::TableRef;

/// How many jobs one page of the list holds.
const PAGE: &str = "1000";

/// What one table holds, and how it got there.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// The rows in the table.
    pub(super) row_count: u64,
    /// The rows that succeeded jobs brought, by their own account.
    pub(super) rows_by_jobs: u64,
    /// How many objects were loaded by more than one job.
    pub(super) objects_loaded_twice: usize,
}

/// Reads tables and jobs.
pub(super) async fn read<'a>(
    base_url: &str,
    tables: impl Iterator<Item = &'a TableRef>,
) -> anyhow::Result<BTreeMap<TableRef, Held>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut held = BTreeMap::new();
    for table in tables {
        let names = ["projects", &table.project, "datasets", &table.dataset, "tables", &table.table];
        let answer: Value = client.get(address(base_url, &names)?).send().await?.json().await?;
        held.insert(table.clone(), Held { row_count: number(&answer, "/numRows"), ..Held::default() });
    }
    let projects: BTreeSet<String> = held.keys().map(|table| table.project.clone()).collect();
    let mut loaded = BTreeSet::new();
    for project in projects {
        for job in jobs(&client, base_url, &project).await? {
            count(&job, &mut held, &mut loaded);
        }
    }
    Ok(held)
}

/// All jobs of a project that are done.
async fn jobs(client: &reqwest::Client, base_url: &str, project: &str) -> anyhow::Result<Vec<Value>> {
    let mut jobs = Vec::new();
    let mut page_token = None;
    loop {
        let mut url = address(base_url, &["projects", project, "jobs"])?;
        url.query_pairs_mut()
            .append_pair("projection", "full")
            .append_pair("stateFilter", "done")
            .append_pair("maxResults", PAGE)
            .extend_pairs(page_token.iter().map(|token: &String| ("pageToken", token)));
        let mut page: Value = client.get(url).send().await?.json().await?;
        if let Some(Value::Array(listed)) = page.get_mut("jobs").map(Value::take) {
            jobs.extend(listed);
        }
        page_token = page.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
        if page_token.is_none() {
            return Ok(jobs);
        }
    }
}

/// Adds a job to the account of its table, if it succeeded.
fn count(job: &Value, held: &mut BTreeMap<TableRef, Held>, loaded: &mut BTreeSet<(TableRef, String)>) {
    let text = |pointer: &str| job.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let table = TableRef {
        project: text("/configuration/load/destinationTable/projectId"),
        dataset: text("/configuration/load/destinationTable/datasetId"),
        table: text("/configuration/load/destinationTable/tableId"),
    };
    let failed = job.pointer("/status/errorResult").is_some();
    let Some(held) = held.get_mut(&table).filter(|_| !failed) else { return };
    held.rows_by_jobs += number(job, "/statistics/load/outputRows");
    let object = text(&format!("/configuration/labels/{OBJECT_LABEL}"));
    if !loaded.insert((table, object)) {
        held.objects_loaded_twice += 1;
    }
}

/// BigQuery spells 64-bit numbers as text.
fn number(resource: &Value, pointer: &str) -> u64 {
    resource.pointer(pointer).and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn address(base_url: &str, names: &[&str]) -> anyhow::Result<Url> {
    let mut url = Url::parse(base_url)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.clear().extend(["bigquery", "v2"]).extend(names);
    }
    Ok(url)
}
