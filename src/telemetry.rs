//! Logs: JSON lines in Lambda, readable on a terminal.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

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
    let filter = EnvFilter::try_new(directives.unwrap_or(default_level))
        .unwrap_or_else(|_| EnvFilter::new(default_level));
    let ours = filter_fn(admits);
    let registry = tracing_subscriber::registry().with(filter);
    // A second `init` in one process (tests) keeps the first subscriber.
    let _already_set = match format {
        Format::Json => {
            let layer =
                fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(layer.with_writer(|| Printable(std::io::stdout())).with_filter(ours)).try_init()
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

/// Writes lines of JSON in which every character can be printed. JSON itself escapes line ends and the control
/// characters of ASCII; a key may have others that a terminal or a browser obeys, such as marks that turn the
/// direction of what follows. Outside of ASCII there is nothing but texts in JSON, and there an escape means the same.
struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if text.contains(is_obeyed) => self.0.write_all(escaped(text).as_bytes())?,
            Ok(_) | Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A character that is not shown but done: a control character, a line end of Unicode's, a mark of direction.
fn is_obeyed(c: char) -> bool {
    let is_mark =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_mark || (c.is_control() && c != '\n')
}

fn escaped(text: &str) -> String {
    let escape = |c: char| if is_obeyed(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
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

/// Writes the wide line of one object and receive.
pub fn write_record(record: &Record) {
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
                reason = record.message,
                remedy = record.remedy,
                $text
            )
        };
    }
    match (record.outcome, record.disposition) {
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

/// Says once for an invocation that nothing can load, and why.
pub fn nothing_can_load(record: &Record, message_count: usize) {
    tracing::error!(
        target: "dms2bq",
        code = record.code,
        destination = record.destination,
        message_count,
        reason = record.message,
        remedy = record.remedy,
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

/// Says that newer mappings have problems and those in force stay so: once for each invocation that looked, for as
/// long as it lasts.
pub fn mappings_rejected(rejected: &str, in_force: &str, reason: &str) {
    tracing::error!(
        target: "dms2bq",
        code = "mapping.kept_last_good",
        mappings = in_force,
        rejected,
        reason,
        remedy = "The mappings that were published last cannot be used, and those before them stay in force. Correct \
                  them, run `dms2bq check` and publish again, or go back with `dms2bq publish --rollback`.",
        "newer mappings were rejected"
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
