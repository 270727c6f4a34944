//! From a key to what DMS meant by it.

use super::error::{KeyError, Misfit};
use super::{DateFolders, Delimiter, DmsFile, DmsKey, KeyMeaning, Layout, Sequence, file, guess, ignored};

/// Reads a key under the layout that its mapping describes.
///
/// From the left the mapping's bucket folder, exactly; then `schema/table/`; then, for changes, the
/// date folders if there are any, and for full loads the folder of a segment if the mapping tells of
/// parallel loads; then the file. A mapping with date folders admits changes without them: the endpoint
/// may have got the setting later.
///
/// # Errors
/// [`KeyError`] for whatever DMS would not have named so, and for what it did not write as Parquet.
pub fn parse(key: &str, layout: &Layout) -> Result<KeyMeaning, KeyError> {
    let below = below_bucket_folder(key, &layout.bucket_folder);
    let outside = || Misfit::OutsideFolder { bucket_folder: layout.bucket_folder.clone() };
    let below = below.ok_or_else(|| not_dms(key, outside()))?;
    let (folders, name) = split(below);

    if let Some(ignored) = ignored::recognise(&folders, layout) {
        return Ok(KeyMeaning::Ignored(ignored));
    }
    if file::is_transaction_file(name) {
        return match layout.ignore_transaction_files {
            true => Ok(KeyMeaning::Ignored(super::IgnoredKey::TransactionFile)),
            false => Err(KeyError::TransactionFile { key: key.to_owned() }),
        };
    }
    let (data, suffix) = read(&folders, name, key, layout).map_err(|misfit| not_dms(key, misfit))?;
    if suffix != file::PARQUET {
        return Err(KeyError::NotParquet { key: key.to_owned(), suffix: suffix.to_owned() });
    }
    Ok(KeyMeaning::Data(data))
}

fn not_dms(key: &str, misfit: Misfit) -> KeyError {
    KeyError::NotDms { key: key.to_owned(), misfit }
}

/// What follows the bucket folder and its slash.
fn below_bucket_folder<'a>(key: &'a str, bucket_folder: &str) -> Option<&'a str> {
    if bucket_folder.is_empty() { Some(key) } else { key.strip_prefix(bucket_folder)?.strip_prefix('/') }
}

/// The folders of a key, and its file.
pub(super) fn split(key: &str) -> (Vec<&str>, &str) {
    match key.rsplit_once('/') {
        Some((folders, name)) => (folders.split('/').collect(), name),
        None => (Vec::new(), key),
    }
}

fn read<'a>(
    folders: &[&str],
    name: &'a str,
    key: &str,
    layout: &Layout,
) -> Result<(DmsKey, &'a str), Misfit> {
    if name.is_empty() || folders.contains(&"") {
        return Err(Misfit::EmptyFolder);
    }
    let named = file::read(name)?;
    let [schema, table, below @ ..] = folders else { return Err(Misfit::TooShallow) };
    let (date_partition, segment) = match named.file {
        DmsFile::Cdc { .. } => (date_folders(table, below, key, layout)?, None),
        DmsFile::FullLoad { .. } => (None, segment_folder(below, key, layout)?),
    };
    let data = DmsKey {
        bucket_folder: layout.bucket_folder.clone(),
        schema: (*schema).to_owned(),
        table: (*table).to_owned(),
        file: named.file,
        date_partition,
        segment,
    };
    Ok((data, named.suffix))
}

/// What stands between the table and a CDC file: nothing, or the date.
fn date_folders(table: &str, below: &[&str], key: &str, layout: &Layout) -> Result<Option<String>, Misfit> {
    // Qlik Replicate, DMS's cousin, keeps changes in a table of their own, in files named like DMS's.
    if table.ends_with("__ct") {
        return Err(Misfit::QlikChanges { table: table.to_owned() });
    }
    if below.is_empty() {
        return Ok(None);
    }
    let found = below.join("/");
    let expected = layout.date_partition;
    if expected.is_some_and(|shape| shape.matches(&found)) {
        return Ok(Some(found));
    }
    let shapes = shapes_of(&found);
    Err(if !shapes.is_empty() {
        Misfit::DateFolders { found, shapes, expected }
    } else {
        match expected.filter(|shape| shape.depth() == below.len()) {
            Some(expected) if hive_folder(below).is_none() => Misfit::ImpossibleDate { found, expected },
            _ => unexplained(below, key, layout),
        }
    })
}

/// What stands between the table and a full load's file: nothing, or the folder of a segment.
fn segment_folder(below: &[&str], key: &str, layout: &Layout) -> Result<Option<String>, Misfit> {
    match below {
        [] => Ok(None),
        _ if hive_folder(below).is_some() => Err(unexplained(below, key, layout)),
        [segment] if layout.parallel_load => Ok(Some((*segment).to_owned())),
        _ => {
            let found = below.join("/");
            // A lone number may be a partition's name, so only a date with something in it is called one.
            let dated = shapes_of(&found).iter().any(|shape| shape.delimiter != Delimiter::None);
            Err(match below {
                _ if dated => Misfit::FullLoadInDateFolders { found },
                [folder] => Misfit::SegmentFolder { folder: (*folder).to_owned() },
                _ => unexplained(below, key, layout),
            })
        }
    }
}

/// The best that can be said of folders that no setting explains.
fn unexplained(below: &[&str], key: &str, layout: &Layout) -> Misfit {
    if let Some(folder) = hive_folder(below) {
        return Misfit::HiveFolder { folder: folder.to_owned() };
    }
    let fitting = guess(key).map(|guessed| guessed.bucket_folder);
    Misfit::TooDeep {
        extra: below.join("/"),
        fitting_bucket_folder: fitting.filter(|folder| *folder != layout.bucket_folder),
    }
}

/// A folder like `dt=2026-09-18`, which DMS writes for no partition.
fn hive_folder<'a>(below: &[&'a str]) -> Option<&'a str> {
    below.iter().copied().find(|folder| folder.contains('='))
}

/// The shapes in which some folders are a date.
fn shapes_of(folders: &str) -> Vec<DateFolders> {
    let all = Sequence::ALL.into_iter().flat_map(|sequence| {
        Delimiter::ALL.into_iter().map(move |delimiter| DateFolders { sequence, delimiter })
    });
    all.filter(|shape| shape.matches(folders)).collect()
}
