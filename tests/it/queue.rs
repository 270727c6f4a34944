//! Who keeps the contract of `Queue`: memory. And what only the twin does: dead letters, and their way back.

#[path = "../contract/queue.rs"]
mod contract;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{Ground, Received, VISIBILITY_TIMEOUT, examine};
use dms2bq::cloud::memory::queue::{Delivery, MemoryQueue, MovedMessages, RedrivePolicy};
use dms2bq::cloud::{Clock, Deadline, Queue};
use dms2bq::event::QueueArn;

use crate::twins::TestClock;

#[tokio::test]
async fn memory_keeps_the_contract_of_queue() {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::at_unix_s(1_700_000_000));
    let queue = MemoryQueue::new(arn("dms2bq"), Arc::clone(&clock), VISIBILITY_TIMEOUT);
    examine(&Memory { queue, clock }).await;
}

struct Memory {
    queue: MemoryQueue,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Ground for Memory {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    fn arn(&self) -> QueueArn {
        self.queue.arn().clone()
    }

    fn ample(&self) -> Deadline {
        Deadline::at(self.clock.now() + Duration::from_secs(60))
    }

    fn passed(&self) -> Deadline {
        Deadline::at(self.clock.now())
    }

    async fn send(&self, body: &str) -> String {
        self.queue.send(body)
    }

    async fn receive(&self, max: usize) -> Vec<Received> {
        let received = |delivery: Delivery| Received {
            message_id: delivery.message_id,
            receipt_handle: delivery.receipt_handle,
            body: delivery.body,
            receive_count: delivery.receive_count,
        };
        self.queue.receive(max).into_iter().map(received).collect()
    }

    async fn delete(&self, receipt_handle: &str) {
        self.queue.delete(receipt_handle);
    }

    fn is_strict_about_old_handles(&self) -> bool {
        true
    }

    async fn wait(&self, span: Duration) {
        self.clock.sleep(span).await;
    }
}

/// A queue that hands a message out twice, its dead-letter queue, and the clock of both.
fn with_dead_letters() -> (MemoryQueue, Arc<MemoryQueue>, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::at_unix_s(1_700_000_000));
    let dead_letters =
        Arc::new(MemoryQueue::new(arn("dms2bq-dlq"), Arc::clone(&clock), Duration::from_secs(30)));
    let policy = RedrivePolicy { max_receive_count: 2, dead_letters: Arc::clone(&dead_letters) };
    let queue = MemoryQueue::new(arn("dms2bq"), Arc::clone(&clock), Duration::from_secs(30));
    (queue.with_redrive(policy), dead_letters, clock)
}

async fn receive_until_dead(queue: &MemoryQueue, clock: &dyn Clock) -> Vec<u32> {
    let mut counts = Vec::new();
    loop {
        let received = queue.receive(10);
        if received.is_empty() {
            return counts;
        }
        counts.extend(received.iter().map(|delivery| delivery.receive_count));
        clock.sleep(Duration::from_secs(30)).await;
    }
}

#[tokio::test]
async fn a_message_received_too_often_moves_to_the_dead_letter_queue_as_it_is() {
    let (queue, dead_letters, clock) = with_dead_letters();
    let id = queue.send("a body, byte for byte ");
    let sent_at_ms = clock.unix_ms();
    assert_eq!(receive_until_dead(&queue, clock.as_ref()).await, [1, 2]);
    assert!(queue.message_ids().is_empty());
    let dead = dead_letters.receive(10).remove(0);
    assert_eq!((dead.message_id, dead.body.as_str()), (id, "a body, byte for byte "));
    assert_eq!(dead.sent_at_ms, sent_at_ms, "its age is that of the message");
    assert_eq!(dead.dead_letter_source.as_ref(), Some(queue.arn()));
}

#[tokio::test]
async fn a_message_moved_back_is_a_new_one_with_the_same_body() {
    for moved in [MovedMessages::NameTheirSource, MovedMessages::LookNew] {
        let (queue, dead_letters, clock) = with_dead_letters();
        let id = queue.send("a body");
        let sent_at_ms = clock.unix_ms();
        receive_until_dead(&queue, clock.as_ref()).await;
        let ids = dead_letters.move_all_to(&queue, moved);
        assert!(dead_letters.message_ids().is_empty());
        let back = queue.receive(10).remove(0);
        assert_eq!(ids, [(id.clone(), back.message_id.clone())]);
        assert_ne!(back.message_id, id);
        assert_eq!((back.body.as_str(), back.receive_count), ("a body", 1));
        assert!(back.sent_at_ms > sent_at_ms);
        let record = back.as_lambda_record();
        let source = record["attributes"]["DeadLetterQueueSourceArn"].as_str();
        assert_eq!(source.is_some(), moved == MovedMessages::NameTheirSource, "{record}");
    }
}

#[tokio::test]
async fn a_message_in_flight_can_come_twice_and_only_its_last_handle_deletes_it() {
    let (queue, _dead_letters, _clock) = with_dead_letters();
    let id = queue.send("twice");
    let first = queue.receive(1).remove(0);
    queue.expose(&id);
    let second = queue.receive(1).remove(0);
    assert_eq!((second.message_id.as_str(), second.receive_count), (id.as_str(), 2));
    assert!(!queue.delete(&first.receipt_handle));
    assert!(queue.delete(&second.receipt_handle));
    assert_eq!(queue.next_visible(), None);
}

#[tokio::test]
async fn the_order_of_a_receive_is_the_callers_to_choose() {
    let (queue, _dead_letters, _clock) = with_dead_letters();
    for n in 0..12 {
        queue.send(n.to_string());
    }
    let backwards = queue.receive_in_order(100, |left| left - 1);
    let bodies: Vec<&str> = backwards.iter().map(|delivery| delivery.body.as_str()).collect();
    assert_eq!(bodies, ["11", "10", "9", "8", "7", "6", "5", "4", "3", "2"], "ten at most");
    assert_eq!(queue.bodies().len(), 12);
}

fn arn(name: &str) -> QueueArn {
    QueueArn::parse(&format!("arn:aws:sqs:ap-northeast-2:111122223333:{name}")).unwrap()
}
