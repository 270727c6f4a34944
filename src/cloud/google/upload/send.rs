//! Sending bytes as they are read: one request with a streamed body, and the upload that is a single one.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, RequestBuilder};
use tokio::sync::mpsc;

use super::{INSERT, Upload};
use crate::cloud::call::Effect;
use crate::cloud::google::http::request_with;
use crate::cloud::google::token::Token;
use crate::cloud::google::wire::{Answer, Lost, whole_answer};
use crate::cloud::{InsertError, Inserted};

/// The bytes of one request: some of our own around some of the upload's.
pub(super) struct Frame {
    pub(super) before: Bytes,
    /// Where the upload's bytes end; they start where the source stands.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) after: Bytes,
}

impl Frame {
    fn length_bytes(&self) -> u64 {
        self.before.len() as u64 + (self.to - self.from) + self.after.len() as u64
    }
}

/// Why a request with bytes had no answer.
pub(super) enum Interrupted {
    /// The network's fault.
    Lost(Lost),
    /// Ours or the object's: the upload ends.
    Ended(InsertError),
}

impl From<Lost> for Interrupted {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl From<InsertError> for Interrupted {
    fn from(error: InsertError) -> Self {
        Self::Ended(error)
    }
}

type Pieces = mpsc::Sender<Result<Bytes, io::Error>>;

impl Upload<'_> {
    /// Sends everything in one request. It is repeated only when it did not leave, or when a fresh token may help.
    pub(super) async fn send_in_one(&mut self) -> Result<Inserted, InsertError> {
        let mut failed = 0;
        loop {
            let token = self.http.tokens.get(self.deadline).await.map_err(InsertError::Call)?;
            let error = match self.try_in_one(token.as_ref()).await {
                Ok(answer) if self.renews(&answer, token.as_ref()) => continue,
                Ok(answer) => return self.ending(&answer).map_err(InsertError::Call),
                Err(Interrupted::Ended(error)) => return Err(error),
                Err(Interrupted::Lost(lost)) => lost.into_error(INSERT, Effect::Write),
            };
            failed += 1;
            if !error.may_be_repeated() || failed >= self.http.settings.tries.most {
                return Err(InsertError::Call(error));
            }
            self.wait(failed, None).await;
        }
    }

    /// At the first 401: forgets the token, so that the request can be made again with a fresh one.
    pub(super) fn renews(&mut self, answer: &Answer, token: Option<&Token>) -> bool {
        let Some(token) = token.filter(|_| answer.status == 401 && !self.progress.refused) else {
            return false;
        };
        self.progress.refused = true;
        self.http.tokens.forget(token.serial);
        true
    }

    async fn try_in_one(&mut self, token: Option<&Token>) -> Result<Answer, Interrupted> {
        // Random, for a file must not be able to hold its own boundary.
        let random = [RandomState::new().hash_one(0_u8), RandomState::new().hash_one(0_u8)];
        let boundary = format!("dms2bq-{:016x}{:016x}", random[0], random[1]);
        let before = format!(
            "--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n\
             --{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n",
            self.load.resource
        );
        let frame = Frame {
            before: before.into(),
            from: 0,
            to: self.source.total_bytes(),
            after: format!("\r\n--{boundary}--\r\n").into(),
        };
        let request = self.http.client.post(self.address("multipart")?);
        let request = request.header(CONTENT_TYPE, format!("multipart/related; boundary={boundary}"));
        self.send_frame(request_with(request, token), frame).await
    }

    /// Sends a request whose body is read while it is sent, and waits for its answer, which may come early.
    ///
    /// The body's length is announced. If we stop in the middle, the body is short, and no server takes it for a whole one.
    pub(super) async fn send_frame(
        &mut self,
        request: RequestBuilder,
        frame: Frame,
    ) -> Result<Answer, Interrupted> {
        // One piece waits while one is written: the memory of an upload, whatever its size.
        let (pieces, mut body) = mpsc::channel(1);
        let body = Body::wrap_stream(stream::poll_fn(move |context| body.poll_recv(context)));
        let request = request.header(CONTENT_LENGTH, frame.length_bytes()).body(body);
        let answer = async move { whole_answer(request.send().await?).await };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(answer?),
            pumped = self.pump(&frame, pieces) => pumped?,
        }
        Ok(self.http.within(self.deadline, self.http.settings.timings.answer, answer).await?)
    }

    /// Hands the frame's bytes to the request, piece by piece.
    async fn pump(&mut self, frame: &Frame, pieces: Pieces) -> Result<(), Interrupted> {
        let stall = self.http.settings.timings.stall;
        self.source.seek(frame.from);
        if !frame.before.is_empty() && !hand(&pieces, frame.before.clone(), stall).await? {
            return Ok(());
        }
        let mut position = frame.from;
        while position < frame.to {
            let Some(bytes) = self.source.next(frame.to - position).await? else { break };
            position += bytes.len() as u64;
            self.progress.handed_bytes += bytes.len() as u64;
            self.progress.complete |= position == self.source.total_bytes();
            if !hand(&pieces, bytes, stall).await? {
                return Ok(());
            }
            self.check_speed(position)?;
        }
        if !frame.after.is_empty() {
            hand(&pieces, frame.after.clone(), stall).await?;
        }
        Ok(())
    }
}

/// Hands on a piece; `false` if the request does not want it any more, which its answer then explains.
async fn hand(pieces: &Pieces, bytes: Bytes, stall: Duration) -> Result<bool, Interrupted> {
    match tokio::time::timeout(stall, pieces.send(Ok(bytes))).await {
        Ok(sent) => Ok(sent.is_ok()),
        Err(_) => Err(Lost::Broken(format!("no byte was taken for {stall:?}")).into()),
    }
}
