//! One seed, from the first object to the last message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dms2bq::telemetry::panic_message;
use tokio::time::{Instant, sleep, sleep_until};
use tracing_subscriber::layer::SubscriberExt;

use crate::capture::Output;
use crate::checks;
use crate::defects::Defect;
use crate::event_source::environment;
use crate::rng::Rng;
use crate::story::{self, Story};
use crate::world::{Violation, World};

/// How long a world may take to come to rest once nothing goes wrong any more. It is simulated time, and far more
/// than any number of receives with their waits adds up to.
const REST_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often a person redrives the dead letters before giving up.
const REDRIVES_MAX: usize = 8;

/// What became of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) trace: Vec<String>,
    pub(crate) violations: Vec<Violation>,
    /// How often what happened, by name.
    pub(crate) tally: BTreeMap<String, u64>,
}

/// Runs one seed, in time of its own.
pub(crate) fn run(seed: u64, defect: Option<Defect>) -> Run {
    let output = Output::default();
    let subscriber = tracing_subscriber::registry().with(output.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime needs nothing");
    let world = tracing::subscriber::with_default(subscriber, || {
        let world = runtime.block_on(simulate(seed, defect, output));
        drop(runtime);
        world
    });
    Run { seed, trace: world.trace(), violations: world.violations(), tally: world.final_tally() }
}

async fn simulate(seed: u64, defect: Option<Defect>, output: Output) -> Arc<World> {
    let mut rng = Rng::new(seed);
    let story = story::tell(&mut rng);
    let world = World::new(&story, &mut rng, output, defect);
    world.say("world", &format_args!("seed {seed}: {:?}", story.settings));
    let environments: Vec<_> = (0..story.settings.workers)
        .map(|n| tokio::spawn(environment(Arc::clone(&world), n, story.mappings_fail)))
        .collect();
    play(&world, &story).await;
    come_to_rest(&world).await;
    world.end();
    for environment in environments {
        if let Err(error) = environment.await {
            let message = error.try_into_panic().map(|panic| panic_message(panic.as_ref()).to_owned());
            world.violated("no-panic", message.unwrap_or_default());
        }
    }
    checks::at_rest(&world);
    world
}

/// Lets the story happen, and then lets nothing go wrong any more.
async fn play(world: &Arc<World>, story: &Story) {
    let began = Instant::now();
    for (at, act) in &story.acts {
        sleep_until(began + *at).await;
        world.act(act).await;
    }
    sleep_until(began + story.settings.calm_at).await;
    world.make_dataset();
    world.calm_down();
}

/// Waits until every message has left the queue, redriving what became a dead letter.
async fn come_to_rest(world: &Arc<World>) {
    let until = Instant::now() + REST_WITHIN;
    for redrives in 0..=REDRIVES_MAX {
        while !world.is_quiet() {
            if Instant::now() >= until {
                return world.violated("every-message-ends", "the queue does not become empty");
            }
            sleep(Duration::from_secs(10)).await;
        }
        // The first time somebody redrives everything, mended or not. Then what cannot be mended is set aside, or an
        // event source that knows no partial replies would bring the good back together with it, for ever.
        if redrives > 0 {
            world.set_aside_what_is_stuck().await;
        }
        if world.dead_letters.message_ids().is_empty() {
            return;
        }
        world.redrive();
    }
}
