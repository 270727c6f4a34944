//! The contract of [`Queue`], for whoever implements it.
//!
//! A clause is a function, and its name is the clause. [`examine`] holds a ground to all of them, and
//! [`examine_at_once`] does the same with a queue for each, where time is real and waiting costs it. To examine one
//! more implementation, implement [`Ground`] for it and call one of the two.
//!
//! The spans are short, so that a server can be examined in real time, and not so short that its slowness matters.

use std::time::Duration;

use async_trait::async_trait;
use dms2bq::cloud::{CallError, Deadline, Queue, VisibilityChange, VisibilityFailure};
use dms2bq::event::QueueArn;
use futures_util::future::{BoxFuture, join_all};

/// The visibility timeout of the queue that a ground offers.
pub(super) const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(4);

/// The span that a clause sets: shorter than the queue's own, so that it shows which of the two holds.
const SET_SECS: u32 = 2;

/// Between two looks for a message that is due.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A message that a ground has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) message_id: String,
    pub(super) receipt_handle: String,
    pub(super) body: String,
    pub(super) receive_count: u32,
}

/// An implementation of [`Queue`] over one empty queue whose visibility timeout is [`VISIBILITY_TIMEOUT`], and what
/// others do with that queue.
#[async_trait]
pub(super) trait Ground: Send + Sync {
    /// What is examined.
    fn queue(&self) -> &dyn Queue;
    /// The queue's name.
    fn arn(&self) -> QueueArn;
    /// A deadline that is far enough.
    fn ample(&self) -> Deadline;
    /// A deadline that has passed.
    fn passed(&self) -> Deadline;
    /// Sends a message, and tells its id.
    async fn send(&self, body: &str) -> String;
    /// Receives up to `max` messages that are visible now, and asks for them once.
    async fn receive(&self, max: usize) -> Vec<Received>;
    /// How long after its time a message may stay away: a server looks through its queues now and then.
    fn patience(&self) -> Duration;
    /// Deletes a message.
    async fn delete(&self, receipt_handle: &str);
    /// Whether an old handle of a message that was handed out again is known to be refused. SQS does not promise it.
    fn is_strict_about_old_handles(&self) -> bool;
    /// Lets time pass.
    async fn wait(&self, span: Duration);
}

type Clause = for<'a> fn(&'a dyn Ground) -> BoxFuture<'a, ()>;

/// The contract.
const CLAUSES: [Clause; 13] = [
    |ground| Box::pin(what_is_received_is_away_until_its_time_is_up(ground)),
    |ground| Box::pin(set_to_zero_it_is_visible_at_once(ground)),
    |ground| Box::pin(set_to_a_span_it_is_visible_then_and_not_before(ground)),
    |ground| Box::pin(set_beyond_the_timeout_of_the_queue_it_stays_away(ground)),
    |ground| Box::pin(the_last_setting_counts(ground)),
    |ground| Box::pin(other_messages_are_left_alone(ground)),
    |ground| Box::pin(a_stale_handle_fails_alone_and_changes_nothing(ground)),
    |ground| Box::pin(a_deleted_message_fails_alone(ground)),
    |ground| Box::pin(ten_are_set_and_eleven_refused(ground)),
    |ground| Box::pin(more_than_twelve_hours_are_refused(ground)),
    |ground| Box::pin(a_queue_that_is_not_there_fails_as_a_whole(ground)),
    |ground| Box::pin(nothing_is_set_after_the_deadline(ground)),
    |ground| Box::pin(a_body_comes_as_it_was_sent(ground)),
];

/// Holds a ground to every clause. Each begins and ends with an empty queue.
pub(super) async fn examine(ground: &dyn Ground) {
    for clause in CLAUSES {
        clause(ground).await;
    }
}

/// Holds grounds to the clauses at the same time, each to one of them. `ground` makes the next.
pub(super) async fn examine_at_once<G: Ground>(ground: impl AsyncFn() -> G) {
    let mut grounds = Vec::new();
    for _ in CLAUSES {
        grounds.push(ground().await);
    }
    join_all(CLAUSES.iter().zip(&grounds).map(|(clause, ground)| clause(ground))).await;
}

async fn what_is_received_is_away_until_its_time_is_up(ground: &dyn Ground) {
    let id = ground.send("again").await;
    let first = only(ground).await;
    assert_eq!((first.message_id.as_str(), first.receive_count), (id.as_str(), 1));
    nothing_there(ground).await;
    ground.wait(VISIBILITY_TIMEOUT).await;
    let second = only(ground).await;
    assert_eq!((second.message_id.as_str(), second.receive_count), (id.as_str(), 2), "the count rises");
    assert_ne!(first.receipt_handle, second.receipt_handle, "each receive has a handle of its own");
    ground.delete(&second.receipt_handle).await;
}

