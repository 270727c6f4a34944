//! Rows 43 and 60 to 74: S3 and SQS.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::cloud::clock::SystemClock;
use crate::cloud::{Clock, Deadline, Queue, VISIBILITY_TIMEOUT_SECS_MAX, VisibilityChange};
use crate::entry::probe::bench::{Bench, Ended};
use crate::entry::probe::experiment::{Answer, Trouble, Verdict};
use crate::entry::probe::files;
use crate::entry::probe::news::Received;
use crate::entry::probe::words::{failed, status};
use crate::event::{Created, Notice, QueueArn};

/// Two services whose clocks differ by more than this can tell "sent after the job ended" wrongly.
const CLOCKS_AGREE_WITHIN_MS: i64 = 2_000;

/// A key with all that keys are spelled differently for.
const SPELLED_KEY: &str = "a b+c%20d=é.parquet";

/// The smallest part of an upload in parts that is not its last.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// 43.
pub(in crate::entry::probe) async fn clocks(bench: &Bench) -> Answer {
    let file = files::plain()?;
    let before_ms = now_ms();
    bench.news.send("dms2bq probe: what time is it?").await?;
    let sent_near_ms = (before_ms + now_ms()) / 2;
    let message = bench.news.receive(|message| message.body.ends_with("what time is it?")).await?;
    bench.news.delete(&message).await?;
    let sqs_ahead_ms = signed(message.sent_ms) - sent_near_ms;
    let before_ms = now_ms();
    let ended = bench.load(&bench.table(), &file, json!({})).await?;
    let after_ms = now_ms();
    let Ended::Well(job) = ended else { return Err(Trouble::Failed(ended.in_words())) };
    let ended_ms: i64 =
        job["statistics"]["endTime"].as_str().and_then(|it| it.parse().ok()).unwrap_or_default();
    // A job that began and ended between our two looks: what is outside of them is the clocks' difference.
    let bigquery_ahead_ms = ended_ms - ended_ms.clamp(before_ms, after_ms);
    let apart_ms = (sqs_ahead_ms - bigquery_ahead_ms).abs();
    let evidence = format!("against ours: SQS {sqs_ahead_ms} ms, BigQuery {bigquery_ahead_ms} ms");
    Ok(Verdict::of(apart_ms <= CLOCKS_AGREE_WITHIN_MS, evidence))
}

