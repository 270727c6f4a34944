//! What a Parquet file's columns are, and what BigQuery makes of them.
//!
//! The documented part is the conversion table of
//! <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_schemas>; it ends with
//! "other combinations of Parquet types and converted types are not supported". Where BigQuery is known to
//! do something else, the issue that shows it stands beside the line. This table is the embedded BigQuery's
//! own, on purpose: it must not share a mistake with the code that plans the loads.

use arrow::datatypes::{DataType, Field as ArrowField, TimeUnit};
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::schema::types::Type as ParquetType;

use super::error::JobError;
use super::load::DecimalTarget;
use super::schema::{Field, Kind, Mode};

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileColumn {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) kind: FileKind,
}

/// A column's type, as far as BigQuery tells types of a file apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileKind {
    Boolean,
    /// Every signed and unsigned width; what is beyond INT64 fails when its value is read.
    Integer,
    Float,
    Date,
    Time,
    /// Milliseconds or microseconds, adjusted to UTC or not (the conversion table ignores the flag), or INT96.
    Timestamp,
    /// A TIME or TIMESTAMP in nanoseconds, which BigQuery does not know.
    Nanoseconds,
    Decimal {
        precision: u8,
        scale: i8,
    },
    String,
    Bytes,
    Enum,
    Record(Vec<FileColumn>),
    /// A LIST-annotated group: its inner group's name, and the element.
    List {
        group: String,
        element: Box<FileColumn>,
    },
    /// A MAP-annotated group: its inner group's name, and key and value.
    Map {
        group: String,
        entry: Vec<FileColumn>,
    },
    Unsupported(String),
}

/// Reads the columns of a file from its Parquet schema and the Arrow schema that the reader gives it.
pub(crate) fn file_columns(root: &ParquetType, arrow: &arrow::datatypes::Schema) -> Vec<FileColumn> {
    root.get_fields().iter().zip(arrow.fields()).map(|(parquet, field)| column(parquet, field)).collect()
}

fn column(parquet: &ParquetType, arrow: &ArrowField) -> FileColumn {
    let name = parquet.name().to_owned();
    let repetition = parquet.get_basic_info().has_repetition().then(|| parquet.get_basic_info().repetition());
    match (repetition, arrow.data_type()) {
        (Some(Repetition::REPEATED), DataType::List(item)) => {
            FileColumn { name, mode: Mode::Repeated, kind: kind(parquet, item) }
        }
        (Some(Repetition::REQUIRED), _) => {
            FileColumn { name, mode: Mode::Required, kind: kind(parquet, arrow) }
        }
        _ => FileColumn { name, mode: Mode::Nullable, kind: kind(parquet, arrow) },
    }
}

fn kind(parquet: &ParquetType, arrow: &ArrowField) -> FileKind {
    match arrow.data_type() {
        DataType::Struct(children) => {
            let columns = parquet.get_fields().iter().zip(children);
            FileKind::Record(columns.map(|(parquet, arrow)| column(parquet, arrow)).collect())
        }
        DataType::List(item) => list(parquet, item),
        DataType::Map(entry, _) => map(parquet, entry),
        leaf => leaf_kind(parquet, leaf),
    }
}

/// A list has three levels (`x` / `list` / `element`), or two in older files, where the repeated node is the element.
fn list(parquet: &ParquetType, item: &ArrowField) -> FileKind {
    let Some(repeated) = parquet.get_fields().first() else {
        return FileKind::Unsupported("a LIST without content".to_owned());
    };
    let inner = if repeated.is_group() { repeated.get_fields() } else { &[] };
    let element = match inner {
        [only] if only.name() == item.name() => column(only, item),
        _ => FileColumn { name: item.name().clone(), mode: Mode::Required, kind: kind(repeated, item) },
    };
    FileKind::List { group: repeated.name().to_owned(), element: Box::new(element) }
}

fn map(parquet: &ParquetType, entry: &ArrowField) -> FileKind {
    match (parquet.get_fields().first(), entry.data_type()) {
        (Some(group), DataType::Struct(children)) if group.is_group() => FileKind::Map {
            group: group.name().to_owned(),
            entry: group
                .get_fields()
                .iter()
                .zip(children)
                .map(|(parquet, arrow)| column(parquet, arrow))
                .collect(),
        },
        _ => FileKind::Unsupported("a MAP without key and value".to_owned()),
    }
}

