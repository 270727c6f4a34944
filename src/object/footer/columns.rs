//! The columns of a Parquet file, read from the schema in its footer.
//!
//! Parquet says twice what a column means: in the old converted type, which DMS writes, and in the newer
//! logical type, which wins where both are there. The rules are those of `LogicalTypes.md` in the
//! apache/parquet-format repository.

use super::compact::{Compact, Field, Malformed};

/// A column, or a field of a nested one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name, as the file spells it.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// Whether it may be null, or is repeated.
    pub repetition: Repetition,
}

/// How often a column has a value in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// Always once. DMS's own timestamp column is of this kind.
    Required,
    /// Once or not at all. DMS writes all columns of the source so.
    Optional,
    /// Any number of times.
    Repeated,
}

/// What the values of a column are: the physical type and its annotation, read as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    /// `BOOLEAN`.
    Boolean,
    /// An integer of 8 to 64 bits. Without an annotation it is signed and as wide as it is stored.
    Integer {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether it may be negative.
        signed: bool,
    },
    /// `FLOAT`.
    Float,
    /// `DOUBLE`.
    Double,
    /// `DECIMAL`.
    Decimal {
        /// The number of digits.
        precision: u32,
        /// How many of them stand after the point.
        scale: u32,
        /// How it is stored.
        storage: DecimalStorage,
    },
    /// Days since 1970.
    Date,
    /// A time of the day.
    Time {
        /// The unit it counts.
        unit: TimeUnit,
    },
    /// A moment, or a date and time without a zone.
    Timestamp {
        /// The unit it counts.
        unit: TimeUnit,
        /// Whether it is a moment. The old converted types always read so.
        utc_adjusted: bool,
    },
    /// The old 96-bit timestamps of Hive and Impala.
    Int96,
    /// Text.
    Text,
    /// One of a few names.
    Enum,
    /// JSON, if the file says so. DMS does not: its JSON columns are text.
    Json,
    /// Binary JSON.
    Bson,
    /// A UUID as 16 bytes. DMS does not write it: its UUID columns are text.
    Uuid,
    /// A floating-point number of two bytes.
    Float16,
    /// A span of months, days and milliseconds.
    Interval,
    /// Bytes without a meaning, of fixed length or not.
    Bytes,
    /// A column that never has a value, of no other type.
    Null,
    /// An annotation that this program does not know, by its number in the format's definition.
    Unknown {
        /// The number of the annotation in `parquet.thrift`.
        annotation: i16,
    },
    /// A group of columns. DMS writes none.
    Group {
        /// What the group stands for.
        shape: GroupShape,
        /// Its columns.
        columns: Vec<Column>,
    },
}

/// How a decimal is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalStorage {
    /// In 32 bits.
    Int32,
    /// In 64 bits.
    Int64,
    /// In bytes of a fixed number, as DMS does.
    FixedBytes,
    /// In bytes of any number.
    Bytes,
}

/// The unit that a time or timestamp counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// 10⁻³ s.
    Millis,
    /// 10⁻⁶ s.
    Micros,
    /// 10⁻⁹ s.
    Nanos,
}

/// What a group of columns stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupShape {
    /// A record.
    Record,
    /// A list, with the levels that the format puts between it and its elements.
    List,
    /// A map.
    Map,
}

/// The physical type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Physical {
    Boolean,
    Int32,
    Int64,
    Int96,
    Float,
    Double,
    ByteArray,
    FixedLenByteArray,
}

/// One element of the schema as the footer lists it, depth first.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    physical: Option<i32>,
    length_bytes: Option<i32>,
    repetition: Option<i32>,
    name: &'a str,
    pub(super) children: usize,
    converted: Option<i32>,
    scale: Option<i32>,
    precision: Option<i32>,
    logical: Option<Logical>,
}

/// The logical type of an element, as far as it is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logical {
    Text,
    Map,
    List,
    Enum,
    Decimal { precision: i32, scale: i32 },
    Date,
    Time { unit: TimeUnit },
    Timestamp { unit: TimeUnit, utc_adjusted: bool },
    Integer { bits: i8, signed: bool },
    Null,
    Json,
    Bson,
    Uuid,
    Float16,
    Other(i16),
}

/// An element of the schema contradicts itself, as a 32-bit date in a 64-bit column would.
#[derive(Debug)]
pub(super) struct Contradiction;

impl<'a> Element<'a> {
    /// Reads one `SchemaElement` of `parquet.thrift`.
    pub(super) fn read(cursor: &mut Compact<'a>) -> Result<Self, Malformed> {
        let mut element = Self::default();
        let mut last_id = 0;
        while let Some(field) = cursor.next_field(&mut last_id)? {
            match field.id {
                1 => element.physical = Some(cursor.i32(field)?),
                2 => element.length_bytes = Some(cursor.i32(field)?),
                3 => element.repetition = Some(cursor.i32(field)?),
                4 => element.name = cursor.text(field)?,
                5 => {
                    let children = cursor.i32(field)?;
                    element.children = usize::try_from(children).map_err(|_| Malformed::NumberTooLarge)?;
                }
                6 => element.converted = Some(cursor.i32(field)?),
                7 => element.scale = Some(cursor.i32(field)?),
                8 => element.precision = Some(cursor.i32(field)?),
                10 => element.logical = read_logical(cursor, field)?,
                _ => cursor.skip(field)?,
            }
        }
        Ok(element)
    }

