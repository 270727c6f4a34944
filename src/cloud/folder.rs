//! A local folder as S3, for `dms2bq local`: its folders are buckets, or it is one bucket itself.
//!
//! A file's etag is the MD5 of its content in hexadecimal, as S3 makes it for an object put in one piece.
//! There are no versions.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use md5::{Digest, Md5};

use super::clock::{Clock, SystemClock};
use super::{ByteStream, CallError, ObjectHead, Objects, ObjectsError, Tail};
use crate::object::{ETag, Object, ObjectRef};

const CALL: &str = "folder.read";

/// Files are read in pieces of this size.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file that changed less than this ago is hashed anew each time.
const SETTLING_TIME: Duration = Duration::from_secs(3);

/// A folder and the files below it, as buckets and objects.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    /// The one bucket that the root is; otherwise each folder in it is a bucket.
    single_bucket: Option<String>,
    /// Etags that were computed, with the size and the time of change of the file that had them.
    etags: Arc<Mutex<HashMap<PathBuf, Stamped>>>,
}

#[derive(Debug, Clone)]
struct Stamped {
    size_bytes: u64,
    modified: SystemTime,
    etag: ETag,
}

/// Why a folder could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file's name is not UTF-8, so no object of S3 can have it.
    #[error("the name {path:?} is not UTF-8")]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
}

impl FolderError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "folder.unreadable",
            Self::NotUtf8 { .. } => "folder.not_utf8",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "Give a folder that exists and that you may read.",
            Self::NotUtf8 { .. } => "Rename the file, or move it out of the folder.",
        }
    }
}

impl Folder {
    /// A folder whose folders are buckets: `ROOT/bucket/key`. Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), single_bucket: None, etags: Arc::default() }
    }

    /// A folder that is itself the one bucket: `ROOT/key`.
    pub fn single(bucket: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Self { single_bucket: Some(bucket.into()), ..Self::new(root) }
    }

    /// All objects of a bucket with etag and size, by key. Files and folders whose name begins with a dot belong
    /// to systems and editors and are passed over; so are links, which could lead out of the folder.
    ///
    /// # Errors
    /// [`FolderError`] if something of it cannot be read or has a name that is not UTF-8.
    pub fn list(&self, bucket: &str) -> Result<Vec<ObjectRef>, FolderError> {
        let no_such_bucket = || unreadable(&self.root)(io::Error::other(format!("no bucket {bucket}")));
        let root = self.bucket_path(bucket).ok_or_else(no_such_bucket)?;
        let mut objects = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for (path, kind) in read_folder(&folder)? {
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let key = key_of(&root, &path)?;
                    let (etag, size_bytes) = self.identify(&path).map_err(unreadable(&path))?;
                    objects.push(ObjectRef {
                        bucket: bucket.to_owned(),
                        key,
                        version_id: None,
                        etag: Some(etag),
                        size_bytes: Some(size_bytes),
                    });
                }
            }
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// Where the file of an object would be; `None` for a key that no path spells, such as `a//b` or `../a`.
    fn path_of(&self, bucket: &str, key: &str) -> Option<PathBuf> {
        let bucket_path = self.bucket_path(bucket)?;
        key.split('/').all(is_plain_name).then(|| bucket_path.join(key))
    }

    /// Where the files of a bucket are, if it can be one of this folder.
    fn bucket_path(&self, bucket: &str) -> Option<PathBuf> {
        match &self.single_bucket {
            Some(single) => (single == bucket).then(|| self.root.clone()),
            None => is_plain_name(bucket).then(|| self.root.join(bucket)),
        }
    }

    fn identify(&self, path: &Path) -> io::Result<(ETag, u64)> {
        self.identify_file(path, &mut fs::File::open(path)?)
    }

    /// The etag and size of an open file, from the cache if it has not changed since.
    fn identify_file(&self, path: &Path, file: &mut fs::File) -> io::Result<(ETag, u64)> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let (size_bytes, modified) = (metadata.len(), metadata.modified()?);
        let known = self.etags.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        if let Some(known) = known.filter(|it| it.size_bytes == size_bytes && it.modified == modified) {
            return Ok((known.etag, size_bytes));
        }
        let etag = etag_of(file)?;
        if is_settled(modified) {
            let stamped = Stamped { size_bytes, modified, etag: etag.clone() };
            self.etags.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), stamped);
        }
        Ok((etag, size_bytes))
    }

    /// Opens the file of exactly this object, or says why not.
    fn open_exactly(&self, object: &Object) -> Result<(fs::File, u64), ObjectsError> {
        // The folder keeps no versions, so one that is named is not here.
        let path = match object.version_id() {
            Some(_) => None,
            None => self.path_of(object.bucket(), object.key()),
        };
        let path = path.ok_or(ObjectsError::Missing)?;
        let mut file = fs::File::open(&path).map_err(classify)?;
        let (etag, size_bytes) = self.identify_file(&path, &mut file).map_err(classify)?;
        if etag == *object.etag() { Ok((file, size_bytes)) } else { Err(ObjectsError::Replaced) }
    }

    /// Runs something that waits for the disk where it holds nobody up.
    async fn off_the_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce(Self) -> Result<T, ObjectsError> + Send + 'static,
    ) -> Result<T, ObjectsError> {
        let folder = self.clone();
        let done = tokio::task::spawn_blocking(move || work(folder)).await;
        done.unwrap_or_else(|error| Err(unavailable(&error).into()))
    }
}

