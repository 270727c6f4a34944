//! Walks `tests/cases/keys`: layouts, keys below them, and what each key means.

use std::collections::BTreeSet;

use dms2bq::key::{self, DateFolders, Delimiter, DmsFile, DmsKey, KeyError, KeyMeaning, Layout, Sequence};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cases;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(rename = "about")]
    _about: String,
    layout: Source,
    keys: Vec<Expected>,
}

/// The part of a mapping's `source` that a layout comes from.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    #[serde(default)]
    bucket_folder: String,
    date_partition: Option<Partition>,
    #[serde(default)]
    parallel_load: bool,
    transaction_files: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Partition {
    sequence: String,
    delimiter: String,
}

#[derive(Deserialize)]
struct Expected {
    key: String,
    #[serde(default)]
    hint: String,
    #[serde(flatten)]
    meaning: Value,
}

impl Source {
    fn layout(&self) -> Layout {
        Layout {
            bucket_folder: self.bucket_folder.clone(),
            date_partition: self.date_partition.as_ref().map(|partition| DateFolders {
                sequence: named(Sequence::ALL, Sequence::as_str, &partition.sequence),
                delimiter: named(Delimiter::ALL, Delimiter::as_str, &partition.delimiter),
            }),
            parallel_load: self.parallel_load,
            ignore_transaction_files: self.transaction_files.as_deref() == Some("ignore"),
        }
    }
}

fn named<T: Copy>(all: impl IntoIterator<Item = T>, name: fn(T) -> &'static str, wanted: &str) -> T {
    all.into_iter().find(|one| name(*one) == wanted).unwrap()
}

#[test]
fn every_key_means_what_its_case_says() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    let mut codes = BTreeSet::new();
    for path in cases::files("keys", "json") {
        let case: Case = cases::json(&cases::root("keys"), &path);
        for expected in &case.keys {
            let parsed = key::parse(&expected.key, &case.layout.layout());
            let found = meaning(&parsed);
            let remedy = parsed.as_ref().err().map(KeyError::remedy).unwrap_or_default();
            if found != expected.meaning || !remedy.contains(&expected.hint) {
                wrong.push(format!("{path}, {}: {found}\n  {remedy}", expected.key));
            }
            codes.extend(["error", "ignored"].iter().filter_map(|field| Some(found.get(field)?.to_string())));
            seen += 1;
        }
    }
    assert!(seen > 200, "only {seen} keys found");
    assert!(wrong.is_empty(), "not as expected, but:\n{}", wrong.join("\n"));
    assert_eq!(codes.len(), 6, "a code without a case; there are {codes:?}");
}

fn meaning(parsed: &Result<KeyMeaning, KeyError>) -> Value {
    match parsed {
        Ok(KeyMeaning::Data(data)) => parts(data),
        Ok(KeyMeaning::Ignored(ignored)) => json!({ "ignored": ignored.code(), "reason": ignored.reason() }),
        Err(KeyError::NotDms { misfit, .. }) => {
            json!({ "error": "key.not_dms", "message": misfit.to_string() })
        }
        Err(error @ KeyError::NotParquet { suffix, .. }) => {
            json!({ "error": error.code(), "suffix": suffix })
        }
        Err(error @ KeyError::TransactionFile { .. }) => json!({ "error": error.code() }),
    }
}

fn parts(data: &DmsKey) -> Value {
    let mut parts = json!({ "schema": data.schema, "table": data.table, "kind": data.file.kind() });
    match &data.file {
        DmsFile::FullLoad { stem, sequence } => {
            parts["stem"] = json!(stem);
            parts["sequence"] = json!(sequence);
        }
        DmsFile::Cdc { digits, timestamp } => {
            parts["digits"] = json!(digits);
            parts["timestamp"] = json!(timestamp);
        }
    }
    for (name, value) in [("date_partition", &data.date_partition), ("segment", &data.segment)] {
        if let Some(value) = value {
            parts[name] = json!(value);
        }
    }
    parts
}

/// A folder's name: anything without a slash that is neither a part of a date nor Qlik's.
fn folder() -> impl Strategy<Value = String> {
    "[^/0-9][^/]{0,30}".prop_filter("no Qlik table", |name| !name.ends_with("__ct"))
}

fn date_folders() -> impl Strategy<Value = DateFolders> {
    (prop::sample::select(Sequence::ALL.to_vec()), prop::sample::select(Delimiter::ALL.to_vec()))
        .prop_map(|(sequence, delimiter)| DateFolders { sequence, delimiter })
}

/// Some day in a shape of date folders, and a CDC file's name of that day.
fn dated(shape: DateFolders, month: u8, day: u8, hour: u8) -> (String, String) {
    let between = shape.delimiter.separator();
    let (month, day, hour) = (format!("{month:02}"), format!("{day:02}"), format!("{hour:02}"));
    let date: Vec<&str> = match shape.sequence {
        Sequence::Yyyymmdd => vec!["2026", &month, &day],
        Sequence::Yyyymmddhh => vec!["2026", &month, &day, &hour],
        Sequence::Yyyymm => vec!["2026", &month],
        Sequence::Mmyyyydd => vec![&month, "2026", &day],
        Sequence::Ddmmyyyy => vec![&day, &month, "2026"],
    };
    (date.join(between), format!("2026{month}{day}-{hour}0000000.parquet"))
}

