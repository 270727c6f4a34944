//! Looks which mappings are there, and reads them.

use std::fmt;

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::Object as Listed;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::version::short_hex;
use super::{
    CURRENT_FILE, Current, MAX_LISTED_OBJECTS, MAX_MAPPING_BYTES, MAX_MAPPING_FILES, MappingsError,
    PUBLISHED_FILE, S3Folder, SCHEMA_FILE, VersionId,
};
use crate::cloud::aws::S3;
use crate::cloud::aws::errors::classify;
use crate::cloud::{Objects, ObjectsError};
use crate::object::{ETag, Object};
use crate::route::MappingFile;

const LIST: &str = "s3.ListObjectsV2";

/// Files that are read at once.
const READS_AT_ONCE: usize = 8;

/// How often something that changes while it is looked at is looked at again.
const TRIES: usize = 3;

/// The size of `CURRENT`, which has some 200 bytes and a note.
const MAX_CURRENT_BYTES: u64 = 16 << 10;

/// What lies below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// `CURRENT` names a version.
    Published(Current, ETag),
    /// There is no `CURRENT`, so it is a plain folder; its files as the listing shows them.
    Folder(Fingerprint),
}

/// Which files a plain folder holds, with what content: two states of it with the same fingerprint are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    fn of(files: &[Object]) -> Self {
        let mut hash = Sha256::new();
        for text in files.iter().flat_map(|file| [file.key(), file.etag().as_str()]) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        Self(short_hex(&hash.finalize()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Looks which mappings are there: one listing, and one small read if they were published.
///
/// `CURRENT` is looked for in the listing and not by a read: whether S3 answers a read of what does not exist with 404
/// or with 403 depends on how the role's right to list is worded.
///
/// # Errors
/// [`MappingsError`] if there are none, or S3 does not say.
pub async fn look(s3: &S3, folder: &S3Folder) -> Result<Found, MappingsError> {
    let mut tries = 1;
    loop {
        let Listing { current, files, was_published } = list(s3, folder).await?;
        let Some(object) = current else {
            if was_published {
                return Err(MappingsError::CurrentGone { address: folder.address_of(CURRENT_FILE) });
            }
            some_of(&files, folder)?;
            return Ok(Found::Folder(Fingerprint::of(&files)));
        };
        match read_text(s3, &object, MAX_CURRENT_BYTES).await {
            // Somebody publishes at this very moment.
            Err(MappingsError::Unreadable { source: ObjectsError::Replaced, .. }) if tries < TRIES => {
                tries += 1
            }
            text => {
                let bad = |detail| MappingsError::BadCurrent { address: object.to_string(), detail };
                let current = Current::parse(&text?).map_err(bad)?;
                return Ok(Found::Published(current, object.etag().clone()));
            }
        }
    }
}

/// Reads all files of a published version, and sees that they are what was published.
///
/// # Errors
/// [`MappingsError`] if the version is not there or not whole, or S3 does not give it.
pub async fn read_version(
    s3: &S3,
    folder: &S3Folder,
    id: &VersionId,
) -> Result<Vec<MappingFile>, MappingsError> {
    let folder = folder.of_version(id);
    let files = read_all(s3, &folder, &list(s3, &folder).await?.files).await?;
    let found = VersionId::of(&files);
    if found != *id {
        return Err(MappingsError::Damaged { address: folder.to_string(), found });
    }
    Ok(files)
}

/// Reads all files of a plain folder, if they are those of the fingerprint before they are read and after.
///
/// # Errors
/// [`MappingsError::Changing`] if they are not, and otherwise as [`look`].
pub async fn read_folder(
    s3: &S3,
    folder: &S3Folder,
    fingerprint: &str,
) -> Result<Vec<MappingFile>, MappingsError> {
    let changing = || MappingsError::Changing { address: folder.to_string() };
    let listed = list(s3, folder).await?.files;
    if Fingerprint::of(&listed).0 != fingerprint {
        return Err(changing());
    }
    let files = read_all(s3, folder, &listed).await.map_err(|error| match error {
        MappingsError::Unreadable { source: ObjectsError::Missing | ObjectsError::Replaced, .. } => {
            changing()
        }
        other => other,
    })?;
    if Fingerprint::of(&list(s3, folder).await?.files).0 != fingerprint {
        return Err(changing());
    }
    Ok(files)
}

/// Reads the mappings in force: those of the version that `CURRENT` names, or all of a plain folder, by name.
///
/// # Errors
/// [`MappingsError`] if there are none, too many or too large ones, or S3 does not give them.
pub async fn read_mappings(s3: &S3, folder: &S3Folder) -> Result<Vec<MappingFile>, MappingsError> {
    let mut tries = 1;
    loop {
        let read = match look(s3, folder).await? {
            Found::Published(current, _) => return read_version(s3, folder, &current.version).await,
            Found::Folder(fingerprint) => read_folder(s3, folder, &fingerprint.0).await,
        };
        match read {
            Err(MappingsError::Changing { .. }) if tries < TRIES => tries += 1,
            read => return read,
        }
    }
}

/// What lies directly below a prefix.
pub(super) struct Listing {
    /// `CURRENT`, if it is there.
    pub(super) current: Option<Object>,
    /// The mapping files, by name; none of them too large.
    pub(super) files: Vec<Object>,
    /// Whether versions were in force here before.
    pub(super) was_published: bool,
}

pub(super) async fn list(s3: &S3, folder: &S3Folder) -> Result<Listing, MappingsError> {
    let too_many = |what, limit| MappingsError::TooMany { address: folder.to_string(), what, limit };
    let mut listing = Listing { current: None, files: Vec::new(), was_published: false };
    let mut seen: usize = 0;
    let mut next = None;
    loop {
        let page = list_page(s3, folder, next.take()).await?;
        seen += page.contents().len() + page.common_prefixes().len();
        for listed in page.contents() {
            let name = listed.key().unwrap_or_default().strip_prefix(&folder.prefix).unwrap_or_default();
            if name == CURRENT_FILE {
                listing.current = Some(identify(folder, listed)?);
            } else if name == PUBLISHED_FILE {
                listing.was_published = true;
            } else if is_mapping(name) {
                listing.files.push(not_too_large(listed, identify(folder, listed)?)?);
            }
        }
        if listing.files.len() > MAX_MAPPING_FILES {
            return Err(too_many("mapping files", MAX_MAPPING_FILES));
        }
        next = page.next_continuation_token;
        if next.is_none() {
            return Ok(listing);
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

/// Hidden files are what editors and other systems leave behind, as in a local folder.
fn is_mapping(name: &str) -> bool {
    name.ends_with(".json") && name != SCHEMA_FILE && !name.starts_with('.')
}

fn identify(folder: &S3Folder, listed: &Listed) -> Result<Object, MappingsError> {
    let key = listed.key().unwrap_or_default();
    let no_etag = || MappingsError::NoEtag { address: format!("s3://{}/{key}", folder.bucket) };
    let etag = listed.e_tag().and_then(ETag::parse).ok_or_else(no_etag)?;
    Ok(Object::new(&folder.bucket, key, etag, None))
}

fn not_too_large(listed: &Listed, object: Object) -> Result<Object, MappingsError> {
    let size_bytes = listed.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    if size_bytes > MAX_MAPPING_BYTES {
        return Err(MappingsError::TooLarge { address: object.to_string(), size_bytes });
    }
    Ok(object)
}

fn some_of(files: &[Object], folder: &S3Folder) -> Result<(), MappingsError> {
    if files.is_empty() { Err(MappingsError::NoneFound { address: folder.to_string() }) } else { Ok(()) }
}

/// Reads each file as the listing showed it, so that one that is replaced meanwhile is an error and not a mixture.
async fn read_all(s3: &S3, folder: &S3Folder, listed: &[Object]) -> Result<Vec<MappingFile>, MappingsError> {
    some_of(listed, folder)?;
    let read = |object: Object| async move {
        let text = read_text(s3, &object, MAX_MAPPING_BYTES).await?;
        Ok(MappingFile { name: object.to_string(), text })
    };
    stream::iter(listed.iter().cloned()).map(read).buffered(READS_AT_ONCE).try_collect().await
}

async fn read_text(s3: &S3, object: &Object, max_bytes: u64) -> Result<String, MappingsError> {
    let address = || object.to_string();
    let tail = s3.read_tail(object, max_bytes).await;
    let tail = tail.map_err(|source| MappingsError::Unreadable { address: address(), source })?;
    if tail.bytes.len() as u64 != tail.object_size_bytes {
        return Err(MappingsError::TooLarge { address: address(), size_bytes: tail.object_size_bytes });
    }
    String::from_utf8(tail.bytes.into()).map_err(|_| MappingsError::NotUtf8 { address: address() })
}
