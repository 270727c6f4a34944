//! Tokens that expire: got once for all, renewed ahead of time, and never a call that fails for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dms2bq::cloud::Warehouse;
use dms2bq::cloud::google::BigQuery;
use futures_util::future::join_all;

use super::stand_in::Agreement;
use super::{OurClock, Way, World, get};
use crate::google::server::Reply;
use crate::google::{ample, job_ref};

const BOTH: [Way; 2] = [Way::Direct, Way::AsServiceAccount];

/// Sixteen calls at once, as a batch makes them; all must succeed.
async fn burst(client: &BigQuery) {
    let job = job_ref();
    for found in join_all((0..16).map(|_| client.get_job(&job, ample()))).await {
        found.expect("an answer");
    }
}

fn pass(world: &World, seconds: i64) {
    world.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
}

#[tokio::test]
async fn a_burst_of_calls_signs_in_once() {
    for way in BOTH {
        let world = World::new(Agreement::default()).await;
        let client = world.client(way).await;
        burst(&client).await;
        burst(&client).await;
        let ledger = world.ledger();
        assert_eq!((ledger.exchanged, ledger.refused), (1, 0), "{way:?}");
        assert_eq!(ledger.impersonated, usize::from(way == Way::AsServiceAccount));
    }
}

/// A day of calls, three minutes apart.
#[tokio::test]
async fn in_a_day_of_load_no_call_fails_and_each_token_is_used_for_its_life() {
    let world = World::new(Agreement::default()).await;
    let client = world.client(Way::AsServiceAccount).await;
    for _ in 0..480 {
        get(&client).await.expect("an answer");
        pass(&world, 180);
    }
    let ledger = world.ledger();
    assert_eq!((ledger.served, ledger.refused), (480, 0));
    // An hour each, renewed within its last four minutes.
    assert!((24..=26).contains(&ledger.impersonated), "{} for 24 hours", ledger.impersonated);
    assert_eq!(ledger.exchanged, ledger.impersonated);
}

#[tokio::test]
async fn after_an_hour_frozen_the_first_burst_signs_in_anew_and_once() {
    for way in BOTH {
        let world = World::new(Agreement::default()).await;
        let client = world.client(way).await;
        burst(&client).await;
        pass(&world, 3601);
        burst(&client).await;
        let ledger = world.ledger();
        assert_eq!((ledger.exchanged, ledger.refused, ledger.served), (2, 0, 32), "{way:?}");
    }
}

/// Both clocks went on: the process was idle, not frozen, and Google's library has renewed its token by itself.
#[tokio::test]
async fn a_process_that_was_idle_keeps_what_is_good() {
    let world = World::new(Agreement::default()).await;
    let passed_ms = Arc::new(AtomicU64::new(0));
    let clock = OurClock { world: world.clock.clone(), off_ms: 0, passed_ms: Arc::clone(&passed_ms) };
    let client = BigQuery::new(world.settings(Way::Direct), Arc::new(clock)).await.expect("a client");
    get(&client).await.expect("an answer");
    pass(&world, 600);
    passed_ms.fetch_add(600_000, Ordering::SeqCst);
    let soon = dms2bq::cloud::Deadline::at(tokio::time::Instant::now() + Duration::from_secs(900));
    client.get_job(&job_ref(), soon).await.expect("an answer");
    assert_eq!(world.ledger().exchanged, 1);
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_by_one_and_a_silent_server_holds_nobody_else_up() {
    let world = World::new(Agreement::default()).await;
    let client = world.client(Way::AsServiceAccount).await;
    get(&client).await.expect("an answer");
    world.agreement().impersonation_fault = Some(Reply::Silence);
    pass(&world, 3600 - 200);
    let began = Instant::now();
    let job = job_ref();
    let mut waits = join_all((0..16).map(async |_| {
        client.get_job(&job, ample()).await.expect("an answer");
        began.elapsed()
    }))
    .await;
    waits.sort();
    assert!(waits[14] < Duration::from_secs(1), "more than one has waited: {waits:?}");
    assert!(waits[15] < Duration::from_secs(4), "the one that renews gives up: {waits:?}");
    // The next try is ten seconds away, so nobody waits now.
    let began = Instant::now();
    burst(&client).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(world.ledger().refused, 0);
}

#[tokio::test]
async fn a_renewal_ahead_of_time_is_one_and_serves_those_who_come_after() {
    let world = World::new(Agreement::default()).await;
    let client = world.client(Way::AsServiceAccount).await;
    get(&client).await.expect("an answer");
    pass(&world, 3600 - 200);
    burst(&client).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.impersonated() < 2 {
        assert!(Instant::now() < deadline, "nobody renewed it");
        get(&client).await.expect("an answer");
    }
    pass(&world, 300);
    burst(&client).await;
    let ledger = world.ledger();
    assert_eq!((ledger.impersonated, ledger.refused), (2, 0));
}

/// Tokens of a second and of no time at all, from a server that means it. Google's library would look for a new one after ten.
#[tokio::test]
async fn tokens_that_live_for_a_moment_do_not_hold_anybody_up() {
    for way in BOTH {
        let world = World::new(Agreement { life_seconds: 1, ..Agreement::default() }).await;
        let client = world.client(way).await;
        let began = Instant::now();
        while world.exchanged() < 3 {
            assert!(began.elapsed() < Duration::from_secs(8), "{way:?}: {} sign-ins", world.exchanged());
            // This machine's time is the world's.
            let elapsed_ms = began.elapsed().as_millis() as i64;
            let before = world.clock.load(Ordering::SeqCst);
            burst(&client).await;
            let more_ms = began.elapsed().as_millis() as i64 - elapsed_ms;
            world.clock.store(before + more_ms, Ordering::SeqCst);
        }
    }
}

#[tokio::test]
async fn a_server_that_forgets_its_tokens_gets_one_more_sign_in() {
    for way in BOTH {
        let world = World::new(Agreement::default()).await;
        let client = world.client(way).await;
        get(&client).await.expect("an answer");
        world.ledger().forget_tokens();
        get(&client).await.expect("an answer");
        let ledger = world.ledger();
        assert_eq!((ledger.exchanged, ledger.refused), (2, 1), "{way:?}");
    }
}
