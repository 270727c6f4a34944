//! What is no JSON, in words: a parser says what it hoped for, and a person wants to know what stands there.

use super::problem::MappingFault;

/// Quotation marks that word processors and chats write for `"`.
const CURLY_QUOTES: [char; 5] = ['“', '”', '„', '«', '»'];

/// Marks that stand for `"` elsewhere, or are written for `'`.
const SINGLE_QUOTES: [char; 5] = ['\'', '`', '‘', '’', '‚'];

/// Why a text is no JSON, and where.
pub(super) fn not_json(error: &serde_json::Error, text: &str) -> MappingFault {
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    let said = said.replace("EOF", "the file ends");
    let said = said.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&said);
    let found = if said.starts_with("control character") {
        unclosed(text, line, column)
    } else {
        culprit(text, line, column).map(|detail| (line, column, detail))
    };
    let (line, column, detail) = found.unwrap_or_else(|| (line, column, said.to_owned()));
    MappingFault::NotJson { line, column, detail }
}

/// What people most often write that JSON does not have.
fn culprit(text: &str, line: usize, column: usize) -> Option<String> {
    let line = text.lines().nth(line.checked_sub(1)?)?;
    // Columns count bytes, and may point into a character.
    let rest = (0..=column.saturating_sub(1)).rev().find_map(|at| line.get(at..))?;
    if let Some(mark) = ["//", "/*", "#"].into_iter().find(|mark| rest.starts_with(mark)) {
        return Some(format!("there is a comment, `{mark}`"));
    }
    let is_quote = |first: &char| CURLY_QUOTES.contains(first) || SINGLE_QUOTES.contains(first);
    rest.chars().next().filter(is_quote).map(no_quote)
}

/// A string that was to end at such a mark goes on to the end of its line, and the parser stands at the beginning of the next.
fn unclosed(text: &str, line: usize, column: usize) -> Option<(usize, usize, String)> {
    let line = if column == 0 { line.checked_sub(1)? } else { line };
    let (at, mark) = text
        .lines()
        .nth(line.checked_sub(1)?)?
        .char_indices()
        .rfind(|(_, character)| CURLY_QUOTES.contains(character))?;
    Some((line, at + 1, no_quote(mark)))
}

fn no_quote(mark: char) -> String {
    format!("{mark} is no quotation mark there")
}