    /// The element as a column; `columns` are its children, empty for a leaf.
    pub(super) fn into_column(self, columns: Vec<Column>) -> Result<Column, Contradiction> {
        let kind = if columns.is_empty() {
            self.leaf_kind()?
        } else {
            ColumnKind::Group { shape: self.shape(), columns }
        };
        let repetition = match self.repetition {
            Some(0) => Repetition::Required,
            Some(1) => Repetition::Optional,
            Some(2) => Repetition::Repeated,
            _ => return Err(Contradiction),
        };
        Ok(Column { name: self.name.to_owned(), kind, repetition })
    }

    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    fn shape(&self) -> GroupShape {
        match (self.logical, self.converted) {
            (Some(Logical::List), _) | (None, Some(3)) => GroupShape::List,
            (Some(Logical::Map), _) | (None, Some(1 | 2)) => GroupShape::Map,
            _ => GroupShape::Record,
        }
    }

    fn leaf_kind(&self) -> Result<ColumnKind, Contradiction> {
        let physical = match self.physical {
            Some(0) => Physical::Boolean,
            Some(1) => Physical::Int32,
            Some(2) => Physical::Int64,
            Some(3) => Physical::Int96,
            Some(4) => Physical::Float,
            Some(5) => Physical::Double,
            Some(6) => Physical::ByteArray,
            Some(7) if self.length_bytes.is_some_and(|length| length > 0) => Physical::FixedLenByteArray,
            _ => return Err(Contradiction),
        };
        match (self.logical, self.converted) {
            (Some(logical), _) => self.by_logical(physical, logical),
            (None, Some(converted)) => self.by_converted(physical, converted),
            (None, None) => Ok(plain(physical)),
        }
    }

    /// The old annotations, by their numbers in `ConvertedType` of `parquet.thrift`.
    fn by_converted(&self, physical: Physical, converted: i32) -> Result<ColumnKind, Contradiction> {
        let logical = match converted {
            0 => Logical::Text,
            4 => Logical::Enum,
            5 => Logical::Decimal { precision: self.precision.unwrap_or(0), scale: self.scale.unwrap_or(0) },
            6 => Logical::Date,
            7 => Logical::Time { unit: TimeUnit::Millis },
            8 => Logical::Time { unit: TimeUnit::Micros },
            9 => Logical::Timestamp { unit: TimeUnit::Millis, utc_adjusted: true },
            10 => Logical::Timestamp { unit: TimeUnit::Micros, utc_adjusted: true },
            11 => Logical::Integer { bits: 8, signed: false },
            12 => Logical::Integer { bits: 16, signed: false },
            13 => Logical::Integer { bits: 32, signed: false },
            14 => Logical::Integer { bits: 64, signed: false },
            15 => Logical::Integer { bits: 8, signed: true },
            16 => Logical::Integer { bits: 16, signed: true },
            17 => Logical::Integer { bits: 32, signed: true },
            18 => Logical::Integer { bits: 64, signed: true },
            19 => Logical::Json,
            20 => Logical::Bson,
            21 if physical == Physical::FixedLenByteArray && self.length_bytes == Some(12) => {
                return Ok(ColumnKind::Interval);
            }
            _ => return Err(Contradiction),
        };
        self.by_logical(physical, logical)
    }

    fn by_logical(&self, physical: Physical, logical: Logical) -> Result<ColumnKind, Contradiction> {
        use Physical::{ByteArray, FixedLenByteArray, Int32, Int64};
        Ok(match (logical, physical) {
            (Logical::Text, ByteArray) => ColumnKind::Text,
            (Logical::Enum, ByteArray) => ColumnKind::Enum,
            (Logical::Json, ByteArray) => ColumnKind::Json,
            (Logical::Bson, ByteArray) => ColumnKind::Bson,
            (Logical::Decimal { precision, scale }, _) => decimal(physical, precision, scale)?,
            (Logical::Date, Int32) => ColumnKind::Date,
            (Logical::Time { unit: unit @ TimeUnit::Millis }, Int32)
            | (Logical::Time { unit: unit @ (TimeUnit::Micros | TimeUnit::Nanos) }, Int64) => {
                ColumnKind::Time { unit }
            }
            (Logical::Timestamp { unit, utc_adjusted }, Int64) => {
                ColumnKind::Timestamp { unit, utc_adjusted }
            }
            (Logical::Integer { bits: bits @ (8 | 16 | 32), signed }, Int32)
            | (Logical::Integer { bits: bits @ 64, signed }, Int64) => {
                ColumnKind::Integer { bits: bits.unsigned_abs(), signed }
            }
            (Logical::Uuid, FixedLenByteArray) if self.length_bytes == Some(16) => ColumnKind::Uuid,
            (Logical::Float16, FixedLenByteArray) if self.length_bytes == Some(2) => ColumnKind::Float16,
            (Logical::Null, _) => ColumnKind::Null,
            (Logical::Other(annotation), _) => ColumnKind::Unknown { annotation },
            _ => return Err(Contradiction),
        })
    }
}

