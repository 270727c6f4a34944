//! The date folders that DMS puts CDC files into.

use std::fmt;

use jiff::civil;

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

/// A part of a date folder.
#[derive(Clone, Copy)]
enum Part {
    Year,
    Month,
    Day,
    Hour,
}

impl Sequence {
    /// All sequences, the longest first.
    pub const ALL: [Self; 5] =
        [Self::Yyyymmddhh, Self::Yyyymmdd, Self::Ddmmyyyy, Self::Mmyyyydd, Self::Yyyymm];

    /// DMS's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yyyymmdd => "YYYYMMDD",
            Self::Yyyymmddhh => "YYYYMMDDHH",
            Self::Yyyymm => "YYYYMM",
            Self::Mmyyyydd => "MMYYYYDD",
            Self::Ddmmyyyy => "DDMMYYYY",
        }
    }

    fn parts(self) -> &'static [Part] {
        use Part::{Day, Hour, Month, Year};
        match self {
            Self::Yyyymmdd => &[Year, Month, Day],
            Self::Yyyymmddhh => &[Year, Month, Day, Hour],
            Self::Yyyymm => &[Year, Month],
            Self::Mmyyyydd => &[Month, Year, Day],
            Self::Ddmmyyyy => &[Day, Month, Year],
        }
    }
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

impl Delimiter {
    /// All delimiters.
    pub const ALL: [Self; 4] = [Self::Slash, Self::Dash, Self::Underscore, Self::None];

    /// DMS's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slash => "SLASH",
            Self::Dash => "DASH",
            Self::Underscore => "UNDERSCORE",
            Self::None => "NONE",
        }
    }

    /// What it writes.
    pub fn separator(self) -> &'static str {
        match self {
            Self::Slash => "/",
            Self::Dash => "-",
            Self::Underscore => "_",
            Self::None => "",
        }
    }
}

/// The shape of the date folders of one landing prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateFolders {
    /// The order of the parts.
    pub sequence: Sequence,
    /// What stands between them.
    pub delimiter: Delimiter,
}

impl fmt::Display for DateFolders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sequence.as_str(), self.delimiter.as_str())
    }
}

impl DateFolders {
    /// How many folders a date takes: one for each part with `SLASH`, else one.
    pub fn depth(self) -> usize {
        match self.delimiter {
            Delimiter::Slash => self.sequence.parts().len(),
            Delimiter::Dash | Delimiter::Underscore | Delimiter::None => 1,
        }
    }

    /// Whether `text` (`2022/12/01`) is a possible date in this shape, every part in its full width.
    pub fn matches(self, text: &str) -> bool {
        let (mut year, mut month, mut day, mut hour) = (1, 1, 1, 0);
        let mut rest = text;
        for (index, part) in self.sequence.parts().iter().enumerate() {
            if index > 0 {
                let Some(after) = rest.strip_prefix(self.delimiter.separator()) else { return false };
                rest = after;
            }
            let (value, width) = match part {
                Part::Year => (&mut year, 4),
                Part::Month => (&mut month, 2),
                Part::Day => (&mut day, 2),
                Part::Hour => (&mut hour, 2),
            };
            let Some((digits, after)) = rest.split_at_checked(width) else { return false };
            let Some(number) = number(digits) else { return false };
            (*value, rest) = (number, after);
        }
        rest.is_empty() && is_moment(year, month, day, hour)
    }
}

/// Reads a few digits, and nothing but digits: `parse` alone would admit a sign.
pub(super) fn number(digits: &str) -> Option<i16> {
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Whether there is such a day (there is no year 0) with such an hour.
fn is_moment(year: i16, month: i16, day: i16, hour: i16) -> bool {
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else { return false };
    year > 0 && civil::Date::new(year, month, day).is_ok() && hour < 24
}

#[cfg(test)]
mod tests {
    use super::{DateFolders, Delimiter, Sequence};

    /// The table of DMS's documentation: what 2026-09-14 08h looks like in each shape.
    const SHAPES: [(Sequence, [&str; 4]); 5] = [
        (Sequence::Yyyymmdd, ["2026/09/14", "2026-09-14", "2026_09_14", "20260914"]),
        (Sequence::Yyyymmddhh, ["2026/09/14/08", "2026-09-14-08", "2026_09_14_08", "2026091408"]),
        (Sequence::Yyyymm, ["2026/09", "2026-09", "2026_09", "202609"]),
        (Sequence::Mmyyyydd, ["09/2026/14", "09-2026-14", "09_2026_14", "09202614"]),
        (Sequence::Ddmmyyyy, ["14/09/2026", "14-09-2026", "14_09_2026", "14092026"]),
    ];

    #[test]
    fn each_shape_admits_its_own_spelling() {
        for (sequence, spellings) in SHAPES {
            for (delimiter, spelling) in Delimiter::ALL.into_iter().zip(spellings) {
                let folders = DateFolders { sequence, delimiter };
                assert!(folders.matches(spelling), "{folders} should admit {spelling}");
                assert_eq!(folders.depth(), spelling.split('/').count(), "{folders}");
            }
        }
    }

    #[test]
    fn each_shape_refuses_the_spelling_of_any_other() {
        for (sequence, _) in SHAPES {
            for delimiter in Delimiter::ALL {
                let folders = DateFolders { sequence, delimiter };
                for (other, spellings) in SHAPES {
                    for (its_delimiter, spelling) in Delimiter::ALL.into_iter().zip(spellings) {
                        let same = (other, its_delimiter) == (sequence, delimiter);
                        assert_eq!(folders.matches(spelling), same, "{folders} and {spelling}");
                    }
                }
            }
        }
    }

    #[test]
    fn impossible_and_shortened_dates_are_refused() {
        let slash = DateFolders { sequence: Sequence::Yyyymmddhh, delimiter: Delimiter::Slash };
        assert!(slash.matches("2024/02/29/23"));
        for text in [
            "2023/02/29/00",
            "2024/13/01/00",
            "2024/00/01/00",
            "2024/01/32/00",
            "2024/01/00/00",
            "2024/01/01/24",
            "0000/01/01/00",
            "2024/1/01/00",
            "2024/01/01/0",
            "2024/01/01/000",
            "+024/01/01/00",
            "2024/01/01/00/",
            "/2024/01/01/00",
            "2024-01-01-00",
            "٢٠٢٤/01/01/00",
            "",
        ] {
            assert!(!slash.matches(text), "{text}");
        }
    }
}
