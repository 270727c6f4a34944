//! Where an offset of the upload falls among its parts: arithmetic, so that going on from any byte is easy.

use crate::job::Part;

/// The ends of an upload's parts, counted from the start of the upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    ends: Vec<u64>,
}

/// A place in an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Which part.
    pub(super) part: usize,
    /// How far into it, in bytes.
    pub(super) within_bytes: u64,
    /// How much of the part follows from there, in bytes; never zero.
    pub(super) left_bytes: u64,
}

impl Layout {
    /// Measures the parts.
    pub(super) fn new(parts: &[Part]) -> Self {
        let mut end = 0_u64;
        let ends = parts.iter().map(|part| {
            end = end.saturating_add(part.length_bytes());
            end
        });
        Self { ends: ends.collect() }
    }

    /// The length of the whole upload in bytes.
    pub(super) fn total_bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Finds the part that holds the byte at `offset`; `None` at the end and beyond. Empty parts hold nothing.
    pub(super) fn locate(&self, offset: u64) -> Option<Place> {
        let part = self.ends.partition_point(|end| *end <= offset);
        let end = *self.ends.get(part)?;
        let start = part.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        Some(Place { part, within_bytes: offset - start, left_bytes: end - offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(lengths: &[usize]) -> Layout {
        let parts: Vec<Part> = lengths.iter().map(|n| Part::Bytes(vec![0; *n].into())).collect();
        Layout::new(&parts)
    }

    #[test]
    fn every_byte_is_in_exactly_the_part_that_holds_it() {
        let lengths = [3, 0, 0, 5, 1, 0];
        let layout = layout(&lengths);
        assert_eq!(layout.total_bytes(), 9);
        let mut offset = 0;
        for (part, length) in lengths.iter().enumerate() {
            for within in 0..*length as u64 {
                let left_bytes = *length as u64 - within;
                assert_eq!(layout.locate(offset), Some(Place { part, within_bytes: within, left_bytes }));
                offset += 1;
            }
        }
        assert_eq!(layout.locate(9), None, "the end is no byte");
        assert_eq!(layout.locate(u64::MAX), None);
    }

    #[test]
    fn an_upload_without_parts_is_empty() {
        assert_eq!(layout(&[]).total_bytes(), 0);
        assert_eq!(layout(&[]).locate(0), None);
    }
}
