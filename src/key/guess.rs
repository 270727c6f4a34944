//! Reading a key without a mapping.

use super::date::{DateFolders, Delimiter, Sequence};
use super::{DmsFile, DmsKey, file, parse};

/// Reads a key from the right, without a mapping: the file, for changes what looks like date folders,
/// the table, the schema, and the rest is the bucket folder.
///
/// A guess, for showing people what a key seems to mean; nothing is ever loaded by it. It cannot know a
/// parallel load's segment from a table, and takes `20260914` for a table and not for a date folder.
/// `None` if the file is none of DMS's, or stands in fewer than two folders.
pub fn guess(key: &str) -> Option<DmsKey> {
    let (folders, name) = parse::split(key);
    let file = file::read(name).ok()?.file;
    let date_depth = match file {
        DmsFile::Cdc { .. } => date_depth(&folders),
        DmsFile::FullLoad { .. } => 0,
    };
    let (rest, date) = folders.split_at_checked(folders.len().checked_sub(date_depth)?)?;
    let [bucket_folder @ .., schema, table] = rest else { return None };
    if schema.is_empty() || table.is_empty() {
        return None;
    }
    Some(DmsKey {
        bucket_folder: bucket_folder.join("/"),
        schema: (*schema).to_owned(),
        table: (*table).to_owned(),
        file,
        date_partition: (!date.is_empty()).then(|| date.join("/")),
        segment: None,
    })
}

/// How many of the last folders are a date, leaving two for schema and table.
fn date_depth(folders: &[&str]) -> usize {
    let shapes = Sequence::ALL.into_iter().flat_map(|sequence| {
        [Delimiter::Slash, Delimiter::Dash, Delimiter::Underscore]
            .into_iter()
            .map(move |delimiter| DateFolders { sequence, delimiter })
    });
    shapes.filter(|shape| is_dated(folders, *shape)).map(DateFolders::depth).max().unwrap_or(0)
}

fn is_dated(folders: &[&str], shape: DateFolders) -> bool {
    let Some(start) = folders.len().checked_sub(shape.depth()) else { return false };
    start >= 2 && folders.get(start..).is_some_and(|date| shape.matches(&date.join("/")))
}
