//! Mappings from a file or folder of this machine.

use std::io;
use std::path::{Path, PathBuf};

use crate::route::{MAX_FILE_BYTES, MappingFile};

/// The published JSON Schema stands beside the mappings and is none.
const SCHEMA_FILE: &str = "schema.json";

/// The mappings could not be read; what is in them is another matter.
#[derive(Debug, thiserror::Error)]
pub enum MappingFilesError {
    /// The place itself could not be read.
    #[error("the mappings at {} cannot be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Some of the files could not be read.
    #[error("the mappings at {} cannot be read: {}", first.path.display(), first.why)]
    Files {
        /// The first of them.
        first: UnreadFile,
        /// The others.
        further: Vec<UnreadFile>,
        /// Those that could be read, which may have problems of their own.
        read: Vec<MappingFile>,
    },
    /// The folder has no mapping in it.
    #[error("there are no mappings in {}", folder.display())]
    None {
        /// The folder.
        folder: PathBuf,
    },
}

/// A file that could not be read.
#[derive(Debug)]
pub struct UnreadFile {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub why: io::Error,
}

impl UnreadFile {
    /// What a person should do.
    pub fn remedy(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match self.why.kind() {
            io::ErrorKind::InvalidData => format!("save {name} as UTF-8"),
            _ => format!("let this process read {name}, or take it away"),
        }
    }
}

impl MappingFilesError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Files { .. } => "mapping.unreadable",
            Self::None { .. } => "mapping.none",
        }
    }

    /// The files that could not be read.
    pub fn unread(&self) -> impl Iterator<Item = &UnreadFile> {
        let (first, further) = match self {
            Self::Files { first, further, .. } => (Some(first), further.as_slice()),
            Self::Unreadable { .. } | Self::None { .. } => (None, Default::default()),
        };
        first.into_iter().chain(further)
    }

    /// What a person should do, if the environment named the place.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreadable { .. } => {
                "set DMS2BQ_MAPPINGS to a file or folder of mappings that this process may read".to_owned()
            }
            Self::Files { .. } => self.unread().map(UnreadFile::remedy).collect::<Vec<_>>().join("; "),
            Self::None { .. } => {
                "put one JSON file per landing prefix there (every *.json but schema.json is read), or set \
                 DMS2BQ_MAPPINGS to the folder that has them"
                    .to_owned()
            }
        }
    }

    /// What is wrong and what to do, if an argument of the command line named the place.
    pub fn of_argument(&self, argument: &str) -> (String, String) {
        match self {
            Self::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => (
                format!("{argument} names no file or folder: {}", path.display()),
                "name a file or folder of mappings, or s3://bucket/prefix".to_owned(),
            ),
            Self::Unreadable { path, source } => (
                format!("{argument} cannot be read: {}: {source}", path.display()),
                "name a file or folder of mappings that this process may read".to_owned(),
            ),
            Self::Files { .. } => {
                let told = |file: &UnreadFile| format!("{} cannot be read: {}", file.path.display(), file.why);
                (self.unread().map(told).collect::<Vec<_>>().join("; "), self.remedy())
            }
            Self::None { folder } => (
                format!("{argument} names a folder without mappings: {}", folder.display()),
                "put one JSON file per landing prefix there (every *.json but schema.json is read), or name the folder \
                 that has them"
                    .to_owned(),
            ),
        }
    }
}

/// Reads one mapping file, or every `*.json` of a folder but `schema.json`, in the order of their names.
///
/// # Errors
/// [`MappingFilesError`] when the place or a file cannot be read, or a folder holds no mapping.
pub fn read_local(path: &Path) -> Result<Vec<MappingFile>, MappingFilesError> {
    let unreadable = |source| MappingFilesError::Unreadable { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return read_files(&[path.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if is_mapping(&file) {
            paths.push(file);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(MappingFilesError::None { folder: path.to_owned() });
    }
    read_files(&paths)
}

/// Reads all of them, so that whoever has to mend several is told of all at once.
fn read_files(paths: &[PathBuf]) -> Result<Vec<MappingFile>, MappingFilesError> {
    let mut read = Vec::new();
    let mut unread = Vec::new();
    for path in paths {
        match read_file(path) {
            Ok(file) => read.push(file),
            Err(why) => unread.push(UnreadFile { path: path.clone(), why }),
        }
    }
    let mut unread = unread.into_iter();
    match unread.next() {
        None => Ok(read),
        Some(first) => Err(MappingFilesError::Files { first, further: unread.collect(), read }),
    }
}

/// Hidden files are what editors and other systems leave behind (`._casino-a.json`).
fn is_mapping(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".json") && name != SCHEMA_FILE && !name.starts_with('.') && path.is_file()
}

/// Reads no more than shows that the file is too large, which the mappings' reader then says.
fn read_file(path: &Path) -> io::Result<MappingFile> {
    use std::io::Read as _;

    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let not_utf8 = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8");
    let text = String::from_utf8(bytes).map_err(not_utf8)?;
    Ok(MappingFile { name: path.display().to_string(), text })
}
