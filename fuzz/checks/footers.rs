//! The ends of Parquet files, and the jobs that are planned by them.

use dms2bq::job::plan::{OBJECT_LABEL, Plan, ROWS_LABEL};
use dms2bq::job::{ColumnMode, TableColumn, TableInfo};
use dms2bq::key::{DmsFile, DmsKey};
use dms2bq::object::footer::{
    self, Column, ColumnKind, Footer, FooterError, FooterRead, MAX_COLUMNS, MAX_FOOTER_BYTES,
    column_name_fault,
};
use dms2bq::object::{ETag, Object};
use dms2bq::route::{Route, TableOptions, TableRef};
use parquet::file::metadata::ParquetMetaDataReader;
use serde_json::Value;

/// The footer's length and the magic that end a file.
const TRAILER_BYTES: usize = 8;

/// Takes bytes for a whole object, for its end, and for a footer alone.
pub fn check(data: &[u8]) {
    hold_whole(data);
    hold_end_of_larger(data);
    if let Ok(length) = u32::try_from(data.len()) {
        hold_whole(&[b"PAR1", data, &length.to_le_bytes(), b"PAR1"].concat());
    }
}

/// However the end is asked for, two reads are enough, and say what the whole object says.
fn hold_whole(object: &[u8]) {
    let size_bytes = object.len() as u64;
    let whole = footer::read(object, size_bytes);
    match &whole {
        Ok(FooterRead::More { .. }) => panic!("more than the whole object is asked for"),
        Ok(FooterRead::Done(footer)) => {
            hold_footer(footer);
            hold_parquet_crate(footer, object);
            hold_plans(footer, size_bytes);
        }
        Err(error) => hold_refusal(error),
    }
    for first_bytes in [TRAILER_BYTES, 64, 4096] {
        let first = footer::read(last(object, first_bytes), size_bytes);
        let Ok(FooterRead::More { tail_bytes }) = first else { continue };
        assert!(
            tail_bytes <= size_bytes && tail_bytes <= MAX_FOOTER_BYTES + TRAILER_BYTES as u64,
            "{tail_bytes}"
        );
        let needed = usize::try_from(tail_bytes).expect("no more than the object, which is in memory");
        assert!(needed > first_bytes, "{needed} bytes are asked for, and {first_bytes} were given");
        let second = footer::read(last(object, needed), size_bytes);
        assert!(!matches!(second, Ok(FooterRead::More { .. })), "a third read is asked for");
        // What does not begin as a Parquet file is refused only by those who see its beginning.
        if object.starts_with(b"PAR1") {
            assert_eq!(second, whole, "the last {needed} bytes of {size_bytes}");
        }
    }
}

/// The end of an object that is too large to be here.
fn hold_end_of_larger(tail: &[u8]) {
    for size_bytes in [1 << 20, 1 << 40, u64::MAX] {
        match footer::read(tail, size_bytes) {
            Ok(FooterRead::More { tail_bytes }) => {
                assert!(tail_bytes <= size_bytes && tail_bytes <= MAX_FOOTER_BYTES + TRAILER_BYTES as u64);
            }
            Ok(FooterRead::Done(footer)) => hold_footer(&footer),
            Err(error) => hold_refusal(&error),
        }
    }
}

fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default()
}

fn hold_refusal(error: &FooterError) {
    super::hold_refusal(&super::chain(error), error.code(), &["object"], error.remedy());
}

fn hold_footer(footer: &Footer) {
    assert!(!footer.columns.is_empty(), "a file without columns");
    assert!(footer.columns.iter().map(leaves).sum::<usize>() <= MAX_COLUMNS, "too many columns");
    assert!(i64::try_from(footer.row_count).is_ok(), "{} rows", footer.row_count);
}

