//! Versions of published mappings, and `CURRENT`, which says which one is in force.

#[cfg(feature = "cli")]
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::route::MappingFile;

/// The hexadecimal digits of a version's id. Sixteen are short enough to be read aloud, and two versions of one
/// folder will not meet in them by chance.
const ID_DIGITS: usize = 16;

/// The form of `CURRENT` that this program writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// The id of a published version. It is made from the names and contents of its files alone: the same mappings have
/// the same id wherever and whenever they are published, and a version that is not whole has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct VersionId(String);

impl VersionId {
    /// The id of these files. Of their names only what follows the last slash counts, and their order does not.
    pub fn of(files: &[MappingFile]) -> Self {
        let mut named: Vec<(&str, &str)> =
            files.iter().map(|file| (base_name(&file.name), file.text.as_str())).collect();
        named.sort_unstable();
        let mut hash = Sha256::new();
        for text in named.into_iter().flat_map(<[&str; 2]>::from) {
            // With the length of each, since no character is left to divide them.
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self(short_hex(&hash.finalize()))
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == ID_DIGITS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The id's digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VersionId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not the id of a version"))
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first digits of a hash.
pub(super) fn short_hex(hash: &[u8]) -> String {
    let mut digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(ID_DIGITS);
    digits
}

/// What follows the last slash of a name.
pub(super) fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}

/// What publishing some files in place of others changes, by the files' own names.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChanges {
    /// Files that were not there.
    pub added: Vec<String>,
    /// Files with other content.
    pub changed: Vec<String>,
    /// Files that are there no more: whatever they alone named is unmapped from now on.
    pub dropped: Vec<String>,
}

#[cfg(feature = "cli")]
impl FileChanges {
    /// From those files to these.
    pub fn between(before: &[MappingFile], after: &[MappingFile]) -> Self {
        let by_name = |files: &[MappingFile]| -> BTreeMap<String, String> {
            files.iter().map(|file| (base_name(&file.name).to_owned(), file.text.clone())).collect()
        };
        let (before, after) = (by_name(before), by_name(after));
        let of = |files: &BTreeMap<String, String>, is_meant: &dyn Fn(&str, &str) -> bool| {
            files.iter().filter(|(name, text)| is_meant(name, text)).map(|(name, _)| name.clone()).collect()
        };
        Self {
            added: of(&after, &|name, _| !before.contains_key(name)),
            changed: of(&after, &|name, text| before.get(name).is_some_and(|was| was != text)),
            dropped: of(&before, &|name, _| !after.contains_key(name)),
        }
    }
}

/// What `CURRENT` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    format: u32,
    /// The version in force.
    pub version: VersionId,
    /// The version that was in force before: what a rollback goes back to.
    pub previous: Option<VersionId>,
    /// Whether a rollback took `previous` back. A second one may put it in force again; nobody else goes by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    previous_taken_back: bool,
    /// When it was put in force, for people.
    pub published_at: String,
    /// What whoever published it wanted to be remembered, such as a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Current {
    /// What to write when `version` comes into force.
    pub fn new(
        version: VersionId,
        previous: Option<VersionId>,
        published_at: String,
        note: Option<String>,
    ) -> Self {
        Self { format: FORMAT, version, previous, previous_taken_back: false, published_at, note }
    }

    /// The same, if it comes into force by a rollback: what was in force before is taken back.
    #[must_use]
    pub fn taking_back(mut self) -> Self {
        self.previous_taken_back = self.previous.is_some();
        self
    }

    /// The version that a new process goes by if the one in force is broken. Where the one before was taken back there is
    /// none: files that wait can be loaded later, and files in the wrong table cannot be taken out.
    pub fn fallback(&self) -> Option<&VersionId> {
        self.previous.as_ref().filter(|_| !self.previous_taken_back)
    }

    /// Reads what `CURRENT` holds. Fields of no meaning here are passed over, so that a later dms2bq may add some.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let current: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if current.format != FORMAT {
            return Err(format!("it has format {}, and this dms2bq reads format {FORMAT}", current.format));
        }
        Ok(current)
    }

    /// As it is written.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may end by a panic")]

    use super::{Current, VersionId};
    use crate::route::MappingFile;

    fn files(named: &[(&str, &str)]) -> Vec<MappingFile> {
        let file = |(name, text): &(&str, &str)| MappingFile { name: (*name).into(), text: (*text).into() };
        named.iter().map(file).collect()
    }

    #[test]
    fn the_id_is_of_names_and_contents_and_of_nothing_else() {
        let id = VersionId::of(&files(&[("mappings/a.json", "{}"), ("mappings/b.json", "[]")]));
        assert_eq!(id, VersionId::of(&files(&[("s3://x/y/b.json", "[]"), ("s3://x/y/a.json", "{}")])));
        assert_eq!(id.as_str(), "e44e2f43dd95a5e2", "ids of published versions stay what they are");
        for others in [
            &[("a.json", "{}")][..],
            &[("a.json", "{}"), ("b.json", "[ ]")],
            &[("a.json", "{}"), ("c.json", "[]")],
            &[("a.json", "{}b.json"), ("", "[]")],
        ] {
            assert_ne!(id, VersionId::of(&files(others)), "{others:?}");
        }
    }

    #[test]
    fn current_is_read_as_it_was_written_and_nothing_else_is() {
        let [version, previous] =
            ["0123456789abcdef", "fedcba9876543210"].map(|id| VersionId::parse(id).unwrap());
        let current = Current::new(version, Some(previous), "2026-11-21T15:00:00Z".into(), None);
        assert_eq!(Current::parse(&current.to_json()).unwrap(), current);
        assert_eq!(current.fallback(), current.previous.as_ref());
        let back = current.clone().taking_back();
        assert_eq!(Current::parse(&back.to_json()).unwrap(), back);
        assert_eq!((back.fallback(), &back.previous), (None, &current.previous));
        let later = current.to_json().replace("\"format\": 1", "\"format\": 2");
        assert!(Current::parse(&later).unwrap_err().contains("format 2"));
        for text in ["", "{}", "null", "0123456789abcdef", r#"{"format":1,"version":"../x","previous":null}"#]
        {
            assert!(Current::parse(text).is_err(), "{text}");
        }
    }
}
