//! The names of the files that DMS writes.

use jiff::civil;

use super::date::number;
use super::{DmsFile, Misfit};

/// A file's name, read: the kind of file, and the suffix that says what is in it.
pub(super) struct FileName<'a> {
    pub(super) file: DmsFile,
    pub(super) suffix: &'a str,
}

/// The suffixes that DMS writes: of Parquet (whatever the codec, which is inside), of CSV, of compressed CSV.
pub(super) const PARQUET: &str = ".parquet";
const SUFFIXES: [&str; 3] = [PARQUET, ".csv", ".csv.gz"];

/// The transaction files of `PreserveTransactions` (`CDC_TXN-20221201093015123.csv`).
pub(super) fn is_transaction_file(name: &str) -> bool {
    name.starts_with("CDC_TXN-")
}

/// Reads a file's name.
pub(super) fn read(name: &str) -> Result<FileName<'_>, Misfit> {
    let (stem, suffix) = name.split_at(name.find('.').unwrap_or(name.len()));
    let unknown = || Misfit::UnknownFile { file: name.to_owned() };
    if !SUFFIXES.contains(&suffix) {
        return Err(unknown());
    }
    let file = match full_load(stem).or_else(|| changes(stem)) {
        Some(file) => file?,
        None => return Err(unknown()),
    };
    Ok(FileName { file, suffix })
}

/// `LOAD0000000A`, or `SEGMENT2_LOAD00000009` of a load in parallel by ranges without names. The counter
/// is hexadecimal and upper case, of any width; across segments it runs on. `None` if it is neither.
fn full_load(stem: &str) -> Option<Result<DmsFile, Misfit>> {
    let load = match stem.strip_prefix("SEGMENT") {
        Some(numbered) => {
            let (segment, load) = numbered.split_once('_')?;
            is_digits(segment).then_some(load)?
        }
        None => stem,
    };
    let counter = load.strip_prefix("LOAD")?;
    if counter.is_empty() || !counter.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')) {
        return None;
    }
    Some(match u64::from_str_radix(counter, 16) {
        Ok(sequence) => Ok(DmsFile::FullLoad { stem: stem.to_owned(), sequence }),
        Err(_) => Err(Misfit::CounterTooLarge { counter: counter.to_owned() }),
    })
}

/// `20221201-093015123`: date, hour, minute, second and milliseconds at which DMS wrote the file out.
///
/// Every name that was seen has nine digits of time. DMS's guide also shows one with ten
/// (`20141029-1134010000`), which can only be read as hour, minute, second and a fraction of four digits;
/// the timestamp keeps three of them, as it does for the others, and the digits keep all, so that two
/// files never become one. `None` if it is no such name.
fn changes(stem: &str) -> Option<Result<DmsFile, Misfit>> {
    let (date, time) = stem.split_once('-')?;
    if date.len() != 8 || !matches!(time.len(), 9 | 10) || !is_digits(date) || !is_digits(time) {
        return None;
    }
    let digits = format!("{date}{time}");
    Some(match timestamp(&digits) {
        Some(timestamp) => Ok(DmsFile::Cdc { digits, timestamp }),
        None => Err(Misfit::ImpossibleTime { stem: stem.to_owned() }),
    })
}

/// `20221201093015123` as `2022-12-01T09:30:15.123`, if there is such a moment.
fn timestamp(digits: &str) -> Option<String> {
    let part = |from: usize, to: usize| digits.get(from..to).and_then(number);
    let small = |from: usize, to: usize| part(from, to).and_then(|value| i8::try_from(value).ok());
    let year = part(0, 4).filter(|year| *year > 0)?;
    let moment = civil::DateTime::new(
        year,
        small(4, 6)?,
        small(6, 8)?,
        small(8, 10)?,
        small(10, 12)?,
        small(12, 14)?,
        0,
    )
    .ok()?;
    Some(format!("{}.{}", moment.strftime("%Y-%m-%dT%H:%M:%S"), digits.get(14..17)?))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
