//! The cases of `proto/vectors/batch.json`, with what is expected by the plain definitions.

#![allow(unreachable_pub, reason = "shared by an example and a test")]
#![allow(clippy::too_many_lines, reason = "a list of cases is a list")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spillway_core::batch::BatchBuilder;

use super::plain;

const ID: &str = "9f3a6c1e2b7d4f08-0-42";
/// 2026-01-01T00:00:00Z
const START: i64 = 1_767_225_600_000;

/// Encoded batches, and what is in them or wrong with them.
pub fn cases() -> Vec<Value> {
    let mut cases = valid_batches();
    cases.extend(invalid_batches());
    cases
}

fn valid_batches() -> Vec<Value> {
    let t = START;
    let two: &[Record<'_>] = &[(t, b"to be"), (t + 1, b"or not to be")];
    let many: Vec<Vec<u8>> = (0..300)
        .map(|i| format!("line {i} of {}", i % 7).into_bytes())
        .collect();
    let many: Vec<Record<'_>> = (0..)
        .zip(&many)
        .map(|(i, line)| (t + 7 * i, line.as_slice()))
        .collect();
    let mut cases = vec![
        valid("one record", 1000, &[(t, b"Hello hello world")]),
        valid("two records", 1000, two),
        valid("three hundred records over three windows", 1000, &many),
        valid("one empty record", 1000, &[(t, b"")]),
        valid(
            "empty records among others",
            1000,
            &[(t, b""), (t, b"a"), (t, b""), (t, b"b"), (t, b"")],
        ),
        valid(
            "records of separators only",
            1000,
            &[(t, b"--- ---"), (t + 1000, b".")],
        ),
        valid(
            "records hold any bytes",
            1000,
            &[(t, b"a\nb\r\0\xff\xfe"), (t, "\u{212a}\u{130}".as_bytes())],
        ),
        valid(
            "out of order",
            1000,
            &[
                (t + 2500, b"c"),
                (t, b"a"),
                (t + 1500, b"b"),
                (t + 1, b"a c"),
            ],
        ),
        valid(
            "the edges of a window",
            1000,
            &[(t - 1, b"x"), (t, b"x"), (t + 999, b"x"), (t + 1000, b"x")],
        ),
        valid(
            "times before 1970",
            1000,
            &[
                (-1, b"a"),
                (-1000, b"a"),
                (-1001, b"a"),
                (0, b"a"),
                (999, b"a"),
            ],
        ),
        valid("base at the epoch", 1000, &[(0, b"zero")]),
        valid(
            "a window of one millisecond",
            1,
            &[(t, b"a"), (t + 1, b"a"), (t, b"b")],
        ),
        valid(
            "a window of a day",
            86_400_000,
            &[(t, b"a"), (t + 86_399_999, b"a"), (t + 86_400_000, b"a")],
        ),
        valid(
            "a window that does not divide a day",
            7_777,
            &[(t, b"a"), (t + 5_000, b"b"), (-1, b"c")],
        ),
        valid(
            "the earliest and the latest time",
            1000,
            &[
                (i64::MIN, b"first"),
                (i64::MAX, b"last"),
                (i64::MAX - 500, b"a"),
                (i64::MIN + 1000, b"b"),
            ],
        ),
        valid(
            "the largest window",
            i64::MAX,
            &[(5, b"a"), (-5, b"b"), (i64::MAX, b"c")],
        ),
        valid(
            "the same word in two windows",
            1000,
            &[(t, b"same"), (t + 1000, b"same same")],
        ),
        valid(
            "keys are sorted by bytes",
            1000,
            &[(t, b"b _ a 10 9 B_ ab Z abcdefghi abcdefgh abcdefgz")],
        ),
    ];
    let long = "word ".repeat(400);
    cases.push(valid(
        "a record longer than one varint byte can say",
        1000,
        &[(t, long.as_bytes()), (t, b"end")],
    ));

    let [a, b] = [two[0], two[1]];
    let message = encode(1000, two);
    let columns = columns_of(two);
    let valid_as = |name: &str, message: Vec<u8>| describe(name, &message, 1000, &[a, b]);
    cases.push(valid_as(
        "unpacked columns",
        [
            head(1000, t),
            unpacked(6, &columns.offsets),
            unpacked(7, &columns.lengths),
            bytes(8, &columns.records),
        ]
        .concat(),
    ));
    cases.push(valid_as(
        "columns in several packed parts",
        [
            head(1000, t),
            bytes(6, &columns.offsets[..1]),
            bytes(6, &columns.offsets[1..]),
            bytes(7, &columns.lengths[..1]),
            unpacked(7, &columns.lengths[1..]),
            bytes(8, &columns.records),
        ]
        .concat(),
    ));
    cases.push(valid_as(
        "fields in another order",
        [
            bytes(8, &columns.records),
            bytes(7, &columns.lengths),
            bytes(6, &columns.offsets),
            head(1000, t),
        ]
        .concat(),
    ));
    cases.push(valid_as(
        "the last value of a field counts",
        [head(5, 7), bytes(8, b"something else"), message.clone()].concat(),
    ));
    let unknown = [
        varint(99, 5),
        bytes(100, b"later"),
        vec![0xfd, 0x06, 1, 2, 3, 4],
        vec![0xf9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
    ]
    .concat();
    cases.push(valid_as(
        "unknown fields",
        [&unknown[..], &message, &unknown].concat(),
    ));
    cases.push(valid_as(
        "an unknown group",
        [
            &message[..],
            &[0xfb, 0x06, 0x08, 0x01, 0x13, 0x14, 0xfc, 0x06],
        ]
        .concat(),
    ));
    cases.push(valid_as(
        "a varint longer than needed",
        [
            head(1000, t),
            bytes(6, &[0x80, 0x00, 0x82, 0x80, 0x00]),
            bytes(7, &columns.lengths),
            bytes(8, &columns.records),
        ]
        .concat(),
    ));
    cases
}

fn invalid_batches() -> Vec<Value> {
    let t = START;
    let two: &[Record<'_>] = &[(t, b"to be"), (t + 1, b"or not to be")];
    let good = encode(1000, two);
    let columns = columns_of(two);
    let with_id = |id: &str| build(id, "wordcount", "wordcount", 1000, two);
    let with_job = |job: &str| build(ID, job, "wordcount", 1000, two);
    let with_columns = |offsets: &[u8], lengths: &[u8], records: &[u8]| {
        [
            head(1000, t),
            bytes(6, offsets),
            bytes(7, lengths),
            bytes(8, records),
        ]
        .concat()
    };
    let (offsets, lengths, records) = (
        &columns.offsets[..],
        &columns.lengths[..],
        &columns.records[..],
    );
    let cut = |n: usize| good[..good.len() - n].to_vec();
    let more = |tail: &[u8]| [&good[..], tail].concat();
    let length = |n: u64| [varint_bytes(n), lengths[1..].to_vec()].concat();

    [
        ("no bytes at all", "invalid-batch-id", vec![]),
        ("not protobuf", "malformed-message", b"GET / HTTP/1.1\r\n".to_vec()),
        ("cut short in the records", "malformed-message", cut(1)),
        ("cut short in a length", "malformed-message", more(&[0x42, 0x80])),
        ("a tag and nothing after it", "malformed-message", more(&[0x42])),
        ("a length beyond the end", "malformed-message", more(&[0x42, 0xff, 0xff, 0xff, 0xff, 0x0f])),
        ("a varint of eleven bytes", "malformed-message", more(&[0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])),
        ("a varint of 65 bits", "malformed-message", more(&[0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02])),
        ("field number zero", "malformed-message", more(&[0x00, 0x01])),
        ("wire type six", "malformed-message", more(&[0x0e])),
        ("wire type seven", "malformed-message", more(&[0x0f])),
        ("an unknown group that never ends", "malformed-message", more(&[0xfb, 0x06, 0x08, 0x01])),
        ("a group's end without its begin", "malformed-message", more(&[0xfc, 0x06])),
        ("the id as a number", "malformed-message", more(&[0x08, 0x01])),
        ("the window as bytes", "malformed-message", more(&[0x22, 0x01, 0x01])),
        ("the records as a number", "malformed-message", more(&[0x40, 0x01])),
        ("a column of fixed-size numbers", "malformed-message", more(&[0x35, 0, 0, 0, 0])),
        ("a column that ends within a varint", "malformed-message", with_columns(&[0x00, 0x82], lengths, records)),
        ("a varint begun in one packed part and ended in the next", "malformed-message", [head(1000, t), bytes(6, &[0x00, 0x82]), bytes(6, &[0x00]), bytes(7, lengths), bytes(8, records)].concat()),
        ("a job that is not UTF-8", "malformed-message", more(&[0x12, 0x01, 0xff])),
        ("no id", "invalid-batch-id", with_id("")),
        ("an id without sequence", "invalid-batch-id", with_id("9f3a6c1e2b7d4f08-0")),
        ("an id in upper case", "invalid-batch-id", with_id("9F3A6C1E2B7D4F08-0-42")),
        ("an id with padding", "invalid-batch-id", with_id("9f3a6c1e2b7d4f08-0-042")),
        ("an id with a path in it", "invalid-batch-id", with_id("../a6c1e2b7d4f08-0-42")),
        ("an id with a sequence beyond 63 bits", "invalid-batch-id", with_id("9f3a6c1e2b7d4f08-0-9223372036854775808")),
        ("no job", "invalid-job", with_job("")),
        ("a job called ..", "invalid-job", with_job("..")),
        ("a job with a slash", "invalid-job", with_job("a/b")),
        ("a job name of 129 bytes", "invalid-job", with_job(&"j".repeat(129))),
        ("no workload", "unknown-workload", build(ID, "wordcount", "", 1000, two)),
        ("an unknown workload", "unknown-workload", build(ID, "wordcount", "Wordcount", 1000, two)),
        ("no window", "invalid-window-size", encode(0, two)),
        ("a negative window", "invalid-window-size", encode(-1000, two)),
        ("no records", "no-records", encode(1000, &[])),
        ("bytes but no records", "no-records", with_columns(&[], &[], b"x")),
        ("more times than lengths", "column-mismatch", with_columns(&[0, 0, 0], lengths, records)),
        ("more lengths than times", "column-mismatch", with_columns(&[0], lengths, records)),
        ("times only", "column-mismatch", with_columns(offsets, &[], &[])),
        ("lengths only", "column-mismatch", with_columns(&[], lengths, records)),
        ("lengths that add up to less", "length-mismatch", with_columns(offsets, &length(4), records)),
        ("lengths that add up to more", "length-mismatch", with_columns(offsets, &length(6), records)),
        ("no record bytes", "length-mismatch", with_columns(offsets, lengths, &[])),
        ("a length that is right in its lower 32 bits only", "length-mismatch", with_columns(offsets, &length((1 << 32) + 5), records)),
        ("lengths whose sum overflows", "length-mismatch", with_columns(&[0, 0, 0], &[varint_bytes(u64::MAX), varint_bytes(1), varint_bytes(17)].concat(), records)),
    ]
    .into_iter()
    .map(|(name, slug, message)| {
        json!({"name": name, "batch_base64": STANDARD.encode(message), "valid": false, "error": slug})
    })
    .collect()
}

type Record<'a> = (i64, &'a [u8]);

struct Columns {
    offsets: Vec<u8>,
    lengths: Vec<u8>,
    records: Vec<u8>,
}

/// The columns of `records`, in which every number takes one byte.
fn columns_of(records: &[Record<'_>]) -> Columns {
    let base = records[0].0;
    let small = |n: i64| {
        u8::try_from(n)
            .ok()
            .filter(|n| *n < 0x80)
            .expect("takes one byte")
    };
    Columns {
        offsets: records.iter().map(|(t, _)| small((t - base) * 2)).collect(),
        lengths: records
            .iter()
            .map(|(_, r)| small(r.len().try_into().expect("small")))
            .collect(),
        records: records
            .iter()
            .flat_map(|(_, r)| r.iter().copied())
            .collect(),
    }
}

fn build(
    id: &str,
    job: &str,
    workload: &str,
    window_size_ms: i64,
    records: &[Record<'_>],
) -> Vec<u8> {
    let mut builder = BatchBuilder::new(id, job, workload, window_size_ms);
    for (t, record) in records {
        builder.push(*t, record);
    }
    builder.encode()
}

fn encode(window_size_ms: i64, records: &[Record<'_>]) -> Vec<u8> {
    build(ID, "wordcount", "wordcount", window_size_ms, records)
}

/// The fields before the columns.
fn head(window_size_ms: u64, base_event_time_ms: i64) -> Vec<u8> {
    let base = u64::try_from(base_event_time_ms).expect("not negative") * 2;
    let ids = [
        bytes(1, ID.as_bytes()),
        bytes(2, b"wordcount"),
        bytes(3, b"wordcount"),
    ]
    .concat();
    [ids, varint(4, window_size_ms), varint(5, base)].concat()
}

fn varint_bytes(mut value: u64) -> Vec<u8> {
    let mut out = vec![];
    while value > 0x7f {
        out.push((value % 0x80 + 0x80).try_into().expect("a byte"));
        value /= 0x80;
    }
    out.push(value.try_into().expect("a byte"));
    out
}

fn varint(field: u64, value: u64) -> Vec<u8> {
    [varint_bytes(field * 8), varint_bytes(value)].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [
        varint_bytes(field * 8 + 2),
        varint_bytes(value.len() as u64),
        value.to_vec(),
    ]
    .concat()
}

fn unpacked(field: u64, one_byte_values: &[u8]) -> Vec<u8> {
    one_byte_values
        .iter()
        .flat_map(|value| varint(field, u64::from(*value)))
        .collect()
}

fn valid(name: &str, window_size_ms: i64, records: &[Record<'_>]) -> Value {
    describe(
        name,
        &encode(window_size_ms, records),
        window_size_ms,
        records,
    )
}

fn describe(name: &str, message: &[u8], window_size_ms: i64, records: &[Record<'_>]) -> Value {
    let windows = plain::records_per_window(records.iter().map(|(t, _)| *t), window_size_ms);
    let rows = plain::wordcount(records.iter().copied(), window_size_ms);
    json!({
        "name": name,
        "batch_base64": STANDARD.encode(message),
        "valid": true,
        "error": null,
        "id": ID,
        "job": "wordcount",
        "workload": "wordcount",
        "window_size_ms": window_size_ms,
        "records": records.iter().map(|(t, record)| json!({
            "event_time_ms": t,
            "record_base64": STANDARD.encode(record),
        })).collect::<Vec<_>>(),
        "receipt_windows": windows.iter().map(|(start_ms, records)| json!({
            "start_ms": start_ms, "records": records, "malformed": 0,
        })).collect::<Vec<_>>(),
        "rows": rows.iter().map(|((window_start_ms, key), count)| json!({
            "window_start_ms": window_start_ms, "key": key, "count": count,
        })).collect::<Vec<_>>(),
    })
}
