//! Reads JSON into types and goes on after a problem, so that one look finds them all.

use std::collections::HashSet;
use std::fmt;

use super::json::Json;
use super::nearest::nearest;
use super::problem::{MappingFault, MappingProblem};

/// A place in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn root() -> Self {
        Self("$".to_owned())
    }

    /// The field `name` of the object that stands here.
    pub(super) fn field(&self, name: &str) -> Self {
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain && name.starts_with(|c: char| !c.is_numeric()) {
            return Self(format!("{}.{name}", self.0));
        }
        let escaped: String = name.chars().flat_map(char::escape_debug).collect();
        Self(format!("{}['{escaped}']", self.0))
    }

    /// Item `index` of the list that stands here.
    pub(super) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value and where it stands.
pub(super) struct At<'j> {
    pub(super) json: &'j Json,
    pub(super) place: Place,
}

impl At<'_> {
    pub(super) fn is_null(&self) -> bool {
        matches!(self.json, Json::Null)
    }
}

/// The fields of one object.
pub(super) struct Fields<'j> {
    pub(super) place: Place,
    entries: &'j [(String, Json)],
}

impl<'j> Fields<'j> {
    /// The field `name`, if it is there. Of a repeated one, the first; the repetition is a problem already.
    pub(super) fn get(&self, name: &str) -> Option<At<'j>> {
        let (_, json) = self.entries.iter().find(|(field, _)| field == name)?;
        Some(At { json, place: self.place.field(name) })
    }

    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Every field in its order.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'j str, At<'j>)> {
        self.entries.iter().map(|(name, json)| (name.as_str(), At { json, place: self.place.field(name) }))
    }
}

/// Reads one file and collects what is wrong with it.
///
/// Every method that gives `None` has written down why.
pub(super) struct Reader<'f> {
    file: &'f str,
    problems: Vec<MappingProblem>,
}

impl<'f> Reader<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self { file, problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<MappingProblem> {
        self.problems
    }

    pub(super) fn report(&mut self, place: &Place, fault: MappingFault) {
        self.problems.push(MappingProblem::new(self.file, place.to_string(), fault));
    }

    /// What a check found, written down with its place.
    pub(super) fn checked<T>(&mut self, place: &Place, found: Result<T, MappingFault>) -> Option<T> {
        match found {
            Ok(value) => Some(value),
            Err(fault) => {
                self.report(place, fault);
                None
            }
        }
    }

    /// An object that has no other fields than `known`.
    pub(super) fn object<'j>(&mut self, at: &At<'j>, known: &'static [&'static str]) -> Option<Fields<'j>> {
        let fields = self.any_object(at, || example_object(known))?;
        for (name, _) in fields.entries {
            if !known.contains(&name.as_str()) {
                let nearest = nearest(&name.to_lowercase(), known.iter().copied(), str::to_owned);
                let fault = MappingFault::UnknownField { field: name.clone(), nearest, known };
                self.report(&fields.place.field(name), fault);
            }
        }
        Some(fields)
    }

    /// An object whose fields have names of the user's own.
    pub(super) fn any_object<'j>(
        &mut self,
        at: &At<'j>,
        expected: impl Fn() -> String,
    ) -> Option<Fields<'j>> {
        let Json::Object(entries) = at.json else {
            self.wrong_type(at, &expected());
            return None;
        };
        let mut seen = HashSet::new();
        for (name, _) in entries {
            if !seen.insert(name) {
                self.report(&at.place.field(name), MappingFault::DuplicateField { field: name.clone() });
            }
        }
        Some(Fields { place: at.place.clone(), entries })
    }

    /// A field that must be there; `meaning` says what to write.
    pub(super) fn required<'j>(
        &mut self,
        fields: &Fields<'j>,
        field: &'static str,
        meaning: &'static str,
    ) -> Option<At<'j>> {
        let found = fields.get(field);
        if found.is_none() {
            self.report(&fields.place, MappingFault::MissingField { field, meaning });
        }
        found
    }

    pub(super) fn string<'j>(&mut self, at: &At<'j>, expected: &'static str) -> Option<&'j str> {
        let Json::String(text) = at.json else {
            self.wrong_type(at, expected);
            return None;
        };
        Some(text)
    }

    pub(super) fn boolean(&mut self, at: &At<'_>) -> Option<bool> {
        let Json::Bool(value) = at.json else {
            self.wrong_type(at, "`true` or `false`");
            return None;
        };
        Some(*value)
    }

    pub(super) fn whole_number(&mut self, at: &At<'_>) -> Option<u64> {
        let number = if let Json::Number(number) = at.json { number.as_u64() } else { None };
        if number.is_none() {
            self.wrong_type(at, "a whole number, 0 or above");
        }
        number
    }

    pub(super) fn list<'j>(&mut self, at: &At<'j>, expected: &'static str) -> Option<Vec<At<'j>>> {
        let Json::Array(items) = at.json else {
            self.wrong_type(at, expected);
            return None;
        };
        let item = |(i, json)| At { json, place: at.place.item(i) };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// One of the words that may stand here, as what it means.
    pub(super) fn word<T: Copy>(&mut self, at: &At<'_>, words: &[(&'static str, T)]) -> Option<T> {
        let given = self.string(at, "a string")?;
        let found = words.iter().find(|(word, _)| *word == given);
        if found.is_none() {
            let known: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
            // `NUMERIC(15,2)` is as SQL spells a NUMERIC.
            let bare = given.split('(').next().unwrap_or(given).to_lowercase();
            let nearest = nearest(&bare, known.iter().copied(), str::to_lowercase);
            self.report(&at.place, MappingFault::UnknownValue { given: given.to_owned(), nearest, known });
        }
        found.map(|(_, meaning)| *meaning)
    }

    fn wrong_type(&mut self, at: &At<'_>, expected: &str) {
        let fault = MappingFault::WrongType { expected: expected.to_owned(), found: at.json.found() };
        self.report(&at.place, fault);
    }
}

/// An object with the first of the fields that it may have: `{ "schema": …, "table": … }`.
fn example_object(known: &[&str]) -> String {
    let fields = known.iter().filter(|field| !field.starts_with('$')).take(3);
    let fields: Vec<String> = fields.map(|field| format!("\"{field}\": …")).collect();
    format!("an object such as {{ {} }}", fields.join(", "))
}
