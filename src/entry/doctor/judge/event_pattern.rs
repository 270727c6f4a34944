//! Whether a rule of EventBridge takes an event of S3
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>).

use serde_json::{Value, json};

use super::wildcard::is_like;

/// What a pattern says of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Yes,
    No,
    /// It has an operator that is not understood here.
    Unclear,
}

/// Holds a pattern against the event that S3 sends for a new object; `reason` says how it was made.
pub(super) fn takes(pattern: &str, bucket: &str, key: &str, reason: &str) -> Match {
    let Ok(pattern) = serde_json::from_str::<Value>(pattern) else { return Match::Unclear };
    let event = json!({
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": { "bucket": { "name": bucket }, "object": { "key": key }, "reason": reason },
    });
    object(&pattern, &event)
}

/// Every field of the pattern has to be met. What our event does not have (an account, a region) is not known here.
fn object(pattern: &Value, event: &Value) -> Match {
    let Some(fields) = pattern.as_object() else { return Match::Unclear };
    let met = fields.iter().map(|(name, wanted)| match (wanted, event.get(name)) {
        (Value::Array(wanted), Some(Value::String(actual))) => any(wanted, actual),
        (Value::Object(_), Some(inner)) => object(wanted, inner),
        _ => Match::Unclear,
    });
    all(met)
}

fn all(matches: impl Iterator<Item = Match>) -> Match {
    matches.fold(Match::Yes, |so_far, next| match (so_far, next) {
        (Match::No, _) | (_, Match::No) => Match::No,
        (Match::Unclear, _) | (_, Match::Unclear) => Match::Unclear,
        (Match::Yes, Match::Yes) => Match::Yes,
    })
}

/// One of the alternatives has to be met.
fn any(wanted: &[Value], actual: &str) -> Match {
    wanted.iter().map(|wanted| one(wanted, actual)).fold(Match::No, either)
}

/// What two patterns, or two alternatives, come to together.
pub(super) fn either(one: Match, other: Match) -> Match {
    match (one, other) {
        (Match::Yes, _) | (_, Match::Yes) => Match::Yes,
        (Match::Unclear, _) | (_, Match::Unclear) => Match::Unclear,
        (Match::No, Match::No) => Match::No,
    }
}

fn one(wanted: &Value, actual: &str) -> Match {
    let found = |is_met: bool| if is_met { Match::Yes } else { Match::No };
    let operator =
        wanted.as_object().filter(|fields| fields.len() == 1).and_then(|fields| fields.iter().next());
    match (wanted, operator) {
        (Value::String(wanted), _) => found(wanted == actual),
        (_, Some((operator, operand))) => match (operator.as_str(), operand) {
            ("prefix", Value::String(prefix)) => found(actual.starts_with(prefix)),
            ("suffix", Value::String(suffix)) => found(actual.ends_with(suffix)),
            ("wildcard", Value::String(pattern)) => found(is_like(pattern, actual)),
            ("exists", Value::Bool(exists)) => found(*exists),
            ("anything-but", operand) => not(anything_of(operand, actual)),
            _ => Match::Unclear,
        },
        _ => Match::Unclear,
    }
}

/// What `anything-but` excludes: a text, a list of them, or an operator with one or several operands.
fn anything_of(operand: &Value, actual: &str) -> Match {
    match operand {
        Value::Array(list) => any(list, actual),
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(operator, operands)| {
                let operands = operands.as_array().cloned().unwrap_or_else(|| vec![operands.clone()]);
                operands.into_iter().map(move |operand| json!({ operator: operand }))
            })
            .map(|wanted| one(&wanted, actual))
            .fold(Match::No, either),
        single => one(single, actual),
    }
}

fn not(found: Match) -> Match {
    match found {
        Match::Yes => Match::No,
        Match::No => Match::Yes,
        Match::Unclear => Match::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_keys_as_eventbridge_does() {
        let full_loads =
            r#"{"detail":{"object":{"key":[{"wildcard":"*/LOAD*"},{"wildcard":"*/SEGMENT*_LOAD*"}]}}}"#;
        let changes =
            r#"{"detail":{"object":{"key":[{"anything-but":{"wildcard":["*/LOAD*","*/SEGMENT*_LOAD*"]}}]}}}"#;
        let (load, change) =
            ("dms/game/player/LOAD00000001.parquet", "dms/game/player/20221201-093015123.parquet");
        let cases = [
            (r#"{"source":["aws.s3"],"detail-type":["Object Created"]}"#, load, Match::Yes),
            (r#"{"source":["aws.ec2"]}"#, load, Match::No),
            (r#"{"detail-type":["Object Deleted"]}"#, load, Match::No),
            (
                r#"{"detail":{"bucket":{"name":["acme"]},"object":{"key":[{"prefix":"dms/"}]}}}"#,
                load,
                Match::Yes,
            ),
            (r#"{"detail":{"bucket":{"name":["other","acme"]}}}"#, load, Match::Yes),
            (r#"{"detail":{"bucket":{"name":["other"]}}}"#, load, Match::No),
            (r#"{"detail":{"object":{"key":[{"prefix":"logs/"},{"suffix":".parquet"}]}}}"#, load, Match::Yes),
            (r#"{"detail":{"object":{"key":[{"anything-but":{"prefix":"dms/"}}]}}}"#, load, Match::No),
            (r#"{"detail":{"object":{"key":[{"anything-but":["a","b"]}]}}}"#, load, Match::Yes),
            (r#"{"detail":{"object":{"size":[{"numeric":[">",0]}]}}}"#, load, Match::Unclear),
            (r#"{"detail":{"object":{"key":[{"equals-ignore-case":"x"}]}}}"#, load, Match::Unclear),
            (r#"{"account":["111122223333"]}"#, load, Match::Unclear),
            ("not JSON", load, Match::Unclear),
            (full_loads, load, Match::Yes),
            (full_loads, change, Match::No),
            (changes, load, Match::No),
            (changes, change, Match::Yes),
        ];
        for (pattern, key, expected) in cases {
            assert_eq!(takes(pattern, "acme", key, "PutObject"), expected, "{pattern} {key}");
        }
    }
}
