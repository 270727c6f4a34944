//! The invariants that a call, an invocation and a world at rest are held to. Each has the name that a failing seed
//! prints; `docs/testing.md` lists them.

use std::sync::Arc;

use dms2bq::cloud::{Clock, Deadline, VisibilityChange};
use dms2bq::job::{JobState, LoadJob, Part};

use crate::faults::Kind;
use crate::station::{Invocation, STALE_FOR, Station};
use crate::world::World;

/// How many jobs one receive makes for one object.
const JOBS_PER_RECEIVE: usize = 3;

/// Reasons after which no job may follow before somebody sends the message anew. `invalid` is not among them: the
/// table may have changed meanwhile.
const FOR_GOOD: [&str; 10] = [
    "stopped",
    "invalidQuery",
    "billingNotEnabled",
    "blocked",
    "notImplemented",
    "policyViolation",
    "resourcesExceeded",
    "responseTooLarge",
    "resourceInUse",
    "aReasonOfNextYear",
];

/// Reasons after which no job may follow in the receive that saw the job end.
const NOT_SOON: [&str; 3] = ["quotaExceeded", "accessDenied", "notFound"];

/// `no-call-after-deadline`: nothing is asked of anybody once the work's time is up, or outside of an invocation.
pub(crate) fn call(station: &Station, what: &str, kind: Kind, deadline: Option<Deadline>) {
    let world = &station.world;
    let now = world.clock.now();
    let until = station.with(|invocation| match kind {
        // The last thing that is done, within what is kept of the time for the reply.
        Kind::SetVisibility => (invocation.reply_by, false),
        _ => (invocation.work_until, invocation.has_set_visibility),
    });
    match until {
        None => world.violated("no-call-after-deadline", format!("{what}, after the invocation")),
        Some((until, _)) if now > until => {
            world.violated("no-call-after-deadline", format!("{what}, {:?} too late", now - until));
        }
        Some((_, true)) => {
            world.violated("visibility-last", format!("{what}, after the messages were given back"))
        }
        Some(_) => {}
    }
    if deadline.is_some_and(|deadline| now > deadline.instant()) {
        world.violated("no-call-after-deadline", format!("{what}, whose own deadline has passed"));
    }
}

/// `ids-are-a-function` and `attempts-after-failure`, for a job that is asked for.
pub(crate) fn insert(station: &Station, load: &LoadJob) {
    let world = &station.world;
    let id = &load.job.id;
    let Some((base, attempt)) =
        id.rsplit_once('_').and_then(|(base, n)| Some((base, n.parse::<u32>().ok()?)))
    else {
        return world.violated("ids-are-a-function", format!("{id} has no attempt"));
    };
    identity(world, load, base);
    attempts(station, id, base, attempt);
}

fn identity(world: &World, load: &LoadJob, base: &str) {
    let objects = load.parts.iter().find_map(|part| match part {
        Part::Range { object, .. } => Some(object),
        Part::Bytes(_) => None,
    });
    let version =
        objects.and_then(|object| world.version(object.bucket(), object.key(), object.etag().as_str()));
    let Some(version) = version else {
        return world.violated("ids-are-a-function", format!("{base} is of no object that there was"));
    };
    let label = load.resource.pointer("/configuration/labels/object").and_then(|label| label.as_str());
    let said = |field: &str| {
        load.resource
            .pointer(&format!("/configuration/load/destinationTable/{field}"))
            .and_then(|name| name.as_str())
    };
    let table = &version.table;
    let goes_there = said("projectId") == Some(&table.project)
        && said("datasetId") == Some(&table.dataset)
        && said("tableId") == Some(&table.table);
    if base != version.identity.job_base || label != Some(&version.identity.label) || !goes_there {
        let wanted = format!("{:?} into {table}", version.identity);
        world.violated("ids-are-a-function", format!("{base} with label {label:?} should be {wanted}"));
    }
}

