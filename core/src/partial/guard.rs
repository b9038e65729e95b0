//! Keeps a damaged file from taking the process down.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::{ParquetError, Result};

/// Calls into the Parquet library, which panics on some kinds of damage, and makes an error of that. What was being
/// read must not be read on after an error. The panic's own message has gone to standard error by then.
///
/// # Errors
/// What `read` says, or that it panicked.
pub fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(ParquetError::General(
            "it is damaged: the Parquet library panicked".into(),
        ))
    })
}
