//! Mappings from a file or folder of this machine.

use std::io;
use std::path::{Path, PathBuf};

use crate::route::{MAX_FILE_BYTES, MappingFile};

/// The published JSON Schema stands beside the mappings and is none.
const SCHEMA_FILE: &str = "schema.json";

/// The mappings could not be read; what is in them is another matter.
#[derive(Debug, thiserror::Error)]
pub enum MappingFilesError {
    /// A file or folder could not be read.
    #[error("the mappings at {} cannot be read", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder has no mapping in it.
    #[error("there are no mappings in {}", folder.display())]
    None {
        /// The folder.
        folder: PathBuf,
    },
}

impl MappingFilesError {
    /// The stable name of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "mapping.unreadable",
            Self::None { .. } => "mapping.none",
        }
    }

    /// What a person should do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "set DMS2BQ_MAPPINGS to a file or folder of mappings that this process may read"
            }
            Self::None { .. } => {
                "put one JSON file per landing prefix there (every *.json but schema.json is read), or set \
                 DMS2BQ_MAPPINGS to the folder that has them"
            }
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
        return Ok(vec![read_file(path)?]);
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
    paths.iter().map(|path| read_file(path)).collect()
}

/// Hidden files are what editors and other systems leave behind (`._casino-a.json`).
fn is_mapping(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".json") && name != SCHEMA_FILE && !name.starts_with('.') && path.is_file()
}

/// Reads no more than shows that the file is too large, which the mappings' reader then says.
fn read_file(path: &Path) -> Result<MappingFile, MappingFilesError> {
    use std::io::Read as _;

    let unreadable = |source| MappingFilesError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))),
    };
    Ok(MappingFile { name: path.display().to_string(), text })
}
