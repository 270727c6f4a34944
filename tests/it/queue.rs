//! Who keeps the contract of `Queue`: memory, and SQS as moto, LocalStack and AWS see it. And what only the twin does:
//! dead letters, and their way back.
//!
//! Servers and AWS are examined where the environment names them; without, the tests say loudly that they were skipped.

#[path = "../contract/queue.rs"]
mod contract;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use contract::{Ground, Received, VISIBILITY_TIMEOUT, examine, examine_at_once};
use dms2bq::cloud::aws::{self, Sqs};
use dms2bq::cloud::clock::SystemClock;
use dms2bq::cloud::memory::queue::{Delivery, MemoryQueue, MovedMessages, RedrivePolicy};
use dms2bq::cloud::{Clock, Deadline, Queue};
use dms2bq::event::QueueArn;

use crate::clouds::named_by;
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

    fn patience(&self) -> Duration {
        Duration::ZERO
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

#[tokio::test]
async fn sqs_as_moto_sees_it_keeps_the_contract_of_queue() {
    examine_sqs_at("DMS2BQ_TEST_MOTO").await;
}

#[tokio::test]
async fn sqs_as_localstack_sees_it_keeps_the_contract_of_queue() {
    examine_sqs_at("DMS2BQ_TEST_LOCALSTACK").await;
}

/// A server has as many queues as one likes, so no clause waits for another.
async fn examine_sqs_at(variable: &str) {
    let Some(endpoint) = named_by(variable, "the contract of Queue") else { return };
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = aws::sdk_config()
        .await
        .into_builder()
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    examine_at_once(async || RealQueue::made(&config).await).await;
}

#[tokio::test]
async fn sqs_itself_keeps_the_contract_of_queue() {
    let variable = "DMS2BQ_TEST_SQS_QUEUE";
    let Some(url) = named_by(variable, "the contract of Queue over SQS itself") else { return };
    let queue = RealQueue::at(&aws::sdk_config().await, url).await;
    queue.assert_fit_for_a_test().await;
    examine(&queue).await;
}

/// A queue of SQS, or of what stands in for it, behind the real client.
struct RealQueue {
    sqs: Sqs,
    client: Client,
    url: String,
    arn: QueueArn,
}

impl RealQueue {
    async fn made(config: &SdkConfig) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("contract-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let timeout = VISIBILITY_TIMEOUT.as_secs().to_string();
        let request = Client::new(config).create_queue().queue_name(name);
        let request = request.attributes(QueueAttributeName::VisibilityTimeout, timeout);
        let queue = request.send().await.expect("a new queue");
        Self::at(config, queue.queue_url.expect("its URL")).await
    }

    async fn at(config: &SdkConfig, url: String) -> Self {
        let client = Client::new(config);
        let arn = attribute(&client, &url, QueueAttributeName::QueueArn).await;
        let arn = QueueArn::parse(&arn).expect("the ARN of a queue");
        Self { sqs: Sqs::new(config), client, url, arn }
    }

    /// A queue that was made by hand may be another one than the suite can work with.
    async fn assert_fit_for_a_test(&self) {
        let timeout = attribute(&self.client, &self.url, QueueAttributeName::VisibilityTimeout).await;
        assert_eq!(
            timeout,
            VISIBILITY_TIMEOUT.as_secs().to_string(),
            "the visibility timeout of {}",
            self.url
        );
        for count in [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ] {
            assert_eq!(attribute(&self.client, &self.url, count).await, "0", "purge {} first", self.url);
        }
    }
}

async fn attribute(client: &Client, url: &str, name: QueueAttributeName) -> String {
    let asked = client.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send();
    let attributes = asked.await.expect("the queue is there").attributes.unwrap_or_default();
    attributes.get(&name).unwrap_or_else(|| panic!("{url} has no {name}")).clone()
}

#[async_trait]
impl Ground for RealQueue {
    fn queue(&self) -> &dyn Queue {
        &self.sqs
    }

    fn arn(&self) -> QueueArn {
        self.arn.clone()
    }

    fn ample(&self) -> Deadline {
        Deadline::at(SystemClock.now() + Duration::from_secs(60))
    }

    fn passed(&self) -> Deadline {
        Deadline::at(SystemClock.now())
    }

    async fn send(&self, body: &str) -> String {
        let sent = self.client.send_message().queue_url(&self.url).message_body(body).send().await;
        sent.expect("sent").message_id.expect("an id")
    }

    async fn receive(&self, max: usize) -> Vec<Received> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request.max_number_of_messages(i32::try_from(max).expect("ten at most"));
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let answer = request.message_system_attribute_names(count).send().await.expect("an answer");
        answer.messages.unwrap_or_default().into_iter().map(received).collect()
    }

    /// LocalStack looks through its queues once a second. SQS asks some of its servers only, so it has to be asked
    /// again and again.
    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn delete(&self, receipt_handle: &str) {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt_handle);
        request.send().await.expect("deleted");
    }

    /// SQS may take an old handle for a good one, and so do moto and LocalStack.
    fn is_strict_about_old_handles(&self) -> bool {
        false
    }

    async fn wait(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

fn received(message: Message) -> Received {
    let attributes = message.attributes.unwrap_or_default();
    let count = &attributes[&MessageSystemAttributeName::ApproximateReceiveCount];
    Received {
        message_id: message.message_id.expect("an id"),
        receipt_handle: message.receipt_handle.expect("a handle"),
        body: message.body.expect("a body"),
        receive_count: count.parse().expect("a number"),
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