fn leaf_kind(parquet: &ParquetType, arrow: &DataType) -> FileKind {
    let physical = if parquet.is_primitive() { Some(parquet.get_physical_type()) } else { None };
    match arrow {
        DataType::Boolean => FileKind::Boolean,
        // A column of pyarrow's type `null` is an INT32 that holds nothing, and lands as INTEGER
        // (debussy-labs/debussy_concert#20, broadinstitute/depmap_omics#152).
        DataType::Null => FileKind::Integer,
        integer if integer.is_integer() => FileKind::Integer,
        DataType::Float32 | DataType::Float64 => FileKind::Float,
        DataType::Date32 => FileKind::Date,
        DataType::Time32(TimeUnit::Millisecond) | DataType::Time64(TimeUnit::Microsecond) => FileKind::Time,
        DataType::Timestamp(TimeUnit::Millisecond | TimeUnit::Microsecond, _) => FileKind::Timestamp,
        DataType::Timestamp(TimeUnit::Nanosecond, _) if physical == Some(PhysicalType::INT96) => {
            FileKind::Timestamp
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) | DataType::Time64(TimeUnit::Nanosecond) => {
            FileKind::Nanoseconds
        }
        // The table names DECIMAL on INT32, INT64 and FIXED_LEN_BYTE_ARRAY only.
        DataType::Decimal128(..) | DataType::Decimal256(..) if physical == Some(PhysicalType::BYTE_ARRAY) => {
            FileKind::Unsupported("DECIMAL on BYTE_ARRAY".to_owned())
        }
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            FileKind::Decimal { precision: *precision, scale: *scale }
        }
        DataType::Utf8 => FileKind::String,
        DataType::Binary if is_enum(parquet) => FileKind::Enum,
        DataType::Binary | DataType::FixedSizeBinary(_) => FileKind::Bytes,
        other => FileKind::Unsupported(other.to_string()),
    }
}

fn is_enum(parquet: &ParquetType) -> bool {
    let info = parquet.get_basic_info();
    info.logical_type_ref() == Some(&LogicalType::Enum) || info.converted_type() == ConvertedType::ENUM
}

/// How a load job wants types to be inferred.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inference<'a> {
    pub(crate) enum_as_string: bool,
    pub(crate) list_inference: bool,
    /// From narrow to wide, never empty.
    pub(crate) decimal_targets: &'a [DecimalTarget],
}

