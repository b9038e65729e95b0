//! How the memory is shared out.

/// How much memory, and how many threads, each step may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests that are under way at once. Reading from S3 waits more than it computes.
    pub readers: usize,
    /// Hash tables, each used by one reader at a time: no more than there are cores.
    pub tables: usize,
    /// Memory of one table.
    pub table_bytes: usize,
    /// How much of a text file one reader has in memory; it may hold twice as much for a moment.
    pub block_bytes: usize,
    /// Partials that all readers together have in memory.
    pub partial_bytes: usize,
    /// Runs that are merged at once.
    pub fan_in: usize,
    /// Read buffer of each of them.
    pub run_buffer_bytes: usize,
    /// Most rows of a row group of the result.
    pub row_group_rows: usize,
    /// Most bytes of keys in a row group of the result; one row may exceed it.
    pub row_group_key_bytes: usize,
    /// A part of the result is ended when it has so many bytes.
    pub part_bytes: usize,
}

const MIB: usize = 1 << 20;

impl Budget {
    /// The least memory that a budget is made for: below, buffers would be too small to be of use.
    pub const MIN_MEMORY_BYTES: usize = 64 * MIB;

    /// Shares out `memory_bytes` on a machine of so many cores.
    ///
    /// 3/8 are for the tables, which live until the result is written; 1/8 for text and 1/8 for
    /// partials that are being read; 1/16 for the runs' buffers and 3/16 for a row group. The last
    /// 1/8 is for what the Parquet library holds and for the program itself. What was needed for
    /// reading counts until the end, because the allocator keeps it.
    pub fn new(memory_bytes: usize, cores: usize) -> Self {
        let readers = 8;
        let tables = cores.clamp(1, readers);
        let fan_in = 64;
        Self {
            readers,
            tables,
            table_bytes: memory_bytes / 8 * 3 / tables,
            block_bytes: (memory_bytes / 16 / readers).min(4 * MIB),
            partial_bytes: memory_bytes / 8,
            fan_in,
            run_buffer_bytes: (memory_bytes / 16 / fan_in).min(MIB),
            row_group_rows: (memory_bytes / 8 / GROUP_ROW_BYTES).min(1 << 20),
            row_group_key_bytes: (memory_bytes / 16).min(128 * MIB),
            part_bytes: 256 * MIB,
        }
    }
}

/// What a row of a row group takes beside its key: its window, a measure, where its key ends, and
/// the handle by which Parquet is given the key.
const GROUP_ROW_BYTES: usize = 8 + 8 + 8 + 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_stay_within_the_whole() {
        for cores in [1, 2, 64] {
            for memory in [Budget::MIN_MEMORY_BYTES, 256 * MIB, 8192 * MIB] {
                let budget = Budget::new(memory, cores);
                let tables = budget.tables * budget.table_bytes;
                let reading = 2 * budget.readers * budget.block_bytes + budget.partial_bytes;
                let groups = budget.row_group_rows * GROUP_ROW_BYTES + budget.row_group_key_bytes;
                let writing = budget.fan_in * budget.run_buffer_bytes + groups;
                assert!(
                    tables + reading + writing <= memory / 8 * 7,
                    "{cores} {memory}"
                );
            }
        }
    }
}
