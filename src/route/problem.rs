//! What can be wrong with a mapping: where it stands, what is wrong, and what to do.

use std::fmt;

use super::names::{BadName, NameKind, shortened};
use super::pattern::BadPattern;
use super::template::BadTemplate;

/// One thing that is wrong with one mapping file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingProblem {
    file: String,
    path: String,
    fault: MappingFault,
}

impl MappingProblem {
    pub(super) fn new(file: &str, path: impl Into<String>, fault: MappingFault) -> Self {
        Self { file: file.to_owned(), path: path.into(), fault }
    }

    /// The file, as whoever read it named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where in the file, as a JSON path: `$.tables[2].destination.table`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong.
    pub fn fault(&self) -> &MappingFault {
        &self.fault
    }

    /// The stable name of what is wrong.
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        self.fault.remedy()
    }
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            MappingFault::NoFiles => write!(f, "{}", self.fault),
            fault => write!(f, "{} {}: {fault}", self.file, self.path),
        }
    }
}

/// All that is wrong with a set of mapping files; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingProblems(Vec<MappingProblem>);

impl MappingProblems {
    /// The problems, if there are any, in the order of files and then of paths found.
    pub(super) fn of(problems: Vec<MappingProblem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// Each problem, file by file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &MappingProblem> {
        self.0.iter()
    }

    /// The stable name of a set of mappings that cannot be used.
    pub fn code(&self) -> &'static str {
        "mapping.invalid"
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        "run `dms2bq check`, which lists every problem with its place, and correct the mappings; until then \
         nothing is loaded with them"
    }
}

impl fmt::Display for MappingProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "the mappings have a problem: {only}"),
            [first, ..] => write!(f, "the mappings have {} problems, the first: {first}", self.0.len()),
            [] => f.write_str("the mappings have no problem"),
        }
    }
}

impl std::error::Error for MappingProblems {}

