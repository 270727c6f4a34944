//! The calls that read: `jobs.get` and `tables.get`. They change nothing, so they are repeated a few times.

use gcp_bigquery_client::Client;
use gcp_bigquery_client::error::{BQError, ResponseError};
use reqwest::Url;
use serde::Serialize;
use serde_json::Value;

use super::answers::{self, Missing, Unreadable};
use super::http::Http;
use super::wire::Lost;
use crate::cloud::call::{Effect, Refusal, repeat};
use crate::cloud::quote::{chain, one_line};
use crate::cloud::{CallError, Deadline, TableLookup};
use crate::job::{JobRecord, JobRef, TableInfo};
use crate::route::TableRef;

/// A call that reads a resource.
struct Read<T> {
    call: &'static str,
    /// How the resource's JSON is read.
    parse: fn(Value) -> Result<T, Unreadable>,
}

const GET_JOB: Read<JobRecord> = Read { call: "jobs.get", parse: answers::job_record };
const GET_TABLE: Read<TableInfo> = Read { call: "tables.get", parse: answers::table_info };

/// What a read came to.
enum Reply<T> {
    Resource(T),
    /// A refusal with all that was said.
    Refused(Refusal),
    /// The crate got an answer, but did not tell all of it.
    Untold,
    /// The crate's token was refused; the next one will be fresh.
    Unauthorized,
}

/// Reads a job: by the crate if one is given, by the thin client if the crate does not tell the answer.
pub(super) async fn job(
    http: &Http,
    client: Option<&Client>,
    job: &JobRef,
    deadline: Deadline,
) -> Result<Option<JobRecord>, CallError> {
    let settings = &http.settings;
    repeat(settings.tries, http.clock.as_ref(), &settings.jitter, deadline, || async {
        let mut url = http.url(&settings.api_url(), &["projects", &job.project, "jobs", &job.id])?;
        url.query_pairs_mut().append_pair("location", &job.location);
        let mut reply = Reply::Untold;
        if let Some(client) = client {
            let get = client.job().get_job(&job.project, &job.id, Some(&job.location));
            reply = GET_JOB.by_crate(http, deadline, get).await?;
        }
        match GET_JOB.by_hand_if_untold(http, deadline, reply, url).await? {
            Ok(record) if record.id == job.id => Ok(Some(record)),
            Ok(record) => {
                let detail = format!("the answer is about another job, {:?}", record.id);
                Err(Effect::Read.no_answer(GET_JOB.call, detail))
            }
            Err(refusal) if is_no_job(&refusal) => Ok(None),
            Err(refusal) => Err(refusal.into_error(GET_JOB.call, Effect::Read)),
        }
    })
    .await
}

/// BigQuery knows no such job, in that place. A 404 that does not come in BigQuery's form says nothing about jobs:
/// a wrong address or a proxy would otherwise look like an empty ledger.
fn is_no_job(refusal: &Refusal) -> bool {
    let may_be_a_job = match answers::missing(refusal) {
        Missing::Job | Missing::Unknown => refusal.reason == "notFound",
        Missing::Project | Missing::Dataset | Missing::Table => false,
    };
    refusal.status == 404 && may_be_a_job
}

/// The crate form-encodes names into the path, where a space becomes `+` and so another name. A table's name may
/// hold spaces; those of projects, datasets and jobs may not.
fn crate_can_spell(table: &str) -> bool {
    !table.contains(' ')
}

