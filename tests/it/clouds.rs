//! Where the contract suites find servers and real clouds: the test command, or a person, names them in the
//! environment. What is not named is skipped, and says so.

use std::io::Write;

/// What a variable names, if it is set. If not, one line says what is skipped.
#[expect(
    clippy::disallowed_methods,
    reason = "the test command hands servers and clouds over in the environment"
)]
pub(crate) fn named_by(variable: &str, what: &str) -> Option<String> {
    let named = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if named.is_none() {
        // Past the capture of the test harness, which would swallow it.
        writeln!(std::io::stderr(), "skipped: {what}, since {variable} is not set").expect("an open stderr");
    }
    named
}