/// The columns of a column; on the way, their names are BigQuery's.
fn leaves(column: &Column) -> usize {
    assert_eq!(column_name_fault(&column.name), None, "{:?}", column.name);
    match &column.kind {
        ColumnKind::Group { columns, .. } => columns.iter().map(leaves).sum(),
        _ => 1,
    }
}

/// Where the `parquet` crate can read the footer, it reads the same. (It is asked only about what our own walk has
/// passed: on others it can abort the process, which is why there is a walk of our own.)
fn hold_parquet_crate(footer: &Footer, object: &[u8]) {
    let Some((before, trailer)) = object.split_last_chunk::<TRAILER_BYTES>() else { return };
    let [a, b, c, d, ..] = *trailer;
    let bytes = last(before, u32::from_le_bytes([a, b, c, d]) as usize);
    let Ok(theirs) = ParquetMetaDataReader::decode_metadata(bytes) else { return };
    let theirs = theirs.file_metadata();
    assert_eq!(u64::try_from(theirs.num_rows()), Ok(footer.row_count), "rows");
    let names: Vec<&str> = theirs.schema().get_fields().iter().map(|field| field.name()).collect();
    let ours: Vec<&str> = footer.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(ours, names, "columns");
}

/// Plans jobs by the footer: for a new table, and for one whose columns have these names and other types and modes.
fn hold_plans(footer: &Footer, size_bytes: u64) {
    let etag = ETag::parse("d41d8cd98f00b204e9800998ecf8427e").expect("this is an etag");
    let object = Object::new("acme-landing", "dms/casino-a/game/player/LOAD00000001.parquet", etag, None);
    let (key, route) = (key(), route());
    let as_text = table(footer, "STRING", ColumnMode::Required);
    let as_numbers = table(footer, "BIGNUMERIC", ColumnMode::Nullable);
    for table in [None, Some(&as_text), Some(&as_numbers)] {
        let plan = Plan { object: &object, size_bytes, footer, key: &key, route: &route, table };
        let job = match plan.job(0) {
            Ok(job) => job,
            Err(error) => {
                super::hold_refusal(&super::chain(&error), error.code(), &["job"], error.remedy());
                continue;
            }
        };
        assert_eq!(job.content_length_bytes(), size_bytes);
        let configuration = &job.resource["configuration"];
        let rows = footer.row_count.to_string();
        assert_eq!(configuration["labels"][ROWS_LABEL], rows.as_str());
        assert_eq!(configuration["labels"][OBJECT_LABEL].as_str().map(str::len), Some(32));
        assert_eq!(configuration["load"]["writeDisposition"], "WRITE_APPEND");
        hold_schema(&configuration["load"]["schema"]["fields"], footer);
    }
}

/// An explicit schema, where there is one, names every column of the file, once and in order.
fn hold_schema(fields: &Value, footer: &Footer) {
    let Some(fields) = fields.as_array() else { return };
    let named: Vec<&str> = fields.iter().filter_map(|field| field["name"].as_str()).collect();
    let ours: Vec<&str> = footer.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(named, ours, "the columns of an explicit schema");
}

fn table(footer: &Footer, kind: &str, mode: ColumnMode) -> TableInfo {
    let column = |column: &Column| TableColumn { name: column.name.clone(), kind: kind.to_owned(), mode };
    TableInfo { created_ms: 0, columns: footer.columns.iter().map(column).collect(), partitioned: true }
}

fn key() -> DmsKey {
    DmsKey {
        bucket_folder: "dms/casino-a".to_owned(),
        schema: "game".to_owned(),
        table: "player".to_owned(),
        file: DmsFile::FullLoad { stem: "LOAD00000001".to_owned(), sequence: 1 },
        date_partition: None,
        segment: None,
    }
}

fn route() -> Route {
    let [project, dataset, table] = ["acme-dw", "casino_a", "player"].map(str::to_owned);
    Route {
        mapping: "casino-a".to_owned(),
        destination: TableRef { project, dataset, table },
        location: "EU".to_owned(),
        options: TableOptions::default(),
    }
}
