//! The final result: Parquet files in one folder, made visible by a marker.

mod publish;
mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use publish::{open, publish};
pub use read::PartReader;
pub use write::ResultWriter;

/// The marker: it is put last and taken away first, so that a folder with it is whole.
pub const MARKER: &str = "_SUCCESS";
/// Metadata key of the workload's name, as in partials.
const WORKLOAD_METADATA: &str = spillway_core::partial::WORKLOAD_METADATA;

/// One file of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the folder.
    pub name: String,
    /// Its number of rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Part {
    fn name(number: usize) -> String {
        format!("part-{number:05}.parquet")
    }

    /// Whether this is the name of a part: nothing else in the folder is ever removed.
    fn is_name(name: &str) -> bool {
        let number = name
            .strip_prefix("part-")
            .and_then(|rest| rest.strip_suffix(".parquet"));
        number.is_some_and(|digits| {
            digits.len() >= 5 && digits.bytes().all(|byte| byte.is_ascii_digit())
        })
    }
}

/// What the marker says.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// The files that make up the result, in order.
    pub parts: Vec<Part>,
    /// What was computed.
    pub workload: String,
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
