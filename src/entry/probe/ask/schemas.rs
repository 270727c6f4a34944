//! Rows 1 to 19: schemas.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::entry::probe::bench::{Bench, Ended, schema};
use crate::entry::probe::experiment::{Answer, Trouble, Verdict};
use crate::entry::probe::files::{self, Column, Levels, parquet};

/// 1.
pub(in crate::entry::probe) async fn nullable_over_required(bench: &Bench) -> Answer {
    let table = bench.table();
    expect_loaded(bench.load(&table, &files::plain()?, json!({})).await?)?;
    let nullable = schema(&[("ts", "STRING", "NULLABLE"), ("a", "INTEGER", "NULLABLE")]);
    let ended = bench.load(&table, &files::required()?, json!({ "schema": { "fields": nullable } })).await?;
    Ok(Verdict::of(ended.is_well(), ended.in_words()))
}

/// 2.
pub(in crate::entry::probe) async fn required_by_inference(bench: &Bench) -> Answer {
    let table = bench.table();
    expect_loaded(bench.load(&table, &files::plain()?, json!({})).await?)?;
    let ended = bench.load(&table, &files::required()?, json!({})).await?;
    Ok(Verdict::of(!ended.is_well(), ended.in_words()))
}

/// 3.
pub(in crate::entry::probe) async fn required_over_optional(bench: &Bench) -> Answer {
    let required = schema(&[("a", "INTEGER", "REQUIRED")]);
    let table = bench.make_table(required.clone()).await?;
    let ended = bench.load(&table, &files::plain()?, json!({ "schema": { "fields": required } })).await?;
    Ok(Verdict::of(ended.is_well(), ended.in_words()))
}

/// 4.
pub(in crate::entry::probe) async fn relaxation(bench: &Bench) -> Answer {
    let table = bench.table();
    expect_loaded(bench.load(&table, &files::required()?, json!({})).await?)?;
    let before = bench.column(&table, "ts").await?;
    let ended = bench.load(&table, &files::plain()?, json!({})).await?;
    let after = bench.column(&table, "ts").await?;
    let relaxed = before == "STRING REQUIRED" && after == "STRING NULLABLE" && ended.is_well();
    Ok(Verdict::of(relaxed, format!("{}; ts was {before}, is {after}", ended.in_words())))
}

/// 5.
pub(in crate::entry::probe) async fn missing_column(bench: &Bench) -> Answer {
    let table = bench.table();
    expect_loaded(bench.load(&table, &files::two_columns()?, json!({})).await?)?;
    let ended = bench.load(&table, &files::plain()?, json!({})).await?;
    let rows = bench.rows(&table).await?;
    let nulls = rows.iter().filter(|row| row.get(1).is_some_and(Value::is_null)).count();
    Ok(Verdict::of(
        ended.is_well() && nulls == 2,
        format!("{}; {nulls} rows of 3 have null", ended.in_words()),
    ))
}

fn stamp(adjusted: bool) -> Result<Bytes, Trouble> {
    let message = format!("message m {{ optional int64 t (TIMESTAMP(MICROS,{adjusted})); }}");
    // 2022-12-01T09:30:00.
    parquet(&message, &[Column::I64(&[1_669_887_000_000_000], Levels::Present)])
}

/// 6.
pub(in crate::entry::probe) async fn datetime_by_schema(bench: &Bench) -> Answer {
    let table = bench.table();
    let fields = schema(&[("t", "DATETIME", "NULLABLE")]);
    let ended = bench.load(&table, &stamp(false)?, json!({ "schema": { "fields": fields } })).await?;
    if !ended.is_well() {
        return Ok(Verdict::Otherwise(ended.in_words()));
    }
    let (column, rows) = (bench.column(&table, "t").await?, bench.rows(&table).await?);
    let value = rows.first().and_then(|row| row.first()).cloned().unwrap_or_default();
    let is_it = column.starts_with("DATETIME")
        && value.as_str().is_some_and(|it| it.starts_with("2022-12-01T09:30:00"));
    Ok(Verdict::of(is_it, format!("{column}, {value}")))
}

/// 7.
pub(in crate::entry::probe) async fn timestamp_by_inference(bench: &Bench) -> Answer {
    let mut columns = Vec::new();
    for adjusted in [false, true] {
        let table = bench.table();
        expect_loaded(bench.load(&table, &stamp(adjusted)?, json!({})).await?)?;
        columns.push(bench.column(&table, "t").await?);
    }
    let all = columns.iter().all(|column| column.starts_with("TIMESTAMP"));
    Ok(Verdict::of(all, format!("local: {}, UTC: {}", columns[0], columns[1])))
}