proptest! {
    #[test]
    fn what_dms_writes_is_read_back(
        folders in prop::collection::vec("[^/]{1,20}", 0..4), schema in folder(), table in folder(),
        counter in any::<u64>(), width in 1..20_usize, segment in prop::option::of("[^/=]{1,20}"),
    ) {
        let bucket_folder = folders.join("/");
        let parallel_load = segment.is_some();
        let layout = Layout { bucket_folder: bucket_folder.clone(), parallel_load, ..Layout::default() };
        let stem = format!("LOAD{counter:0width$X}");
        let mut path = folders.clone();
        path.extend([schema.clone(), table.clone()]);
        path.extend(segment.clone());
        let key = format!("{}/{stem}.parquet", path.join("/"));
        let file = DmsFile::FullLoad { stem, sequence: counter };
        let expected = DmsKey { bucket_folder, schema, table, file, date_partition: None, segment };
        prop_assert_eq!(key::parse(&key, &layout), Ok(KeyMeaning::Data(expected)));
    }

    #[test]
    fn dated_changes_are_read_back_and_guessed_alike(
        schema in folder(), table in folder(), shape in date_folders(),
        month in 1..13_u8, day in 1..29_u8, hour in 0..24_u8,
    ) {
        let (date, file) = dated(shape, month, day, hour);
        let key = format!("dms/casino-a/{schema}/{table}/{date}/{file}");
        let bucket_folder = "dms/casino-a".to_owned();
        let layout = Layout { bucket_folder, date_partition: Some(shape), ..Layout::default() };
        let Ok(KeyMeaning::Data(parsed)) = key::parse(&key, &layout) else { panic!("{key} is no data") };
        prop_assert_eq!(&parsed.schema, &schema);
        prop_assert_eq!(&parsed.table, &table);
        prop_assert_eq!(parsed.date_partition.as_deref(), Some(date.as_str()));
        if shape.delimiter != Delimiter::None {
            prop_assert_eq!(key::guess(&key), Some(parsed));
        }
    }

    #[test]
    fn without_date_and_segment_a_guess_agrees_with_the_mapping(
        bucket_folder in "[a-z]{1,9}(/[a-z]{1,9}){0,2}", schema in "[^/0-9]{1,20}", table in "[^/0-9]{1,20}",
        file in "LOAD[0-9A-F]{8}|SEGMENT[1-9]_LOAD[0-9A-F]{8}|202[0-9]0[1-9]1[0-9]-1[0-9]{8}",
    ) {
        let key = format!("{bucket_folder}/{schema}/{table}/{file}.parquet");
        let layout = Layout { bucket_folder, ..Layout::default() };
        if let Ok(KeyMeaning::Data(parsed)) = key::parse(&key, &layout) {
            prop_assert_eq!(key::guess(&key), Some(parsed));
        }
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(
        key in "[^a]{0,40}|([A-Z0-9/.=_-]{0,8}/){0,6}(LOAD|SEGMENT|CDC_TXN-)?[0-9A-F_-]{0,24}(.parquet|.csv)?",
        bucket_folder in "|[A-Z/]{1,4}", shape in prop::option::of(date_folders()), flag in any::<bool>(),
    ) {
        let layout = Layout {
            bucket_folder, date_partition: shape, parallel_load: flag, ignore_transaction_files: flag,
        };
        if let Err(error) = key::parse(&key, &layout) {
            prop_assert!(error.to_string().contains(&key));
            prop_assert!(!error.remedy().is_empty());
        }
        let _ = key::guess(&key);
    }
}

#[test]
fn a_guess_reads_from_the_right() {
    for (key, folder, table, date) in [
        ("dms/a/game/player/LOAD00000001.parquet", "dms/a", "game.player", None),
        ("game/player/LOAD00000001.parquet", "", "game.player", None),
        ("dms/game/player/2026/06/21/20260621-175008375.parquet", "dms", "game.player", Some("2026/06/21")),
        ("dms/game/player/2026/06/20260621-175008375.parquet", "dms", "game.player", Some("2026/06")),
        (
            "dms/game/player/2026/06/21/17/20260621-175008375.parquet",
            "dms",
            "game.player",
            Some("2026/06/21/17"),
        ),
        ("dms/game/player/06/2026/21/20260621-175008375.parquet", "dms", "game.player", Some("06/2026/21")),
        ("dms/game/player/21/06/2026/20260621-175008375.parquet", "dms", "game.player", Some("21/06/2026")),
        ("dms/game/player/2026-06-21/20260621-175008375.parquet", "dms", "game.player", Some("2026-06-21")),
        ("dms/game/player/2026_06/20260621-175008375.parquet", "dms", "game.player", Some("2026_06")),
        ("dms/game/20260621/20260621-175008375.parquet", "dms", "game.20260621", None),
        ("2026/06/21/20260621-175008375.parquet", "2026", "06.21", None),
        ("dms/game/2026/06/LOAD00000001.parquet", "dms/game", "2026.06", None),
        ("dms/game/player/LOAD00000001.csv", "dms", "game.player", None),
    ] {
        let guessed = key::guess(key).unwrap();
        assert_eq!(guessed.bucket_folder, folder, "{key}");
        assert_eq!(format!("{}.{}", guessed.schema, guessed.table), table, "{key}");
        assert_eq!(guessed.date_partition.as_deref(), date, "{key}");
    }
    for key in ["player/LOAD00000001.parquet", "a/b/c.parquet", "a//LOAD00000001.parquet", "", "/", "a/b/"] {
        assert_eq!(key::guess(key), None, "{key}");
    }
}
