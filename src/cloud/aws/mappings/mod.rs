//! Mappings in S3: below `s3://bucket/prefix`, published or as a plain folder.
//!
//! ```text
//! prefix/CURRENT                        which version is in force, and which was before
//! prefix/PUBLISHED                      that mappings were published here, so that there has to be a CURRENT
//! prefix/versions/6f77c38b8f5fbb88/     one version: its files never change
//!   casino-a.json
//!   casino-b.json
//! ```
//!
//! A version's id is made from its files, so whoever reads a version knows whether it is whole; and all of a change is
//! in force with the one PUT of `CURRENT`. Where nothing was published, the mappings are the `*.json` directly below the
//! prefix: a plain folder, which changes file by file. docs/decisions/0012-mappings-in-s3.md says what that costs.

mod error;
#[cfg(feature = "cli")]
mod publish;
mod read;
mod version;

use std::fmt;

use crate::route::MAX_FILE_BYTES;

pub use error::MappingsError;
#[cfg(feature = "cli")]
pub use publish::{InForce, PublishError, in_force, mark_published, put_in_force, upload, version_before};
pub use read::{Fingerprint, Found, look, read_folder, read_mappings, read_version};
#[cfg(feature = "cli")]
pub use version::FileChanges;
pub use version::{Current, VersionId};

/// The file that says which version is in force.
pub const CURRENT_FILE: &str = "CURRENT";

/// The file that says that mappings were published. It stays.
const PUBLISHED_FILE: &str = "PUBLISHED";

/// The folder of all versions.
const VERSIONS_FOLDER: &str = "versions";

/// Mapping files that one prefix may hold. There is one for each landing prefix, so a company with a hundred
/// database clusters is well within; a prefix with more is most likely not one of mappings.
pub const MAX_MAPPING_FILES: usize = 500;

/// Objects of any kind that are looked at to find the mappings among them: ten pages of a listing.
pub const MAX_LISTED_OBJECTS: usize = 10_000;

/// The size of one mapping file, as for a local one.
pub const MAX_MAPPING_BYTES: u64 = MAX_FILE_BYTES as u64;

/// The JSON Schema that may lie beside the mappings, for editors.
const SCHEMA_FILE: &str = "schema.json";

/// Where mappings lie in S3: the objects `prefix/*.json` of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Folder {
    bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
}

/// What was given as a folder in S3 is none.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is not an address of the form s3://bucket/prefix")]
pub struct BadAddress {
    address: String,
}

impl S3Folder {
    /// Reads `s3://bucket/prefix`. The prefix may be empty, and may end in a slash.
    ///
    /// # Errors
    /// [`BadAddress`] if the address is of another form.
    pub fn parse(address: &str) -> Result<Self, BadAddress> {
        let bad_address = || BadAddress { address: address.to_owned() };
        let rest = address.strip_prefix("s3://").ok_or_else(bad_address)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(bad_address());
        }
        let is_open = !prefix.is_empty() && !prefix.ends_with('/');
        let prefix = if is_open { format!("{prefix}/") } else { prefix.to_owned() };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// The folder of one published version.
    pub(super) fn of_version(&self, id: &VersionId) -> Self {
        Self { bucket: self.bucket.clone(), prefix: format!("{}{VERSIONS_FOLDER}/{id}/", self.prefix) }
    }

    /// The address of a file directly in it.
    pub(super) fn address_of(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }
}

impl fmt::Display for S3Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may end by a panic")]

    use super::S3Folder;

    #[test]
    fn an_address_names_a_bucket_and_a_folder() {
        for (address, canonical) in [
            ("s3://config", "s3://config/"),
            ("s3://config/", "s3://config/"),
            ("s3://config/dms/mappings", "s3://config/dms/mappings/"),
            ("s3://config/dms/mappings/", "s3://config/dms/mappings/"),
        ] {
            assert_eq!(S3Folder::parse(address).unwrap().to_string(), canonical);
        }
        for address in ["s3://", "s3:///mappings", "mappings", "gs://config/mappings", ""] {
            assert!(S3Folder::parse(address).is_err(), "{address}");
        }
    }
}