/// 8.
pub(in crate::entry::probe) async fn time(bench: &Bench) -> Answer {
    let message = "message m { optional int32 t (TIME(MILLIS,false)); }";
    let file = parquet(message, &[Column::I32(&[34_200_000], Levels::Present)])?;
    let fields = schema(&[("t", "TIME", "NULLABLE")]);
    let with = bench.load(&bench.table(), &file, json!({ "schema": { "fields": fields } })).await?;
    let without = bench.load(&bench.table(), &file, json!({})).await?;
    let evidence = format!("with: {}; without: {}", with.in_words(), without.in_words());
    Ok(Verdict::of(with.is_well() && !without.is_well(), evidence))
}

/// 9.
pub(in crate::entry::probe) async fn decimal_by_schema(bench: &Bench) -> Answer {
    // 1.5 as DECIMAL(15, 2).
    let file =
        parquet("message m { optional int64 d (DECIMAL(15,2)); }", &[Column::I64(&[150], Levels::Present)])?;
    chosen(bench, &file, "d", &["NUMERIC", "BIGNUMERIC", "STRING"]).await
}

/// 10.
pub(in crate::entry::probe) async fn enum_as_bytes(bench: &Bench) -> Answer {
    let file =
        parquet("message m { optional binary e (ENUM); }", &[Column::Bytes(&[b"RED"], Levels::Present)])?;
    chosen(bench, &file, "e", &["BYTES"]).await
}

/// Loads a column by explicit schemas of each type.
async fn chosen(bench: &Bench, file: &Bytes, name: &str, kinds: &[&str]) -> Answer {
    let mut evidence = Vec::new();
    let mut all = true;
    for kind in kinds {
        let table = bench.table();
        let fields = schema(&[(name, kind, "NULLABLE")]);
        let ended = bench.load(&table, file, json!({ "schema": { "fields": fields } })).await?;
        if ended.is_well() {
            let column = bench.column(&table, name).await?;
            all &= column.split(' ').next() == Some(kind);
            evidence.push(format!("{kind}: {column}"));
        } else {
            all = false;
            evidence.push(format!("{kind}: {}", ended.in_words()));
        }
    }
    Ok(Verdict::of(all, evidence.join("; ")))
}

/// 11.
pub(in crate::entry::probe) async fn integer_into_numeric(bench: &Bench) -> Answer {
    let mut evidence = Vec::new();
    let mut any = false;
    for kind in ["NUMERIC", "FLOAT"] {
        let fields = schema(&[("n", kind, "NULLABLE")]);
        let table = bench.make_table(fields.clone()).await?;
        let file = parquet("message m { optional int32 n; }", &[Column::I32(&[7], Levels::Present)])?;
        let ended = bench.load(&table, &file, json!({ "schema": { "fields": fields } })).await?;
        any |= ended.is_well();
        evidence.push(format!("{kind}: {}", ended.in_words()));
    }
    Ok(Verdict::of(!any, evidence.join("; ")))
}

/// 12. What we refuse: as assumed, if none of them lands as what it is.
pub(in crate::entry::probe) async fn types_we_refuse(bench: &Bench) -> Answer {
    let uuid = [7_u8; 16];
    let json_text: &[u8] = br#"{"a":1}"#;
    let cases = [
        (
            "DECIMAL",
            "NUMERIC",
            "message m { optional binary x (DECIMAL(15,2)); }",
            Column::Bytes(&[&[0, 150]], Levels::Present),
        ),
        (
            "JSON",
            "JSON",
            "message m { optional binary x (JSON); }",
            Column::Bytes(&[json_text], Levels::Present),
        ),
        (
            "UUID",
            "STRING",
            "message m { optional fixed_len_byte_array(16) x (UUID); }",
            Column::Fixed(&[&uuid], Levels::Present),
        ),
        (
            "nanoseconds",
            "TIMESTAMP",
            "message m { optional int64 x (TIMESTAMP(NANOS,true)); }",
            Column::I64(&[1_669_887_000_000_000_000], Levels::Present),
        ),
    ];
    let mut evidence = Vec::new();
    let mut none = true;
    for (what, rightly, message, column) in cases {
        let table = bench.table();
        let ended = bench.load(&table, &parquet(message, &[column])?, json!({})).await?;
        let became = if ended.is_well() { bench.column(&table, "x").await? } else { ended.in_words() };
        none &= !became.starts_with(rightly);
        evidence.push(format!("{what}: {became}"));
    }
    Ok(Verdict::of(none, evidence.join("; ")))
}

