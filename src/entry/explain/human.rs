//! An answer in words.

use std::fmt::Write;

use super::answer::{Answer, Ending};
use crate::entry::stdout::printable;

/// Tells a person what would happen to one object: a headline, the verdict, and what it rests on.
pub(super) fn in_words(answer: &Answer) -> String {
    let mut text = format!("{}\n", printable(&headline(answer)));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12}{}", printable(value));
    };
    line("outcome", &outcome(answer));
    if let Some(message) = &answer.message {
        line("why", message);
    }
    if let Some(remedy) = &answer.aside.remedy {
        line("what to do", remedy);
    }
    if let (Some(place), Some(_)) = (&answer.aside.place, &answer.key) {
        line("told by", place);
    }
    if let Some(meaning) = meaning(answer) {
        line(if answer.aside.guessed { "seems to be" } else { "what it is" }, &meaning);
    }
    if let Some(file) = &answer.aside.mapping_file {
        let rule = answer.aside.rule.as_ref().map(|rule| format!(", rule {rule}"));
        line("mapping", &format!("{file}{}", rule.unwrap_or_default()));
    }
    if let Some(destination) = &answer.destination {
        let location = answer.aside.location.as_deref().unwrap_or_default();
        line("goes to", &format!("{destination} ({location})"));
        let unknown = "depends on the etag, which is not known here: say it with --etag";
        line("job id", answer.job_id.as_deref().unwrap_or(unknown));
    }
    text
}

fn headline(answer: &Answer) -> String {
    match (&answer.bucket, &answer.key, &answer.aside.place) {
        (Some(bucket), Some(key), _) => format!("s3://{bucket}/{key}"),
        (None, Some(key), _) => key.clone(),
        (_, None, Some(place)) => place.clone(),
        (_, None, None) => "an event".to_owned(),
    }
}

fn outcome(answer: &Answer) -> String {
    let code = answer.code.unwrap_or_default();
    match answer.ending {
        Ending::Load => "would be loaded".to_owned(),
        Ending::Ignore => format!("would be ignored [{code}]"),
        Ending::Error => format!("error, would not be loaded [{code}]"),
    }
}

/// `part 10 (LOAD0000000A) of the full load of game.player`.
fn meaning(answer: &Answer) -> Option<String> {
    let (schema, table) = (answer.schema.as_ref()?, answer.table.as_ref()?);
    let mut meaning = match (answer.sequence, &answer.timestamp) {
        (Some(sequence), _) => {
            let stem = answer.aside.stem.as_deref().unwrap_or_default();
            format!("file {sequence} ({stem}) of the full load of {schema}.{table}")
        }
        (None, Some(timestamp)) => {
            let zone = answer.aside.timezone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
            format!("changes of {schema}.{table}, written out by DMS at {timestamp}{zone}")
        }
        (None, None) => return None,
    };
    if let Some(segment) = &answer.segment {
        let _ = write!(meaning, ", segment {segment}");
    }
    Some(meaning)
}
