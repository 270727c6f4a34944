//! Made-up values that are the same on every machine.

use super::table::Cell;

/// SplitMix64, seeded by a word.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: &str) -> Self {
        Self(seed.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte))))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound).cast_signed()
    }

    pub(crate) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// The value, or nothing once in `times`.
    pub(crate) fn or_null(&mut self, times: u64, value: impl Into<Cell>) -> Cell {
        if self.below(times) == 0 { Cell::Null } else { value.into() }
    }

    /// Eight, four, four, four and twelve hexadecimal digits.
    pub(crate) fn uuid(&mut self) -> String {
        let digits: String = self.bytes(16).iter().map(|byte| format!("{byte:02x}")).collect();
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    }
}

/// Midnight of 1 December 2022 in days and seconds since 1970.
pub(crate) const DAY: i64 = 19_327;
pub(crate) const MIDNIGHT: i64 = DAY * 86_400;

/// DMS's timestamp column: text without a zone, `second` seconds into that day.
pub(crate) fn stamp(second: i64, micros: i64) -> Cell {
    let (day, second) = (1 + second / 86_400, second % 86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    Cell::from(format!("2022-12-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"))
}
