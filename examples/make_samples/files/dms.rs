//! Writes Parquet as AWS DMS does, to the byte.
//!
//! Modelled on the one public file of DMS's own (the test data of segmentio/parquet-go, `dms_test_table_LOAD00000001.parquet`):
//! written again from its rows by this module, it comes out the same, byte for byte. No library writes such files any
//! more: format version 2 with pages of version 1, converted types without logical ones, statistics in page headers and twice
//! in the footer but none for decimals, a copy of each column's metadata behind its pages, `index_page_offset` 0.

#![allow(clippy::expect_used, reason = "writing to a vector does not fail")]

use std::io::{self, Write};

use super::table::{Cell, Column, Table, Type};
use super::thrift::{Struct, varint};

const MAGIC: &[u8; 4] = b"PAR1";
const PLAIN: i32 = 0;
const RLE: i32 = 3;

/// A file of one row group.
pub(crate) fn file(table: &Table) -> Vec<u8> {
    file_of_groups(&table.columns, &[&table.rows])
}

/// A file of several row groups.
pub(crate) fn file_of_groups(columns: &[Column], groups: &[&[Vec<Cell>]]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), columns.to_vec()).expect("a vector takes all");
    for rows in groups {
        writer.append(&RowGroup::encode(columns, rows)).expect("a vector takes all");
    }
    writer.finish().expect("a vector takes all")
}

/// A row group, encoded, that can be appended any number of times.
pub(crate) struct RowGroup {
    chunks: Vec<Chunk>,
    row_count: i64,
}

struct Chunk {
    page: Vec<u8>,
    statistics: Statistics,
}

impl RowGroup {
    /// Encodes rows: one page for each column, `PLAIN`, uncompressed.
    pub(crate) fn encode(columns: &[Column], rows: &[Vec<Cell>]) -> Self {
        let chunk = |(index, column): (usize, &Column)| {
            let cells: Vec<&Cell> = rows.iter().map(|row| &row[index]).collect();
            Chunk::encode(column, &cells)
        };
        Self { chunks: columns.iter().enumerate().map(chunk).collect(), row_count: rows.len() as i64 }
    }
}

impl RowGroup {
    /// How many bytes its pages take.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.page.len() as u64).sum()
    }
}

impl Chunk {
    fn encode(column: &Column, cells: &[&Cell]) -> Self {
        let statistics = Statistics::of(column.kind, cells);
        let mut body = if column.required { Vec::new() } else { definition_levels(cells) };
        let present = cells.iter().copied().filter(|cell| **cell != Cell::Null);
        match column.kind {
            Type::Boolean => body.extend(packed(present)),
            kind => body.extend(present.flat_map(|cell| kind.plain(cell))),
        }
        let header =
            Struct::default().i32(1, 0).i32(2, body.len() as i32).i32(3, body.len() as i32).structure(
                5,
                Struct::default()
                    .i32(1, cells.len() as i32)
                    .i32(2, PLAIN)
                    .i32(3, RLE)
                    .i32(4, RLE)
                    .structure(5, statistics.in_page()),
            );
        Self { page: [header.end(), body].concat(), statistics }
    }
}

/// Which cells are not null, as runs: their length in bytes, then for each its length twice and its value.
fn definition_levels(cells: &[&Cell]) -> Vec<u8> {
    let mut runs = Vec::new();
    for run in cells.chunk_by(|a, b| (**a == Cell::Null) == (**b == Cell::Null)) {
        runs.extend(varint(run.len() as u64 * 2));
        runs.push(u8::from(*run[0] != Cell::Null));
    }
    [(runs.len() as u32).to_le_bytes().to_vec(), runs].concat()
}

fn packed<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<u8> {
    let bits: Vec<bool> = cells.map(|cell| *cell == Cell::Bool(true)).collect();
    bits.chunks(8)
        .map(|bits| bits.iter().enumerate().fold(0, |byte, (index, bit)| byte | u8::from(*bit) << index))
        .collect()
}

/// What DMS says of a column's values.
struct Statistics {
    kind: Type,
    null_count: i64,
    /// The smallest and the largest value, as bytes.
    bounds: Option<(Vec<u8>, Vec<u8>)>,
}

impl Statistics {
    fn of(kind: Type, cells: &[&Cell]) -> Self {
        let null_count = cells.iter().filter(|cell| ***cell == Cell::Null).count() as i64;
        let present = || cells.iter().copied().filter(|cell| **cell != Cell::Null);
        let smallest = present().min_by(|a, b| order(a, b));
        let largest = present().max_by(|a, b| order(a, b));
        let bounds = smallest.zip(largest).map(|(low, high)| (bound(kind, low), bound(kind, high)));
        Self { kind, null_count, bounds }
    }

    fn is_kept(&self) -> bool {
        !matches!(self.kind, Type::Decimal(..))
    }

    fn in_page(&self) -> Struct {
        match &self.bounds {
            _ if !self.is_kept() => Struct::default(),
            Some((low, high)) => Struct::default().binary(1, high).binary(2, low).i64(3, self.null_count),
            None => Struct::default().i64(3, self.null_count),
        }
    }

