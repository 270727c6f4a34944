//! The mapping files of `s3://bucket/prefix`.

use std::fmt;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::Object as Listed;

use super::S3;
use super::errors::classify;
use crate::cloud::{Objects, ObjectsError};
use crate::object::{ETag, Object};
use crate::route::{MAX_FILE_BYTES, MappingFile};

const LIST: &str = "s3.ListObjectsV2";

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

/// Why mappings could not be read from S3.
#[derive(Debug, thiserror::Error)]
pub enum MappingsError {
    /// There are no mapping files.
    #[error("no *.json in {address}")]
    NoneFound {
        /// The folder.
        address: String,
    },
    /// There are more files than a folder of mappings has.
    #[error("more than {limit} {what} in {address}")]
    TooMany {
        /// The folder.
        address: String,
        /// Of what there are too many.
        what: &'static str,
        /// How many may be there.
        limit: usize,
    },
    /// A file is larger than any mapping.
    #[error("{address} has {size_bytes} bytes, and a mapping has {MAX_MAPPING_BYTES} at most")]
    TooLarge {
        /// The file.
        address: String,
        /// Its size.
        size_bytes: u64,
    },
    /// The listing names a file without its etag, so it cannot be read as it was listed.
    #[error("the listing gives no etag for {address}")]
    NoEtag {
        /// The file.
        address: String,
    },
    /// A file is not text.
    #[error("{address} is not UTF-8")]
    NotUtf8 {
        /// The file.
        address: String,
    },
    /// S3 did not give the list or a file.
    #[error("cannot read {address}")]
    Unreadable {
        /// The folder or the file.
        address: String,
        /// The call's failure.
        #[source]
        source: ObjectsError,
    },
}

impl MappingsError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoneFound { .. } => "mapping.none_found",
            Self::TooMany { .. } => "mapping.too_many",
            Self::TooLarge { .. } => "mapping.too_large",
            Self::NoEtag { .. } => "mapping.no_etag",
            Self::NotUtf8 { .. } => "mapping.not_utf8",
            Self::Unreadable { .. } => "mapping.unreadable",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoneFound { .. } => {
                "Publish the mapping files there, or set DMS2BQ_MAPPINGS to where they are; only *.json directly \
                 below the prefix are read, and schema.json is not one of them."
            }
            Self::TooMany { .. } => "Give the mappings a prefix of their own.",
            Self::TooLarge { .. } => {
                "Split the file by landing prefix, or use patterns instead of one rule per table."
            }
            Self::NoEtag { .. } => "S3 always gives one: use an S3 that does, or mappings from a folder.",
            Self::NotUtf8 { .. } => "Save the file as UTF-8.",
            Self::Unreadable { .. } => {
                "Give the role s3:ListBucket on the bucket and s3:GetObject on the prefix, and see that the bucket exists."
            }
        }
    }
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

    /// The identity of a listed object, if it is a mapping.
    fn as_mapping(&self, listed: &Listed) -> Result<Option<Object>, MappingsError> {
        let key = listed.key().unwrap_or_default();
        let name = key.strip_prefix(&self.prefix).unwrap_or(key);
        let is_mapping = name.ends_with(".json") && name != SCHEMA_FILE;
        if !is_mapping {
            return Ok(None);
        }
        let no_etag = || MappingsError::NoEtag { address: format!("s3://{}/{key}", self.bucket) };
        let etag = listed.e_tag().and_then(ETag::parse).ok_or_else(no_etag)?;
        let object = Object::new(&self.bucket, key, etag, None);
        let size_bytes = listed.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
        if size_bytes > MAX_MAPPING_BYTES {
            return Err(MappingsError::TooLarge { address: object.to_string(), size_bytes });
        }
        Ok(Some(object))
    }
}

impl fmt::Display for S3Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// Reads all mapping files of a folder: every `*.json` directly in it but `schema.json`, by name. Each is read as the
/// listing showed it, so a file that is replaced meanwhile is an error and not a mixture.
///
/// # Errors
/// [`MappingsError`] if there are none, too many or too large ones, or S3 does not give them.
pub async fn read_mappings(s3: &S3, folder: &S3Folder) -> Result<Vec<MappingFile>, MappingsError> {
    let mut files = Vec::new();
    for object in list(s3, folder).await? {
        files.push(MappingFile { name: object.to_string(), text: read_text(s3, &object).await? });
    }
    if files.is_empty() {
        return Err(MappingsError::NoneFound { address: folder.to_string() });
    }
    Ok(files)
}

/// The mapping files that a listing shows, by name; none of them too large.
async fn list(s3: &S3, folder: &S3Folder) -> Result<Vec<Object>, MappingsError> {
    let too_many = |what, limit| MappingsError::TooMany { address: folder.to_string(), what, limit };
    let mut files = Vec::new();
    let mut seen: usize = 0;
    let mut next = None;
    loop {
        let page = list_page(s3, folder, next.take()).await?;
        seen += page.contents().len() + page.common_prefixes().len();
        for listed in page.contents() {
            files.extend(folder.as_mapping(listed)?);
        }
        if files.len() > MAX_MAPPING_FILES {
            return Err(too_many("mapping files", MAX_MAPPING_FILES));
        }
        next = page.next_continuation_token;
        if next.is_none() {
            return Ok(files);
        }
        if seen >= MAX_LISTED_OBJECTS {
            return Err(too_many("objects", MAX_LISTED_OBJECTS));
        }
    }
}

async fn list_page(
    s3: &S3,
    folder: &S3Folder,
    token: Option<String>,
) -> Result<ListObjectsV2Output, MappingsError> {
    let request = s3.client().list_objects_v2().bucket(&folder.bucket).prefix(&folder.prefix).delimiter("/");
    request.set_continuation_token(token).send().await.map_err(|error| MappingsError::Unreadable {
        address: folder.to_string(),
        source: classify(LIST, s3.region(), &error),
    })
}

async fn read_text(s3: &S3, object: &Object) -> Result<String, MappingsError> {
    let address = || object.to_string();
    let tail = s3.read_tail(object, MAX_MAPPING_BYTES).await;
    let tail = tail.map_err(|source| MappingsError::Unreadable { address: address(), source })?;
    if tail.bytes.len() as u64 != tail.object_size_bytes {
        return Err(MappingsError::TooLarge { address: address(), size_bytes: tail.object_size_bytes });
    }
    String::from_utf8(tail.bytes.into()).map_err(|_| MappingsError::NotUtf8 { address: address() })
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