impl Inference<'_> {
    /// The column that BigQuery makes of a file's column when no schema says otherwise.
    pub(crate) fn infer(self, column: &FileColumn) -> Result<Field, JobError> {
        let FileColumn { name, mode, kind } = column;
        let leaf = |kind| Ok(Field::new(name, kind, *mode));
        match kind {
            FileKind::Boolean => leaf(Kind::Boolean),
            FileKind::Integer => leaf(Kind::Integer),
            FileKind::Float => leaf(Kind::Float),
            FileKind::Date => leaf(Kind::Date),
            FileKind::Timestamp => leaf(Kind::Timestamp),
            // Undocumented; seen as INTEGER in googleapis/google-cloud-python#9206.
            FileKind::Nanoseconds => leaf(Kind::Integer),
            FileKind::Decimal { precision, scale } => leaf(self.decimal(*precision, *scale)),
            FileKind::String => leaf(Kind::String),
            FileKind::Bytes => leaf(Kind::Bytes),
            FileKind::Enum => leaf(if self.enum_as_string { Kind::String } else { Kind::Bytes }),
            FileKind::Record(columns) => Ok(Field::record(name, *mode, self.infer_all(columns)?)),
            FileKind::List { element, .. } if self.list_inference => self.repeated(name, element),
            FileKind::List { group, element } => {
                let inner = Field::record(group, Mode::Repeated, vec![self.infer(element)?]);
                Ok(Field::record(name, *mode, vec![inner]))
            }
            FileKind::Map { group, entry } => {
                let inner = Field::record(group, Mode::Repeated, self.infer_all(entry)?);
                Ok(Field::record(name, *mode, vec![inner]))
            }
            // TIME is not in the conversion table; with an explicit schema it loads (googleapis/python-bigquery#985).
            FileKind::Time => Err(JobError::unreadable(format!(
                "Parquet column '{name}' is a TIME, which loads only with an explicit schema."
            ))),
            FileKind::Unsupported(what) => {
                Err(JobError::unreadable(format!("Parquet column '{name}' has an unsupported type: {what}.")))
            }
        }
    }

    pub(crate) fn infer_all(self, columns: &[FileColumn]) -> Result<Vec<Field>, JobError> {
        columns.iter().map(|column| self.infer(column)).collect()
    }

    fn repeated(self, name: &str, element: &FileColumn) -> Result<Field, JobError> {
        let inferred = self.infer(element)?;
        if inferred.mode == Mode::Repeated {
            return Err(JobError::unreadable(format!(
                "Parquet column '{name}' is a list of lists, which is not supported."
            )));
        }
        Ok(Field { name: name.to_owned(), mode: Mode::Repeated, ..inferred })
    }

    /// The first target that holds every value of this precision and scale; else the widest one, whose
    /// range each value must then fit in (the docs of `decimalTargetTypes`).
    fn decimal(self, precision: u8, scale: i8) -> Kind {
        let digits_before = i16::from(precision) - i16::from(scale);
        let fits = |target: &&DecimalTarget| match target {
            DecimalTarget::Numeric => digits_before <= 29 && scale <= 9,
            DecimalTarget::BigNumeric => digits_before <= 38 && scale <= 38,
            DecimalTarget::String => true,
        };
        match self.decimal_targets.iter().find(fits).or(self.decimal_targets.last()) {
            Some(DecimalTarget::Numeric) | None => Kind::Numeric,
            Some(DecimalTarget::BigNumeric) => Kind::BigNumeric,
            Some(DecimalTarget::String) => Kind::String,
        }
    }
}

/// Whether BigQuery can read a file's leaf into a type that an explicit schema asks for.
///
/// DATETIME from a timestamp: googleapis/python-bigquery#985 and that project's system tests. Text and
/// bytes for each other: the error of broadinstitute/depmap_omics#152 ("has type BYTE_ARRAY which does not
/// match the target cpp_type INT64") shows that the physical type decides, and both are byte arrays there.
/// Everything that no source shows, such as integers into NUMERIC, is refused.
pub(crate) fn readable_as(file: &FileKind, wanted: Kind) -> bool {
    match file {
        FileKind::Boolean => wanted == Kind::Boolean,
        FileKind::Integer | FileKind::Nanoseconds => wanted == Kind::Integer,
        FileKind::Float => wanted == Kind::Float,
        FileKind::Date => wanted == Kind::Date,
        FileKind::Time => wanted == Kind::Time,
        FileKind::Timestamp => matches!(wanted, Kind::Timestamp | Kind::DateTime),
        FileKind::Decimal { .. } => matches!(wanted, Kind::Numeric | Kind::BigNumeric | Kind::String),
        FileKind::String | FileKind::Bytes | FileKind::Enum => matches!(wanted, Kind::String | Kind::Bytes),
        FileKind::Record(_) | FileKind::List { .. } | FileKind::Map { .. } => wanted == Kind::Record,
        FileKind::Unsupported(_) => false,
    }
}

impl FileKind {
    /// What an error calls this type.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::Integer => "INTEGER".to_owned(),
            Self::Float => "DOUBLE".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Time => "TIME".to_owned(),
            Self::Timestamp => "TIMESTAMP".to_owned(),
            Self::Nanoseconds => "NANOSECONDS".to_owned(),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision}, {scale})"),
            Self::String => "STRING".to_owned(),
            Self::Bytes => "BYTE_ARRAY".to_owned(),
            Self::Enum => "ENUM".to_owned(),
            Self::Record(_) => "GROUP".to_owned(),
            Self::List { .. } => "LIST".to_owned(),
            Self::Map { .. } => "MAP".to_owned(),
            Self::Unsupported(what) => what.clone(),
        }
    }
}
