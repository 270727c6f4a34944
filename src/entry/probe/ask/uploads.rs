//! Rows 20, 21, 35 and 36: resumable sessions, request by request.

use bytes::Bytes;
use serde_json::{Value, json};

use super::schemas::expect_loaded;
use crate::cloud::google::answers::{persisted_bytes, session_address};
use crate::entry::probe::bench::{Bench, here};
use crate::entry::probe::experiment::{Answer, Trouble, Verdict};
use crate::entry::probe::files;

/// What Google keeps of a broken chunk is a multiple of this.
const KEPT_MULTIPLE_BYTES: usize = 256 * 1024;

/// Rows of the file whose upload is broken: 1.2 MB.
const ROWS_TO_BREAK: i64 = 150_000;

/// Opens a session for a job and gives its address.
async fn open(bench: &Bench, job: &Value, file: &Bytes) -> Result<String, Trouble> {
    let opened = here(bench.rest.open_session(&bench.project, job, file.len() as u64).await)?;
    opened.location.ok_or_else(|| {
        Trouble::Failed(format!("no session: {} {}", opened.status, opened.refusal.unwrap_or_default()))
    })
}

/// Puts the whole file into a session.
async fn complete(bench: &Bench, session: &str, file: &Bytes) -> Result<u16, Trouble> {
    let range = format!("0-{}/{}", file.len() - 1, file.len());
    Ok(here(bench.rest.put(session, &range, file).await)?.status)
}

/// 20.
pub(in crate::entry::probe) async fn conflict_in_a_session(bench: &Bench) -> Answer {
    let file = files::plain()?;
    let job = bench.job(&bench.job_id(), &bench.table(), &json!({}));
    expect_loaded(bench.run_job(&job, &file).await?)?;
    let opened = here(bench.rest.open_session(&bench.project, &job, file.len() as u64).await)?;
    if opened.status == 409 {
        return Ok(Verdict::AsAssumed("409 at the start of the session".to_owned()));
    }
    let Some(session) = opened.location else {
        return Ok(Verdict::Otherwise(format!("the session: {}", opened.refusal.unwrap_or_default())));
    };
    let status = complete(bench, &session, &file).await?;
    Ok(Verdict::of(status == 409, format!("the session opens; {status} at its end")))
}

/// 21.
pub(in crate::entry::probe) async fn two_sessions(bench: &Bench) -> Answer {
    let (file, table) = (files::plain()?, bench.table());
    let id = bench.job_id();
    let job = bench.job(&id, &table, &json!({}));
    let (one, other) = (open(bench, &job, &file).await?, open(bench, &job, &file).await?);
    let statuses = [complete(bench, &one, &file).await?, complete(bench, &other, &file).await?];
    bench.end(&id, &bench.location).await?;
    let rows = bench.row_count(&table).await?;
    let evidence = format!("the two ended with {statuses:?}; {rows} rows of 2");
    Ok(Verdict::of(rows == 2 && statuses.contains(&409), evidence))
}

/// 35.
pub(in crate::entry::probe) async fn broken_chunk(bench: &Bench) -> Answer {
    let (file, table, id) = (files::many_rows(ROWS_TO_BREAK)?, bench.table(), bench.job_id());
    let session = open(bench, &bench.job(&id, &table, &json!({})), &file).await?;
    let ask = format!("*/{}", file.len());
    let empty = here(bench.rest.put(&session, &ask, &Bytes::new()).await)?;
    let break_at = 3 * KEPT_MULTIPLE_BYTES + 1_000;
    let whole = format!("0-{}/{}", file.len() - 1, file.len());
    bench.rest.put_broken(&session, &whole, &file, break_at).await;
    let broken = here(bench.rest.put(&session, &ask, &Bytes::new()).await)?;
    let kept = persisted_bytes(broken.range.as_deref()).ok().and_then(|kept| usize::try_from(kept).ok());
    let Some(kept) = kept.filter(|kept| *kept < file.len() && broken.status == 308) else {
        return Ok(Verdict::Otherwise(format!("after the break: {} {:?}", broken.status, broken.range)));
    };
    let rest = format!("{kept}-{}/{}", file.len() - 1, file.len());
    let ended = here(bench.rest.put(&session, &rest, &file.slice(kept..)).await)?;
    bench.end(&id, &bench.location).await?;
    let rows = bench.row_count(&table).await?;
    let evidence = format!(
        "before a byte: {} with Range {:?}; {break_at} bytes sent, {kept} kept; the rest: {}; {rows} rows",
        empty.status, empty.range, ended.status
    );
    let as_assumed = empty.status == 308
        && empty.range.is_none()
        && kept <= break_at
        && kept.is_multiple_of(KEPT_MULTIPLE_BYTES)
        && rows == ROWS_TO_BREAK.unsigned_abs();
    Ok(Verdict::of(as_assumed, evidence))
}

/// 36. The address is a secret while the session lives, so only its host is told.
pub(in crate::entry::probe) async fn session_host(bench: &Bench) -> Answer {
    let file = files::plain()?;
    let session = open(bench, &bench.job(&bench.job_id(), &bench.table(), &json!({})), &file).await?;
    let base = bench.rest.address();
    let host = reqwest::Url::parse(&session).ok().and_then(|url| url.host_str().map(str::to_owned));
    let taken = session_address(base, base, &session).is_ok();
    complete(bench, &session, &file).await?;
    Ok(Verdict::of(
        taken,
        format!("the session is at {}", host.unwrap_or_else(|| "the same host".to_owned())),
    ))
}