fn attempts(station: &Station, id: &str, base: &str, attempt: u32) {
    let world = &station.world;
    let before = attempt.checked_sub(1).map(|before| format!("{base}_{before}"));
    let Some((asked, saw_it_end, reason, messages)) = station.with(|invocation| {
        let saw_it_end = before.as_ref().is_some_and(|before| invocation.seen_open.contains(before));
        let asked = invocation.asked.entry(base.to_owned()).or_default();
        asked.insert(attempt);
        let reason = before.as_ref().and_then(|before| invocation.read_failed.get(before)).cloned();
        (asked.len(), saw_it_end, reason, invocation.messages.clone())
    }) else {
        return;
    };
    // Two messages of one batch may be about one object, and each is a receive of its own.
    let receives = world.receives_about(&messages, base);
    if asked > JOBS_PER_RECEIVE * receives.max(1) {
        world.violated("attempts-after-failure", format!("{id} is job {asked} of its receive"));
    }
    let Some(before) = before else { return };
    let Some(reason) = reason else {
        return world
            .violated("attempts-after-failure", format!("{id}, and {before} was not read as failed"));
    };
    let records = world.warehouse.jobs();
    let Some(ended) = records.iter().find(|record| record.id == before) else {
        return world.violated("attempts-after-failure", format!("{id}, and there is no {before}"));
    };
    if !matches!(ended.state, JobState::Failed(_)) {
        return world.violated("attempts-after-failure", format!("{id}, and {before} is {:?}", ended.state));
    }
    let is_there = records.iter().any(|record| record.id == id);
    let ended_ms = ended.ended_ms.unwrap_or(u64::MAX);
    let is_redriven = messages.iter().any(|message| message.sent_at_ms > ended_ms);
    if FOR_GOOD.contains(&reason.as_str()) && !is_redriven && !is_there {
        world.violated("attempts-after-failure", format!("{id}, and {before} failed for good ({reason})"));
    }
    if NOT_SOON.contains(&reason.as_str()) && saw_it_end && receives == 1 {
        world.violated(
            "attempts-after-failure",
            format!("{id}, and {before} failed in this receive ({reason})"),
        );
    }
}

/// `visibility-last`: a message is given back once all that there is to say of it has been said.
pub(crate) fn visibility(station: &Station, changes: &[VisibilityChange]) {
    let world = &station.world;
    let messages = station
        .with(|invocation| {
            invocation.has_set_visibility = true;
            invocation.messages.clone()
        })
        .unwrap_or_default();
    for change in changes {
        let Some(message) = messages.iter().find(|message| message.receipt_handle == change.receipt_handle)
        else {
            world.violated("visibility-last", "of a message that the batch does not hold");
            continue;
        };
        let (written, _) = world.lines_of(&message.message_id, message.receive_count);
        let expected = world.letter(&message.message_id).map_or(1, |letter| letter.lines());
        if written < expected {
            let text = format!("{} is given back with {written} of {expected} lines", message.message_id);
            world.violated("visibility-last", text);
        }
    }
}

/// `one-line-per-object-and-receive`, once an invocation has replied.
pub(crate) fn lines(world: &World, invocation: &Invocation) {
    world.hear();
    for message in &invocation.messages {
        let (written, observed) = world.lines_of(&message.message_id, message.receive_count);
        let Some(letter) = world.letter(&message.message_id) else { continue };
        if written != letter.lines() || observed != letter.lines() {
            let text = format!(
                "{} #{}: {written} written and {observed} observed for {} objects",
                message.message_id,
                message.receive_count,
                letter.lines()
            );
            world.violated("one-line-per-object-and-receive", text);
        }
    }
}

/// `no-message-gone-early`, before a message is deleted.
pub(crate) fn gone(world: &World, message_id: &str, invocation: &Invocation) {
    let Some(letter) = world.letter(message_id) else { return };
    let since = invocation.started.saturating_sub(STALE_FOR);
    if let Some(why) = world.not_done(&letter, since) {
        world.violated("no-message-gone-early", format!("{message_id}: {why}"));
    }
}

/// `every-message-ends` and `rows-once`, when all is over.
pub(crate) fn at_rest(world: &Arc<World>) {
    for message_id in world.queue.message_ids() {
        world.violated("every-message-ends", format!("{message_id} is still in the queue"));
    }
    for message_id in world.dead_letters.message_ids() {
        let Some(letter) = world.letter(&message_id) else { continue };
        if !world.is_stuck(&letter) {
            world.violated(
                "every-message-ends",
                format!("{message_id} is good, and a dead letter: {letter:?}"),
            );
        }
    }
    let versions = world.state().versions.clone();
    for (n, version) in versions.iter().enumerate() {
        let dropped = usize::from(version.rows_dropped_at.is_some());
        let times = world.times_loaded(version) + dropped;
        if times > 1 || (times == 0 && world.is_required(n, version)) {
            let text = format!("the rows of {} ({}) came {times} times", version.key, version.etag);
            world.violated("rows-once", text);
        }
    }
    nothing_else(world);
}

/// `rows-once`, the other way round: whatever a table holds is an object's, whole, and meant for that table.
fn nothing_else(world: &World) {
    let versions = world.state().versions.clone();
    for record in world.warehouse.jobs() {
        let Some(table) = &record.destination else { continue };
        for load in world.warehouse.loaded(table).iter().filter(|load| load.job_id == record.id) {
            let is_it = |bytes: &[u8]| bytes == &load.bytes[..];
            let owner = versions.iter().find(|version| version.table == *table && is_it(&version.file.bytes));
            let is_theirs = !record.labels.contains_key("version");
            if owner.is_none() && !is_theirs {
                world.violated(
                    "rows-once",
                    format!("{} brought rows that are no object's to {table}", record.id),
                );
            }
        }
    }
}
