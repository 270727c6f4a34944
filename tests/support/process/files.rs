//! The files that land: Parquet whose every row says which it is, and what stands in it follows from that.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sha2::{Digest, Sha256};

use super::dice::Dice;

/// Where all files land.
pub(crate) const BUCKET: &str = "acme-landing";
/// The project that they are loaded into.
pub(crate) const PROJECT: &str = "acme-dw";
/// Its dataset.
pub(crate) const DATASET: &str = "casino_a";
/// Where that is.
pub(crate) const LOCATION: &str = "asia-northeast3";

/// One table among the others that is not partitioned, so that it may change 5 times in 10 s only: jobs fail there.
pub(crate) const NARROW_TABLE: &str = "narrow";

/// The mapping of all files.
pub(crate) const MAPPING: &str = r#"{
  "source": { "bucket": "acme-landing", "bucket_folder": "dms/casino-a" },
  "destination": { "project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a" },
  "tables": [
    { "schema": "game", "table": "%" },
    { "schema": "game", "table": "narrow", "partition": null }
  ]
}"#;

/// A file, as far as it can be told from its number, table and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LandedFile {
    /// Which file; its rows carry it.
    pub(crate) number: u64,
    pub(crate) table: String,
    pub(crate) row_count: u64,
    /// How long the text in each row is.
    pub(crate) text_bytes: usize,
}

impl LandedFile {
    pub(crate) fn key(&self) -> String {
        format!("dms/casino-a/game/{}/LOAD{:08X}.parquet", self.table, self.number)
    }

    pub(crate) fn etag(&self) -> String {
        format!("{:032x}", self.number)
    }

    /// The ids of its jobs, without the attempt, as the design has them: spelt out here once more, since a checker that
    /// asks the program it checks learns nothing.
    pub(crate) fn job_stem(&self) -> String {
        let (key, etag, table) = (self.key(), self.etag(), &self.table);
        let identity = [BUCKET, &key, &etag, &format!("{PROJECT}.{DATASET}.{table}")].join("\0");
        let digits: String = Sha256::digest(identity).iter().take(8).map(|b| format!("{b:02x}")).collect();
        format!("LOAD{:08X}_game_{table}_{digits}", self.number)
    }

    /// What stands in a row. It never repeats, so bytes that went astray show.
    pub(crate) fn text(&self, row: u64) -> String {
        let mut dice = Dice::of((self.number << 32) ^ row);
        let mut text = String::with_capacity(self.text_bytes + 15);
        while text.len() < self.text_bytes {
            text.extend(dice.number().to_le_bytes().map(|byte| char::from(b' ' + byte % 64)));
        }
        text.truncate(self.text_bytes);
        text
    }

    /// The file itself.
    pub(crate) fn parquet(&self) -> Bytes {
        let rows = || 0..i64::try_from(self.row_count).expect("a small number");
        let number = i64::try_from(self.number).expect("a small number");
        let columns: [(&str, ArrayRef); 3] = [
            ("file", Arc::new(Int64Array::from_iter_values(rows().map(|_| number)))),
            ("row", Arc::new(Int64Array::from_iter_values(rows()))),
            ("text", Arc::new(StringArray::from_iter_values((0..self.row_count).map(|row| self.text(row))))),
        ];
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
        let plain = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(plain)).expect("a writer");
        writer.write(&batch).expect("a vector takes all");
        writer.close().expect("a vector takes all");
        bytes.into()
    }
}
