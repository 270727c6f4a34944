//! How long a returned message stays away: one table, by what it was told and how often it has been here.
//!
//! The queue is the outer retry budget. With the templates' 50 receives the waits below add up to more than six
//! hours even with all the jitter taken off, so an outage of that length dead-letters nothing, while what will
//! never load has spent its receives within minutes.

use std::time::Duration;

use crate::outcome::Disposition;

/// The first wait of what may pass.
const SHORT: Duration = Duration::from_secs(10);

/// The first wait of a job that runs: it has been waited for already, and most end within this.
const WHILE_A_JOB_RUNS: Duration = Duration::from_secs(30);

/// No wait is longer: what has mended is noticed within ten minutes.
pub const LONGEST: Duration = Duration::from_secs(600);

/// The wait of what will never load as it is: 50 receives of this, with the batching window of the templates,
/// take less than five minutes.
const ON_ITS_WAY_OUT: Duration = Duration::from_secs(2);

/// So many turns are waited for as the table's pace says.
const TURNS_AT_ONCE: u32 = 6;

/// Each wait is so many times the one before.
const GROWTH: u32 = 3;

/// Jitter takes off a fifth at most. More would shorten the six hours.
const JITTER_SHARE: f64 = 0.2;

impl Disposition {
    /// How long the message is to stay away after its `receive_count`-th receive (1 for the first). `jitter`, from
    /// 0 to 1, says how much of the jitter is taken off, so that what failed together does not come back together.
    pub fn comes_back_after(self, receive_count: u32, jitter: f64) -> Duration {
        let shortened = |wait: Duration| wait.mul_f64(1.0 - JITTER_SHARE * jitter.clamp(0.0, 1.0));
        match self {
            Self::MayPass | Self::NothingCanLoad => shortened(rising(SHORT, receive_count)),
            Self::MayHaveHappened | Self::Running => shortened(rising(WHILE_A_JOB_RUNS, receive_count)),
            Self::NotSoon => shortened(LONGEST),
            // These are spread already. Whoever has waited for many turns waits longer, lest a table that takes
            // nothing for hours uses up its messages' receives.
            Self::Paced { after } => {
                let floor = match receive_count.checked_sub(TURNS_AT_ONCE) {
                    Some(more @ 1..) => rising(SHORT, more),
                    Some(0) | None => Duration::ZERO,
                };
                after.clamp(floor, LONGEST)
            }
            Self::Never => ON_ITS_WAY_OUT,
        }
    }
}

fn rising(first: Duration, receive_count: u32) -> Duration {
    first.saturating_mul(GROWTH.saturating_pow(receive_count.saturating_sub(1))).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The templates' `maxReceiveCount`: the receive after these moves the message to the dead-letter queue.
    const RECEIVES: u32 = 50;

    fn away_in_all(disposition: Disposition, jitter: f64) -> Duration {
        (1..=RECEIVES).map(|count| disposition.comes_back_after(count, jitter)).sum()
    }

    #[test]
    fn waits_rise_to_ten_minutes() {
        let secs = |disposition: Disposition| {
            [1, 2, 3, 4, 5, 50, u32::MAX].map(|count| disposition.comes_back_after(count, 0.0).as_secs())
        };
        assert_eq!(secs(Disposition::MayPass), [10, 30, 90, 270, 600, 600, 600]);
        assert_eq!(secs(Disposition::NothingCanLoad), [10, 30, 90, 270, 600, 600, 600]);
        assert_eq!(secs(Disposition::MayHaveHappened), [30, 90, 270, 600, 600, 600, 600]);
        assert_eq!(secs(Disposition::Running), [30, 90, 270, 600, 600, 600, 600]);
        assert_eq!(secs(Disposition::NotSoon), [600; 7]);
        assert_eq!(secs(Disposition::Never), [2; 7]);
        let paced = |secs| Disposition::Paced { after: Duration::from_secs(secs) };
        assert_eq!(secs(paced(7)), [7, 7, 7, 7, 7, 600, 600]);
        assert_eq!(secs(paced(9_999)), [600; 7]);
    }

    #[test]
    fn an_outage_of_six_hours_dead_letters_nothing_and_poison_is_out_within_minutes() {
        let six_hours = Duration::from_secs(6 * 3600);
        for disposition in [
            Disposition::MayPass,
            Disposition::NothingCanLoad,
            Disposition::MayHaveHappened,
            Disposition::Running,
            Disposition::NotSoon,
        ] {
            assert!(away_in_all(disposition, 1.0) > six_hours, "{disposition:?}");
        }
        // Turns have no jitter to take off.
        assert!(away_in_all(Disposition::Paced { after: Duration::ZERO }, 1.0) > six_hours);
        // The templates gather a batch for three seconds at most.
        let batching = Duration::from_secs(3) * RECEIVES;
        assert!(away_in_all(Disposition::Never, 0.0) + batching <= Duration::from_secs(300));
    }

    #[test]
    fn jitter_takes_off_a_fifth_at_most() {
        let wait = |jitter| Disposition::NotSoon.comes_back_after(1, jitter);
        assert_eq!(wait(0.5), Duration::from_secs(540));
        assert_eq!(wait(1.0), Duration::from_secs(480));
        assert_eq!((wait(7.0), wait(-7.0)), (wait(1.0), wait(0.0)));
    }
}
