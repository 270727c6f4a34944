//! What is said about a task or an endpoint, and how bad it is.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Rows would be lost, doubled or left lying.
    Error,
    /// Somebody should look at it; it may be meant.
    Warning,
}

impl Level {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What every enum of findings says of each of its own.
pub(super) trait Told: fmt::Display {
    /// How bad it is.
    fn level(&self) -> Level;
    /// The stable name.
    fn code(&self) -> &'static str;
    /// What a person should do.
    fn remedy(&self) -> String;
}

/// One finding in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    file: String,
    path: String,
    level: Level,
    code: &'static str,
    message: String,
    remedy: String,
}

impl Remark {
    pub(super) fn new(file: &str, path: impl Into<String>, told: &impl Told) -> Self {
        Self {
            file: file.to_owned(),
            path: path.into(),
            level: told.level(),
            code: told.code(),
            message: told.to_string(),
            remedy: told.remedy(),
        }
    }

    /// The same where it keeps nothing from being done.
    pub(super) fn into_warning(self) -> Self {
        Self { level: Level::Warning, ..self }
    }

    /// The file, as whoever read it named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where in the file, as a JSON path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How bad it is.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The stable name of the finding.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What is found, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a person should do.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.file, self.path, self.message)
    }
}
