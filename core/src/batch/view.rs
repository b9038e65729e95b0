//! Reading a batch in place.

use std::borrow::Cow;

use super::wire::{Reader, WireError, WireType, unzigzag};
use super::{BatchError, MAX_BATCH_BYTES, MAX_RECORDS, field};
use crate::ids::{BatchId, JobName};
use crate::window::WindowSize;
use crate::workload::{self, WorkloadKind};

/// A valid batch, borrowed from the bytes it came in.
#[derive(Debug, Clone)]
pub struct BatchView<'a> {
    id: BatchId,
    job: JobName,
    workload: WorkloadKind,
    window_size: WindowSize,
    base_event_time_ms: i64,
    len: usize,
    offsets: Column<'a>,
    lengths: Column<'a>,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Reads and checks a `spillway.v1.Batch`. No bytes make it panic; a batch that it accepts
    /// needs no further check anywhere.
    ///
    /// As protobuf wants it, a field that comes twice has its last value, repeated fields may be
    /// packed or not, and unknown fields are stepped over.
    pub fn parse(message: &'a [u8]) -> Result<Self, BatchError> {
        if message.len() > MAX_BATCH_BYTES {
            return Err(BatchError::TooLarge(message.len()));
        }
        let fields = Fields::read(message)?;

        let id = fields.id.parse().map_err(BatchError::InvalidId)?;
        let job = fields.job.parse().map_err(BatchError::InvalidJob)?;
        let workload = workload::by_name(fields.workload).ok_or_else(|| {
            BatchError::UnknownWorkload(fields.workload.chars().take(64).collect())
        })?;
        let window_size = WindowSize::from_millis(fields.window_size_ms)?;

        let (offsets, _) = fields.offsets.check()?;
        let (lengths, total) = fields.lengths.check()?;
        if offsets != lengths {
            return Err(BatchError::ColumnMismatch { offsets, lengths });
        }
        if lengths == 0 {
            return Err(BatchError::NoRecords);
        }
        if lengths > MAX_RECORDS {
            return Err(BatchError::TooManyRecords(lengths));
        }
        if total != fields.records.len() as u64 {
            return Err(BatchError::LengthMismatch {
                lengths: total,
                bytes: fields.records.len(),
            });
        }
        Ok(Self {
            id,
            job,
            workload,
            window_size,
            base_event_time_ms: fields.base_event_time_ms,
            len: lengths,
            offsets: fields.offsets,
            lengths: fields.lengths,
            bytes: fields.records,
        })
    }

    /// The batch's id.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// The job that it belongs to.
    pub fn job(&self) -> &JobName {
        &self.job
    }

    /// What is to be computed from it.
    pub fn workload(&self) -> WorkloadKind {
        self.workload
    }

    /// The size of its windows.
    pub fn window_size(&self) -> WindowSize {
        self.window_size
    }

    /// The number of records, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The size of all records together, in bytes.
    pub fn record_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Start and number of records of each window, sorted by start.
    pub fn records_per_window(&self) -> Vec<(i64, u64)> {
        let mut windows: Vec<(i64, u64)> = Vec::new();
        for (event_time_ms, _) in self.records() {
            let start = self.window_size.start_of(event_time_ms);
            match windows.last_mut() {
                Some((last, count)) if *last == start => *count += 1,
                _ => windows.push((start, 1)),
            }
        }
        windows.sort_unstable();
        windows.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        windows
    }

    /// The records in their order: event time in milliseconds since the epoch, and content.
    pub fn records(&self) -> Records<'_> {
        Records {
            base_event_time_ms: self.base_event_time_ms,
            offsets: Reader::new(&self.offsets.0),
            lengths: Reader::new(&self.lengths.0),
            bytes: self.bytes,
            remaining: self.len,
        }
    }
}

/// Iterator over the records of a batch, see [`BatchView::records`].
#[derive(Debug, Clone)]
pub struct Records<'a> {
    base_event_time_ms: i64,
    offsets: Reader<'a>,
    lengths: Reader<'a>,
    bytes: &'a [u8],
    remaining: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = (i64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Both columns and their sum were checked by `parse`, so an error is the end.
        let offset = unzigzag(self.offsets.varint().ok()?);
        let length = usize::try_from(self.lengths.varint().ok()?).ok()?;
        let (record, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        self.remaining -= 1;
        Some((self.base_event_time_ms.wrapping_add(offset), record))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// A repeated number as the bytes of its varints, one after the other. Borrowed when it came as
/// one packed field, which is how every sender writes it.
#[derive(Debug, Clone, Default)]
struct Column<'a>(Cow<'a, [u8]>);

impl<'a> Column<'a> {
    fn append(&mut self, varints: &'a [u8]) -> Result<(), WireError> {
        // A varint must not begin in one packed field and end in the next.
        if varints.last().is_some_and(|byte| *byte >= 0x80) {
            return Err(WireError::Truncated);
        }
        if self.0.is_empty() {
            self.0 = Cow::Borrowed(varints);
        } else {
            self.0.to_mut().extend_from_slice(varints);
        }
        Ok(())
    }

    fn read(&mut self, reader: &mut Reader<'a>, wire_type: WireType) -> Result<(), WireError> {
        match wire_type {
            WireType::Bytes => self.append(reader.bytes()?),
            WireType::Varint => self.append(reader.varint_bytes()?),
            _ => Err(WireError::WireType),
        }
    }

    /// Number and (saturating) sum of the entries, if every one is well-formed.
    fn check(&self) -> Result<(usize, u64), WireError> {
        let mut reader = Reader::new(&self.0);
        let (mut count, mut sum) = (0, 0_u64);
        while !reader.is_empty() {
            sum = sum.saturating_add(reader.varint()?);
            count += 1;
        }
        Ok((count, sum))
    }
}

/// The message's fields as they came, with protobuf's defaults for those that did not.
#[derive(Debug, Default)]
struct Fields<'a> {
    id: &'a str,
    job: &'a str,
    workload: &'a str,
    window_size_ms: i64,
    base_event_time_ms: i64,
    offsets: Column<'a>,
    lengths: Column<'a>,
    records: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Self::default();
        let mut reader = Reader::new(message);
        while !reader.is_empty() {
            let (number, wire_type) = reader.tag()?;
            let expect = |expected| {
                if wire_type == expected {
                    Ok(())
                } else {
                    Err(WireError::WireType)
                }
            };
            match number {
                field::ID | field::JOB | field::WORKLOAD => {
                    expect(WireType::Bytes)?;
                    let text = reader.string()?;
                    match number {
                        field::ID => fields.id = text,
                        field::JOB => fields.job = text,
                        _ => fields.workload = text,
                    }
                }
                field::WINDOW_SIZE_MS => {
                    expect(WireType::Varint)?;
                    fields.window_size_ms = reader.varint()?.cast_signed();
                }
                field::BASE_EVENT_TIME_MS => {
                    expect(WireType::Varint)?;
                    fields.base_event_time_ms = unzigzag(reader.varint()?);
                }
                field::EVENT_TIME_OFFSET_MS => fields.offsets.read(&mut reader, wire_type)?,
                field::RECORD_LENGTH => fields.lengths.read(&mut reader, wire_type)?,
                field::RECORDS => {
                    expect(WireType::Bytes)?;
                    fields.records = reader.bytes()?;
                }
                unknown => reader.skip(unknown, wire_type)?,
            }
        }
        Ok(fields)
    }
}
