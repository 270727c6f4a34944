//! Reading JSON of which every vendor has its own dialect.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Whether a JSON text is an object, going by how it begins.
pub(super) fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

/// Reads a JSON object; `None` if it is none. Without that look at its beginning, serde would take a
/// list for an object whose fields have lost their names.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    is_object(json).then(|| serde_json::from_str(json).ok()).flatten()
}

/// Says what a JSON text is, for whoever looks for its sender: the names of its fields, never values.
pub(super) fn describe(json: &str) -> String {
    const SHOWN_FIELDS: usize = 8;
    const SHOWN_CHARS: usize = 40;
    match serde_json::from_str(json) {
        Ok(Value::Null) => "null".to_owned(),
        Ok(Value::Bool(_)) => "a truth value".to_owned(),
        Ok(Value::Number(_)) => "a number".to_owned(),
        Ok(Value::String(_)) => "a text".to_owned(),
        Ok(Value::Array(_)) => "a list".to_owned(),
        Ok(Value::Object(fields)) if fields.is_empty() => "an object without fields".to_owned(),
        Ok(Value::Object(fields)) => {
            let shown = |name: &String| name.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
            let quote = |name| format!("`{}`", String::as_str(&shown(name)));
            let names: Vec<String> = fields.keys().take(SHOWN_FIELDS).map(quote).collect();
            let more = if fields.len() > SHOWN_FIELDS { " and more" } else { "" };
            format!("an object with the fields {}{more}", names.join(", "))
        }
        // Only a text nested deeper than serde_json follows gets here: that it is JSON is known.
        Err(_) => "nested too deeply".to_owned(),
    }
}

/// A text that may be missing, null, empty or spelt as a number; all but the last count as absent.
///
/// What is neither text nor number (an object, a list, true) counts as absent too, for then there is
/// no text; who needs one says that it is missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(Option<String>);

impl Text {
    pub(super) fn as_deref(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(super) fn into_inner(self) -> Option<String> {
        self.0
    }

    /// The text as a count; `None` if it is none.
    pub(super) fn as_count(&self) -> Option<u64> {
        self.as_deref().and_then(|text| text.parse().ok())
    }

    /// The text as a moment (`2022-12-01T09:30:17.512Z`), in milliseconds since 1970; `None` if it is none.
    pub(super) fn as_unix_ms(&self) -> Option<u64> {
        let moment: jiff::Timestamp = self.as_deref()?.parse().ok()?;
        u64::try_from(moment.as_millisecond()).ok()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(|text| Self(text.filter(|text| !text.is_empty())))
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        // `{:?}` keeps the fraction of 2.0, which as a version is not the same as 2.
        Ok(Some(format!("{number:?}")))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
