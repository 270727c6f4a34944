//! Logs: JSON lines in Lambda, with the metrics in them; readable on a terminal.

mod lines;
pub mod metrics;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

pub use self::lines::is_obeyed;
use self::lines::{JsonLines, Printable};
use self::metrics::{MAPPINGS_REJECTED, Metrics, NOTHING_CAN_LOAD};
use crate::outcome::Disposition;
use crate::outcome::record::Record;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// For a person at a terminal, on standard error.
    Terminal,
}

/// Starts logging. `directives` are those of `RUST_LOG`; `default_level` holds where they say nothing.
///
/// Whatever they say, other people's crates never log below `INFO`: at debug some of them print requests, and
/// with them signatures, tokens and upload addresses.
pub fn init(format: Format, directives: Option<&str>, default_level: &str) {
    let filter = filter(directives, default_level);
    let ours = filter_fn(admits);
    let registry = tracing_subscriber::registry().with(filter);
    // A second `init` in one process (tests) keeps the first subscriber.
    let _already_set = match format {
        Format::Json => {
            let layer = fmt::layer().event_format(JsonLines).with_writer(|| Printable(std::io::stdout()));
            registry.with(layer.with_filter(ours)).try_init()
        }
        Format::Terminal => {
            let layer = fmt::layer().with_writer(std::io::stderr).with_target(false).without_time();
            registry.with(layer.with_filter(ours)).try_init()
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(code = "bug.panic", location, "panicked: {}", panic_message(panic.payload()));
    }));
}

/// What is said: the default level, and over it what the directives say. Those that name crates alone
/// (`hyper=debug`) leave our own lines as they are.
fn filter(directives: Option<&str>, default_level: &str) -> EnvFilter {
    let both = directives.map(|directives| format!("{default_level},{directives}"));
    both.and_then(|both| EnvFilter::try_new(both).ok()).unwrap_or_else(|| EnvFilter::new(default_level))
}

/// Whether a line may be written at all, whatever `RUST_LOG` says.
pub fn admits(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || is_ours(metadata.target())
}

fn is_ours(target: &str) -> bool {
    target == "dms2bq" || target.starts_with("dms2bq::") || target == "bootstrap"
}

/// What a panic said.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no message",
    }
}

/// Writes the wide line of one object and receive, with its metrics if there is a function to count them for.
pub fn write_record(record: &Record, metrics: Option<&Metrics>, now_ms: u64) {
    let embedded = metrics.map(|metrics| metrics.of_record(record, now_ms));
    let counted = metrics.map(|_| 1_u64);
    let retry_count = metrics.and(record.attempt);
    // The macro wants the level to be a constant, hence one arm for each.
    macro_rules! line {
        ($level:expr, $text:expr) => {
            tracing::event!(
                target: "dms2bq",
                $level,
                outcome = record.outcome,
                code = record.code,
                disposition = record.disposition.map(Disposition::as_str),
                message_id = record.message_id,
                receive_count = record.receive_count,
                bucket = record.bucket,
                key = record.key,
                etag = record.etag,
                kind = record.kind,
                source_table = record.source_table,
                mapping = record.mapping,
                destination = record.destination,
                job_id = record.job_id,
                attempt = record.attempt,
                row_count = record.row_count,
                size_bytes = record.size_bytes,
                duration_ms = record.duration_ms,
                load_latency_ms = record.load_latency_ms,
                job_wait_ms = record.job_wait_ms,
                reason = record.message,
                remedy = record.remedy,
                function = metrics.map(Metrics::function),
                files = counted,
                retry_count,
                _aws = embedded,
                $text
            )
        };
    }
    match (record.outcome, record.disposition) {
        ("loaded", _) if record.notable => line!(Level::WARN, "loaded before"),
        ("loaded", _) => line!(Level::INFO, "loaded"),
        ("ignored", _) if record.notable => line!(Level::WARN, "ignored"),
        ("ignored", _) => line!(Level::INFO, "ignored"),
        (_, Some(Disposition::Running)) => line!(Level::INFO, "returned: the job is still running"),
        (_, Some(Disposition::Paced { .. })) if record.code == Some("job.paced") => {
            line!(Level::INFO, "returned: waits for its turn");
        }
        (_, _) => line!(Level::WARN, "returned to the queue"),
    }
}