fn now_ms() -> i64 {
    signed(SystemClock.unix_ms())
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// 60.
pub(in crate::entry::probe) async fn moved_is_sent_anew(bench: &Bench) -> Answer {
    let journey = bench.news.journey().await?;
    let later_ms = signed(journey.after.sent_ms) - signed(journey.before.sent_ms);
    let other_id = journey.before.id != journey.after.id;
    let evidence = format!(
        "SentTimestamp {later_ms} ms later, {} MessageId",
        if other_id { "another" } else { "the same" }
    );
    Ok(Verdict::of(later_ms > 0, evidence))
}

/// 61. Either is as assumed; which it is, is worth knowing.
pub(in crate::entry::probe) async fn moved_names_its_source(bench: &Bench) -> Answer {
    let names = bench.news.journey().await?.after.names_source;
    Ok(Verdict::AsAssumed(format!(
        "DeadLetterQueueSourceArn is {}",
        if names { "there" } else { "not there" }
    )))
}

/// 62.
pub(in crate::entry::probe) async fn moved_counts_anew(bench: &Bench) -> Answer {
    let count = bench.news.journey().await?.after.receive_count;
    Ok(Verdict::of(count == 1, format!("ApproximateReceiveCount is {count}")))
}

/// What an event says of a key, by the worker's own reader.
fn news_of(message: &Received, key: &str) -> Option<Created> {
    let records = crate::event::read(&message.body).ok()?;
    records.into_iter().find_map(|record| match record {
        Ok(Notice::Created(created)) if created.object.key == key => Some(created),
        _ => None,
    })
}

/// Puts what an experiment puts, and waits for the event of it.
async fn told(bench: &Bench, key: &str) -> Result<(Received, Created), Trouble> {
    let message = bench.news.receive(|message| news_of(message, key).is_some()).await?;
    bench.news.delete(&message).await?;
    let created = news_of(&message, key).ok_or_else(|| Trouble::Failed("the event is gone".to_owned()))?;
    Ok((message, created))
}

/// 64.
pub(in crate::entry::probe) async fn spelling_of_keys(bench: &Bench) -> Answer {
    bench.news.listen().await?;
    let key = bench.news.key(SPELLED_KEY)?;
    bench.news.put(&key, Bytes::from_static(b"x")).await?;
    let message = match told(bench, &key).await {
        Ok((message, _)) => message,
        Err(Trouble::Failed(_)) => {
            return Ok(Verdict::Otherwise("no event whose key we read as the object's".to_owned()));
        }
        Err(trouble) => return Err(trouble),
    };
    let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
    let spelled = &body["Records"][0]["s3"]["object"]["key"];
    Ok(Verdict::AsAssumed(format!("{SPELLED_KEY} is spelled {spelled}")))
}

/// 65.
pub(in crate::entry::probe) async fn copies_are_told_as_such(bench: &Bench) -> Answer {
    bench.news.listen().await?;
    let (from, to) = (bench.news.key("copied-from")?, bench.news.key("copied-to")?);
    bench.news.put(&from, Bytes::from_static(b"x")).await?;
    let bucket = bench.news.bucket()?;
    let copy = bench.news.s3().client().copy_object().bucket(bucket).key(&to);
    copy.copy_source(format!("{bucket}/{from}")).send().await.map_err(failed)?;
    let (_, created) = told(bench, &to).await?;
    Ok(Verdict::of(created.copied, if created.copied { "ObjectCreated:Copy" } else { "told as an upload" }))
}

/// 69.
pub(in crate::entry::probe) async fn etags_agree(bench: &Bench) -> Answer {
    bench.news.listen().await?;
    let mut evidence = Vec::new();
    let mut all = true;
    for (kind, name) in [("put", "etag-put"), ("in parts", "etag-parts")] {
        let key = bench.news.key(name)?;
        if kind == "put" {
            bench.news.put(&key, Bytes::from_static(b"x")).await?;
        } else {
            let parts = [PART_BYTES, 1].map(|length| Bytes::from(vec![b'x'; length]));
            bench.news.put_in_parts(&key, parts.into()).await?;
        }
        let (_, created) = told(bench, &key).await?;
        let told = created.object.etag.map(|etag| etag.to_string()).unwrap_or_default();
        let (head, listed) = etags(bench, &key).await?;
        all &= told == head && told == listed;
        evidence.push(format!("{kind}: event {told}, HEAD {head}, listing {listed}"));
    }
    Ok(Verdict::of(all, evidence.join("; ")))
}

async fn etags(bench: &Bench, key: &str) -> Result<(String, String), Trouble> {
    let (client, bucket) = (bench.news.s3().client(), bench.news.bucket()?);
    let plain = |etag: Option<&str>| etag.unwrap_or_default().trim_matches('"').to_owned();
    let head = client.head_object().bucket(bucket).key(key).send().await.map_err(failed)?;
    let listing = client.list_objects_v2().bucket(bucket).prefix(key).send().await.map_err(failed)?;
    let listed =
        listing.contents().iter().find(|object| object.key() == Some(key)).and_then(|object| object.e_tag());
    Ok((plain(head.e_tag()), plain(listed)))
}

/// 70.
pub(in crate::entry::probe) async fn conditional_ranges(bench: &Bench) -> Answer {
    let key = bench.news.key("if-match")?;
    bench.news.put(&key, Bytes::from_static(b"0123456789")).await?;
    let get = bench.news.s3().client().get_object().bucket(bench.news.bucket()?).key(&key);
    let status = match get.if_match("\"0123456789abcdef0123456789abcdef\"").range("bytes=0-4").send().await {
        Ok(_) => 206,
        Err(error) => status(&error).unwrap_or_default(),
    };
    Ok(Verdict::of(status == 412, format!("another etag answers {status}")))
}

/// 72.
pub(in crate::entry::probe) async fn address_from_the_arn(bench: &Bench) -> Answer {
    let url = &bench.news.queues().await?.url;
    let set = set_visibility(bench, 2).await?;
    Ok(match set {
        None => Verdict::AsAssumed(format!(
            "visibility set by the address made of the ARN; SQS itself says {url}"
        )),
        Some(why) => Verdict::Otherwise(format!("{why}; SQS itself says {url}")),
    })
}

/// 74.
pub(in crate::entry::probe) async fn twelve_hours_from_the_receive(bench: &Bench) -> Answer {
    let whole = set_visibility(bench, VISIBILITY_TIMEOUT_SECS_MAX).await?;
    let less = set_visibility(bench, VISIBILITY_TIMEOUT_SECS_MAX - 60).await?;
    let said = |set: &Option<String>| set.clone().unwrap_or_else(|| "taken".to_owned());
    let evidence =
        format!("two seconds after the receive: 12 h {}; a minute less {}", said(&whole), said(&less));
    Ok(Verdict::of(whole.is_some() && less.is_none(), evidence))
}

/// Receives a message, and two seconds later sets its visibility by our own client. Gives why it was not set.
async fn set_visibility(bench: &Bench, visibility_timeout_secs: u32) -> Result<Option<String>, Trouble> {
    const BODY: &str = "dms2bq probe: stay away";
    let queues = bench.news.queues().await?;
    let arn =
        QueueArn::parse(&queues.arn).ok_or_else(|| Trouble::Failed(format!("{} is no ARN", queues.arn)))?;
    bench.news.send(BODY).await?;
    let message = bench.news.receive_for(|message| message.body == BODY, 30).await?;
    SystemClock.sleep(Duration::from_secs(2)).await;
    let change = VisibilityChange { receipt_handle: message.handle.clone(), visibility_timeout_secs };
    let deadline = Deadline::at(SystemClock.now() + Duration::from_secs(20));
    let set = bench.news.sqs().set_visibility(&arn, &[change], deadline).await;
    bench.news.delete(&message).await?;
    Ok(match set {
        Ok(failures) => failures.into_iter().next().map(|failure| failure.detail),
        Err(error) => Some(crate::outcome::record::Chain(&error).to_string()),
    })
}

/// 75.
pub(in crate::entry::probe) async fn conditional_puts(bench: &Bench) -> Answer {
    const OTHER_ETAG: &str = "\"0123456789abcdef0123456789abcdef\"";
    let (key, gone) = (bench.news.key("conditional-put")?, bench.news.key("conditional-put-of-nothing")?);
    bench.news.put(&key, Bytes::from_static(b"x")).await?;
    let (client, bucket) = (bench.news.s3().client(), bench.news.bucket()?);
    let put = |key: &str| client.put_object().bucket(bucket).key(key).body(Bytes::from_static(b"y").into());
    let mut statuses = Vec::new();
    for request in
        [put(&key).if_none_match("*"), put(&key).if_match(OTHER_ETAG), put(&gone).if_match(OTHER_ETAG)]
    {
        statuses.push(match request.send().await {
            Ok(_) => 200,
            Err(error) => status(&error).unwrap_or_default(),
        });
    }
    let evidence =
        format!("If-None-Match of what is there, If-Match of another etag, of what is gone: {statuses:?}");
    Ok(Verdict::of(statuses == [412, 412, 404], evidence))
}

/// 76.
pub(in crate::entry::probe) async fn listed_at_once(bench: &Bench) -> Answer {
    let key = bench.news.key("listed-at-once")?;
    let put = bench.news.put(&key, Bytes::from_static(b"x")).await?;
    let request = bench.news.s3().client().list_objects_v2().bucket(bench.news.bucket()?).prefix(&key);
    let listing = request.send().await.map_err(failed)?;
    let listed =
        listing.contents().iter().filter_map(|object| object.e_tag()).map(|etag| etag.trim_matches('"'));
    let is_there = listed.into_iter().any(|etag| etag == put);
    Ok(Verdict::of(is_there, if is_there { "it is listed" } else { "it is not listed yet" }))
}
