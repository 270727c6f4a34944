//! What others say, fit for one line of ours: without control characters, and not without end.

use std::error::Error;

/// How much of a text is kept: a service's message is a line or two, such as S3's, which name a role and a resource; a
/// proxy's page is not ours to log.
pub(crate) const QUOTED_CHARS: usize = 500;

/// A text as one short line.
pub fn one_line(text: &str) -> String {
    let clean = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = clean.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Another crate's error and what caused it, in one line. Such errors may repeat their causes, which is left out; neither the
/// AWS SDK nor the HTTP client puts credentials, signatures or headers there.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let links = std::iter::successors(Some(error), |&link| link.source());
    links.map(|link| one_line(&link.to_string())).fold(String::new(), |line, text| match line.is_empty() {
        true => text,
        false if line.contains(&text) => line,
        false => format!("{line}: {text}"),
    })
}
