//! What must hold of whatever others wrote and we read. Each check takes any bytes and panics where a property is
//! broken; that the reading itself does not panic, hang or eat memory is what runs it sees to.
//!
//! Two callers: the fuzz targets beside this folder, which look for bytes that break a property, and
//! `tests/it/corpora.rs`, which gives every check the corpora and the cases of the repository.

pub mod answers;
pub mod events;
pub mod footers;
pub mod keys;
pub mod mappings;

/// The longest error that may become of one message, key or answer, in bytes: what is told of an input goes into one
/// line of a log, so it has to stay a line however long the input is.
const LONGEST_ERROR_BYTES: usize = 8 * 1024;

/// What is refused has a code of one of these nouns, a remedy, and words of a length that a log bears.
fn hold_refusal(said: &str, code: &str, nouns: &[&str], remedy: &str) {
    assert!(
        code.split_once('.').is_some_and(|(noun, _)| nouns.contains(&noun)),
        "{code} is none of {nouns:?}"
    );
    assert!(!remedy.is_empty(), "{code} has no remedy");
    assert!(said.len() <= LONGEST_ERROR_BYTES, "{code} says {} bytes", said.len());
}

/// An error and its causes in one line, as the log has them.
fn chain(error: &dyn std::error::Error) -> String {
    dms2bq::outcome::record::Chain(error).to_string()
}

/// Chooses one of several ways to read an input, always the same one for the same input. To try all of them on each
/// would make an execution ten times as slow; the fuzzer has inputs enough for every choice.
fn one_of<T>(choices: Vec<T>, data: &[u8]) -> T {
    let sum = data.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let index = sum % choices.len();
    choices.into_iter().nth(index).expect("it is below their number")
}