async fn set_to_zero_it_is_visible_at_once(ground: &dyn Ground) {
    ground.send("now").await;
    let first = only(ground).await;
    all_set(ground, &[change(&first, 0)]).await;
    let second = only(ground).await;
    assert_eq!(second.receive_count, 2);
    ground.delete(&second.receipt_handle).await;
}

async fn set_to_a_span_it_is_visible_then_and_not_before(ground: &dyn Ground) {
    ground.send("soon").await;
    all_set(ground, &[change(&only(ground).await, SET_SECS)]).await;
    nothing_there(ground).await;
    ground.wait(Duration::from_secs(SET_SECS.into())).await;
    ground.delete(&only(ground).await.receipt_handle).await;
}

async fn set_beyond_the_timeout_of_the_queue_it_stays_away(ground: &dyn Ground) {
    ground.send("late").await;
    let beyond = VISIBILITY_TIMEOUT + Duration::from_secs(SET_SECS.into());
    all_set(ground, &[change(&only(ground).await, u32::try_from(beyond.as_secs()).unwrap())]).await;
    ground.wait(VISIBILITY_TIMEOUT).await;
    nothing_there(ground).await;
    ground.wait(Duration::from_secs(SET_SECS.into())).await;
    ground.delete(&only(ground).await.receipt_handle).await;
}

async fn the_last_setting_counts(ground: &dyn Ground) {
    ground.send("twice").await;
    let received = only(ground).await;
    all_set(ground, &[change(&received, 600)]).await;
    all_set(ground, &[change(&received, SET_SECS)]).await;
    ground.wait(Duration::from_secs(SET_SECS.into())).await;
    ground.delete(&only(ground).await.receipt_handle).await;
}

async fn other_messages_are_left_alone(ground: &dyn Ground) {
    ground.send("mine").await;
    let mine = only(ground).await;
    ground.send("theirs").await;
    let theirs = only(ground).await;
    all_set(ground, &[change(&mine, 600)]).await;
    ground.wait(VISIBILITY_TIMEOUT).await;
    let back = only(ground).await;
    assert_eq!((back.body.as_str(), back.receive_count), ("theirs", 2), "{theirs:?}");
    ground.delete(&back.receipt_handle).await;
    ground.delete(&mine.receipt_handle).await;
}

async fn a_stale_handle_fails_alone_and_changes_nothing(ground: &dyn Ground) {
    ground.send("stale").await;
    let stale = only(ground).await;
    all_set(ground, &[change(&stale, 0)]).await;
    let current = only(ground).await;
    ground.send("fresh").await;
    let fresh = only(ground).await;
    let failures = set(ground, &[change(&stale, 600), change(&fresh, 0), invented()]).await;
    // SQS may take an old handle for a good one. An invented one it never does.
    assert!(failures.iter().any(|failure| failure.index == 2), "{failures:?}");
    assert!(failures.iter().all(|failure| failure.index != 1), "{failures:?}");
    assert!(failures.iter().all(|failure| !failure.detail.is_empty()), "{failures:?}");
    let again = only(ground).await;
    assert_eq!((again.body.as_str(), again.receive_count), ("fresh", 2));
    ground.delete(&again.receipt_handle).await;
    if ground.is_strict_about_old_handles() {
        assert!(failures.iter().any(|failure| failure.index == 0), "{failures:?}");
        ground.wait(VISIBILITY_TIMEOUT).await;
        let back = only(ground).await;
        assert_eq!((back.body.as_str(), back.receive_count), ("stale", 3), "{current:?}");
        ground.delete(&current.receipt_handle).await;
        ground.wait(VISIBILITY_TIMEOUT).await;
        ground.delete(&only(ground).await.receipt_handle).await;
    } else {
        ground.delete(&current.receipt_handle).await;
    }
}

async fn a_deleted_message_fails_alone(ground: &dyn Ground) {
    ground.send("gone").await;
    let gone = only(ground).await;
    ground.delete(&gone.receipt_handle).await;
    ground.send("here").await;
    let here = only(ground).await;
    let failures = set(ground, &[invented(), change(&here, 0)]).await;
    assert_eq!(failures.iter().map(|failure| failure.index).collect::<Vec<_>>(), [0]);
    // Whatever is said of the deleted one, it does not come back.
    let _failures = set(ground, &[change(&gone, 0)]).await;
    let back = only(ground).await;
    assert_eq!(back.body, "here");
    ground.delete(&back.receipt_handle).await;
}

