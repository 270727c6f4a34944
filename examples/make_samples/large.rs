//! One file of any size.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::files::casino_a::many_players;
use crate::files::dms::{RowGroup, Writer};

/// DMS's default RowGroupLength.
const ROWS_PER_GROUP: i64 = 10_000;

/// Writes row groups until the file has `bytes`.
pub(crate) fn write(path: &Path, bytes: u64) -> io::Result<()> {
    let smallest = many_players(ROWS_PER_GROUP.min((bytes / 256).max(1).cast_signed()));
    let group = RowGroup::encode(&smallest.columns, &smallest.rows);
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), smallest.columns)?;
    let mut written_bytes = 0;
    while written_bytes < bytes {
        writer.append(&group)?;
        written_bytes += group.size_bytes();
    }
    writer.finish()?.flush()
}
