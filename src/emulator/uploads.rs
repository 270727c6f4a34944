//! Uploads: bytes that arrive, in one request or in a resumable session, and become a job when they are complete.
//!
//! The protocol is the one of <https://cloud.google.com/bigquery/docs/reference/api-uploads>. Where that page is
//! silent, this follows what Google's upload servers are known to do: a body that breaks off leaves a
//! multiple of 256 KiB behind, a chunk that overlaps what is there is taken from where it is new, and a chunk
//! beyond it is refused.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::Emulator;
use super::disk::{remove_if_there, write_json};
use super::error::ApiError;
use super::jobs::Job;
use super::multipart::Multipart;
use super::names::JobKey;
use super::run::{JobRequest, blocking};

/// Every chunk but the last is a multiple of this.
pub(crate) const CHUNK_STEP_BYTES: u64 = 256 * 1024;

/// A resumable session, as it is kept on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SessionStart {
    pub(crate) key: JobKey,
    pub(crate) configuration: serde_json::Value,
    /// What `X-Upload-Content-Length` announced.
    pub(crate) announced_bytes: Option<u64>,
}

/// A resumable session.
#[derive(Debug)]
pub(crate) struct Session {
    id: String,
    start: SessionStart,
    progress: tokio::sync::Mutex<Progress>,
    /// The request that has the session now. A newer one takes it over: its sender has given the older one up.
    turn: Mutex<CancellationToken>,
}

#[derive(Debug)]
struct Progress {
    received_bytes: u64,
    end: Option<SessionEnd>,
}

#[derive(Debug)]
enum SessionEnd {
    Made(JobKey),
    Refused(ApiError),
    Cancelled,
}

/// All sessions by their upload ids.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn resume(
        &self,
        id: &str,
        start: SessionStart,
        received_bytes: u64,
        made: Option<JobKey>,
    ) -> Arc<Session> {
        let progress = Progress { received_bytes, end: made.map(SessionEnd::Made) };
        let session = Arc::new(Session {
            id: id.to_owned(),
            start,
            progress: tokio::sync::Mutex::new(progress),
            turn: Mutex::default(),
        });
        self.by_id().insert(id.to_owned(), Arc::clone(&session));
        session
    }

    fn get(&self, id: &str) -> Result<Arc<Session>, ApiError> {
        self.by_id().get(id).cloned().ok_or_else(|| ApiError::not_found(format!("Upload session {id}")))
    }

    fn by_id(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `Content-Range` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// `bytes */total` or `bytes */*`: how far did it get?
    Status { total: Option<u64> },
    /// `bytes first-last/total` or `bytes first-last/*`.
    Bytes { first: u64, last: u64, total: Option<u64> },
    /// No header: the body is the whole file.
    Whole,
}

impl ContentRange {
    pub(crate) fn parse(header: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = header else { return Ok(Self::Whole) };
        Self::parse_text(text)
            .ok_or_else(|| ApiError::invalid(format!("Failed to parse Content-Range header: {text}")))
    }

    fn parse_text(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        if range == "*" {
            return Some(Self::Status { total });
        }
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && total.is_none_or(|total| last < total)).then_some(Self::Bytes {
            first,
            last,
            total,
        })
    }
}

/// What a PUT to a session is answered with.
pub(crate) enum PutAnswer {
    /// 308: this much is here.
    GoOn { received_bytes: u64 },
    /// 200: the upload is complete and its job made.
    Done(Arc<Job>),
}

/// What of a body is to be kept.
struct Chunk {
    /// Where the body starts in the file.
    first: u64,
    /// How long the body is; unknown if the client did not say.
    length: Option<u64>,
    last_one: bool,
}

impl Emulator {
    /// Opens a resumable session for a job.
    pub(crate) async fn open_session(
        &self,
        request: JobRequest,
        announced_bytes: Option<u64>,
    ) -> Result<String, ApiError> {
        self.jobs.check_free(&request.key)?;
        let id = format!("{}{}", super::random_id(), super::random_id());
        let start = SessionStart { key: request.key, configuration: request.configuration, announced_bytes };
        let (path, kept) = (self.disk.session_path(&id), start.clone());
        blocking(move || write_json(&path, &kept)).await?;
        self.sessions.resume(&id, start, 0, None);
        Ok(id)
    }

