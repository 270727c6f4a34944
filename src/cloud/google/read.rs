//! The calls that read: `jobs.get` and `tables.get`. They change nothing, so they are repeated a few times.

use gcp_bigquery_client::Client;
use gcp_bigquery_client::error::{BQError, ResponseError};
use reqwest::Url;
use serde::Serialize;
use serde_json::Value;

use super::answers::{self, Missing, Unreadable};
use super::http::{Http, Lost, chain};
use crate::cloud::call::{Effect, Refusal, Tries, repeat};
use crate::cloud::{CallError, Deadline, TableLookup};
use crate::job::{JobRecord, JobRef};
use crate::route::TableRef;

const GET_JOB: &str = "jobs.get";
const GET_TABLE: &str = "tables.get";
const NOT_READ: &str = "an answer that cannot be read";

/// What a read found: a resource, or a refusal with all that was said.
enum Reply {
    Resource(Value),
    Refused(Refusal),
    /// The crate got an answer, but did not tell all of it.
    Unreadable,
    /// The crate's token was refused; the next one will be fresh.
    Unauthorized,
}

/// Reads a job: by the crate if one is given, by the thin client if the crate cannot read the answer.
pub(super) async fn job(
    http: &Http,
    client: Option<&Client>,
    job: &JobRef,
    deadline: Deadline,
) -> Result<Option<JobRecord>, CallError> {
    let settings = &http.settings;
    repeat(Tries::FEW, http.clock.as_ref(), &settings.jitter, deadline, || async {
        let mut reply = Reply::Unreadable;
        if let Some(client) = client {
            let get = client.job().get_job(&job.project, &job.id, Some(&job.location));
            reply = by_crate(http, GET_JOB, deadline, get).await?;
        }
        let mut url = http.url(&settings.api_url(), &["projects", &job.project, "jobs", &job.id])?;
        url.query_pairs_mut().append_pair("location", &job.location);
        job_of(by_hand_if_needed(http, GET_JOB, deadline, reply, url).await?)
    })
    .await
}

fn job_of(reply: Reply) -> Result<Option<JobRecord>, CallError> {
    match reply {
        Reply::Resource(body) => Ok(Some(answers::job_record(body).map_err(|error| undecodable(GET_JOB, &error))?)),
        Reply::Refused(refusal) if is_no_job(&refusal) => Ok(None),
        Reply::Refused(refusal) => Err(refusal.into_error(GET_JOB, Effect::Read)),
        Reply::Unreadable | Reply::Unauthorized => Err(Effect::Read.no_answer(GET_JOB, NOT_READ)),
    }
}

/// BigQuery knows no such job, in that place. A 404 that does not come in BigQuery's form says nothing about jobs:
/// a wrong address or a proxy would otherwise look like an empty ledger.
fn is_no_job(refusal: &Refusal) -> bool {
    let of_a_job = match answers::missing(refusal) {
        Missing::Job | Missing::Unknown => refusal.reason == "notFound",
        Missing::Project | Missing::Dataset | Missing::Table => false,
    };
    refusal.status == 404 && of_a_job
}

/// Reads a table.
pub(super) async fn table(
    http: &Http,
    client: &Client,
    table: &TableRef,
    deadline: Deadline,
) -> Result<TableLookup, CallError> {
    let settings = &http.settings;
    repeat(Tries::FEW, http.clock.as_ref(), &settings.jitter, deadline, || async {
        let get = client.table().get(&table.project, &table.dataset, &table.table, None);
        let reply = by_crate(http, GET_TABLE, deadline, get).await?;
        let names = ["projects", &table.project, "datasets", &table.dataset, "tables", &table.table];
        let url = http.url(&settings.api_url(), &names)?;
        table_of(by_hand_if_needed(http, GET_TABLE, deadline, reply, url).await?)
    })
    .await
}

fn table_of(reply: Reply) -> Result<TableLookup, CallError> {
    match reply {
        Reply::Resource(body) => {
            let info = answers::table_info(body).map_err(|error| undecodable(GET_TABLE, &error))?;
            Ok(TableLookup::Found(info))
        }
        Reply::Refused(refusal) if refusal.status == 404 => match answers::missing(&refusal) {
            Missing::Table => Ok(TableLookup::NoTable),
            Missing::Dataset => Ok(TableLookup::NoDataset),
            Missing::Project | Missing::Job | Missing::Unknown => Err(refusal.into_error(GET_TABLE, Effect::Read)),
        },
        Reply::Refused(refusal) => Err(refusal.into_error(GET_TABLE, Effect::Read)),
        Reply::Unreadable | Reply::Unauthorized => Err(Effect::Read.no_answer(GET_TABLE, NOT_READ)),
    }
}

fn undecodable(call: &'static str, error: &Unreadable) -> CallError {
    Effect::Read.no_answer(call, error.to_string())
}

/// Makes a call through the crate.
///
/// What the crate does not tell is asked for again by hand: it drops the status of an error that is not in its form
/// (a proxy's page, an error without `errors`), `Retry-After`, and tables without a schema or with a type it does not know.
async fn by_crate<T: Serialize>(
    http: &Http,
    call: &'static str,
    deadline: Deadline,
    work: impl Future<Output = Result<T, BQError>>,
) -> Result<Reply, CallError> {
    // Asked here first, for the crate's error would not say what is wrong with the token.
    let token = http.tokens.get(deadline).await?;
    let patience = http.settings.timings.call;
    let answer = http.within(deadline, patience, async { Ok(work.await) }).await;
    let error = match answer.map_err(|lost| lost.into_error(call, Effect::Read))? {
        Ok(resource) => return Ok(serde_json::to_value(resource).map_or(Reply::Unreadable, Reply::Resource)),
        Err(error) => error,
    };
    match (error, token) {
        (BQError::ResponseError { error }, Some(token)) if error.error.code == 401 => {
            http.tokens.forget(token.serial).await;
            Ok(Reply::Unauthorized)
        }
        (BQError::ResponseError { error }, _) => Ok(crate_refusal(error)),
        (BQError::RequestError(error), _) if error.is_decode() => Ok(Reply::Unreadable),
        (BQError::RequestError(error), _) => Err(Lost::from(error).into_error(call, Effect::Read)),
        (error, _) => Err(CallError::NotSent { call, source: chain(&error).into() }),
    }
}

/// A refusal as the crate read it. A throttled one is asked for again, for its `Retry-After`.
fn crate_refusal(error: ResponseError) -> Reply {
    let error = error.error;
    let status = u16::try_from(error.code).unwrap_or(0);
    if status == 429 || !(400..600).contains(&status) {
        return Reply::Unreadable;
    }
    let reason = error.errors.first().and_then(|first| first.get("reason")).cloned().unwrap_or_default();
    Reply::Refused(Refusal { status, reason, message: answers::one_line(&error.message), retry_after: None })
}

/// Asks again with the thin client, if the crate's reply does not settle it.
async fn by_hand_if_needed(
    http: &Http,
    call: &'static str,
    deadline: Deadline,
    reply: Reply,
    url: Url,
) -> Result<Reply, CallError> {
    let get = || http.client.get(url.clone());
    let answer = match reply {
        Reply::Resource(_) | Reply::Refused(_) => return Ok(reply),
        Reply::Unreadable => http.call(call, Effect::Read, deadline, get).await?,
        Reply::Unauthorized => http.once(call, Effect::Read, deadline, get()).await?,
    };
    if (200..300).contains(&answer.status) {
        return http.success(call, Effect::Read, &answer).map(Reply::Resource);
    }
    Ok(Reply::Refused(http.refusal(&answer)))
}
