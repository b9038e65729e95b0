//! The hand-written reader of batches against a generated one, on good and on broken messages.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use proptest::prelude::*;
use prost::Message as _;
use spillway_core::batch::{BatchBuilder, BatchError, BatchView, MAX_BATCH_BYTES, MAX_RECORDS};

/// `spillway.v1.Batch` as prost's derive reads it.
#[derive(Clone, PartialEq, prost::Message)]
struct Generated {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    job: String,
    #[prost(string, tag = "3")]
    workload: String,
    #[prost(int64, tag = "4")]
    window_size_ms: i64,
    #[prost(sint64, tag = "5")]
    base_event_time_ms: i64,
    #[prost(sint64, repeated, tag = "6")]
    event_time_offset_ms: Vec<i64>,
    #[prost(uint32, repeated, tag = "7")]
    record_length: Vec<u32>,
    #[prost(bytes = "vec", tag = "8")]
    records: Vec<u8>,
}

/// What is in a batch.
#[derive(Debug, PartialEq)]
struct Content {
    id: String,
    job: String,
    workload: String,
    window_size_ms: i64,
    records: Vec<(i64, Vec<u8>)>,
}

fn read(message: &[u8]) -> Result<Content, BatchError> {
    let view = BatchView::parse(message)?;
    let records: Vec<_> = view
        .records()
        .map(|(t, record)| (t, record.to_vec()))
        .collect();
    assert_eq!(records.len(), view.len());
    assert_eq!(view.records().len(), view.len());
    assert_eq!(
        records
            .iter()
            .map(|(_, record)| record.len())
            .sum::<usize>(),
        view.record_bytes()
    );
    Ok(Content {
        id: view.id().to_string(),
        job: view.job().to_string(),
        workload: view.workload().name().to_owned(),
        window_size_ms: view.window_size().as_millis(),
        records,
    })
}

/// `None` if the message is not a valid batch.
fn read_generated(message: &[u8]) -> Option<Content> {
    let batch = Generated::decode(message).ok()?;
    let lengths: u64 = batch
        .record_length
        .iter()
        .map(|length| u64::from(*length))
        .sum();
    let valid = batch.id.parse::<spillway_core::ids::BatchId>().is_ok()
        && batch.job.parse::<spillway_core::ids::JobName>().is_ok()
        && batch.workload == "wordcount"
        && batch.window_size_ms >= 1
        && !batch.record_length.is_empty()
        && batch.record_length.len() == batch.event_time_offset_ms.len()
        && lengths == batch.records.len() as u64;
    valid.then(|| {
        let mut rest = batch.records.as_slice();
        let records = batch
            .event_time_offset_ms
            .iter()
            .zip(&batch.record_length)
            .map(|(offset, length)| {
                let (record, after) = rest.split_at(*length as usize);
                rest = after;
                (
                    batch.base_event_time_ms.wrapping_add(*offset),
                    record.to_vec(),
                )
            })
            .collect();
        Content {
            id: batch.id,
            job: batch.job,
            workload: batch.workload,
            window_size_ms: batch.window_size_ms,
            records,
        }
    })
}

fn assert_same(message: &[u8]) {
    match (read(message), read_generated(message)) {
        (Ok(content), Some(generated)) => assert_eq!(content, generated),
        (Err(_), None) => {}
        // A generated reader takes the lower 32 bits of a length; we refuse the batch.
        (Err(BatchError::LengthMismatch { lengths, .. }), _) if lengths > u64::from(u32::MAX) => {}
        (ours, generated) => panic!("{ours:?} but {generated:?} of {message:02x?}"),
    }
}

