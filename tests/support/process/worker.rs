//! One `bootstrap` and Lambda's event source in front of it: a batch from the queue, an invocation, a reply or none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dms2bq::cloud::memory::queue::Delivery;
use serde_json::{Value, json};

use super::Ground;
use crate::lambda_api::{Answer, Function};

/// How the event source and the function are set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The messages of one batch at most.
    pub(crate) batch_messages: usize,
    /// The bytes of one batch at most.
    pub(crate) batch_bytes: usize,
    /// How long an invocation may take.
    pub(crate) time: Duration,
}

/// What is to happen to a worker in an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lives,
    KilledAfter(Duration),
    /// It dies when its reply is out, but nobody has heard it.
    KilledWithItsReply,
}

/// What came of one turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    NothingWaits,
    Answered(Duration),
    /// Over these files.
    Killed(Vec<u64>),
    /// No reply by the deadline, and killed for it, as Lambda does.
    Late,
}

/// A worker, which is started when there is something to do.
pub(crate) struct Worker {
    ground: Arc<Ground>,
    terms: Terms,
    function: Option<Function>,
}

impl Worker {
    pub(crate) fn new(ground: Arc<Ground>, terms: Terms) -> Self {
        Self { ground, terms, function: None }
    }

    /// Starts the process, unless it runs, and gives its id.
    pub(crate) async fn start(&mut self) -> u32 {
        let (ground, function) = (&self.ground, &mut self.function);
        if function.is_none() {
            *function = Some(Function::start(&ground.bootstrap, &ground.environment()).await);
        }
        function.as_ref().map_or(0, Function::pid)
    }

    /// Takes one batch, if anything waits.
    pub(crate) async fn turn(&mut self, fate: Fate) -> Turn {
        let batch = self.ground.queue.receive(self.terms.batch_messages, self.terms.batch_bytes);
        if batch.is_empty() {
            return Turn::NothingWaits;
        }
        self.start().await;
        let Some(function) = &self.function else { return Turn::NothingWaits };
        let records: Vec<Value> = batch.iter().map(Delivery::as_lambda_record).collect();
        let event = json!({ "Records": records });
        let started = Instant::now();
        let answer = tokio::select! {
            answer = tokio::time::timeout(self.terms.time, function.invoke(&event, self.terms.time)) => answer,
            () = killed_by(fate) => {
                self.end();
                return Turn::Killed(self.ground.queue.files_of(&batch));
            }
        };
        match (answer, fate) {
            (Err(_elapsed), _) => {
                self.end();
                Turn::Late
            }
            (Ok(_unheard), Fate::KilledWithItsReply) => {
                self.end();
                Turn::Killed(self.ground.queue.files_of(&batch))
            }
            (Ok(answer), _) => {
                self.settle(&batch, &answer);
                Turn::Answered(started.elapsed())
            }
        }
    }

    fn settle(&self, batch: &[Delivery], answer: &Answer) {
        match answer {
            Answer::Response(reply) => {
                let failures = reply["batchItemFailures"].as_array().expect("a partial reply");
                let failed =
                    failures.iter().map(|it| it["itemIdentifier"].as_str().expect("an id").to_owned());
                self.ground.queue.settle(batch, &failed.collect::<Vec<_>>());
            }
            // The whole batch comes back, and that is wrong: partial replies are on.
            Answer::Error { .. } | Answer::InitError(_) => self.ground.keep_bad_reply(format!("{answer:?}")),
        }
    }

    /// Ends the process by SIGKILL and counts what it wrote.
    pub(crate) fn end(&mut self) {
        if let Some(function) = self.function.take() {
            self.ground.keep_lines(&function.end());
        }
    }
}

async fn killed_by(fate: Fate) {
    match fate {
        Fate::KilledAfter(time) => tokio::time::sleep(time).await,
        Fate::Lives | Fate::KilledWithItsReply => std::future::pending().await,
    }
}