/// Reads a table.
pub(super) async fn table(
    http: &Http,
    client: &Client,
    table: &TableRef,
    deadline: Deadline,
) -> Result<TableLookup, CallError> {
    let settings = &http.settings;
    repeat(settings.tries, http.clock.as_ref(), &settings.jitter, deadline, || async {
        let names = ["projects", &table.project, "datasets", &table.dataset, "tables", &table.table];
        let url = http.url(&settings.api_url(), &names)?;
        let mut reply = Reply::Untold;
        if crate_can_spell(&table.table) {
            let get = client.table().get(&table.project, &table.dataset, &table.table, None);
            reply = GET_TABLE.by_crate(http, deadline, get).await?;
        }
        let refusal = match GET_TABLE.by_hand_if_untold(http, deadline, reply, url).await? {
            Ok(info) => return Ok(TableLookup::Found(info)),
            Err(refusal) => refusal,
        };
        match answers::missing(&refusal) {
            Missing::Table if refusal.status == 404 => Ok(TableLookup::NoTable),
            Missing::Dataset if refusal.status == 404 => Ok(TableLookup::NoDataset),
            _ => Err(refusal.into_error(GET_TABLE.call, Effect::Read)),
        }
    })
    .await
}

impl<T> Read<T> {
    /// Makes the call through the crate.
    ///
    /// What the crate does not tell is asked for again by hand: it drops the status of an error that is not in its
    /// form (a proxy's page, an error without `errors`), `Retry-After`, errors inside a success, and tables without a
    /// schema or with a type it does not know.
    async fn by_crate<Model: Serialize>(
        &self,
        http: &Http,
        deadline: Deadline,
        work: impl Future<Output = Result<Model, BQError>>,
    ) -> Result<Reply<T>, CallError> {
        // Asked here first, for the crate's error would not say what is wrong with the token.
        let token = http.tokens.get(deadline).await?;
        let patience = http.settings.timings.call;
        let answer = http.within(deadline, patience, async { Ok(work.await) }).await;
        let error = match answer.map_err(|lost| lost.into_error(self.call, Effect::Read))? {
            Ok(model) => {
                let resource = serde_json::to_value(model).ok().and_then(|body| (self.parse)(body).ok());
                return Ok(resource.map_or(Reply::Untold, Reply::Resource));
            }
            Err(error) => error,
        };
        match (error, token) {
            (BQError::ResponseError { error }, Some(token)) if error.error.code == 401 => {
                http.tokens.forget(token.serial);
                Ok(Reply::Unauthorized)
            }
            (BQError::ResponseError { error }, _) => Ok(refused_to_crate(error)),
            (BQError::RequestError(error), _) if error.is_decode() => Ok(Reply::Untold),
            (BQError::RequestError(error), _) => Err(Lost::from(error).into_error(self.call, Effect::Read)),
            (error, _) => Err(CallError::NotSent { call: self.call, source: chain(&error).into() }),
        }
    }

    /// Asks again with the thin client, if the crate's reply does not settle it: the resource, or the refusal.
    async fn by_hand_if_untold(
        &self,
        http: &Http,
        deadline: Deadline,
        reply: Reply<T>,
        url: Url,
    ) -> Result<Result<T, Refusal>, CallError> {
        let get = || http.client.get(url.clone());
        let answer = match reply {
            Reply::Resource(resource) => return Ok(Ok(resource)),
            Reply::Refused(refusal) => return Ok(Err(refusal)),
            Reply::Untold => http.call(self.call, Effect::Read, deadline, get).await?,
            Reply::Unauthorized => http.once(self.call, Effect::Read, deadline, get()).await?,
        };
        if !(200..300).contains(&answer.status) {
            return Ok(Err(http.refusal(&answer)));
        }
        let body = http.success(self.call, Effect::Read, &answer)?;
        let resource = (self.parse)(body);
        resource.map(Ok).map_err(|error| Effect::Read.no_answer(self.call, error.to_string()))
    }
}

/// A refusal as the crate read it. A throttled one is asked for again, for its `Retry-After`.
fn refused_to_crate<T>(error: ResponseError) -> Reply<T> {
    let error = error.error;
    let status = u16::try_from(error.code).unwrap_or(0);
    if status == 429 || !(400..600).contains(&status) {
        return Reply::Untold;
    }
    let reason = error.errors.first().and_then(|first| first.get("reason"));
    let reason = reason.map(|reason| one_line(reason)).unwrap_or_default();
    Reply::Refused(Refusal { status, reason, message: one_line(&error.message), retry_after: None })
}