fn plain(physical: Physical) -> ColumnKind {
    match physical {
        Physical::Boolean => ColumnKind::Boolean,
        Physical::Int32 => ColumnKind::Integer { bits: 32, signed: true },
        Physical::Int64 => ColumnKind::Integer { bits: 64, signed: true },
        Physical::Int96 => ColumnKind::Int96,
        Physical::Float => ColumnKind::Float,
        Physical::Double => ColumnKind::Double,
        Physical::ByteArray | Physical::FixedLenByteArray => ColumnKind::Bytes,
    }
}

fn decimal(physical: Physical, precision: i32, scale: i32) -> Result<ColumnKind, Contradiction> {
    let storage = match physical {
        Physical::Int32 => DecimalStorage::Int32,
        Physical::Int64 => DecimalStorage::Int64,
        Physical::FixedLenByteArray => DecimalStorage::FixedBytes,
        Physical::ByteArray => DecimalStorage::Bytes,
        Physical::Boolean | Physical::Int96 | Physical::Float | Physical::Double => {
            return Err(Contradiction);
        }
    };
    let (Ok(precision), Ok(scale)) = (u32::try_from(precision), u32::try_from(scale)) else {
        return Err(Contradiction);
    };
    if precision == 0 || scale > precision {
        return Err(Contradiction);
    }
    Ok(ColumnKind::Decimal { precision, scale, storage })
}

/// Reads the `LogicalType` union of `parquet.thrift`: one field, whose id says which type it is.
fn read_logical(cursor: &mut Compact<'_>, field: Field) -> Result<Option<Logical>, Malformed> {
    Compact::structure(field)?;
    let mut logical = None;
    let mut last_id = 0;
    while let Some(member) = cursor.next_field(&mut last_id)? {
        logical = Some(match member.id {
            5 | 7 | 8 | 10 => read_parameters(cursor, member)?,
            id => {
                cursor.skip(member)?;
                bare_logical(id)
            }
        });
    }
    Ok(logical)
}

/// The logical types without parameters.
fn bare_logical(id: i16) -> Logical {
    match id {
        1 => Logical::Text,
        2 => Logical::Map,
        3 => Logical::List,
        4 => Logical::Enum,
        6 => Logical::Date,
        11 => Logical::Null,
        12 => Logical::Json,
        13 => Logical::Bson,
        14 => Logical::Uuid,
        15 => Logical::Float16,
        other => Logical::Other(other),
    }
}

/// The logical types with parameters: decimals, times, timestamps and integers.
fn read_parameters(cursor: &mut Compact<'_>, member: Field) -> Result<Logical, Malformed> {
    Compact::structure(member)?;
    let (mut scale, mut precision, mut bits) = (0, 0, 0);
    let (mut utc_adjusted, mut signed, mut unit) = (false, false, None);
    let mut last_id = 0;
    while let Some(field) = cursor.next_field(&mut last_id)? {
        match (member.id, field.id) {
            (5, 1) => scale = cursor.i32(field)?,
            (5, 2) => precision = cursor.i32(field)?,
            (7 | 8, 1) => utc_adjusted = Compact::boolean(field)?,
            (7 | 8, 2) => unit = read_unit(cursor, field)?,
            (10, 1) => bits = cursor.i8(field)?,
            (10, 2) => signed = Compact::boolean(field)?,
            _ => cursor.skip(field)?,
        }
    }
    Ok(match (member.id, unit) {
        (5, _) => Logical::Decimal { precision, scale },
        (7, Some(unit)) => Logical::Time { unit },
        (8, Some(unit)) => Logical::Timestamp { unit, utc_adjusted },
        (10, _) => Logical::Integer { bits, signed },
        (other, _) => Logical::Other(other),
    })
}

fn read_unit(cursor: &mut Compact<'_>, field: Field) -> Result<Option<TimeUnit>, Malformed> {
    Compact::structure(field)?;
    let mut unit = None;
    let mut last_id = 0;
    while let Some(member) = cursor.next_field(&mut last_id)? {
        cursor.skip(member)?;
        unit = match member.id {
            1 => Some(TimeUnit::Millis),
            2 => Some(TimeUnit::Micros),
            3 => Some(TimeUnit::Nanos),
            _ => None,
        };
    }
    Ok(unit)
}
