//! How a log line looks in Lambda: one JSON object, in which every character can be printed.

use std::fmt;
use std::io::{self, Write};

use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use super::metrics::EMBEDDED;

/// Writes an event as one JSON object: time, level, the fields in their order, where it comes from.
///
/// `tracing_subscriber` has such a format, but knows no fields that are objects, and CloudWatch wants one
/// (see [`super::metrics`]).
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Vec::with_capacity(1024);
        write_line(&mut line, event).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", std::str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

fn write_line(line: &mut Vec<u8>, event: &Event<'_>) -> Result<(), serde_json::Error> {
    let mut time = String::new();
    // A clock that cannot be printed leaves its field empty, which is no reason to lose the line.
    let _printed = SystemTime.format_time(&mut Writer::new(&mut time));
    let mut serializer = serde_json::Serializer::new(line);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", &time)?;
    map.serialize_entry("level", event.metadata().level().as_str())?;
    let mut fields = Fields { map, failed: None };
    event.record(&mut fields);
    if let Some(error) = fields.failed {
        return Err(error);
    }
    let mut map = fields.map;
    map.serialize_entry("target", event.metadata().target())?;
    map.end()
}

/// The fields of an event, written one by one.
struct Fields<M: SerializeMap> {
    map: M,
    failed: Option<M::Error>,
}

impl<M: SerializeMap> Fields<M> {
    fn write(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        if self.failed.is_none() {
            self.failed = self.map.serialize_entry(field.name(), value).err();
        }
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match serde_json::from_str::<&RawValue>(value) {
            // The one field that is an object. It is ours: no event of another crate can have this name in its source.
            Ok(object) if field.name() == EMBEDDED => self.write(field, object),
            Ok(_) | Err(_) => self.write(field, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format!("{value:?}"));
    }
}

/// Writes lines of JSON in which every character can be printed. JSON itself escapes line ends and the control
/// characters of ASCII; a key may have others that a terminal or a browser obeys, such as marks that turn the
/// direction of what follows. Outside of ASCII there is nothing but texts in JSON, and there an escape means the same.
pub(super) struct Printable<W>(pub(super) W);

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if text.contains(is_escaped) => self.0.write_all(escaped(text).as_bytes())?,
            Ok(_) | Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A character that is not shown but done: a control character, a line end of Unicode's, a mark of direction.
pub fn is_obeyed(c: char) -> bool {
    let is_mark =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_mark || c.is_control()
}

/// What ends a line is there on purpose: inside of a text JSON has escaped it.
fn is_escaped(c: char) -> bool {
    is_obeyed(c) && c != '\n'
}

fn escaped(text: &str) -> String {
    let escape = |c: char| if is_escaped(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
}