fn messages() -> impl Strategy<Value = Vec<u8>> {
    let times = prop_oneof![3 => 0..100_000_i64, 1 => any::<i64>()];
    let record = prop::collection::vec(any::<u8>(), 0..200);
    let records = prop::collection::vec((times, record), 1..20);
    let windows = prop_oneof![9 => 1..i64::MAX, 1 => any::<i64>()];
    (records, windows, any::<u64>(), any::<bool>()).prop_map(|(records, window, attempt, prost)| {
        let id = format!("{attempt:016x}-0-7");
        if prost {
            let base = records[0].0;
            let message = Generated {
                id,
                job: "job".into(),
                workload: "wordcount".into(),
                window_size_ms: window,
                base_event_time_ms: base,
                event_time_offset_ms: records.iter().map(|(t, _)| t.wrapping_sub(base)).collect(),
                record_length: records
                    .iter()
                    .map(|(_, r)| u32::try_from(r.len()).unwrap())
                    .collect(),
                records: records.iter().flat_map(|(_, r)| r.clone()).collect(),
            };
            message.encode_to_vec()
        } else {
            let mut builder = BatchBuilder::new(&id, "job", "wordcount", window);
            for (t, record) in &records {
                builder.push(*t, record);
            }
            builder.encode()
        }
    })
}

/// One way to break a message, or to say the same in another way.
#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
    Truncate(usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Early positions are where ids, sizes and tags are.
    let at = || prop_oneof![2 => 0..80_usize, 1 => any::<usize>()];
    let change = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, b)| Change::Insert(at, b)),
        1 => (at(), 1..12_usize).prop_map(|(at, n)| Change::Remove(at, n)),
        1 => (at(), 1..40_usize).prop_map(|(at, n)| Change::Repeat(at, n)),
        1 => any::<usize>().prop_map(Change::Truncate),
    ];
    prop::collection::vec(change, 1..5)
}

fn apply(message: &mut Vec<u8>, change: Change) {
    let position = |at: usize| at % (message.len() + 1);
    let range = |at: usize, n: usize| position(at)..(position(at) + n).min(message.len());
    match change {
        Change::Set(at, byte) => {
            let at = position(at);
            if let Some(old) = message.get_mut(at) {
                *old = byte;
            }
        }
        Change::Insert(at, bytes) => {
            let at = position(at);
            message.splice(at..at, bytes);
        }
        Change::Remove(at, n) => {
            let range = range(at, n);
            message.drain(range);
        }
        Change::Repeat(at, n) => {
            let range = range(at, n);
            let again = message[range.clone()].to_vec();
            message.splice(range.end..range.end, again);
        }
        Change::Truncate(at) => {
            let at = position(at);
            message.truncate(at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn good_messages_are_read_as_a_generated_reader_reads_them(message in messages()) {
        assert_same(&message);
    }

    #[test]
    fn changed_messages_are_read_or_refused_as_a_generated_reader_does(
        mut message in messages(),
        changes in changes(),
    ) {
        for change in changes {
            apply(&mut message, change);
        }
        assert_same(&message);
    }

    #[test]
    fn two_messages_in_one_are_read_as_a_generated_reader_reads_them(
        first in messages(),
        second in messages(),
    ) {
        assert_same(&[first, second].concat());
    }

    #[test]
    fn fields_of_any_number_and_type_are_read_as_a_generated_reader_reads_them(
        good in messages(),
        fields in prop::collection::vec((1..12_u8, 0..8_u8, prop::collection::vec(any::<u8>(), 0..12)), 1..6),
    ) {
        let mut message = good;
        for (field, wire_type, value) in fields {
            message.push(field << 3 | wire_type);
            if wire_type == 2 {
                message.push(value.len().try_into().unwrap());
            }
            message.extend_from_slice(&value);
        }
        assert_same(&message);
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_a_generated_reader_does(
        message in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        assert_same(&message);
    }
}

#[test]
fn a_batch_above_the_limit_is_refused_before_it_is_looked_at() {
    let message = vec![0xff; MAX_BATCH_BYTES + 1];
    assert_eq!(
        read(&message),
        Err(BatchError::TooLarge(MAX_BATCH_BYTES + 1))
    );
}

#[test]
fn a_batch_may_have_the_most_records_but_not_one_more() {
    let message = |records: usize| {
        let mut batch = BatchBuilder::new("9f3a6c1e2b7d4f08-0-0", "job", "wordcount", 1);
        for _ in 0..records {
            batch.push(0, b"");
        }
        batch.encode()
    };
    let most = message(MAX_RECORDS);
    assert_eq!(BatchView::parse(&most).unwrap().len(), MAX_RECORDS);
    let error = BatchView::parse(&message(MAX_RECORDS + 1)).unwrap_err();
    assert_eq!(error, BatchError::TooManyRecords(MAX_RECORDS + 1));
}
