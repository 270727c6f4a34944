//! Files of a folder that look like mappings and are not read.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::route::MAX_FILE_BYTES;

/// Entries that are looked at: nobody has so many mappings, and a folder that does is not one of them.
const MAX_ENTRIES: usize = 2_000;

/// Endings of files that somebody may have meant as mappings.
const ENDINGS: [&str; 3] = [".json", ".jsonc", ".json5"];

/// What somebody may miss: files whose names end otherwise, and mappings one folder deeper.
pub(super) fn find(folder: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    for path in entries(folder) {
        if path.is_dir() {
            let mut files = entries(&path);
            files.retain(|file| has_ending(file) && is_mapping(file));
            found.extend(files.first().map(|example| of_folder(&path, example, files.len())));
        } else if has_ending(&path) && path.extension().is_none_or(|ending| ending != "json") {
            found.push(of_file(&path));
        }
    }
    found
}

/// What a folder holds, by name. Hidden files are left by editors and other systems.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().take(MAX_ENTRIES).flatten();
    let mut paths: Vec<PathBuf> =
        paths.map(|entry| entry.path()).filter(|path| !name(path).starts_with('.')).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn has_ending(path: &Path) -> bool {
    let name = name(path).to_lowercase();
    path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// JSON of any kind may lie in a folder beside the mappings.
fn is_mapping(path: &Path) -> bool {
    let is_small = fs::metadata(path).is_ok_and(|file| file.len() <= MAX_FILE_BYTES as u64);
    let text = if is_small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.contains("\"source\"") && text.contains("\"tables\"")
}

fn of_file(path: &Path) -> Finding {
    let message = format!("{} is not read: only names that end in `.json` are", name(path));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    not_read(path, message, format!("call it {stem}.json, if it is a mapping"))
}

fn of_folder(path: &Path, example: &Path, count: usize) -> Finding {
    let files = if count == 1 { "a mapping".to_owned() } else { format!("{count} mappings") };
    let (folder, example) = (name(path), name(example));
    let message =
        format!("{files} in {folder}/ ({example}) is not read: only what lies in the folder itself is");
    let message = if count == 1 { message } else { message.replace(") is not", ", …) are not") };
    not_read(path, message, "move what is meant into the folder itself; keep the rest elsewhere".to_owned())
}

fn not_read(path: &Path, message: String, hint: String) -> Finding {
    Finding {
        level: "warning",
        code: "mapping.not_read",
        file: path.display().to_string(),
        path: String::new(),
        message,
        hint,
        rule: None,
    }
}
