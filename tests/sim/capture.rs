//! Everything that the program says, line by line, as a subscriber of `tracing` hears it.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// What was said on this thread.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<Line>>>);

/// One line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// All fields, with their names.
    pub(crate) text: String,
    /// The fields that tell whose line it is, and of what.
    pub(crate) outcome: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) message_id: String,
    pub(crate) receive_count: String,
}

impl Output {
    /// The lines since the last time.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().expect("no line panics"))
    }
}

impl<S: Subscriber> Layer<S> for Output {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !dms2bq::telemetry::admits(event.metadata()) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().expect("no line panics").push(line);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "outcome" => self.outcome = Some(value.to_owned()),
            "code" => self.code = Some(value.to_owned()),
            "message_id" => value.clone_into(&mut self.message_id),
            _ => {}
        }
        self.note(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "receive_count" {
            self.receive_count = value.to_string();
        }
        self.note(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.note(field, &format_args!("{value:?}"));
    }
}

impl Line {
    fn note(&mut self, field: &Field, value: &dyn fmt::Display) {
        write!(self.text, "{}={value} ", field.name()).expect("memory takes it");
    }
}
