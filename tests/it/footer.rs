//! Parquet footers: what is read from them, what is refused, and that nothing in them can hurt.
//!
//! The cases are files in `tests/cases/footers`. The folder is the code that a file is refused with; in `ok`, a text of
//! the same name says what is read. To add a case, add a file.

#![allow(clippy::expect_used, reason = "a test may fail by a panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dms2bq::object::footer::{
    self, Column, ColumnKind, Footer, FooterError, FooterRead, GroupShape, MAX_FOOTER_BYTES, Repetition,
    TAIL_BYTES,
};
use proptest::prelude::*;

use crate::samples::files::dice::Dice;

fn read(bytes: &[u8]) -> Result<FooterRead, FooterError> {
    footer::read(bytes, bytes.len() as u64)
}

fn read_whole(bytes: &[u8]) -> Footer {
    match read(bytes) {
        Ok(FooterRead::Done(footer)) => footer,
        other => panic!("expected a footer, got {other:?}"),
    }
}

/// All Parquet files below a folder of the repository.
pub(crate) fn parquet_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is in the repository") {
            let path = entry.expect("the folder can be listed").path();
            match path.extension().is_some_and(|extension| extension == "parquet") {
                true => files.push(path),
                false if path.is_dir() => folders.push(path),
                false => {}
            }
        }
    }
    files.sort();
    files
}

fn folder_name(path: &Path) -> &str {
    path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).expect("a case lies in a folder")
}

