//! Rows and columns, before they are a file.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    /// Any integer, decimal (unscaled), date (days) or timestamp (in the column's unit).
    Int(i128),
    Real(f64),
    Bytes(Vec<u8>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(i128::from(value))
    }
}

impl From<i128> for Cell {
    fn from(value: i128) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&[u8]> for Cell {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

/// The types that DMS writes: a physical type and, for most, an old converted type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    Int8,
    Int16,
    /// DMS gives 32 and 64 bits no annotation.
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float,
    Double,
    /// Precision and scale.
    Decimal(i32, i32),
    Date,
    TimestampMillis,
    TimestampMicros,
    Text,
    Bytes,
}

impl Type {
    /// The number of the physical type in `parquet.thrift`.
    pub(crate) fn physical(self) -> i32 {
        match self {
            Self::Boolean => 0,
            Self::Int8
            | Self::Int16
            | Self::Int32
            | Self::UInt8
            | Self::UInt16
            | Self::UInt32
            | Self::Date => 1,
            Self::Int64 | Self::UInt64 | Self::TimestampMillis | Self::TimestampMicros => 2,
            Self::Float => 4,
            Self::Double => 5,
            Self::Text | Self::Bytes => 6,
            Self::Decimal(..) => 7,
        }
    }

    /// The number of the converted type in `parquet.thrift`.
    pub(crate) fn converted(self) -> Option<i32> {
        match self {
            Self::Text => Some(0),
            Self::Decimal(..) => Some(5),
            Self::Date => Some(6),
            Self::TimestampMillis => Some(9),
            Self::TimestampMicros => Some(10),
            Self::UInt8 => Some(11),
            Self::UInt16 => Some(12),
            Self::UInt32 => Some(13),
            Self::UInt64 => Some(14),
            Self::Int8 => Some(15),
            Self::Int16 => Some(16),
            Self::Boolean | Self::Int32 | Self::Int64 | Self::Float | Self::Double | Self::Bytes => None,
        }
    }

    /// The bytes that a decimal takes: as few as its precision needs, as DMS has it.
    pub(crate) fn decimal_bytes(self) -> Option<usize> {
        let Self::Decimal(precision, _) = self else { return None };
        let largest = 10_i128.pow(precision.unsigned_abs());
        (1..=16).find(|bytes| *bytes == 16 || 1_i128 << (8 * bytes - 1) > largest)
    }

    /// A value as `PLAIN` encodes it. Booleans are packed by their column.
    pub(crate) fn plain(self, cell: &Cell) -> Vec<u8> {
        match (cell, self.physical()) {
            (Cell::Int(value), 1) => (*value as i32).to_le_bytes().to_vec(),
            (Cell::Int(value), 2) => (*value as i64).to_le_bytes().to_vec(),
            (Cell::Int(value), 7) => {
                let bytes = self.decimal_bytes().unwrap_or(16);
                value.to_be_bytes()[16 - bytes..].to_vec()
            }
            (Cell::Real(value), 4) => (*value as f32).to_le_bytes().to_vec(),
            (Cell::Real(value), 5) => value.to_le_bytes().to_vec(),
            (Cell::Bytes(value), 6) => [&(value.len() as u32).to_le_bytes(), value.as_slice()].concat(),
            (cell, _) => panic!("a {self:?} column cannot hold {cell:?}"),
        }
    }
}

/// A column's name, type and whether it is REQUIRED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) required: bool,
}

/// A column that may be null.
pub(crate) fn column(name: &str, kind: Type) -> Column {
    Column { name: name.to_owned(), kind, required: false }
}

/// DMS's own timestamp column, which is text and REQUIRED.
pub(crate) fn dms_timestamp(name: &str) -> Column {
    Column { name: name.to_owned(), kind: Type::Text, required: true }
}

/// Columns, and rows of as many cells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}
