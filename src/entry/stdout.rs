//! Standard output, which somebody may close before all is said: `dms2bq check | head -1`.

use std::io::{self, Write};

use crate::telemetry::is_obeyed;

/// Nobody reads standard output any more, so there is nobody to tell.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct Closed;

/// Standard output. A write after its end is told apart from a pipe or connection that broke elsewhere.
#[derive(Debug)]
pub struct Stdout(io::Stdout);

/// Standard output, for a verb's answer.
pub fn stdout() -> Stdout {
    Stdout(io::stdout())
}

/// Whether an error only says that nobody reads on.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let is_it = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Closed>());
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_it))
}

/// What others wrote, fit to be shown: each character that a terminal or a page would obey as its escape. Names and keys
/// may hold any.
pub(super) fn printable(text: &str) -> String {
    let escaped = |c: char| if is_obeyed(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// What others wrote in lines of their own, on one: each character that would be obeyed as a space.
pub(super) fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if is_obeyed(c) { ' ' } else { c }).collect()
}

fn told_apart(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe { io::Error::other(Closed) } else { error }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(told_apart)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(told_apart)
    }
}
