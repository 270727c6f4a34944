//! Publishes mappings: first all files of a version, then `CURRENT`, with one conditional PUT.

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::read::list;
use super::version::base_name;
use super::{
    CURRENT_FILE, Current, Found, MappingsError, PUBLISHED_FILE, S3Folder, VersionId, look, read_version,
};
use crate::cloud::aws::S3;
use crate::cloud::quote::chain;
use crate::object::ETag;
use crate::route::MappingFile;

/// Files that are written at once.
const WRITES_AT_ONCE: usize = 8;

/// What a prefix holds before something is published there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// What `CURRENT` says, if it is there.
    pub current: Option<Current>,
    /// `CURRENT` as it was read: it is replaced only if it is still this one.
    etag: Option<ETag>,
    /// The mapping files of a plain folder, which are not read any more once there is a `CURRENT`.
    pub plain_files: usize,
}

/// Why mappings were not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// What is there cannot be read.
    #[error(transparent)]
    Mappings(#[from] MappingsError),
    /// Somebody else published between our look and our write.
    #[error("somebody else published meanwhile: {address} {now}")]
    Conflict {
        /// `CURRENT`'s address.
        address: String,
        /// What it says now.
        now: String,
    },
    /// S3 did not take a file.
    #[error("cannot write {address}: {detail}")]
    Unwritable {
        /// The file.
        address: String,
        /// What S3 or the network said.
        detail: String,
    },
    /// The last write had no answer, and neither had the look after it.
    #[error("nobody knows whether {address} was written: {detail}")]
    Unsure {
        /// `CURRENT`'s address.
        address: String,
        /// What the network said.
        detail: String,
    },
    /// The version is in force, and the file that says that there is one was not written.
    #[error("the mappings are in force; but {address} could not be written: {detail}")]
    Unmarked {
        /// The file.
        address: String,
        /// What S3 or the network said.
        detail: String,
    },
    /// There is no version before the one in force.
    #[error("there is nothing to go back to in {address}: {detail}")]
    NothingBefore {
        /// The folder.
        address: String,
        /// Why not.
        detail: &'static str,
    },
}

impl PublishError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mappings(error) => error.code(),
            Self::Conflict { .. } => "mapping.publish_conflict",
            Self::Unwritable { .. } => "mapping.unwritable",
            Self::Unsure { .. } => "mapping.publish_unsure",
            Self::Unmarked { .. } => "mapping.unmarked",
            Self::NothingBefore { .. } => "mapping.nothing_before",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Mappings(error) => error.remedy(),
            Self::Conflict { .. } => {
                "Nothing of yours is in force. See what is there now with `dms2bq diff s3://… DIR`, take it into \
                 account, and publish again; and let one pipeline run at a time."
            }
            Self::Unwritable { .. } => {
                "Give whoever publishes s3:PutObject (and s3:GetObject) on the prefix and s3:ListBucket on the bucket. \
                 What is in force has not changed."
            }
            Self::Unsure { .. } => {
                "It may be in force, or what was there before. `dms2bq publish --dry-run` says which; publishing the same \
                 again does no harm."
            }
            Self::Unmarked { .. } => {
                "Publish the same once more, which writes it. Without it a new process would take the files beside \
                 `versions/` for the mappings, should CURRENT ever be deleted."
            }
            Self::NothingBefore { .. } => {
                "Check out the mappings that you want and publish those: a version that was published before has \
                 the same id again."
            }
        }
    }
}

/// Looks what is in force.
///
/// # Errors
/// [`PublishError::Mappings`] if S3 does not say.
pub async fn in_force(s3: &S3, folder: &S3Folder) -> Result<InForce, PublishError> {
    match look(s3, folder).await {
        Ok(Found::Published(current, etag)) => {
            Ok(InForce { current: Some(current), etag: Some(etag), plain_files: 0 })
        }
        Ok(Found::Folder(_)) => {
            let plain_files = list(s3, folder).await?.files.len();
            Ok(InForce { current: None, etag: None, plain_files })
        }
        Err(MappingsError::CurrentGone { .. }) => {
            Ok(InForce { current: None, etag: None, plain_files: list(s3, folder).await?.files.len() })
        }
        Err(MappingsError::NoneFound { .. }) => Ok(InForce { current: None, etag: None, plain_files: 0 }),
        Err(error) => Err(error.into()),
    }
}

