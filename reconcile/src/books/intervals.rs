//! Sets of numbers that come mostly in sequence.

use std::collections::BTreeMap;

/// A set of numbers kept as the ranges that it is made of.
///
/// Batches of an attempt are numbered from 0 and checkpoints one after another, so however long a
/// job runs such a set stays a handful of ranges: the ledger's duplicates are found in memory that
/// does not grow with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals {
    /// First number of each range to its last; ranges neither overlap nor touch.
    ranges: BTreeMap<u64, u64>,
}

impl Intervals {
    /// Adds a number; false if it was there already.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let before = self
            .ranges
            .range(..=number)
            .next_back()
            .map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let joins_before = before.filter(|(_, last)| number.checked_sub(1) == Some(*last));
        let first = joins_before.map_or(number, |(first, _)| first);
        let joins_after = number
            .checked_add(1)
            .and_then(|next| self.ranges.remove(&next));
        self.ranges.insert(first, joins_after.unwrap_or(number));
        true
    }

    /// Whether the number is in the set.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.ranges
            .range(..=number)
            .next_back()
            .is_some_and(|(_, last)| number <= *last)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(numbers: impl IntoIterator<Item = u64>) -> Intervals {
        let mut set = Intervals::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }

    #[test]
    fn numbers_in_sequence_are_one_range_in_whatever_order_they_come() {
        assert_eq!(of([3, 1, 0, 2, 4]), of(0..5));
        assert_eq!(of([3, 1, 0, 2, 4]).ranges.len(), 1);
        assert_eq!(of([u64::MAX, 0, u64::MAX - 1]).ranges.len(), 2);
    }

    proptest! {
        #[test]
        fn it_is_a_set(numbers in prop::collection::vec(0_u64..40, 0..60)) {
            let (mut set, mut expected) = (Intervals::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(set.insert(number), expected.insert(number));
            }
            for number in 0..42 {
                prop_assert_eq!(set.contains(number), expected.contains(&number));
            }
        }
    }
}