    /// The old bounds (1 and 2) are only for types that compare as signed numbers.
    fn in_footer(&self) -> Option<Struct> {
        let is_signed = !matches!(
            self.kind,
            Type::Text | Type::Bytes | Type::UInt8 | Type::UInt16 | Type::UInt32 | Type::UInt64
        );
        self.is_kept().then(|| match &self.bounds {
            Some((low, high)) => {
                let old = match is_signed {
                    true => Struct::default().binary(1, high).binary(2, low),
                    false => Struct::default(),
                };
                old.i64(3, self.null_count).binary(5, high).binary(6, low)
            }
            None => Struct::default().i64(3, self.null_count),
        })
    }
}

fn order(a: &Cell, b: &Cell) -> std::cmp::Ordering {
    match (a, b) {
        (Cell::Int(a), Cell::Int(b)) => a.cmp(b),
        (Cell::Real(a), Cell::Real(b)) => a.total_cmp(b),
        (Cell::Bytes(a), Cell::Bytes(b)) => a.cmp(b),
        (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
        _ => std::cmp::Ordering::Equal,
    }
}

fn bound(kind: Type, cell: &Cell) -> Vec<u8> {
    match cell {
        Cell::Bytes(bytes) => bytes.clone(),
        Cell::Bool(value) => vec![u8::from(*value)],
        cell => kind.plain(cell),
    }
}

/// What the footer is to say of a row group; its chunks as encoded `ColumnChunk`s.
struct Written {
    chunks: Vec<Vec<u8>>,
    byte_size: i64,
    row_count: i64,
}

/// A file that is being written.
pub(crate) struct Writer<W: Write> {
    out: W,
    at: i64,
    columns: Vec<Column>,
    groups: Vec<Written>,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(mut out: W, columns: Vec<Column>) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        Ok(Self { out, at: MAGIC.len() as i64, columns, groups: Vec::new() })
    }

    pub(crate) fn append(&mut self, group: &RowGroup) -> io::Result<()> {
        let mut chunks = Vec::new();
        let mut byte_size = 0;
        for (index, chunk) in group.chunks.iter().enumerate() {
            let entry = self.chunk_entry(index, chunk, group.row_count).end();
            self.write(&chunk.page)?;
            self.write(&entry)?;
            chunks.push(entry);
            byte_size += chunk.page.len() as i64;
        }
        self.groups.push(Written { chunks, byte_size, row_count: group.row_count });
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        let footer = self.footer();
        self.write(&footer)?;
        self.write(&(footer.len() as u32).to_le_bytes())?;
        self.write(MAGIC)?;
        Ok(self.out)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as i64;
        self.out.write_all(bytes)
    }

    /// `ColumnChunk`, for a chunk that is about to be written.
    fn chunk_entry(&self, index: usize, chunk: &Chunk, row_count: i64) -> Struct {
        let column = &self.columns[index];
        let size = chunk.page.len() as i64;
        let metadata = Struct::default()
            .i32(1, column.kind.physical())
            .i32s(2, &[PLAIN, RLE])
            .binaries(3, &[column.name.as_bytes()])
            .i32(4, 0)
            .i64(5, row_count)
            .i64(6, size)
            .i64(7, size)
            .i64(9, self.at)
            .i64(10, 0);
        let metadata = match chunk.statistics.in_footer() {
            Some(statistics) => metadata.structure(12, statistics),
            None => metadata,
        };
        Struct::default().i64(2, self.at + size).structure(3, metadata)
    }

    fn footer(&self) -> Vec<u8> {
        let root = Struct::default().i32(3, 0).binary(4, b"schema").i32(5, self.columns.len() as i32);
        let groups = self.groups.iter().map(|group| {
            Struct::default()
                .encoded_structs(1, &group.chunks)
                .i64(2, group.byte_size)
                .i64(3, group.row_count)
        });
        let orders = self.columns.iter().map(|_| Struct::default().structure(1, Struct::default()));
        Struct::default()
            .i32(1, 2)
            .structs(2, std::iter::once(root).chain(self.columns.iter().map(element)))
            .i64(3, self.groups.iter().map(|group| group.row_count).sum())
            .structs(4, groups)
            .binary(6, b"AWS")
            .structs(7, orders)
            .end()
    }
}

/// `SchemaElement`: no logical type, no field id.
fn element(column: &Column) -> Struct {
    let mut element = Struct::default().i32(1, column.kind.physical());
    if let Some(bytes) = column.kind.decimal_bytes() {
        element = element.i32(2, bytes as i32);
    }
    element = element.i32(3, i32::from(!column.required)).binary(4, column.name.as_bytes());
    if let Some(converted) = column.kind.converted() {
        element = element.i32(6, converted);
    }
    match column.kind {
        Type::Decimal(precision, scale) => element.i32(7, scale).i32(8, precision),
        _ => element,
    }
}