#[async_trait]
impl Objects for Folder {
    async fn head(&self, object: &ObjectRef) -> Result<ObjectHead, ObjectsError> {
        let path = match object.version_id {
            Some(_) => None,
            None => self.path_of(&object.bucket, &object.key),
        };
        let path = path.ok_or(ObjectsError::Missing)?;
        let (etag, size_bytes) =
            self.off_the_runtime(move |folder| folder.identify(&path).map_err(classify)).await?;
        Ok(ObjectHead { etag, size_bytes })
    }

    async fn read_tail(&self, object: &Object, length_bytes: u64) -> Result<Tail, ObjectsError> {
        let object = object.clone();
        self.off_the_runtime(move |folder| {
            let (mut file, object_size_bytes) = folder.open_exactly(&object)?;
            let length_bytes = length_bytes.min(object_size_bytes);
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(object_size_bytes - length_bytes)).map_err(classify)?;
            file.take(length_bytes).read_to_end(&mut bytes).map_err(classify)?;
            if bytes.len() as u64 != length_bytes {
                return Err(unavailable(&"the file became shorter").into());
            }
            Ok(Tail { bytes: bytes.into(), object_size_bytes })
        })
        .await
    }

    async fn open(&self, object: &Object, range: Range<u64>) -> Result<ByteStream, ObjectsError> {
        let object = object.clone();
        let wanted = range.clone();
        let opened = self.off_the_runtime(move |folder| {
            let (mut file, size_bytes) = folder.open_exactly(&object)?;
            if !wanted.is_empty() && wanted.end > size_bytes {
                let detail = format!("{wanted:?} is beyond the file's {size_bytes} bytes");
                return Err(CallError::Rejected { call: CALL, detail }.into());
            }
            file.seek(SeekFrom::Start(wanted.start)).map_err(classify)?;
            Ok(file)
        });
        let file = tokio::fs::File::from_std(opened.await?);
        Ok(read_exactly(file, range.end.saturating_sub(range.start)))
    }
}

/// An open file as a stream of exactly so many bytes, from where it stands.
fn read_exactly(file: tokio::fs::File, length_bytes: u64) -> ByteStream {
    stream::try_unfold((file, length_bytes), |(mut file, left_bytes)| async move {
        if left_bytes == 0 {
            return Ok(None);
        }
        let next_bytes = usize::try_from(left_bytes).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = vec![0; next_bytes];
        tokio::io::AsyncReadExt::read_exact(&mut file, &mut chunk)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(Some((Bytes::from(chunk), (file, left_bytes - next_bytes as u64))))
    })
    .boxed()
}

/// Whether a file would show by its time of change that it changed once more. File systems count that time in
/// steps, some of two seconds, so a file that changed just now may change again within the same step.
fn is_settled(modified: SystemTime) -> bool {
    let since_1970 = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(SystemClock.unix_ms()).saturating_sub(since_1970) > SETTLING_TIME
}

fn etag_of(file: &mut fs::File) -> io::Result<ETag> {
    let mut hash = Md5::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            length => hash.update(chunk.get(..length).unwrap_or_default()),
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    ETag::parse(&hex).ok_or_else(|| io::Error::other("an MD5 without digits"))
}

/// Whether a name is one step down a path, and nothing else.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(only)), None) if only == name)
}

/// What is in a folder, but for names that begin with a dot.
fn read_folder(folder: &Path) -> Result<Vec<(PathBuf, fs::FileType)>, FolderError> {
    let entries = fs::read_dir(folder).map_err(unreadable(folder))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable(folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push((entry.path(), entry.file_type().map_err(unreadable(&entry.path()))?));
        }
    }
    Ok(found)
}

fn key_of(root: &Path, path: &Path) -> Result<String, FolderError> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let names: Option<Vec<&str>> = below.components().map(|it| it.as_os_str().to_str()).collect();
    names.map(|names| names.join("/")).ok_or_else(|| FolderError::NotUtf8 { path: path.to_owned() })
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Unreadable { path, source }
}

fn classify(error: io::Error) -> ObjectsError {
    match error.kind() {
        // A folder or a file where the key would need the other, and a name longer than a disk takes: no such object.
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::InvalidFilename => ObjectsError::Missing,
        io::ErrorKind::PermissionDenied => CallError::Denied { call: CALL, detail: error.to_string() }.into(),
        _ => unavailable(&error).into(),
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> CallError {
    CallError::Unavailable { call: CALL, detail: error.to_string() }
}
