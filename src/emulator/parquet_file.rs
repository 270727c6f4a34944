//! A Parquet file on disk: opened, described, and read row group by row group with flat memory.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Schema, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;

use super::error::JobError;
use super::file_schema::{FileColumn, file_columns};
use super::schema::{Field, same_name};
use super::values::check_values;

/// Rows decoded at a time: enough to be quick, few enough that wide rows stay small in memory.
const BATCH_ROWS: usize = 1024;

/// An open file whose footer makes sense.
pub(crate) struct ParquetFile {
    file: File,
    metadata: ArrowReaderMetadata,
    columns: Vec<FileColumn>,
}

impl ParquetFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ParquetError> {
        let file = File::open(path)?;
        // The Arrow schema that some writers leave in the file says what they had in memory, not what is in the file.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&file, options.clone())?;
        let metadata = match int96_in_micros(&metadata) {
            Some(schema) => {
                ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options.with_schema(schema))?
            }
            None => metadata,
        };
        let columns = file_columns(metadata.parquet_schema().root_schema(), metadata.schema());
        Ok(Self { file, metadata, columns })
    }

    pub(crate) fn columns(&self) -> &[FileColumn] {
        &self.columns
    }

    /// The bytes of all columns before compression: what BigQuery would about count.
    pub(crate) fn uncompressed_bytes(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups.iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0)).sum()
    }

    /// Reads `limit` rows from `offset` on, of those top-level columns that `fields` names.
    pub(crate) fn rows(
        &self,
        fields: &[Field],
        offset: usize,
        limit: usize,
    ) -> Result<ParquetRecordBatchReader, ParquetError> {
        self.reader(fields)?.with_offset(offset).with_limit(limit).build()
    }

    fn reader(&self, fields: &[Field]) -> Result<ParquetRecordBatchReaderBuilder<File>, ParquetError> {
        let wanted = |column: &FileColumn| fields.iter().any(|field| same_name(&field.name, &column.name));
        let roots: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| wanted(column))
            .map(|(place, _)| place)
            .collect();
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.try_clone()?, self.metadata.clone());
        Ok(builder.with_projection(mask).with_batch_size(BATCH_ROWS))
    }

    /// Decodes every value that `loaded` names and checks it against its column. Gives the number of rows.
    pub(crate) fn check_all_rows(&self, loaded: &[Field]) -> Result<u64, JobError> {
        let mut rows = 0;
        for batch in self.reader(loaded).map_err(unreadable)?.build().map_err(unreadable)? {
            let batch = batch.map_err(unreadable)?;
            rows += batch.num_rows() as u64;
            for (array, arrow) in batch.columns().iter().zip(batch.schema_ref().fields()) {
                if let Some(field) = loaded.iter().find(|field| same_name(&field.name, arrow.name())) {
                    check_values(array, field).map_err(JobError::unreadable)?;
                }
            }
        }
        let announced = self.metadata.metadata().file_metadata().num_rows();
        if u64::try_from(announced) != Ok(rows) {
            let what = format!("the Parquet footer announces {announced} rows, but the file has {rows}.");
            return Err(JobError::unreadable(what));
        }
        Ok(rows)
    }
}

/// What a job says of a file that the Parquet library cannot read.
pub(crate) fn unreadable(source: impl std::fmt::Display) -> JobError {
    JobError::unreadable(format!("Input file is not in Parquet format, or is damaged: {source}"))
}

/// INT96 reaches far beyond what 64 bits of nanoseconds can say, so it is read as microseconds.
fn int96_in_micros(metadata: &ArrowReaderMetadata) -> Option<Arc<Schema>> {
    let root = metadata.parquet_schema().root_schema();
    let is_int96 = |place: usize| {
        root.get_fields()
            .get(place)
            .is_some_and(|it| it.is_primitive() && it.get_physical_type() == PhysicalType::INT96)
    };
    let fields = metadata.schema().fields();
    if !(0..fields.len()).any(is_int96) {
        return None;
    }
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let fields = fields.iter().enumerate().map(|(place, field)| match (is_int96(place), field.data_type()) {
        (true, DataType::Timestamp(..)) => {
            Arc::new(ArrowField::new(field.name(), micros.clone(), field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    Some(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}