    /// Takes the next bytes of a session, or says how far it is.
    pub(crate) async fn put_session<E: std::fmt::Display>(
        self: &Arc<Self>,
        id: &str,
        range: ContentRange,
        body_bytes: Option<u64>,
        body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<PutAnswer, ApiError> {
        let session = self.sessions.get(id)?;
        let turn = session.take_turn();
        let mut progress = session.progress.lock().await;
        if let Some(answer) = self.ended(&progress)? {
            return Ok(answer);
        }
        let chunk = match range {
            ContentRange::Status { total } => {
                session.check_total(total)?;
                if total == Some(progress.received_bytes) {
                    return self.finish(&session, &mut progress).await;
                }
                return Ok(PutAnswer::GoOn { received_bytes: progress.received_bytes });
            }
            _ => session.check_chunk(range, body_bytes, progress.received_bytes)?,
        };
        let path = self.disk.upload_path(&session.id);
        let receive = receive(&path, &chunk, progress.received_bytes, body);
        let received = turn.run_until_cancelled(receive).await;
        progress.received_bytes = match received {
            Some(Ok(received_bytes)) => received_bytes,
            // What was written before the break stays, down to a whole step.
            broken => {
                progress.received_bytes = cut_to_step(&path, progress.received_bytes).await?;
                return Err(broken.and_then(Result::err).unwrap_or_else(taken_over));
            }
        };
        if chunk.last_one {
            return self.finish(&session, &mut progress).await;
        }
        Ok(PutAnswer::GoOn { received_bytes: progress.received_bytes })
    }

    /// Ends a session without a job.
    pub(crate) async fn cancel_session(&self, id: &str) -> Result<(), ApiError> {
        let session = self.sessions.get(id)?;
        let _turn = session.take_turn();
        let mut progress = session.progress.lock().await;
        if progress.end.is_none() {
            progress.end = Some(SessionEnd::Cancelled);
            self.forget_session(&session)?;
            remove_if_there(&self.disk.upload_path(&session.id))?;
        }
        Ok(())
    }

    fn ended(&self, progress: &Progress) -> Result<Option<PutAnswer>, ApiError> {
        match &progress.end {
            None => Ok(None),
            Some(SessionEnd::Made(key)) => match self.jobs.get(key) {
                Some(job) => Ok(Some(PutAnswer::Done(job))),
                None => Err(ApiError::not_found(format!("Job {key}"))),
            },
            Some(SessionEnd::Refused(error)) => Err(error.clone()),
            Some(SessionEnd::Cancelled) => {
                Err(ApiError::new(http::StatusCode::GONE, "gone", "The upload session was cancelled."))
            }
        }
    }

    async fn finish(
        self: &Arc<Self>,
        session: &Session,
        progress: &mut Progress,
    ) -> Result<PutAnswer, ApiError> {
        let path = self.disk.upload_path(&session.id);
        let upload = File::options().create(true).truncate(false).write(true).open(&path).await?;
        // A request that was given up may still have been writing.
        upload.set_len(progress.received_bytes).await?;
        upload.sync_all().await?;
        let request =
            JobRequest { key: session.start.key.clone(), configuration: session.start.configuration.clone() };
        match self.create_job(request, &session.id, progress.received_bytes).await {
            Ok(job) => {
                progress.end = Some(SessionEnd::Made(job.key.clone()));
                self.forget_session(session)?;
                Ok(PutAnswer::Done(job))
            }
            // Another upload was first with this id.
            Err(refusal) if refusal.status() == http::StatusCode::CONFLICT => {
                progress.end = Some(SessionEnd::Refused(refusal.clone()));
                self.forget_session(session)?;
                remove_if_there(&path)?;
                Err(refusal)
            }
            Err(failure) => Err(failure),
        }
    }

    fn forget_session(&self, session: &Session) -> std::io::Result<()> {
        remove_if_there(&self.disk.session_path(&session.id))
    }
}

impl Session {
    fn take_turn(&self) -> CancellationToken {
        let mine = CancellationToken::new();
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *turn, mine.clone()).cancel();
        mine
    }

