//! The Parquet footer: what a file holds, read from its last bytes.
//!
//! The footer says how many rows there are and what the columns are; that is all this program needs of a
//! file, so row data is never decoded. The bytes may be anything, and a large file has a footer of megabytes:
//! DMS writes a row group for every 10,000 rows, and each lists all columns. So this is a walk of our own, which
//! adds up the row groups' rows and passes over the rest. The `parquet` crate (60.1) keeps 424 bytes for
//! every column of every row group, reserves memory for as many children as a schema announces, recurses as
//! deep as it nests (both abort the process), and passes over a list of two thousand million booleans one by one.

mod columns;
mod compact;
mod error;
mod fit;

use columns::Element;
use compact::{Compact, Field};

pub use columns::{Column, ColumnKind, DecimalStorage, GroupShape, Repetition, TimeUnit};
pub use compact::Malformed;
pub use error::FooterError;
pub use fit::{MAX_COLUMN_NAME_CHARS, MAX_COLUMNS, NameFault, column_name_fault};

/// How much of a file's end is read at first. The footer of a file with one row group and a hundred
/// columns fits; a larger one costs a second read, of its exact length.
pub const TAIL_BYTES: u64 = 64 * 1024;

/// The largest footer that is read, since it is held in memory while it is. DMS's largest files (1 GiB by
/// default) have about a thousand row groups, and a column of a row group takes 100 to 200 bytes: 64 MiB
/// are enough for 400 columns.
pub const MAX_FOOTER_BYTES: u64 = 64 * 1024 * 1024;

/// The most elements of a schema. A list or map column takes two groups more than it has columns.
const MAX_SCHEMA_ELEMENTS: usize = 4 * MAX_COLUMNS;

/// How deep columns may nest. BigQuery takes 15 levels of records, and Parquet spends up to three of its own
/// levels on each.
const MAX_COLUMN_NESTING: usize = 48;

/// What ends a Parquet file, and begins it.
const MAGIC: &[u8; 4] = b"PAR1";
/// What ends a Parquet file whose footer is encrypted.
const MAGIC_ENCRYPTED: &[u8; 4] = b"PARE";
/// The footer's length and the magic that end a file.
const TRAILER_BYTES: u64 = 8;

/// What a Parquet file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The number of rows.
    pub row_count: u64,
    /// The columns, in the file's order.
    pub columns: Vec<Column>,
}

/// What came of looking at the end of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FooterRead {
    /// The footer.
    Done(Footer),
    /// The footer is longer than the bytes given: give [`read`] this many of the file's last bytes.
    More {
        /// How many of the file's last bytes hold the whole footer.
        tail_bytes: u64,
    },
}

/// Reads the footer from the last bytes of an object.
///
/// # Errors
/// If the object is no Parquet file, or one that BigQuery cannot take.
pub fn read(tail: &[u8], object_size_bytes: u64) -> Result<FooterRead, FooterError> {
    let Some((before, trailer)) = tail.split_last_chunk::<8>() else {
        return Err(not_parquet(tail));
    };
    let [length @ .., _, _, _, _] = *trailer;
    let [_, _, _, _, magic @ ..] = *trailer;
    check_magic(tail, magic, object_size_bytes)?;

    let footer_bytes = u64::from(u32::from_le_bytes(length));
    let most_bytes = object_size_bytes.saturating_sub(TRAILER_BYTES + MAGIC.len() as u64);
    if footer_bytes > most_bytes {
        return Err(FooterError::LargerThanObject { footer_bytes, object_size_bytes });
    }
    if footer_bytes > MAX_FOOTER_BYTES {
        return Err(FooterError::TooLarge { footer_bytes });
    }
    let footer = usize::try_from(footer_bytes).ok().and_then(|length| before.len().checked_sub(length));
    match footer.and_then(|start| before.get(start..)) {
        Some(footer) => decode(footer).map(FooterRead::Done),
        None => Ok(FooterRead::More { tail_bytes: footer_bytes + TRAILER_BYTES }),
    }
}

fn check_magic(tail: &[u8], magic: [u8; 4], object_size_bytes: u64) -> Result<(), FooterError> {
    let is_whole = tail.len() as u64 == object_size_bytes;
    let starts_as_parquet = tail.starts_with(MAGIC);
    match &magic {
        MAGIC_ENCRYPTED => Err(FooterError::Encrypted),
        MAGIC if is_whole && !starts_as_parquet => Err(not_parquet(tail)),
        MAGIC => Ok(()),
        _ if is_whole && starts_as_parquet => Err(FooterError::Truncated { object_size_bytes }),
        _ => Err(not_parquet(tail)),
    }
}

