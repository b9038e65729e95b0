//! Workloads: what is computed from records, in both lanes.

pub(crate) mod key;
mod wordcount;

pub use key::Key;
pub use wordcount::Wordcount;

/// How two values of a measure become one. All of them are commutative and associative, so the
/// share of records that took the cloud lane never shows in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Merge {
    /// Their sum; wraps on overflow, as Java's `long` does.
    Sum,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
}

impl Merge {
    /// Merges two values.
    #[inline]
    pub fn merge(self, a: i64, b: i64) -> i64 {
        match self {
            Self::Sum => a.wrapping_add(b),
            Self::Min => a.min(b),
            Self::Max => a.max(b),
        }
    }
}

/// One number that a workload computes per window and key; a column of partials and result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Measure {
    /// The name of its column.
    pub name: &'static str,
    /// How values of it merge.
    pub merge: Merge,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It gave these rows: none, one or many.
    Rows,
    /// It does not have the shape that the workload expects, and gave no row.
    Malformed,
}

/// One computation: maps a record to rows of key and measures.
///
/// The aggregation is compiled anew for each implementation, so that the calls per record and per
/// row are direct ones.
pub trait Workload {
    /// Its name on the wire.
    const NAME: &'static str;
    /// Its measures, in the order of their columns; at least one.
    const MEASURES: &'static [Measure];

    /// Calls `emit` with the key and the measures of each row that the record gives. A record
    /// that turns out [`Malformed`](Outcome::Malformed) must not have emitted any.
    fn process(&mut self, record: &[u8], emit: impl FnMut(Key<'_>, &[i64])) -> Outcome;
}

/// The workloads that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkloadKind {
    /// [`Wordcount`].
    Wordcount,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Wordcount];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wordcount => Wordcount::NAME,
        }
    }

    /// Its measures, in the order of their columns.
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Wordcount => Wordcount::MEASURES,
        }
    }
}

/// The workload of this name, if there is one.
pub fn by_name(name: &str) -> Option<WorkloadKind> {
    WorkloadKind::ALL
        .iter()
        .copied()
        .find(|kind| kind.name() == name)
}

/// The names of all workloads, for messages.
pub(crate) fn known_names() -> String {
    let names: Vec<_> = WorkloadKind::ALL.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_found_by_its_name_and_has_measures() {
        for kind in WorkloadKind::ALL {
            assert_eq!(by_name(kind.name()), Some(*kind));
            assert!(!kind.measures().is_empty());
        }
        assert_eq!(by_name("nonesuch"), None);
    }

    #[test]
    fn merges_do_not_depend_on_order() {
        for (merge, expected) in [(Merge::Sum, 4), (Merge::Min, -3), (Merge::Max, 7)] {
            assert_eq!(merge.merge(-3, 7), expected);
            assert_eq!(merge.merge(7, -3), expected);
        }
        assert_eq!(Merge::Sum.merge(i64::MAX, 1), i64::MIN);
    }
}
