//! Cases kept in files under `tests/cases`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The folder of one kind of cases.
pub(crate) fn root(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(kind)
}

/// The folders of one kind of cases, by name.
pub(crate) fn folders(kind: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root(kind)).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// The names of the files of one kind of cases that end in `.{suffix}`.
pub(crate) fn files(kind: &str, suffix: &str) -> Vec<String> {
    let entries = fs::read_dir(root(kind)).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.into_string().unwrap());
    let mut files: Vec<String> = names.filter(|name| name.ends_with(&format!(".{suffix}"))).collect();
    files.sort();
    files
}

/// The text of a case's file.
pub(crate) fn text(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A case's JSON file, read.
pub(crate) fn json<T: DeserializeOwned>(folder: &Path, file: &str) -> T {
    let text = text(folder, file);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.join(file).display()))
}

/// An error and what caused it, as one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Compares an answer with the file that holds the expected one, and says how they differ. With
/// `UPDATE_CASES` in the environment it writes the file instead.
pub(crate) fn difference(expected: &Path, found: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "how somebody who adds a case asks for its file")]
    if std::env::var_os("UPDATE_CASES").is_some() {
        fs::write(expected, found).unwrap();
        return None;
    }
    let wanted = fs::read_to_string(expected).unwrap_or_default();
    (wanted != found).then(|| format!("{}\n--- wanted\n{wanted}--- found\n{found}", expected.display()))
}
