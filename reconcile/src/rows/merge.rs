//! Merging sorted rows from several sources.

use std::cmp::Ordering;

use spillway_core::row::Row;
use spillway_core::workload::{Measure, Merge};

use super::run::RunReader;
use super::{Aggregator, Runs, compare, prefix};
use crate::error::Error;

/// Sorted rows, each window and key once.
pub(super) enum Source {
    Memory {
        table: Aggregator,
        order: std::vec::IntoIter<u32>,
        index: u32,
    },
    File(RunReader),
}

impl Source {
    /// Goes to the next row; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        match self {
            Self::Memory { order, index, .. } => match order.next() {
                Some(next) => {
                    *index = next;
                    Ok(true)
                }
                None => Ok(false),
            },
            Self::File(run) => run.advance(),
        }
    }

    fn row(&self) -> Row<'_> {
        match self {
            Self::Memory { table, index, .. } => table.row(*index),
            Self::File(run) => run.row(),
        }
    }
}

/// A source at one of its rows.
struct Head {
    order: (i64, u64),
    source: Source,
}

/// All rows of several sources, in order, each window and key once.
pub struct Merged {
    merges: Vec<Merge>,
    /// A binary heap: each head is not after the two at twice its index plus one and two.
    heads: Vec<Head>,
    /// The row that was given last.
    window_start_ms: i64,
    key: Vec<u8>,
    measures: Vec<i64>,
}

impl Merged {
    /// Merges what is in the tables and in the runs. Tables that still fit are not written first.
    /// At most `fan_in` runs are open at once, each with a buffer of `buffer_bytes`.
    pub fn new(
        measures: &[Measure],
        tables: Vec<Aggregator>,
        runs: &Runs,
        fan_in: usize,
        buffer_bytes: usize,
    ) -> Result<Self, Error> {
        let mut sources = runs.open(measures, fan_in, buffer_bytes)?;
        sources.extend(tables.into_iter().map(|table| {
            let order = table.order().into_iter();
            Source::Memory {
                table,
                order,
                index: 0,
            }
        }));
        Self::of(measures, sources)
    }

    pub(super) fn of(measures: &[Measure], sources: Vec<Source>) -> Result<Self, Error> {
        let mut heads = Vec::with_capacity(sources.len());
        for mut source in sources {
            if source.advance()? {
                heads.push(Head {
                    order: order_of(&source.row()),
                    source,
                });
            }
        }
        heads.sort_by(compare_heads);
        Ok(Self {
            merges: measures.iter().map(|measure| measure.merge).collect(),
            heads,
            window_start_ms: 0,
            key: Vec::new(),
            measures: vec![0; measures.len()],
        })
    }

    /// The next row, or `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, Error> {
        let Some(first) = self.heads.first() else {
            return Ok(None);
        };
        let order = first.order;
        let row = first.source.row();
        self.window_start_ms = row.window_start_ms;
        self.key.clear();
        self.key.extend_from_slice(row.key);
        self.measures.copy_from_slice(row.measures);
        self.advance_first()?;
        while let Some(head) = self.heads.first()
            && head.order == order
            && head.source.row().key == self.key
        {
            let values = self.measures.iter_mut().zip(head.source.row().measures);
            for (merge, (value, new)) in self.merges.iter().zip(values) {
                *value = merge.merge(*value, *new);
            }
            self.advance_first()?;
        }
        let (window_start_ms, key) = (self.window_start_ms, self.key.as_slice());
        Ok(Some(Row {
            window_start_ms,
            key,
            measures: &self.measures,
        }))
    }

    fn advance_first(&mut self) -> Result<(), Error> {
        let first = &mut self.heads[0];
        if first.source.advance()? {
            first.order = order_of(&first.source.row());
        } else {
            self.heads.swap_remove(0);
        }
        let mut index = 0;
        while let Some(child) = self.smaller_child(index)
            && compare_heads(&self.heads[child], &self.heads[index]) == Ordering::Less
        {
            self.heads.swap(child, index);
            index = child;
        }
        Ok(())
    }

    fn smaller_child(&self, index: usize) -> Option<usize> {
        let (left, right) = (2 * index + 1, 2 * index + 2);
        match (self.heads.get(left), self.heads.get(right)) {
            (Some(a), Some(b)) if compare_heads(b, a) == Ordering::Less => Some(right),
            (Some(_), _) => Some(left),
            (None, _) => None,
        }
    }
}

fn order_of(row: &Row<'_>) -> (i64, u64) {
    (row.window_start_ms, prefix(row.key))
}

fn compare_heads(a: &Head, b: &Head) -> Ordering {
    compare(a.order, a.source.row().key, b.order, b.source.row().key)
}
