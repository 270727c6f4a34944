//! When a load carries a schema of its own, and which. The cases are files in `tests/cases/schemas`.

#![allow(clippy::expect_used, reason = "a test may fail by a panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dms2bq::job::schema::{SchemaError, explicit_schema, inferred_type};
use dms2bq::job::{ColumnMode, TableColumn, TableInfo};
use dms2bq::object::footer::{Column, ColumnKind, DecimalStorage, Footer, GroupShape, Repetition, TimeUnit};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the case is there for.
    #[serde(rename = "why")]
    _why: String,
    /// The file's columns: name, mode and kind.
    file: Vec<[String; 3]>,
    /// The table's columns: name, mode and type; null if there is no table yet.
    table: Option<Vec<[String; 3]>>,
    /// The mapping's types.
    #[serde(default)]
    columns: BTreeMap<String, String>,
    /// The explicit schema: name, mode and type; null for none; or the code of an error.
    schema: Value,
}

#[test]
fn every_load_carries_the_schema_that_its_case_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/schemas");
    let mut problems = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder is in the repository") {
        let path = entry.expect("the folder can be listed").path();
        let text = fs::read_to_string(&path).expect("the case can be read");
        let case: Case =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = schema_of(&case);
        if found != case.schema {
            problems.push(format!("{}\n  wanted: {}\n  found:  {found}", path.display(), case.schema));
        }
        count += 1;
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count >= 15, "only {count} cases");
}

fn schema_of(case: &Case) -> Value {
    let columns = case.file.iter().map(|[name, mode, kind]| column(name, mode, kind)).collect();
    let footer = Footer { row_count: 1, columns };
    let table = case.table.as_ref().map(|columns| table(columns));
    match explicit_schema(&footer, table.as_ref(), &case.columns) {
        Ok(None) => Value::Null,
        Ok(Some(fields)) => {
            fields.iter().map(|field| serde_json::json!([field.name, field.mode, field.kind])).collect()
        }
        Err(error) => error.code().into(),
    }
}

pub(crate) fn table(columns: &[[String; 3]]) -> TableInfo {
    let columns = columns.iter().map(|[name, mode, kind]| TableColumn {
        name: name.clone(),
        kind: kind.clone(),
        mode: match mode.as_str() {
            "NULLABLE" => ColumnMode::Nullable,
            "REQUIRED" => ColumnMode::Required,
            "REPEATED" => ColumnMode::Repeated,
            other => panic!("no mode of BigQuery: {other}"),
        },
    });
    TableInfo { created_ms: 0, columns: columns.collect(), partitioned: true }
}

pub(crate) fn column(name: &str, mode: &str, kind: &str) -> Column {
    let repetition = match mode {
        "REQUIRED" => Repetition::Required,
        "OPTIONAL" => Repetition::Optional,
        "REPEATED" => Repetition::Repeated,
        other => panic!("no repetition of Parquet: {other}"),
    };
    Column { name: name.to_owned(), kind: kind_of(kind), repetition }
}

fn kind_of(word: &str) -> ColumnKind {
    let integer = |bits, signed| ColumnKind::Integer { bits, signed };
    let decimal =
        |precision, scale| ColumnKind::Decimal { precision, scale, storage: DecimalStorage::FixedBytes };
    let group = |shape| ColumnKind::Group { shape, columns: vec![column("inner", "OPTIONAL", "TEXT")] };
    match word {
        "BOOLEAN" => ColumnKind::Boolean,
        "INT16" => integer(16, true),
        "INT32" => integer(32, true),
        "INT64" => integer(64, true),
        "UINT64" => integer(64, false),
        "DOUBLE" => ColumnKind::Double,
        "DECIMAL(15,2)" => decimal(15, 2),
        "DECIMAL(38,4)" => decimal(38, 4),
        "DECIMAL(38,18)" => decimal(38, 18),
        "DECIMAL(38,30)" => decimal(38, 30),
        "DATE" => ColumnKind::Date,
        "TIME_MILLIS" => ColumnKind::Time { unit: TimeUnit::Millis },
        "TIMESTAMP_MICROS" => ColumnKind::Timestamp { unit: TimeUnit::Micros, utc_adjusted: true },
        "TEXT" => ColumnKind::Text,
        "ENUM" => ColumnKind::Enum,
        "BYTES" => ColumnKind::Bytes,
        "RECORD" => group(GroupShape::Record),
        "LIST" => group(GroupShape::List),
        other => panic!("no kind of these cases: {other}"),
    }
}

#[test]
fn decimals_become_the_narrowest_type_that_holds_them() {
    let decimal = |precision, scale| {
        inferred_type(&ColumnKind::Decimal { precision, scale, storage: DecimalStorage::FixedBytes })
    };
    for (precision, scale, wanted) in [
        (15, 2, "NUMERIC"),
        (38, 9, "NUMERIC"),
        (29, 0, "NUMERIC"),
        (30, 0, "BIGNUMERIC"),
        (38, 4, "BIGNUMERIC"),
        (38, 10, "BIGNUMERIC"),
        (76, 38, "BIGNUMERIC"),
        (77, 38, "STRING"),
        (39, 0, "STRING"),
    ] {
        assert_eq!(decimal(precision, scale), wanted, "DECIMAL({precision},{scale})");
    }
}

#[test]
fn a_record_is_described_with_its_fields_and_a_list_is_refused() {
    let footer = |kind: &str| Footer {
        row_count: 1,
        columns: vec![column("id", "OPTIONAL", "INT64"), column("nested", "OPTIONAL", kind)],
    };
    let columns = BTreeMap::from([("id".to_owned(), "STRING".to_owned())]);
    let record = explicit_schema(&footer("RECORD"), None, &columns).expect("a record can be described");
    let json = serde_json::to_value(record).expect("a schema is JSON");
    assert_eq!(
        json[1],
        serde_json::json!({
            "name": "nested", "type": "RECORD", "mode": "NULLABLE",
            "fields": [{ "name": "inner", "type": "STRING", "mode": "NULLABLE" }],
        })
    );
    let refused = explicit_schema(&footer("LIST"), None, &columns);
    assert_eq!(refused, Err(SchemaError::Nested { column: "nested".to_owned() }));
}