#[test]
fn every_footer_is_read_or_refused_as_its_folder_says() {
    let mut problems = Vec::new();
    for path in parquet_files("tests/cases/footers") {
        let bytes = fs::read(&path).expect("the case can be read");
        let (wanted, found) = match (folder_name(&path), read(&bytes)) {
            ("ok", Ok(FooterRead::Done(footer))) => {
                let wanted = fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
                (wanted, describe(&footer))
            }
            (code, Err(error)) => (code.to_owned(), error.code().to_owned()),
            (code, other) => (code.to_owned(), format!("{other:?}")),
        };
        if wanted != found {
            problems.push(format!("{}\n  wanted: {wanted}\n  found:  {found}", path.display()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn describe(footer: &Footer) -> String {
    let mut lines = vec![format!("{} rows", footer.row_count)];
    describe_columns(&footer.columns, 0, &mut lines);
    lines.push(String::new());
    lines.join("\n")
}

fn describe_columns(columns: &[Column], depth: usize, lines: &mut Vec<String>) {
    for column in columns {
        let indent = "  ".repeat(depth);
        let name = &column.name;
        match &column.kind {
            ColumnKind::Group { shape, columns } => {
                lines.push(format!("{indent}{name}: {:?} {shape:?}", column.repetition));
                describe_columns(columns, depth + 1, lines);
            }
            kind => lines.push(format!("{indent}{name}: {:?} {kind:?}", column.repetition)),
        }
    }
}

#[test]
fn each_refusal_says_what_and_what_to_do() {
    for path in parquet_files("tests/cases/footers") {
        let bytes = fs::read(&path).expect("the case can be read");
        if let Err(error) = read(&bytes) {
            assert!(!error.to_string().contains('\n'), "{error} is more than a line");
            assert!(error.remedy().ends_with('.'), "{} has no remedy in sentences", error.code());
        }
    }
}

#[test]
fn a_footer_longer_than_the_tail_is_asked_for_by_its_length() {
    for path in parquet_files("tests/cases/footers/ok") {
        let bytes = fs::read(&path).expect("the case can be read");
        let size = bytes.len() as u64;
        let Ok(FooterRead::More { tail_bytes }) = footer::read(&bytes[bytes.len() - 8..], size) else {
            panic!("{}: eight bytes hold no footer", path.display());
        };
        let start = bytes.len() - usize::try_from(tail_bytes).expect("the case is small");
        let again = footer::read(&bytes[start..], size);
        assert_eq!(again, Ok(FooterRead::Done(read_whole(&bytes))));
    }
}

#[test]
fn a_footer_beyond_the_bound_is_refused_before_it_is_read() {
    let footer_bytes = MAX_FOOTER_BYTES + 1;
    let length = u32::try_from(footer_bytes).expect("the bound is below 4 GiB").to_le_bytes();
    let tail = [vec![0; 100], length.to_vec(), b"PAR1".to_vec()].concat();
    let refused = footer::read(&tail, 1 << 40);
    assert_eq!(refused, Err(FooterError::TooLarge { footer_bytes }));
}

#[test]
fn the_first_read_holds_the_footer_of_every_sample() {
    for path in parquet_files("samples") {
        let bytes = fs::read(&path).expect("the sample can be read");
        let tail = &bytes[bytes.len().saturating_sub(TAIL_BYTES as usize)..];
        let answer = footer::read(tail, bytes.len() as u64);
        assert!(!matches!(answer, Ok(FooterRead::More { .. })), "{}", path.display());
    }
}

/// The `parquet` crate reads the same of whatever we do not refuse.
#[test]
fn our_reading_agrees_with_the_parquet_crate() {
    use parquet::file::metadata::ParquetMetaDataReader;
    let files = [parquet_files("samples"), parquet_files("tests/cases/footers/ok")].concat();
    let mut compared = 0;
    for path in files {
        let bytes = bytes::Bytes::from(fs::read(&path).expect("the file can be read"));
        let Ok(FooterRead::Done(footer)) = read(&bytes) else { continue };
        let footer_bytes = &bytes[..bytes.len() - 8];
        let length =
            u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().expect("four bytes")) as usize;
        let footer_bytes = &footer_bytes[footer_bytes.len() - length..];
        let schema = ParquetMetaDataReader::decode_schema(footer_bytes).expect("the crate reads it, too");
        let theirs: Vec<_> = schema.root_schema().get_fields().iter().map(|field| theirs(field)).collect();
        let ours: Vec<_> = footer.columns.iter().map(ours).collect();
        assert_eq!(ours, theirs, "{}", path.display());
        if let Ok(metadata) = ParquetMetaDataReader::decode_metadata(footer_bytes) {
            assert_eq!(
                footer.row_count.cast_signed(),
                metadata.file_metadata().num_rows(),
                "{}",
                path.display()
            );
            compared += 1;
        }
    }
    assert!(compared >= 45, "only {compared} files were compared");
}

/// Name, repetition, and the old converted type, which the crate derives from logical types, too.
type Summary = (String, String, String);

fn theirs(field: &parquet::schema::types::Type) -> Summary {
    let info = field.get_basic_info();
    (info.name().to_owned(), format!("{:?}", info.repetition()), format!("{:?}", info.converted_type()))
}

fn ours(column: &Column) -> Summary {
    let repetition = match column.repetition {
        Repetition::Required => "REQUIRED",
        Repetition::Optional => "OPTIONAL",
        Repetition::Repeated => "REPEATED",
    };
    (column.name.clone(), repetition.to_owned(), converted(&column.kind).to_owned())
}

fn converted(kind: &ColumnKind) -> &'static str {
    use dms2bq::object::footer::TimeUnit::{Micros, Millis};
    match kind {
        ColumnKind::Integer { bits: 8, signed: true } => "INT_8",
        ColumnKind::Integer { bits: 16, signed: true } => "INT_16",
        ColumnKind::Integer { bits: 8, .. } => "UINT_8",
        ColumnKind::Integer { bits: 16, .. } => "UINT_16",
        ColumnKind::Integer { bits: 32, signed: false } => "UINT_32",
        ColumnKind::Integer { bits: 64, signed: false } => "UINT_64",
        ColumnKind::Decimal { .. } => "DECIMAL",
        ColumnKind::Date => "DATE",
        ColumnKind::Time { unit: Millis } => "TIME_MILLIS",
        ColumnKind::Time { unit: Micros } => "TIME_MICROS",
        ColumnKind::Timestamp { unit: Millis, .. } => "TIMESTAMP_MILLIS",
        ColumnKind::Timestamp { unit: Micros, .. } => "TIMESTAMP_MICROS",
        ColumnKind::Text => "UTF8",
        ColumnKind::Enum => "ENUM",
        ColumnKind::Group { shape: GroupShape::List, .. } => "LIST",
        ColumnKind::Group { shape: GroupShape::Map, .. } => "MAP",
        _ => "NONE",
    }
}

#[test]
fn damaged_footers_are_answered_in_no_time_and_without_a_panic() {
    let dice = &mut Dice::new("damage");
    let files = [parquet_files("tests/cases/footers"), parquet_files("samples/acme-backoffice")].concat();
    for path in files {
        let good = fs::read(&path).expect("the case can be read");
        if good.len() > 20_000 || good.len() < 12 {
            continue;
        }
        for _ in 0..300 {
            let mut bytes = good.clone();
            for _ in 0..=dice.below(4) {
                // The footer and the eight bytes after it: the magic stays, or little would be read.
                let at = dice.below(bytes.len() as u64 - 4) as usize;
                bytes[at] = dice.below(256) as u8;
            }
            let start = Instant::now();
            let _ = read(&bytes);
            let took = start.elapsed();
            assert!(took < Duration::from_secs(1), "{took:?} for a damaged {}", path.display());
        }
    }
}

proptest! {
    #[test]
    fn noise_in_place_of_a_footer_is_no_harm(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        let length = u32::try_from(noise.len()).expect("the noise is short").to_le_bytes();
        let bytes = [b"PAR1".as_slice(), &noise, &length, b"PAR1"].concat();
        let _ = read(&bytes);
    }

    #[test]
    fn any_end_of_an_object_is_no_harm(tail in proptest::collection::vec(any::<u8>(), 0..64), size in any::<u64>()) {
        let _ = footer::read(&tail, size);
    }
}