/// 13.
pub(in crate::entry::probe) async fn unsigned(bench: &Bench) -> Answer {
    let file = |value: i64| {
        parquet("message m { optional int64 u (UINT_64); }", &[Column::I64(&[value], Levels::Present)])
    };
    let table = bench.table();
    let fits = bench.load(&table, &file(i64::MAX)?, json!({})).await?;
    let column = if fits.is_well() { bench.column(&table, "u").await? } else { fits.in_words() };
    // 2^63, in the bits of an int64.
    let beyond = bench.load(&bench.table(), &file(i64::MIN)?, json!({})).await?;
    let evidence = format!("2^63-1: {column}; 2^63: {}", beyond.in_words());
    Ok(Verdict::of(column.starts_with("INTEGER") && !beyond.is_well(), evidence))
}

/// 14.
pub(in crate::entry::probe) async fn always_null(bench: &Bench) -> Answer {
    let message = "message m { optional int32 n (UNKNOWN); }";
    let file = parquet(message, &[Column::I32(&[], Levels::These(&[0, 0], &[]))])?;
    let table = bench.table();
    let ended = bench.load(&table, &file, json!({})).await?;
    let column = if ended.is_well() { bench.column(&table, "n").await? } else { ended.in_words() };
    Ok(Verdict::of(column.starts_with("INTEGER"), column))
}

/// 15.
pub(in crate::entry::probe) async fn list_without_inference(bench: &Bench) -> Answer {
    let message = "message m { optional group l (LIST) { repeated group list { optional int64 element; } } }";
    let file = parquet(message, &[Column::I64(&[1, 2], Levels::These(&[3, 3], &[0, 1]))])?;
    let table = bench.table();
    expect_loaded(bench.load(&table, &file, json!({})).await?)?;
    let column = bench.column(&table, "l").await?;
    let fields = schema(&[("l", "INTEGER", "REPEATED")]);
    let without =
        json!({ "schema": { "fields": fields }, "parquetOptions": { "enableListInference": false } });
    let ended = bench.load(&table, &file, without).await?;
    let rows = bench.rows(&table).await?;
    let empty = rows
        .iter()
        .filter(|row| row.first().is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)))
        .count();
    let evidence = format!("with inference {column}; without it: {}, {empty} empty lists", ended.in_words());
    Ok(Verdict::of(column == "INTEGER REPEATED" && ended.is_well() && empty == 1, evidence))
}

/// 16.
pub(in crate::entry::probe) async fn schema_of_the_file_alone(bench: &Bench) -> Answer {
    let table = bench.table();
    expect_loaded(bench.load(&table, &files::two_columns()?, json!({})).await?)?;
    let fields = schema(&[("a", "INTEGER", "NULLABLE")]);
    let ended = bench.load(&table, &files::plain()?, json!({ "schema": { "fields": fields } })).await?;
    let other = bench.column(&table, "b").await?;
    let stays = other == "INTEGER NULLABLE";
    Ok(Verdict::of(ended.is_well() && stays, format!("{}; b is {other}", ended.in_words())))
}

/// 17.
pub(in crate::entry::probe) async fn required_into_nullable(bench: &Bench) -> Answer {
    let table =
        bench.make_table(schema(&[("ts", "STRING", "NULLABLE"), ("a", "INTEGER", "NULLABLE")])).await?;
    let ended = bench.load(&table, &files::required()?, json!({})).await?;
    Ok(Verdict::of(!ended.is_well(), ended.in_words()))
}

/// 18.
pub(in crate::entry::probe) async fn strict_names(bench: &Bench) -> Answer {
    let plain = bench.load(&bench.table(), &files::plain()?, json!({})).await?;
    let dotted = bench.load(&bench.table(), &files::named("a.b")?, json!({})).await?;
    let evidence = format!("a: {}; a.b: {}", plain.in_words(), dotted.in_words());
    Ok(Verdict::of(plain.is_well() && !dotted.is_well(), evidence))
}

/// 19.
pub(in crate::entry::probe) async fn names_without_case(bench: &Bench) -> Answer {
    let table = bench.table();
    expect_loaded(bench.load(&table, &files::named("Inicio Región")?, json!({})).await?)?;
    let ended = bench.load(&table, &files::named("inicio REGIÓN")?, json!({})).await?;
    let described = bench.get_table(&table).await?;
    let fields = described["schema"]["fields"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = fields.iter().filter_map(|field| field["name"].as_str()).collect();
    let evidence = format!("{}; columns: {}", ended.in_words(), names.join(", "));
    Ok(Verdict::of(ended.is_well() && names == ["Inicio Región"], evidence))
}

/// The beginning of an experiment has to work, or nothing is shown by the rest.
pub(super) fn expect_loaded(ended: Ended) -> Result<(), Trouble> {
    if ended.is_well() {
        Ok(())
    } else {
        Err(Trouble::Failed(format!("the first load: {}", ended.in_words())))
    }
}
