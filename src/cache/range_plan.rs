//! Which range of an image is asked for next.

/// The ranges of an image, and which were given out.
#[derive(Debug)]
pub(super) struct RangePlan {
    size_bytes: u64,
    piece_bytes: u64,
    given_out: Vec<bool>,
}

/// A range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedRange {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl RangePlan {
    /// An image in ranges of this length; the last may be shorter. None was given out.
    pub(super) fn new(size_bytes: u64, piece_bytes: u64) -> Self {
        let pieces = size_bytes.div_ceil(piece_bytes.max(1));
        Self {
            size_bytes,
            piece_bytes,
            given_out: vec![false; usize::try_from(pieces).unwrap_or(usize::MAX)],
        }
    }

    /// The range that is wanted most: the first that somebody waits for, else the first.
    pub(super) fn next(&mut self, waited_for: &[u64]) -> Option<PlannedRange> {
        let index_of = |position: &u64| usize::try_from(position / self.piece_bytes).ok();
        let is_left = |index: &usize| self.given_out.get(*index) == Some(&false);
        let wanted = waited_for.iter().filter_map(index_of).find(is_left);
        let index = match wanted {
            Some(index) => index,
            None => self.given_out.iter().position(|given| !given)?,
        };
        self.given_out[index] = true;
        let offset = index as u64 * self.piece_bytes;
        Some(PlannedRange {
            offset,
            len: self.piece_bytes.min(self.size_bytes - offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_once_and_what_is_waited_for_first() {
        let mut plan = RangePlan::new(25, 10);
        let piece = |offset, len| Some(PlannedRange { offset, len });
        assert_eq!(plan.next(&[3, 24]), piece(0, 10));
        assert_eq!(plan.next(&[3, 24]), piece(20, 5));
        assert_eq!(plan.next(&[3, 24]), piece(10, 10));
        assert_eq!(plan.next(&[3]), None);
        assert_eq!(RangePlan::new(0, 10).next(&[]), None);
    }
}