    fn check_total(&self, total: Option<u64>) -> Result<(), ApiError> {
        match (self.start.announced_bytes, total) {
            (Some(announced), Some(total)) if announced != total => Err(ApiError::invalid(format!(
                "Invalid request. X-Upload-Content-Length announced {announced} bytes, but Content-Range says {total}."
            ))),
            _ => Ok(()),
        }
    }

    fn check_chunk(
        &self,
        range: ContentRange,
        body_bytes: Option<u64>,
        received: u64,
    ) -> Result<Chunk, ApiError> {
        let ContentRange::Bytes { first, last, total } = range else {
            self.check_total(body_bytes)?;
            return Ok(Chunk { first: 0, length: body_bytes, last_one: true });
        };
        self.check_total(total)?;
        let length = last - first + 1;
        if body_bytes.is_some_and(|body| body != length) {
            let what =
                format!("Invalid request. Content-Range says {length} bytes, but the body is not as long.");
            return Err(ApiError::invalid(what));
        }
        if first > received {
            return Err(ApiError::invalid(format!(
                "Invalid request. According to the Content-Range header, the upload offset is {first} byte(s), which \
                 exceeds already uploaded size of {received} byte(s)."
            )));
        }
        let last_one = total == Some(last + 1);
        if !last_one && !length.is_multiple_of(CHUNK_STEP_BYTES) {
            return Err(ApiError::invalid(format!(
                "Invalid request. Every chunk but the last must be a multiple of {CHUNK_STEP_BYTES} bytes. The received \
                 request contained {length} bytes, which does not meet this requirement."
            )));
        }
        Ok(Chunk { first, length: Some(length), last_one })
    }
}

fn taken_over() -> ApiError {
    ApiError::invalid("Another request took this upload over.")
}

/// Appends what is new of a chunk. Gives how much is here then.
async fn receive<E: std::fmt::Display>(
    path: &Path,
    chunk: &Chunk,
    received_bytes: u64,
    body: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
) -> Result<u64, ApiError> {
    let mut file = File::options().create(true).truncate(false).write(true).open(path).await?;
    file.set_len(received_bytes).await?;
    file.seek(std::io::SeekFrom::Start(received_bytes)).await?;
    let mut at = chunk.first;
    let mut kept = received_bytes;
    let mut broken = None;
    while let Some(bytes) = body.next().await {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                broken = Some(ApiError::invalid(format!("The upload broke off: {error}")));
                break;
            }
        };
        if chunk.length.is_some_and(|length| at + bytes.len() as u64 > chunk.first + length) {
            return Err(ApiError::invalid("The body is longer than Content-Range says."));
        }
        let known = usize::try_from(kept.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        at += bytes.len() as u64;
        let new = bytes.slice(known..);
        file.write_all(&new).await?;
        kept += new.len() as u64;
    }
    file.flush().await?;
    let short = chunk.length.is_some_and(|length| at != chunk.first + length);
    match broken {
        Some(error) => Err(error),
        None if short => Err(ApiError::invalid("The body is shorter than Content-Range says.")),
        None => Ok(kept),
    }
}

/// Cuts a broken chunk's tail off. Gives how much is left.
async fn cut_to_step(path: &Path, received_before: u64) -> std::io::Result<u64> {
    let file = File::options().create(true).truncate(false).write(true).open(path).await?;
    let written = file.metadata().await?.len();
    let kept = (written - written % CHUNK_STEP_BYTES).max(received_before);
    file.set_len(kept).await?;
    Ok(kept)
}

/// Writes the part of a multipart body to a file and makes it last. Gives its length.
pub(crate) async fn write_part<S, E>(path: &Path, multipart: &mut Multipart<S>) -> Result<u64, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let mut file = File::create(path).await?;
    let mut length_bytes = 0;
    while let Some(bytes) = multipart.chunk().await? {
        file.write_all(&bytes).await?;
        length_bytes += bytes.len() as u64;
    }
    file.sync_all().await?;
    Ok(length_bytes)
}