/// Says once for an invocation that nothing can load, and why, with its metric for the alarm.
pub fn nothing_can_load(record: &Record, message_count: usize, metrics: Option<&Metrics>, now_ms: u64) {
    tracing::error!(
        target: "dms2bq",
        code = record.code,
        destination = record.destination,
        message_count,
        reason = record.message,
        remedy = record.remedy,
        function = metrics.map(Metrics::function),
        nothing_can_load = metrics.map(|_| 1_u64),
        _aws = metrics.map(|metrics| metrics.of_one(NOTHING_CAN_LOAD, now_ms)),
        "nothing can load"
    );
}

/// Says once for an invocation that the visibility of returned messages was not set: they come back after the
/// queue's own visibility timeout.
pub fn visibility_not_set(message_count: usize, returned_count: usize, reason: &str) {
    tracing::warn!(
        target: "dms2bq",
        code = "queue.visibility_not_set",
        message_count,
        returned_count,
        reason,
        remedy = "Nothing is lost: these messages come back after the queue's visibility timeout. If it lasts, see \
                  that the function's role has sqs:ChangeMessageVisibility on the queue.",
        "when returned messages come back was not set"
    );
}

/// Says which mappings an invocation to come goes by, and which the ones before went by.
pub fn mappings_in_force(version: &str, before: Option<&str>) {
    tracing::info!(target: "dms2bq", mappings = version, before, "mappings in force");
}

/// Says that newer mappings are broken and others stay in force, with its metric for the alarm: once for each invocation
/// that looked, for as long as it lasts.
pub fn mappings_rejected(
    rejected: &str,
    in_force: &str,
    reason: &str,
    metrics: Option<&Metrics>,
    now_ms: u64,
) {
    tracing::error!(
        target: "dms2bq",
        code = "mapping.kept_last_good",
        mappings = in_force,
        rejected,
        reason,
        remedy = "The mappings that were published last cannot be used, and those before them stay in force. Correct \
                  them, run `dms2bq check` and publish again, or go back with `dms2bq publish --rollback`.",
        function = metrics.map(Metrics::function),
        mappings_rejected = metrics.map(|_| 1_u64),
        _aws = metrics.map(|metrics| metrics.of_one(MAPPINGS_REJECTED, now_ms)),
        "broken mappings were not taken"
    );
}

/// Says that a process has no mappings to begin with; counted if they are broken, and there are none to go by instead.
pub fn no_mappings_yet(reason: &str, metrics: Option<&Metrics>, now_ms: u64) {
    tracing::error!(
        target: "dms2bq",
        code = "mapping.unusable",
        reason,
        function = metrics.map(Metrics::function),
        mappings_rejected = metrics.map(|_| 1_u64),
        _aws = metrics.map(|metrics| metrics.of_one(MAPPINGS_REJECTED, now_ms)),
        "no mappings yet"
    );
}

/// Says that it is not known whether there are newer mappings. `is_loud` if that has lasted.
pub fn mappings_not_looked_at(is_loud: bool, look_count: u32, in_force: &str, reason: &str) {
    // The macro wants the level to be a constant, hence one arm for each.
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: "dms2bq",
                $level,
                code = "mapping.not_refreshed",
                mappings = in_force,
                look_count,
                reason,
                remedy = "Nothing, if it passes: the next minute looks again, and the mappings in force stay so. If it \
                          lasts, see that the function may list and read the prefix of DMS2BQ_MAPPINGS.",
                "cannot tell whether there are newer mappings"
            )
        };
    }
    if is_loud { line!(Level::ERROR) } else { line!(Level::WARN) }
}
