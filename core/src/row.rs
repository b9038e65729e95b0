//! One row of a partial or of the result.

/// What was computed for one window and one key. Rows are ordered by these two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// Start of the window, in milliseconds since the epoch.
    pub window_start_ms: i64,
    /// The key, UTF-8.
    pub key: &'a [u8],
    /// The workload's measures, in the order of its columns.
    pub measures: &'a [i64],
}
