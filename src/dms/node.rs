//! A place in a JSON document of somebody else's, read with its path and without asking for more than is used.

use serde_json::{Map, Value};

use super::fault::Fault;
use super::remark::Remark;

/// The largest file that is read. DMS takes table mappings of 2 MiB at most; a listing of tasks may hold several.
pub const MAX_DMS_FILE_BYTES: usize = 8 << 20;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node<'j> {
    pub(super) json: &'j Value,
    pub(super) path: String,
}

/// What was read, with a remark for each problem.
pub(super) struct Reader<'f> {
    pub(super) file: &'f str,
    pub(super) remarks: Vec<Remark>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self { file, remarks: Vec::new() }
    }

    pub(super) fn report(&mut self, path: &str, fault: &Fault) {
        let remark = Remark::new(self.file, path, fault);
        // A locator that is missing is missing for the schema and for the table.
        if self.remarks.last() != Some(&remark) {
            self.remarks.push(remark);
        }
    }

    /// The document in a file. Depth is bounded by the parser, at 128.
    pub(super) fn document(&mut self, text: &str, path: &str) -> Option<Value> {
        let size_bytes = text.len();
        if size_bytes > MAX_DMS_FILE_BYTES {
            self.report(path, &Fault::TooLarge { size_bytes, max_bytes: MAX_DMS_FILE_BYTES });
            return None;
        }
        // PowerShell and editors on Windows write a byte-order mark, which is no part of the JSON.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match serde_json::from_str(text) {
            Ok(json) => Some(json),
            Err(error) => {
                self.report(path, &Fault::NotJson { detail: error.to_string() });
                None
            }
        }
    }

    pub(super) fn object<'j>(&mut self, node: &Node<'j>) -> Option<&'j Map<String, Value>> {
        let found = node.json.as_object();
        if found.is_none() {
            self.wrong_type(node, "an object");
        }
        found
    }

    /// A text that must be there.
    pub(super) fn required_text<'j>(&mut self, node: &Node<'j>, field: &'static str) -> Option<&'j str> {
        match node.field(field) {
            Some(node) => self.text(&node),
            None => {
                self.report(&node.path, &Fault::MissingField { field });
                None
            }
        }
    }

    fn text<'j>(&mut self, node: &Node<'j>) -> Option<&'j str> {
        let found = node.json.as_str();
        if found.is_none() {
            self.wrong_type(node, "a string");
        }
        found
    }

    pub(super) fn wrong_type(&mut self, node: &Node<'_>, expected: &'static str) {
        self.report(&node.path, &Fault::WrongType { expected, found: type_of(node.json) });
    }
}

impl<'j> Node<'j> {
    pub(super) fn root(json: &'j Value, path: &str) -> Self {
        Self { json, path: path.to_owned() }
    }

    /// The field `name`, if it is there and says something.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let json = self.json.as_object()?.get(name).filter(|json| !json.is_null())?;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let path = if plain { format!("{}.{name}", self.path) } else { format!("{}['{name}']", self.path) };
        Some(Self { json, path })
    }

    /// A text, or a number as one: DMS's own examples have both for ids.
    pub(super) fn plain_text(&self, name: &str) -> Option<String> {
        match self.field(name)?.json {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The items of the list that stands here; none, if it is no list.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.json.as_array().map(Vec::as_slice).unwrap_or_default();
        let item = |(i, json)| Self { json, path: format!("{}[{i}]", self.path) };
        items.iter().enumerate().map(item).collect()
    }
}

fn type_of(json: &Value) -> &'static str {
    match json {
        Value::Null => "null",
        Value::Bool(_) => "`true` or `false`",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// What a document holds, for a sentence that says what was found instead.
pub(super) fn described(json: &Value) -> String {
    match json.as_object() {
        Some(fields) if fields.is_empty() => "an empty object".to_owned(),
        Some(fields) => {
            let names: Vec<String> =
                fields.keys().take(4).map(|name| format!("`{}`", shortened(name))).collect();
            format!("an object with {}", names.join(", "))
        }
        None => type_of(json).to_owned(),
    }
}

/// A name of somebody else's, at a length that a line bears.
pub(super) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 100;
    match text.char_indices().nth(MAX_CHARS) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}
