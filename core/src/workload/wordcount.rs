//! Wordcount.

use super::{Measure, Merge, Outcome, Workload};

/// Counts words.
#[derive(Debug, Clone, Default)]
pub struct Wordcount;

impl Workload for Wordcount {
    const NAME: &'static str = "wordcount";
    const MEASURES: &'static [Measure] = &[Measure {
        name: "count",
        merge: Merge::Sum,
    }];

    fn process(&mut self, record: &[u8], mut emit: impl FnMut(&[u8], &[i64])) -> Outcome {
        let text = String::from_utf8_lossy(record).to_lowercase();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            if !word.is_empty() {
                emit(word.as_bytes(), &[1]);
            }
        }
        Outcome::Rows
    }
}
