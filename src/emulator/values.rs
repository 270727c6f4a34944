//! Single values: what a column may hold, and how `tabledata.list` writes it.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type, i256,
};
use base64::Engine;

use super::schema::{Field, Kind, Mode};

/// BigQuery's DATE and TIMESTAMP reach from 0001-01-01 to 9999-12-31
/// (<https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types>).
const MIN_DAY: i32 = -719_162;
const MAX_DAY: i32 = 2_932_896;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// NUMERIC has 38 digits, 9 of them after the point.
const NUMERIC_DIGITS: usize = 38;
const NUMERIC_SCALE: usize = 9;
/// BIGNUMERIC is a 256-bit integer over 10^38.
const BIGNUMERIC_SCALE: usize = 38;

/// A value as a file holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Decimal(i256, i8),
    Days(i32),
    MicrosOfDay(i64),
    Micros(i64),
}

/// Reads one value of a leaf column.
///
/// The error is a sentence about the value; the caller knows the column.
pub(crate) fn scalar(array: &dyn Array, row: usize) -> Result<Scalar<'_>, String> {
    if *array.data_type() == DataType::Null || array.is_null(row) {
        return Ok(Scalar::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => Scalar::Boolean(array.as_boolean().value(row)),
        integer if integer.is_integer() => Scalar::Integer(integer_value(array, row)?),
        DataType::Float32 => Scalar::Float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => Scalar::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Scalar::Text(array.as_string::<i32>().value(row)),
        DataType::Binary => Scalar::Bytes(array.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => Scalar::Bytes(array.as_fixed_size_binary().value(row)),
        DataType::Decimal128(_, scale) => {
            Scalar::Decimal(i256::from_i128(array.as_primitive::<Decimal128Type>().value(row)), *scale)
        }
        DataType::Decimal256(_, scale) => {
            Scalar::Decimal(array.as_primitive::<Decimal256Type>().value(row), *scale)
        }
        DataType::Date32 => Scalar::Days(array.as_primitive::<Date32Type>().value(row)),
        DataType::Time32(_) => {
            Scalar::MicrosOfDay(i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1000)
        }
        // Nanoseconds land as INTEGER, so they stay the number that they are.
        DataType::Time64(TimeUnit::Nanosecond) => {
            Scalar::Integer(array.as_primitive::<Time64NanosecondType>().value(row))
        }
        DataType::Time64(_) => Scalar::MicrosOfDay(array.as_primitive::<Time64MicrosecondType>().value(row)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Scalar::Integer(array.as_primitive::<TimestampNanosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Scalar::Micros(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            let millis = array.as_primitive::<TimestampMillisecondType>().value(row);
            Scalar::Micros(
                millis
                    .checked_mul(1000)
                    .ok_or_else(|| out_of_range(&format!("{millis} ms"), Kind::Timestamp))?,
            )
        }
        other => return Err(format!("a value of the unsupported type {other}")),
    })
}

fn integer_value(array: &dyn Array, row: usize) -> Result<i64, String> {
    Ok(match array.data_type() {
        DataType::Int8 => i64::from(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => i64::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i64::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        DataType::UInt8 => i64::from(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => i64::from(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => i64::from(array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => {
            let value = array.as_primitive::<UInt64Type>().value(row);
            i64::try_from(value).map_err(|_| out_of_range(&value.to_string(), Kind::Integer))?
        }
        other => return Err(format!("{other} is no integer")),
    })
}

fn out_of_range(value: &str, kind: Kind) -> String {
    format!("value {value} is out of the range of {}", kind.name())
}

/// Checks all values of a column against the column that they go to.
pub(crate) fn check_values(array: &ArrayRef, field: &Field) -> Result<(), String> {
    check_column(array.as_ref(), field)
        .map_err(|what| format!("Invalid value in column '{}': {what}.", field.name))
}

fn check_column(array: &dyn Array, field: &Field) -> Result<(), String> {
    if field.mode == Mode::Repeated {
        let items = array.as_list_opt::<i32>().ok_or("not a list")?.values();
        if items.logical_null_count() > 0 {
            return Err("a list holds a NULL, and only optional fields can be set to NULL".to_owned());
        }
        return check_single(items.as_ref(), field);
    }
    if field.mode == Mode::Required && array.logical_null_count() > 0 {
        return Err("NULL in a REQUIRED column".to_owned());
    }
    check_single(array, field)
}

fn check_single(array: &dyn Array, field: &Field) -> Result<(), String> {
    match array.data_type() {
        DataType::Struct(children) => {
            let columns = array.as_struct();
            for (child, column) in children.iter().zip(columns.columns()) {
                if let Some(inner) =
                    field.fields.iter().find(|it| super::schema::same_name(&it.name, child.name()))
                {
                    // A child of an absent record is absent, too: only what the record has counts.
                    let relaxed = Field { mode: relaxed_below(field, inner), ..inner.clone() };
                    check_column(column.as_ref(), &relaxed)?;
                }
            }
            Ok(())
        }
        DataType::List(_) | DataType::Map(..) => check_wrapped(array, field),
        _ if is_unconstrained(array.data_type(), field.kind) => Ok(()),
        _ => (0..array.len()).try_for_each(|row| check_scalar(scalar(array, row)?, field.kind)),
    }
}

/// A REQUIRED field below a NULLABLE record is null wherever the record is.
fn relaxed_below(record: &Field, inner: &Field) -> Mode {
    if record.mode == Mode::Nullable && inner.mode == Mode::Required { Mode::Nullable } else { inner.mode }
}

/// A list or a map that was not inferred as repeated: a record around a repeated record.
fn check_wrapped(array: &dyn Array, field: &Field) -> Result<(), String> {
    let group = field.fields.first().ok_or("a record without fields")?;
    if let Some(map) = array.as_map_opt() {
        return check_single(map.entries(), group);
    }
    let element = group.fields.first().ok_or("a record without fields")?;
    check_column(array.as_list::<i32>().values().as_ref(), element)
}

/// Whether every value of a file's type fits the column's type.
fn is_unconstrained(file: &DataType, kind: Kind) -> bool {
    match kind {
        Kind::Boolean | Kind::Float | Kind::Bytes => true,
        Kind::Integer => *file != DataType::UInt64,
        Kind::String => !matches!(file, DataType::Binary | DataType::FixedSizeBinary(_)),
        _ => false,
    }
}

fn check_scalar(value: Scalar<'_>, kind: Kind) -> Result<(), String> {
    let days_fit = |days: i64| (i64::from(MIN_DAY)..=i64::from(MAX_DAY)).contains(&days);
    let fits = match (value, kind) {
        (Scalar::Null, _) => true,
        (Scalar::Days(days), _) => days_fit(i64::from(days)),
        (Scalar::Micros(micros), _) => days_fit(micros.div_euclid(MICROS_PER_DAY)),
        (Scalar::MicrosOfDay(micros), _) => (0..MICROS_PER_DAY).contains(&micros),
        (Scalar::Bytes(bytes), Kind::String) => std::str::from_utf8(bytes).is_ok(),
        (Scalar::Decimal(value, scale), Kind::Numeric) => {
            fits_decimal(value, scale, NUMERIC_SCALE).is_some_and(|text| digits(&text) <= NUMERIC_DIGITS)
        }
        (Scalar::Decimal(value, scale), Kind::BigNumeric) => fits_decimal(value, scale, BIGNUMERIC_SCALE)
            .is_some_and(|text| i256::from_string(&text).is_some()),
        _ => true,
    };
    if fits { Ok(()) } else { Err(out_of_range(&plain_text(value), kind)) }
}

/// The value's digits at another scale, as text; `None` if digits other than zeros would be lost.
fn fits_decimal(value: i256, scale: i8, to_scale: usize) -> Option<String> {
    let scale = usize::try_from(scale).ok()?;
    let mut text = value.to_string();
    if scale <= to_scale {
        if value != i256::ZERO {
            text.extend(std::iter::repeat_n('0', to_scale - scale));
        }
        return Some(text);
    }
    let surplus = scale - to_scale;
    let unsigned = text.trim_start_matches('-');
    if unsigned.bytes().rev().take(surplus).any(|digit| digit != b'0') {
        return None;
    }
    let kept = text.len().saturating_sub(surplus.min(unsigned.len()));
    text.truncate(kept);
    Some(text)
}

fn digits(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// How a client wants timestamps written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StampFormat {
    /// Seconds since 1970 with a fraction: the default.
    FloatSeconds,
    /// Microseconds since 1970: `formatOptions.useInt64Timestamp`.
    IntMicros,
}

/// A value as `tabledata.list` writes it: text, whatever its type, or `None` for NULL.
pub(crate) fn text(value: Scalar<'_>, kind: Kind, stamps: StampFormat) -> Option<String> {
    Some(match (value, kind) {
        (Scalar::Null, _) => return None,
        (Scalar::Text(text), Kind::Bytes) => base64::engine::general_purpose::STANDARD.encode(text),
        (Scalar::Bytes(bytes), Kind::String) => String::from_utf8_lossy(bytes).into_owned(),
        (Scalar::Micros(micros), Kind::Timestamp) => timestamp(micros, stamps),
        (Scalar::Decimal(value, scale), Kind::Numeric | Kind::BigNumeric) => {
            trim_zeros(decimal(value, scale))
        }
        _ => plain_text(value),
    })
}

fn plain_text(value: Scalar<'_>) -> String {
    match value {
        Scalar::Null => "NULL".to_owned(),
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) => float(value),
        Scalar::Text(text) => text.to_owned(),
        Scalar::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
        Scalar::Decimal(value, scale) => decimal(value, scale),
        Scalar::Days(days) => date(i64::from(days)),
        Scalar::MicrosOfDay(micros) => time_of_day(micros),
        Scalar::Micros(micros) => {
            let (days, rest) = (micros.div_euclid(MICROS_PER_DAY), micros.rem_euclid(MICROS_PER_DAY));
            format!("{}T{}", date(days), time_of_day(rest))
        }
    }
}

fn float(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        // `{:?}` writes the shortest text that reads back as the same number, with an exponent where that is shorter.
        _ => format!("{value:?}"),
    }
}

fn timestamp(micros: i64, stamps: StampFormat) -> String {
    match stamps {
        StampFormat::IntMicros => micros.to_string(),
        StampFormat::FloatSeconds => {
            let sign = if micros < 0 { "-" } else { "" };
            let magnitude = micros.unsigned_abs();
            format!("{sign}{}.{:06}", magnitude / 1_000_000, magnitude % 1_000_000)
        }
    }
}

/// A date of the proleptic Gregorian calendar; days beyond the calendar's range are written as a number.
fn date(days: i64) -> String {
    let first = jiff::civil::date(1970, 1, 1);
    match first.checked_add(jiff::Span::new().try_days(days).unwrap_or_default()) {
        Ok(date) if days == 0 || date != first => date.to_string(),
        _ => format!("day {days}"),
    }
}

fn time_of_day(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 { clock } else { format!("{clock}.{fraction:06}") }
}

fn decimal(value: i256, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let text = value.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn trim_zeros(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