/// What is wrong at one place of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingFault {
    /// There is not one mapping file.
    #[error("there are no mapping files")]
    NoFiles,
    /// The file is larger than any list of tables that a person keeps.
    #[error("the file has {size_bytes} bytes; {max_bytes} are the limit")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// The file is not JSON.
    #[error("not JSON: {detail} (line {line}, column {column})")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What the parser says.
        detail: String,
    },
    /// One object has the same field twice.
    #[error("the field `{field}` is written twice")]
    DuplicateField {
        /// The field.
        field: String,
    },
    /// A field that mappings do not have.
    #[error("unknown field `{}`", shortened(field))]
    UnknownField {
        /// The field.
        field: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
        /// Those that may stand there.
        known: &'static [&'static str],
    },
    /// A field that must be there is not.
    #[error("the field `{field}` is missing")]
    MissingField {
        /// The field.
        field: &'static str,
        /// What to write there.
        meaning: &'static str,
    },
    /// A value of the wrong JSON type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What belongs there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A word that is none of those that may stand there.
    #[error("unknown value `{}`", shortened(given))]
    UnknownValue {
        /// The word.
        given: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
        /// Those that may stand there.
        known: Vec<&'static str>,
    },
    /// `$schema` names a schema that this version of the program does not know.
    #[error("unknown mapping schema `{given}`")]
    UnknownSchema {
        /// The schema as it was named.
        given: String,
    },
    /// A name that S3 or Google would refuse.
    #[error("{0}")]
    BadName(BadName),
    /// A pattern that DMS would not understand.
    #[error("bad pattern `{}`: {reason}", shortened(given))]
    BadPattern {
        /// The pattern.
        given: String,
        /// What is wrong with it.
        reason: BadPattern,
    },
    /// A destination name with a placeholder that does not exist.
    #[error("bad template `{}`: {reason}", shortened(given))]
    BadTemplate {
        /// The template.
        given: String,
        /// What is wrong with it.
        reason: BadTemplate,
    },
    /// A time zone that the IANA database does not have.
    #[error("unknown time zone `{given}`")]
    BadTimezone {
        /// The time zone.
        given: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// A table option that BigQuery would refuse.
    #[error("{reason}")]
    BadOption {
        /// What is wrong.
        reason: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// Two rules of one mapping are equally specific, and one name can match both.
    #[error("{}", two_rules((this, *index), (other, *other_index), example))]
    AmbiguousRules {
        /// This rule, as `schema.table`.
        this: String,
        /// Its place.
        index: usize,
        /// The rule that stands before it.
        other: String,
        /// That one's place.
        other_index: usize,
        /// A name that both match, as `schema.table`.
        example: String,
    },
    /// Two mappings claim the same bucket and folder.
    #[error("`{landing}` is already the landing prefix of {other_file}")]
    DuplicateLanding {
        /// The bucket and folder, as an `s3://` address.
        landing: String,
        /// The file that named it first.
        other_file: String,
    },
}

impl MappingFault {
    /// The stable name of what is wrong.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFiles => "mapping.none",
            Self::TooLarge { .. } => "mapping.too_large",
            Self::NotJson { .. } => "mapping.not_json",
            Self::DuplicateField { .. } => "mapping.duplicate_field",
            Self::UnknownField { .. } => "mapping.unknown_field",
            Self::MissingField { .. } => "mapping.missing_field",
            Self::WrongType { .. } => "mapping.wrong_type",
            Self::UnknownValue { .. } => "mapping.unknown_value",
            Self::UnknownSchema { .. } => "mapping.unknown_schema",
            Self::BadName(name) => match name.kind {
                NameKind::Bucket => "mapping.bad_bucket",
                NameKind::Folder => "mapping.bad_folder",
                NameKind::Project => "mapping.bad_project",
                NameKind::Dataset => "mapping.bad_dataset",
                NameKind::Table => "route.bad_name",
                NameKind::Column => "mapping.bad_column",
                NameKind::Location => "mapping.bad_location",
            },
            Self::BadPattern { .. } => "mapping.bad_pattern",
            Self::BadTemplate { .. } => "mapping.bad_template",
            Self::BadTimezone { .. } => "mapping.bad_timezone",
            Self::BadOption { .. } => "mapping.bad_option",
            Self::AmbiguousRules { .. } => "mapping.ambiguous_rules",
            Self::DuplicateLanding { .. } => "mapping.duplicate_landing",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoFiles => "put one JSON file per landing prefix into the folder of the mappings; \
                              mappings/README.md shows how to write one"
                .to_owned(),
            Self::TooLarge { .. } => {
                "patterns such as `log_%` stand for many tables: a mapping needs a rule per kind of table, \
                 not per table"
                    .to_owned()
            }
            Self::NotJson { detail, .. } => syntax_remedy(detail).to_owned(),
            Self::DuplicateField { .. } => "keep one of the two".to_owned(),
            Self::UnknownField { nearest, known, .. } => did_you_mean(*nearest, known),
            Self::UnknownValue { nearest, known, .. } => did_you_mean(*nearest, known),
            Self::MissingField { field, meaning } => format!("write `\"{field}\"`: {meaning}"),
            Self::WrongType { expected, found } => type_remedy(expected, found),
            Self::UnknownSchema { .. } => {
                "this version knows the schema that is published as `schema.json` beside the mappings: write \
                 `\"$schema\": \"./schema.json\"`, or run a newer dms2bq"
                    .to_owned()
            }
            Self::BadName(name) => name.remedy(),
            Self::BadPattern { reason, .. } => reason.remedy().to_owned(),
            Self::BadTemplate { .. } => "the placeholders are `{schema}` and `{table}`".to_owned(),
            Self::BadTimezone { nearest: Some(name), .. } => format!("did you mean `{name}`?"),
            Self::BadTimezone { nearest: None, .. } => {
                "write `UTC`, or the Area/Location that the DMS endpoint has as DatePartitionTimezone"
                    .to_owned()
            }
            Self::BadOption { hint, .. } => (*hint).to_owned(),
            Self::AmbiguousRules { this, other, .. } if this == other => {
                "take one of the two away".to_owned()
            }
            Self::AmbiguousRules { .. } => {
                "make one of them more specific, or exclude what they share: a literal name goes before a \
                 pattern, then more literal characters, the schema's first"
                    .to_owned()
            }
            Self::DuplicateLanding { .. } => {
                "keep one file per landing prefix, with the rules of both".to_owned()
            }
        }
    }
}

fn two_rules((this, index): (&str, usize), (other, other_index): (&str, usize), example: &str) -> String {
    if this == other {
        return format!("`{this}` is listed twice, here and at $.tables[{other_index}]");
    }
    format!(
        "the rules `{this}` ($.tables[{index}]) and `{other}` ($.tables[{other_index}]) are equally specific, and both match \
         `{example}`"
    )
}

fn type_remedy(expected: &str, found: &str) -> String {
    let is_object = expected.starts_with("an object");
    let is_quoted =
        found == "a string" && (expected.starts_with('`') || expected.starts_with("a whole number"));
    match found {
        "null" if !is_object => "leave the field out: nothing is `null` but a `partition`".to_owned(),
        _ if is_quoted => format!("write {expected}, without quotes"),
        _ => format!("write {expected}"),
    }
}

fn did_you_mean(nearest: Option<&str>, known: &[&str]) -> String {
    match (nearest, known) {
        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
        (None, [only]) => format!("only `{only}` may stand here"),
        (None, known) => format!("one of these may stand here: `{}`", known.join("`, `")),
    }
}

fn syntax_remedy(detail: &str) -> &'static str {
    if detail.contains("comment") {
        "take the comment away: JSON has none"
    } else if detail.contains("quotation mark") {
        "write straight quotes, `\"`, around names and texts: word processors and chats make others of them"
    } else if detail.contains("trailing comma") {
        "take the last comma of the list or object away: JSON has none there"
    } else if detail.contains("trailing characters") {
        "a file holds one object: start another mapping in a file of its own"
    } else if detail.contains("empty") {
        "write a mapping into it, or take it away; mappings/README.md shows how to write one"
    } else {
        "correct the file with an editor that knows JSON"
    }
}