async fn ten_are_set_and_eleven_refused(ground: &dyn Ground) {
    for n in 0..11 {
        ground.send(&n.to_string()).await;
    }
    let mut received = Vec::new();
    while received.len() < 11 {
        received.extend(some(ground, (11 - received.len()).min(10)).await);
    }
    let changes: Vec<_> = received.iter().map(|message| change(message, 600)).collect();
    let refused = ground.queue().set_visibility(&ground.arn(), &changes, ground.ample()).await;
    assert!(matches!(refused, Err(CallError::Rejected { .. })), "{refused:?}");
    all_set(ground, &changes[..10]).await;
    for message in &received {
        ground.delete(&message.receipt_handle).await;
    }
}

async fn more_than_twelve_hours_are_refused(ground: &dyn Ground) {
    ground.send("for ever").await;
    let received = only(ground).await;
    let refused =
        ground.queue().set_visibility(&ground.arn(), &[change(&received, 43_201)], ground.ample()).await;
    match refused {
        Err(CallError::Rejected { .. }) => {}
        Ok(failures) if failures.len() == 1 => {}
        other => panic!("{other:?}"),
    }
    ground.wait(VISIBILITY_TIMEOUT).await;
    let back = only(ground).await;
    // Twelve hours from the receive are the limit, so a little less leaves room for the way.
    all_set(ground, &[change(&back, 43_100)]).await;
    ground.delete(&back.receipt_handle).await;
}

async fn a_queue_that_is_not_there_fails_as_a_whole(ground: &dyn Ground) {
    ground.send("elsewhere").await;
    let received = only(ground).await;
    let other = format!("{}-that-is-not-there", ground.arn());
    let other = QueueArn::parse(&other).expect("an ARN");
    let failed = ground.queue().set_visibility(&other, &[change(&received, 0)], ground.ample()).await;
    assert!(failed.is_err(), "{failed:?}");
    ground.delete(&received.receipt_handle).await;
}

async fn nothing_is_set_after_the_deadline(ground: &dyn Ground) {
    ground.send("late").await;
    let received = only(ground).await;
    let late = ground.queue().set_visibility(&ground.arn(), &[change(&received, 0)], ground.passed()).await;
    assert!(matches!(late, Err(CallError::OutOfTime { sent: false, .. })), "{late:?}");
    nothing_there(ground).await;
    ground.delete(&received.receipt_handle).await;
}

async fn a_body_comes_as_it_was_sent(ground: &dyn Ground) {
    let body = "{\"Records\": [ ],\n\t\"nach\": \"Übersee \u{1F6A2}\"}  ";
    ground.send(body).await;
    let received = only(ground).await;
    assert_eq!(received.body, body);
    ground.delete(&received.receipt_handle).await;
}

fn change(message: &Received, visibility_timeout_secs: u32) -> VisibilityChange {
    VisibilityChange { receipt_handle: message.receipt_handle.clone(), visibility_timeout_secs }
}

fn invented() -> VisibilityChange {
    VisibilityChange { receipt_handle: "AQEBinventedByNobody".to_owned(), visibility_timeout_secs: 0 }
}

async fn set(ground: &dyn Ground, changes: &[VisibilityChange]) -> Vec<VisibilityFailure> {
    let answer = ground.queue().set_visibility(&ground.arn(), changes, ground.ample()).await;
    answer.expect("the call as a whole succeeds")
}

async fn all_set(ground: &dyn Ground, changes: &[VisibilityChange]) {
    assert_eq!(set(ground, changes).await, [], "{changes:?}");
}

/// What is due: at least one message, within the ground's patience.
async fn some(ground: &dyn Ground, max: usize) -> Vec<Received> {
    let mut waited = Duration::ZERO;
    loop {
        let received = ground.receive(max).await;
        if !received.is_empty() {
            return received;
        }
        assert!(waited < ground.patience(), "nothing came within {waited:?} of its time");
        ground.wait(LOOK_AGAIN_AFTER).await;
        waited += LOOK_AGAIN_AFTER;
    }
}

async fn only(ground: &dyn Ground) -> Received {
    let mut received = some(ground, 10).await;
    assert_eq!(received.len(), 1, "{received:?}");
    received.remove(0)
}

async fn nothing_there(ground: &dyn Ground) {
    assert_eq!(ground.receive(10).await, [], "nothing is visible yet");
}
