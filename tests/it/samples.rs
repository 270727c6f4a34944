//! The samples are what the generator makes, and hold what they are there for.

#![allow(clippy::expect_used, reason = "a test may fail by a panic")]

#[path = "../../examples/make_samples/files/mod.rs"]
#[allow(dead_code, reason = "some of it only makes large files")]
pub(crate) mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dms2bq::key::{self, KeyMeaning};
use dms2bq::object::footer::{self, ColumnKind, Footer, FooterRead, Repetition, TimeUnit};
use dms2bq::route::{Decision, MappingFile, Mappings};
use files::Fate;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is in the repository") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() { found.extend(all_files(&path)) } else { found.push(path) }
    }
    found
}

fn footer_of(bytes: &[u8]) -> Footer {
    match footer::read(bytes, bytes.len() as u64) {
        Ok(FooterRead::Done(footer)) => footer,
        other => panic!("expected a footer, got {other:?}"),
    }
}

#[test]
fn the_samples_are_what_the_generator_makes() {
    let samples = repository().join("samples");
    let made: BTreeMap<PathBuf, Vec<u8>> =
        files::all().into_iter().map(|file| (samples.join(file.path), file.bytes)).collect();
    let buckets = ["acme-landing", "acme-backoffice"].map(|bucket| all_files(&samples.join(bucket)));
    let lying: BTreeSet<PathBuf> = buckets.concat().into_iter().collect();
    assert_eq!(lying, made.keys().cloned().collect(), "run cargo run --example make-samples");
    for (path, bytes) in made {
        let found = fs::read(&path).expect("the sample can be read");
        assert!(found == bytes, "{} differs: run cargo run --example make-samples", path.display());
    }
    let expected = fs::read_to_string(samples.join("expected.json")).expect("expected.json is there");
    assert_eq!(expected, files::expectations(), "run cargo run --example make-samples");
}

#[test]
fn the_footer_cases_are_what_the_generator_makes() {
    for (path, bytes) in files::footers::all() {
        let path = repository().join("tests/cases/footers").join(path);
        let found = fs::read(&path).unwrap_or_default();
        assert!(found == bytes, "{} differs: run cargo run --example make-samples", path.display());
    }
}

#[test]
fn each_sample_holds_the_rows_that_are_expected_of_it() {
    for file in files::all() {
        if let Fate::Loaded { rows, .. } = file.fate {
            assert_eq!(footer_of(&file.bytes).row_count, rows as u64, "{}", file.path);
        }
    }
}

#[test]
fn the_samples_are_small() {
    let bytes: u64 = all_files(&repository().join("samples"))
        .iter()
        .map(|path| fs::metadata(path).expect("the sample is there").len())
        .sum();
    assert!(bytes < 2_000_000, "{bytes} bytes");
}

/// Files to be loaded, by destination.
fn by_table() -> BTreeMap<String, Vec<(String, Footer)>> {
    let mut tables: BTreeMap<String, Vec<(String, Footer)>> = BTreeMap::new();
    for file in files::all() {
        if let Fate::Loaded { table, .. } = file.fate {
            tables.entry(table).or_default().push((file.path, footer_of(&file.bytes)));
        }
    }
    tables
}

#[test]
fn there_are_two_clusters_six_tables_and_a_full_load_that_counts_past_sixteen() {
    let tables = by_table();
    assert!(tables.len() >= 6);
    let has = |text: &str| tables["casino_a.player_log"].iter().any(|(path, _)| path.contains(text));
    assert!(has("LOAD0000000A.") && has("LOAD00000010.") && has("LOAD00000012."));
    let paths: Vec<&String> = tables.values().flatten().map(|(path, _)| path).collect();
    for landing in ["acme-landing/dms/casino-a/", "acme-landing/dms/casino-b/", "acme-backoffice/dbo/"] {
        assert!(paths.iter().any(|path| path.starts_with(landing)), "{landing}");
    }
    for sign in [" ", "+", "=", "플", "/2022/12/01/", "/2022-12-01/"] {
        assert!(paths.iter().any(|path| path.contains(sign)), "no path has {sign:?}");
    }
}

