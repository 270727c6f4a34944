//! The date folders that DMS puts CDC files into.

/// The order of the parts of a date folder (`DatePartitionSequence` of the DMS endpoint).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence {
    /// `YYYYMMDD`, DMS's default.
    Yyyymmdd,
    /// `YYYYMMDDHH`.
    Yyyymmddhh,
    /// `YYYYMM`.
    Yyyymm,
    /// `MMYYYYDD`: month, year, day. Odd, and real.
    Mmyyyydd,
    /// `DDMMYYYY`.
    Ddmmyyyy,
}

/// What stands between the parts of a date folder (`DatePartitionDelimiter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delimiter {
    /// `SLASH`, DMS's default: several folders.
    Slash,
    /// `DASH`: one folder, `2026-09-14`.
    Dash,
    /// `UNDERSCORE`: one folder, `2026_09_14`.
    Underscore,
    /// `NONE`: one folder, `20260914`.
    None,
}

/// The shape of the date folders of one landing prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateFolders {
    /// The order of the parts.
    pub sequence: Sequence,
    /// What stands between them.
    pub delimiter: Delimiter,
}