fn not_parquet(tail: &[u8]) -> FooterError {
    let end = tail.len().saturating_sub(MAGIC.len());
    FooterError::NotParquet { ends_with: tail.get(end..).unwrap_or_default().escape_ascii().to_string() }
}

/// Reads `FileMetaData` of `parquet.thrift`.
fn decode(footer: &[u8]) -> Result<Footer, FooterError> {
    let mut cursor = Compact::new(footer);
    let parts = read_parts(&mut cursor).map_err(|fault| match fault {
        PartFault::Malformed(what) => {
            FooterError::Malformed { offset_bytes: footer.len() - cursor.remaining_bytes(), what }
        }
        PartFault::Refused(error) => error,
    })?;
    let (Some(elements), Some(rows), Some(group_rows)) = (parts.elements, parts.rows, parts.group_rows)
    else {
        return Err(FooterError::Incomplete);
    };
    let row_count = match u64::try_from(rows) {
        Ok(count) if group_rows == i128::from(rows) => count,
        _ => return Err(FooterError::BadRowCount { rows, group_rows }),
    };
    let columns = columns_of(elements)?;
    fit::check(&columns)?;
    Ok(Footer { row_count, columns })
}

/// The parts of `FileMetaData` that are read, each of which a footer must have exactly once.
#[derive(Debug, Default)]
struct Parts<'a> {
    elements: Option<Vec<Element<'a>>>,
    rows: Option<i64>,
    group_rows: Option<i128>,
}

enum PartFault {
    Malformed(Malformed),
    Refused(FooterError),
}

impl From<Malformed> for PartFault {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

fn read_parts<'a>(cursor: &mut Compact<'a>) -> Result<Parts<'a>, PartFault> {
    let mut parts = Parts::default();
    let mut last_id = 0;
    while let Some(field) = cursor.next_field(&mut last_id)? {
        let is_second = match field.id {
            2 => parts.elements.replace(read_schema(cursor, field)?).is_some(),
            3 => parts.rows.replace(cursor.i64(field)?).is_some(),
            4 => parts.group_rows.replace(read_row_groups(cursor, field)?).is_some(),
            _ => {
                cursor.skip(field)?;
                false
            }
        };
        if is_second {
            return Err(PartFault::Refused(FooterError::Incomplete));
        }
    }
    Ok(parts)
}

fn read_schema<'a>(cursor: &mut Compact<'a>, field: Field) -> Result<Vec<Element<'a>>, PartFault> {
    let count = cursor.list_of_structs(field)?;
    if count > MAX_SCHEMA_ELEMENTS {
        return Err(PartFault::Refused(FooterError::TooManyColumns { columns: count }));
    }
    Ok((0..count).map(|_| Element::read(cursor)).collect::<Result<_, _>>()?)
}

/// Adds up the rows of all row groups, and passes over all else they say.
fn read_row_groups(cursor: &mut Compact<'_>, field: Field) -> Result<i128, Malformed> {
    let count = cursor.list_of_structs(field)?;
    let mut rows = 0_i128;
    for _ in 0..count {
        let mut last_id = 0;
        while let Some(field) = cursor.next_field(&mut last_id)? {
            match field.id {
                3 => rows += i128::from(cursor.i64(field)?),
                _ => cursor.skip(field)?,
            }
        }
    }
    Ok(rows)
}

/// Builds the tree of columns from the schema's list. The first element is the root.
fn columns_of(elements: Vec<Element<'_>>) -> Result<Vec<Column>, FooterError> {
    let mut elements = elements.into_iter();
    let root = elements.next().ok_or(FooterError::Incomplete)?;
    let columns = take_columns(&mut elements, root.children, MAX_COLUMN_NESTING)?;
    if columns.is_empty() {
        return Err(FooterError::NoColumns);
    }
    if elements.next().is_some() {
        return Err(FooterError::Incomplete);
    }
    Ok(columns)
}

fn take_columns(
    elements: &mut std::vec::IntoIter<Element<'_>>,
    count: usize,
    nesting: usize,
) -> Result<Vec<Column>, FooterError> {
    if count > elements.len() {
        return Err(FooterError::Incomplete);
    }
    let Some(nesting) = nesting.checked_sub(1) else {
        return Err(FooterError::TooDeep);
    };
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        let element = elements.next().ok_or(FooterError::Incomplete)?;
        let name = element.name();
        let children = match element.children {
            0 => Vec::new(),
            children => take_columns(elements, children, nesting)?,
        };
        let column = element.into_column(children);
        columns.push(column.map_err(|_| FooterError::Contradiction { column: name.to_owned() })?);
    }
    Ok(columns)
}