#[test]
fn every_type_that_dms_writes_is_among_the_columns() {
    let tables = by_table();
    let kinds: Vec<&ColumnKind> = tables
        .values()
        .flatten()
        .flat_map(|(_, footer)| &footer.columns)
        .map(|column| &column.kind)
        .collect();
    let integer = |bits, signed| ColumnKind::Integer { bits, signed };
    let timestamp = |unit| ColumnKind::Timestamp { unit, utc_adjusted: true };
    let wanted = [
        ColumnKind::Boolean,
        integer(8, true),
        integer(16, true),
        integer(32, true),
        integer(64, true),
        integer(8, false),
        integer(16, false),
        integer(32, false),
        integer(64, false),
        ColumnKind::Float,
        ColumnKind::Double,
        ColumnKind::Date,
        timestamp(TimeUnit::Millis),
        timestamp(TimeUnit::Micros),
        ColumnKind::Text,
        ColumnKind::Bytes,
    ];
    for kind in wanted {
        assert!(kinds.contains(&&kind), "{kind:?}");
    }
    for wanted in [(15, 2), (38, 4)] {
        let has = |kind: &&ColumnKind| matches!(kind, ColumnKind::Decimal { precision, scale, .. } if (*precision, *scale) == wanted);
        assert!(kinds.iter().any(has), "DECIMAL{wanted:?}");
    }
}

#[test]
fn a_required_timestamp_column_is_switched_on_midway_and_a_column_comes_later() {
    let tables = by_table();
    let count = |table: &str, column: &str, repetition: Repetition| {
        let has = |footer: &Footer| {
            footer.columns.iter().any(|found| found.name == column && found.repetition == repetition)
        };
        tables[table].iter().filter(|(_, footer)| has(footer)).count()
    };
    assert_eq!(count("casino_a.wallet", "dms_timestamp", Repetition::Required), 1);
    assert_eq!(count("casino_a.player_log", "favourite_game", Repetition::Optional), 1);
}

/// What the mappings of the samples make of a file: its table, `ignore`, or an error's code.
fn fate_by_mapping(mappings: &Mappings, path: &str) -> String {
    let (bucket, key) = path.split_once('/').expect("a path begins with its bucket");
    let landing = match mappings.landing(bucket, key) {
        Ok(landing) => landing,
        Err(error) => return error.code().to_owned(),
    };
    let key = match key::parse(key, landing.layout()) {
        Ok(KeyMeaning::Data(key)) => key,
        Ok(KeyMeaning::Ignored(_)) => return "ignore".to_owned(),
        Err(error) => return error.code().to_owned(),
    };
    match landing.resolve(&key) {
        Ok(Decision::Load(route)) => format!("{}.{}", route.destination.dataset, route.destination.table),
        Ok(Decision::Exclude { .. }) => "ignore".to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn the_mappings_send_every_sample_where_it_belongs() {
    let mapping = |path: PathBuf| MappingFile {
        name: path.file_name().expect("it is a file").to_string_lossy().into_owned(),
        text: fs::read_to_string(&path).expect("the mapping can be read"),
    };
    let files = all_files(&repository().join("samples/mappings"));
    let files = files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "json"));
    let mappings = Mappings::parse(files.map(mapping).collect()).expect("the mappings are good");
    for file in files::all() {
        let wanted = match file.fate {
            Fate::Loaded { table, .. } => table,
            Fate::Ignored => "ignore".to_owned(),
            // What is wrong with a file's bytes is found later.
            Fate::Returned { code } if code.starts_with("object.") => "casino_a.bet".to_owned(),
            Fate::Returned { code } => code.to_owned(),
        };
        assert_eq!(fate_by_mapping(&mappings, &file.path), wanted, "{}", file.path);
    }
}

/// BigQuery takes five changes of a table in ten seconds, fifty if it is partitioned.
#[test]
fn tables_without_partitions_have_few_files() {
    for table in ["casino_a.wallet", "backoffice.shift"] {
        assert!(by_table()[table].len() <= 4, "{table}");
    }
}