/// Writes the files of a version, unless they are there already, and reads them back: what comes into force is whole.
/// Nobody reads them before `CURRENT` names them.
///
/// # Errors
/// [`PublishError`] if S3 does not take a file, or something else lies in the version's folder.
pub async fn upload(s3: &S3, folder: &S3Folder, files: &[MappingFile]) -> Result<VersionId, PublishError> {
    let id = VersionId::of(files);
    let version_folder = &folder.of_version(&id);
    let write = |file: MappingFile| async move {
        let name = base_name(&file.name);
        let request = put(s3, version_folder, name, file.text.clone()).if_none_match("*");
        match request.send().await {
            Ok(_) => Ok(()),
            // Somebody has published the same before, or does so now; what lies there is read back below.
            Err(error) if is_conflict(error.raw_response().map(|answer| answer.status().as_u16())) => Ok(()),
            Err(error) => Err(unwritable(version_folder, name, chain(&error))),
        }
    };
    let writes = stream::iter(files.to_vec()).map(write).buffer_unordered(WRITES_AT_ONCE);
    writes.try_collect::<()>().await?;
    read_version(s3, folder, &id).await?;
    Ok(id)
}

/// Puts a version in force, if what was in force before still is.
///
/// # Errors
/// [`PublishError::Conflict`] if it is not, [`PublishError::Unwritable`] if S3 does not take it: both were looked at
/// again, and nothing has changed then. [`PublishError::Unsure`] if that look failed as well.
pub async fn put_in_force(
    s3: &S3,
    folder: &S3Folder,
    before: &InForce,
    next: &Current,
) -> Result<(), PublishError> {
    let request = put(s3, folder, CURRENT_FILE, next.to_json());
    let request = match &before.etag {
        Some(etag) => request.if_match(format!("\"{etag}\"")),
        None => request.if_none_match("*"),
    };
    let Err(error) = request.send().await else { return Ok(()) };
    // An answer may have been lost, and the SDK have tried again: then the one in the way is our own.
    let now = match in_force(s3, folder).await {
        Ok(now) => now.current,
        Err(_) => {
            let address = folder.address_of(CURRENT_FILE);
            return Err(PublishError::Unsure { address, detail: chain(&error) });
        }
    };
    if now.as_ref() == Some(next) {
        return Ok(());
    }
    let status = error.raw_response().map(|answer| answer.status().as_u16());
    // 404 is S3's answer if what was to be replaced has been deleted.
    if !is_conflict(status) && status != Some(404) {
        return Err(unwritable(folder, CURRENT_FILE, chain(&error)));
    }
    let now = match now {
        Some(now) => format!("says {} since {}", now.version, now.published_at),
        None => "is gone".to_owned(),
    };
    Err(PublishError::Conflict { address: folder.address_of(CURRENT_FILE), now })
}

/// Writes, once and for all, that mappings were published here: whoever then finds no `CURRENT` knows that it is gone, and
/// does not take the files of a plain folder for mappings. Written last, so that a first publication that came no further
/// than its files leaves the plain folder in force.
///
/// # Errors
/// [`PublishError::Unmarked`] if S3 does not take it.
pub async fn mark_published(s3: &S3, folder: &S3Folder) -> Result<(), PublishError> {
    let text = format!(
        "{CURRENT_FILE} says which of the versions here is in force. If it is gone, publish again.\n"
    );
    let request = put(s3, folder, PUBLISHED_FILE, text).content_type("text/plain").if_none_match("*");
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if is_conflict(error.raw_response().map(|answer| answer.status().as_u16())) => Ok(()),
        Err(error) => {
            Err(PublishError::Unmarked { address: folder.address_of(PUBLISHED_FILE), detail: chain(&error) })
        }
    }
}

/// The version that a rollback puts in force. The one in force becomes the one before, so a second rollback undoes the
/// first.
///
/// # Errors
/// [`PublishError::NothingBefore`] if there is none.
pub fn version_before(folder: &S3Folder, in_force: &InForce) -> Result<VersionId, PublishError> {
    let nothing = |detail| PublishError::NothingBefore { address: folder.to_string(), detail };
    let current = in_force.current.as_ref().ok_or_else(|| nothing("nothing was published there"))?;
    current.previous.clone().ok_or_else(|| nothing("it is the first version"))
}

fn put(s3: &S3, folder: &S3Folder, name: &str, text: String) -> PutObjectFluentBuilder {
    let request = s3.client().put_object().bucket(&folder.bucket).key(format!("{}{name}", folder.prefix));
    request.content_type("application/json").body(ByteStream::from(text.into_bytes()))
}

/// 412 where the condition does not hold, 409 where another write is just being decided on.
fn is_conflict(status: Option<u16>) -> bool {
    matches!(status, Some(409 | 412))
}

fn unwritable(folder: &S3Folder, name: &str, detail: String) -> PublishError {
    PublishError::Unwritable { address: folder.address_of(name), detail }
}
