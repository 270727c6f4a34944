//! From what was typed to what is asked.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::event::{self, EventError, MAX_BODY_BYTES, Notice};
use crate::object::ObjectRef;

/// One thing to explain.
pub(super) enum Question {
    /// An object by its address.
    Object(ObjectRef),
    /// A key whose bucket is not told.
    Key(String),
    /// A record of an event, or an event that is not understood.
    Record {
        /// Where it stands: `event.json, message 2, record 1`.
        place: String,
        /// What it says.
        news: Result<Notice, EventError>,
    },
}

/// Reads one WHAT of the command line. An event may hold any number of records.
pub(super) fn read(what: &str, stdin: &mut dyn Read) -> io::Result<Vec<Question>> {
    if what == "-" {
        return Ok(of_event("standard input", &text(stdin)?));
    }
    if Path::new(what).is_file() {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        let event = File::open(what).and_then(|mut file| text(&mut file)).map_err(named)?;
        return Ok(of_event(what, &event));
    }
    Ok(vec![match what.strip_prefix("s3://") {
        Some(address) => {
            let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
            let (bucket, key) = (bucket.to_owned(), key.to_owned());
            Question::Object(ObjectRef { bucket, key, version_id: None, etag: None, size_bytes: None })
        }
        None => Question::Key(what.to_owned()),
    }])
}

/// Reads a text, no further than shows that it is too large for an event, which the event's reader then says.
/// A byte order mark, as Windows' editors leave it, is not part of the event.
fn text(from: &mut dyn Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MAX_BODY_BYTES as u64 + 4).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn of_event(place: &str, text: &str) -> Vec<Question> {
    match batch(text) {
        Some(bodies) => {
            let place = |n: usize| format!("{place}, message {}", n + 1);
            bodies.iter().enumerate().flat_map(|(n, body)| of_body(&place(n), body)).collect()
        }
        None => of_body(place, text),
    }
}

fn of_body(place: &str, body: &str) -> Vec<Question> {
    match event::read(body) {
        Ok(records) if records.len() == 1 => {
            records.into_iter().map(|news| Question::Record { place: place.to_owned(), news }).collect()
        }
        Ok(records) => {
            let numbered = |(n, news)| Question::Record { place: format!("{place}, record {}", n + 1), news };
            records.into_iter().enumerate().map(numbered).collect()
        }
        Err(error) => vec![Question::Record { place: place.to_owned(), news: Err(error) }],
    }
}

/// The bodies of a batch of SQS messages, as Lambda is handed them (`Records[].body`) or as the AWS command
/// line prints them (`Messages[].Body`). `None` if the text is neither.
fn batch(text: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Batch {
        #[serde(rename = "Records", alias = "Messages")]
        messages: Vec<Value>,
    }
    if text.len() > MAX_BODY_BYTES {
        return None;
    }
    let Batch { messages } = serde_json::from_str(text).ok()?;
    let body = |message: &Value| {
        let body = message.get("body").or(message.get("Body"))?;
        Some(body.as_str().map(str::to_owned).unwrap_or_else(|| body.to_string()))
    };
    let bodies: Vec<Option<String>> = messages.iter().map(body).collect();
    // One message without a body is read as an empty one, which is an error of its own.
    let any = bodies.iter().any(Option::is_some);
    any.then(|| bodies.into_iter().map(Option::unwrap_or_default).collect())
}
