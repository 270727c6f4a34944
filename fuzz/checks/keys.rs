//! Names of objects: their spelling in notifications, and what DMS meant by them.

use dms2bq::job::id::JobId;
use dms2bq::key::{self, DateFolders, Delimiter, DmsFile, DmsKey, KeyMeaning, Layout, Sequence};
use dms2bq::object::{ETag, Object, name};
use dms2bq::route::{Route, TableOptions, TableRef};

/// S3's limit on a key. Longer ones end with the event.
const MAX_KEY_BYTES: usize = 1024;

/// The longest id that BigQuery takes.
const MAX_JOB_ID_CHARS: usize = 1024;

/// Reads a text as a spelling and as a key, under layouts that a mapping can describe. A meaning has to lead
/// back to the key, byte for byte: whatever was left out of it would be left out of the job's identity.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(decoded) = name::decode(text) {
        assert!(decoded.len() <= text.len(), "decoding made it longer");
        hold_spelling(&decoded);
    }
    hold_spelling(text);
    if text.len() > MAX_KEY_BYTES {
        return;
    }
    if let Some(guessed) = key::guess(text) {
        // A guess shows people what a key seems to mean. Of a slash at its very start it says nothing; no mapping admits one.
        let told =
            if guessed.bucket_folder.is_empty() { text.strip_prefix('/').unwrap_or(text) } else { text };
        hold_meaning(&guessed, told);
    }
    for bucket_folder in bucket_folders(text) {
        for layout in layouts(bucket_folder, text) {
            hold_parse(text, &layout);
        }
    }
}

fn hold_spelling(key: &str) {
    let spelling = name::encode(key).to_string();
    assert!(spelling.is_ascii() && !spelling.contains(' '), "{key:?} is spelt {spelling:?}");
    assert_eq!(name::decode(&spelling).as_deref(), Ok(key), "spelt {spelling:?}");
}

/// No folder, and each that the key begins with, three at most; and one that it does not.
fn bucket_folders(key: &str) -> impl Iterator<Item = &str> {
    let own = key
        .match_indices('/')
        .take(3)
        .filter_map(|(at, _)| key.get(..at))
        .filter(|folder| !folder.is_empty());
    ["", "dms/casino-b"].into_iter().chain(own)
}

/// Layouts without date folders, and with those of one of the twenty shapes.
fn layouts<'a>(bucket_folder: &'a str, text: &str) -> impl Iterator<Item = Layout> + use<'a> {
    let shapes = Sequence::ALL.into_iter().flat_map(|sequence| {
        Delimiter::ALL.into_iter().map(move |delimiter| DateFolders { sequence, delimiter })
    });
    let shape = super::one_of(shapes.collect(), text.as_bytes());
    [None, Some(shape)].into_iter().flat_map(move |date_partition| {
        [false, true].map(|admitted| Layout {
            bucket_folder: bucket_folder.to_owned(),
            date_partition,
            parallel_load: admitted,
            ignore_transaction_files: admitted,
        })
    })
}

fn hold_parse(text: &str, layout: &Layout) {
    match key::parse(text, layout) {
        Err(error) => super::hold_refusal(&super::chain(&error), error.code(), &["key"], &error.remedy()),
        Ok(KeyMeaning::Ignored(ignored)) => {
            assert!(
                ignored.code().starts_with("key.") && !ignored.reason().is_empty(),
                "{ignored:?} has no reason"
            );
        }
        Ok(KeyMeaning::Data(key)) => {
            assert_eq!(key.bucket_folder, layout.bucket_folder);
            assert!(
                key.date_partition.is_none() || layout.date_partition.is_some(),
                "a date that nobody announced"
            );
            assert!(key.segment.is_none() || layout.parallel_load, "a segment that nobody announced");
            hold_meaning(&key, text);
            hold_job_id(&key, text);
        }
    }
}

/// The parts of a meaning, put together again, are the key.
fn hold_meaning(key: &DmsKey, text: &str) {
    for name in [&key.schema, &key.table] {
        assert!(!name.is_empty() && !name.contains('/'), "{name:?} is no name of a folder");
    }
    let (stem, dash) = match &key.file {
        DmsFile::FullLoad { stem, .. } => (stem.as_str(), None),
        DmsFile::Cdc { digits, .. } => (digits.as_str(), Some(8)),
    };
    let file = match dash.and_then(|at| stem.split_at_checked(at)) {
        Some((date, time)) => format!("{date}-{time}"),
        None => stem.to_owned(),
    };
    let folders = [Some(key.bucket_folder.as_str()).filter(|folder| !folder.is_empty()), Some(&key.schema)];
    let below =
        [Some(key.table.as_str()), key.date_partition.as_deref(), key.segment.as_deref(), Some(&file)];
    let parts: Vec<&str> = folders.into_iter().chain(below).flatten().collect();
    let without_suffix = parts.join("/");
    let suffix = text.strip_prefix(&without_suffix);
    assert!(suffix.is_some_and(|suffix| suffix.starts_with('.')), "{text:?} was read as {key:?}");
}

/// The id is in BigQuery's alphabet and no longer than it takes, whatever the names are.
fn hold_job_id(key: &DmsKey, text: &str) {
    let etag = ETag::parse("d41d8cd98f00b204e9800998ecf8427e").expect("this is an etag");
    let object = Object::new("acme-landing", text, etag, None);
    let [project, dataset, table] = ["acme-dw", "casino_a", "player"].map(str::to_owned);
    let route = Route {
        mapping: "casino-a".to_owned(),
        destination: TableRef { project, dataset, table },
        location: "EU".to_owned(),
        options: TableOptions::default(),
    };
    let id = JobId::new(&object, key, &route, 0);
    let in_alphabet = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(id.as_str().chars().all(in_alphabet) && id.as_str().len() <= MAX_JOB_ID_CHARS, "{id}");
}
