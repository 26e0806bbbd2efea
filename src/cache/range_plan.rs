//! The order in which the ranges of an image are downloaded.

/// The ranges of an image, and which of them have been assigned to a download.
#[derive(Debug)]
pub(super) struct RangePlan {
    size_bytes: u64,
    range_bytes: u64,
    is_assigned: Vec<bool>,
}

/// A range of an image, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlannedRange {
    pub(super) offset: u64,
    pub(super) len: u64,
}

impl RangePlan {
    /// Divides an image into ranges of `range_bytes`; the last may be shorter.
    pub(super) fn new(size_bytes: u64, range_bytes: u64) -> Self {
        let ranges = size_bytes.div_ceil(range_bytes.max(1));
        Self {
            size_bytes,
            range_bytes,
            is_assigned: vec![false; usize::try_from(ranges).unwrap_or(usize::MAX)],
        }
    }

    /// Assigns the next range: the first one at a position that a reader waits for, otherwise the
    /// first unassigned one. Returns `None` when all are assigned.
    pub(super) fn next(&mut self, waiting_positions: &[u64]) -> Option<PlannedRange> {
        let index_of = |position: &u64| usize::try_from(position / self.range_bytes).ok();
        let is_left = |index: &usize| self.is_assigned.get(*index) == Some(&false);
        let wanted = waiting_positions.iter().filter_map(index_of).find(is_left);
        let index = match wanted {
            Some(index) => index,
            None => self.is_assigned.iter().position(|assigned| !assigned)?,
        };
        self.is_assigned[index] = true;
        let offset = index as u64 * self.range_bytes;
        Some(PlannedRange {
            offset,
            len: self.range_bytes.min(self.size_bytes - offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_is_assigned_once_and_awaited_ranges_first() {
        let mut plan = RangePlan::new(25, 10);
        let range = |offset, len| Some(PlannedRange { offset, len });
        assert_eq!(plan.next(&[3, 24]), range(0, 10));
        assert_eq!(plan.next(&[3, 24]), range(20, 5));
        assert_eq!(plan.next(&[3, 24]), range(10, 10));
        assert_eq!(plan.next(&[3]), None);
        assert_eq!(RangePlan::new(0, 10).next(&[]), None);
    }
}
