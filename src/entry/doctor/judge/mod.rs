//! Facts in, findings out: pure, so that every bad state is a case in a file (`tests/cases/doctor`).

mod aws;
mod bucket;
mod environment;
mod event_pattern;
mod event_source;
mod function;
mod google;
mod mappings;
mod news;
mod notification;
mod policy;
mod queue;
mod rules;
mod wildcard;

use super::facts::{ClockSeen, Facts};
use super::finding::{Finding, Findings, Hop};

/// AWS refuses a request whose signature is older than this
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>).
const CLOCK_LIMIT_SECS: u64 = 300;

/// A clock that is kept by a time service is never this far off, so something will not stop at this.
const CLOCK_DOUBT_SECS: u64 = 30;

/// Judges all that was seen, hop by hop, in the order in which a file meets them.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = mappings::judge(&facts.mappings);
    findings.extend(aws::judge(&facts.aws));
    findings.extend(bucket::judge(facts));
    findings.extend(queue::judge(facts));
    findings.extend(event_source::judge(facts));
    findings.extend(function::judge(facts));
    findings.extend(google::judge(facts));
    findings.extend(facts.clocks.iter().flat_map(clock));
    findings
}

fn clock(seen: &ClockSeen) -> Vec<Finding> {
    let mut findings = Findings::of(Hop::Clock, &seen.of);
    let off_secs = seen.ahead_secs.unsigned_abs();
    let direction = if seen.ahead_secs > 0 { "ahead of" } else { "behind" };
    let message = format!("this machine's clock is {off_secs} s {direction} the one of {}", seen.of);
    let remedy =
        "Set this machine's clock by a time service (`timedatectl set-ntp true`), and run doctor again.";
    if off_secs > CLOCK_LIMIT_SECS {
        findings.fail("doctor.clock_off", format!("{message}: signatures are refused"), remedy);
    } else if off_secs > CLOCK_DOUBT_SECS {
        findings.warn(
            "doctor.clock_drifts",
            format!("{message}; from 300 s on signatures are refused"),
            remedy,
        );
    }
    findings.or_fine("agrees with ours")
}

/// A time as a person says it: `4 days`, `12 h`, `723 s`.
fn span(secs: u64) -> String {
    match secs {
        0 => "0 s".to_owned(),
        secs if secs % 86_400 == 0 => format!("{} d", secs / 86_400),
        secs if secs % 3_600 == 0 => format!("{} h", secs / 3_600),
        secs => format!("{secs} s"),
    }
}
