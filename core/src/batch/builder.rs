//! Writing a batch, for tests and tools: in production the valve writes them, in Java.

use super::field;
use super::wire::{put_bytes_field, put_varint, put_varint_field, zigzag};

/// Collects records and encodes them as a `spillway.v1.Batch`.
///
/// Nothing is checked, so that tests can build broken batches as well.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    id: String,
    job: String,
    workload: String,
    window_size_ms: i64,
    base_event_time_ms: Option<i64>,
    offsets: Vec<u8>,
    lengths: Vec<u8>,
    records: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new(id: &str, job: &str, workload: &str, window_size_ms: i64) -> Self {
        Self {
            id: id.into(),
            job: job.into(),
            workload: workload.into(),
            window_size_ms,
            base_event_time_ms: None,
            offsets: Vec::new(),
            lengths: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Adds a record with its event time in milliseconds since the epoch. The first one's time is
    /// the base of all offsets.
    pub fn push(&mut self, event_time_ms: i64, record: &[u8]) -> &mut Self {
        let base = *self.base_event_time_ms.get_or_insert(event_time_ms);
        put_varint(&mut self.offsets, zigzag(event_time_ms.wrapping_sub(base)));
        put_varint(&mut self.lengths, record.len() as u64);
        self.records.extend_from_slice(record);
        self
    }

    /// The encoded message.
    pub fn encode(&self) -> Vec<u8> {
        let columns = self.offsets.len() + self.lengths.len() + self.records.len();
        let mut out = Vec::with_capacity(columns + 512);
        put_bytes_field(&mut out, field::ID, self.id.as_bytes());
        put_bytes_field(&mut out, field::JOB, self.job.as_bytes());
        put_bytes_field(&mut out, field::WORKLOAD, self.workload.as_bytes());
        let window_size = self.window_size_ms.cast_unsigned();
        put_varint_field(&mut out, field::WINDOW_SIZE_MS, window_size);
        let base = zigzag(self.base_event_time_ms.unwrap_or_default());
        put_varint_field(&mut out, field::BASE_EVENT_TIME_MS, base);
        put_bytes_field(&mut out, field::EVENT_TIME_OFFSET_MS, &self.offsets);
        put_bytes_field(&mut out, field::RECORD_LENGTH, &self.lengths);
        put_bytes_field(&mut out, field::RECORDS, &self.records);
        out
    }
}
