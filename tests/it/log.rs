//! What this thread writes into the log, for a test to read.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;

/// The lines since somebody listens.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A listener. It hears this thread, until it is dropped.
pub(crate) struct Log {
    lines: Lines,
    _here: DefaultGuard,
}

/// Begins to listen.
pub(crate) fn listen() -> Log {
    // As long as there is one subscriber in the process, `tracing` asks the thread that first passes a place whether
    // anybody listens there; that may be another test's, where nobody does. With two it asks them both.
    static ANOTHER: LazyLock<tracing::Dispatch> =
        LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&ANOTHER);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    Log { lines, _here: tracing::subscriber::set_default(subscriber) }
}

impl Log {
    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines with a code, each as `LEVEL code: reason`.
    pub(crate) fn of_code(&self, code: &str) -> Vec<String> {
        let lines = self.lines().into_iter().filter(|line| line["fields"]["code"] == code);
        let shown = |line: Value| {
            format!("{} {}", line["level"].as_str().unwrap(), line["fields"]["reason"].as_str().unwrap())
        };
        lines.map(shown).collect()
    }
}
