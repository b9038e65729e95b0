//! What goes to the burst function and comes back.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::json;
use spillway_core::aggregate::aggregate;
use spillway_core::batch::{BatchBuilder, BatchView, MAX_BATCH_BYTES};
use spillway_core::envelope::{
    Answer, EnvelopeError, FunctionErrorType, Invocation, MAX_PAYLOAD_BYTES, Timing,
};
use spillway_core::partial;
use spillway_core::receipt::{Receipt, ReceiptError};

fn payload(block: &[u8], encoding: &str, size: usize) -> Vec<u8> {
    let json = json!({"batch": STANDARD.encode(block), "encoding": encoding, "size": size});
    json.to_string().into_bytes()
}

fn unpack(payload: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    Invocation::from_json(payload)?.unpack()
}

#[test]
fn the_payload_is_the_json_of_the_contract() {
    let payload = Invocation::pack(b"to be or not to be")
        .unwrap()
        .to_json()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(json["encoding"], "lz4");
    assert_eq!(json["size"], 18);
    let block = STANDARD.decode(json["batch"].as_str().unwrap()).unwrap();
    assert_eq!(
        lz4_flex::block::decompress(&block, 18).unwrap(),
        b"to be or not to be"
    );
}

#[test]
fn a_block_with_another_size_than_it_says_is_refused() {
    let block = lz4_flex::block::compress(b"to be or not to be");
    assert!(unpack(&payload(&block, "lz4", 18)).is_ok());
    assert!(matches!(
        unpack(&payload(&block, "lz4", 17)),
        Err(EnvelopeError::Lz4(_))
    ));
    assert!(matches!(
        unpack(&payload(&block, "lz4", 19)),
        Err(EnvelopeError::SizeMismatch {
            expected: 19,
            actual: 18
        })
    ));
}

#[test]
fn no_memory_is_taken_for_a_size_that_cannot_be() {
    let claimed = unpack(&payload(b"\x00", "lz4", MAX_BATCH_BYTES + 1));
    assert!(matches!(claimed, Err(EnvelopeError::BatchTooLarge(_))));
    let packed = Invocation::pack(&vec![0; MAX_BATCH_BYTES + 1]);
    assert!(matches!(packed, Err(EnvelopeError::BatchTooLarge(_))));
    assert!(
        Invocation::pack(&vec![0; MAX_BATCH_BYTES])
            .unwrap()
            .to_json()
            .is_ok()
    );
}

#[test]
fn a_payload_that_lambda_would_refuse_is_refused_first() {
    // Bytes that LZ4 cannot make smaller: a xorshift generator's.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Vec<u8> = (0..5_000_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect();
    let too_large = Invocation::pack(&noise).unwrap().to_json();
    assert!(matches!(too_large, Err(EnvelopeError::PayloadTooLarge(_))));
    let fits = Invocation::pack(&noise[..4_600_000])
        .unwrap()
        .to_json()
        .unwrap();
    assert!(fits.len() <= MAX_PAYLOAD_BYTES);
}

#[test]
fn what_is_no_invocation_is_refused() {
    for bad in [
        &b""[..],
        b"[]",
        b"{}",
        b"{\"batch\":\"\",\"size\":0}",
        b"{\"batch\":7,\"encoding\":\"lz4\",\"size\":0}",
        b"{\"batch\":\"A\",\"encoding\":\"lz4\",\"size\":0}",
        b"{\"batch\":\"AA\",\"encoding\":\"lz4\",\"size\":0}",
        b"{\"batch\":\"\",\"encoding\":\"lz4\",\"size\":-1}",
    ] {
        assert!(
            matches!(Invocation::from_json(bad), Err(EnvelopeError::Json(_))),
            "{bad:?}"
        );
    }
    assert!(matches!(
        unpack(&payload(b"", "zstd", 0)),
        Err(EnvelopeError::Json(_))
    ));
}

#[test]
fn base64_with_json_escapes_is_read() {
    // Some JSON writers escape the slash.
    let block = lz4_flex::block::compress(&[0xff; 3]);
    let text = STANDARD.encode(&block);
    assert!(text.contains('/'));
    let json = format!(
        "{{\"size\":3,\"encoding\":\"lz4\",\"batch\":\"{}\"}}",
        text.replace('/', "\\/")
    );
    assert_eq!(unpack(json.as_bytes()).unwrap(), [0xff; 3]);
}

fn answer() -> (Vec<u8>, Answer) {
    let mut batch = BatchBuilder::new("9f3a6c1e2b7d4f08-0-42", "wordcount", "wordcount", 1000);
    batch
        .push(5, b"to be")
        .push(1005, b"or not")
        .push(7, b"to be");
    let message = batch.encode();
    let view = BatchView::parse(&message).unwrap();
    let aggregate = aggregate(&view).unwrap();
    let content = partial::write(&view.id(), &aggregate).unwrap();
    let receipt = Receipt::new(&view, aggregate.windows().to_vec(), 4, &content);
    let timing = Timing {
        cold: true,
        init_us: 1,
        decode_us: 2,
        aggregate_us: 3,
        encode_us: 4,
        write_us: 5,
    };
    (message, Answer { receipt, timing })
}

#[test]
fn an_answer_reads_back_and_its_receipt_is_checked() {
    let (_, mut answer) = answer();
    let json = serde_json::to_vec(&answer).unwrap();
    assert_eq!(Answer::from_json(&json).unwrap(), answer);
    answer.receipt.records += 1;
    assert!(Answer::from_json(&serde_json::to_vec(&answer).unwrap()).is_err());
    assert!(Answer::from_json(b"null").is_err());
}

#[test]
fn a_receipt_fits_its_own_batch_only() {
    let (message, answer) = answer();
    let view = BatchView::parse(&message).unwrap();
    let receipt = answer.receipt;
    assert_eq!(receipt.fits(&view), Ok(()));

    let differs = |id: &str, job: &str, window: i64, records: &[(i64, &[u8])]| {
        let mut batch = BatchBuilder::new(id, job, "wordcount", window);
        for (t, record) in records {
            batch.push(*t, record);
        }
        let message = batch.encode();
        match receipt.fits(&BatchView::parse(&message).unwrap()) {
            Err(ReceiptError::Misfit { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    let (id, three) = (
        "9f3a6c1e2b7d4f08-0-42",
        [(5, &b"a"[..]), (1005, b"b"), (7, b"c")],
    );
    assert_eq!(
        differs("9f3a6c1e2b7d4f08-0-43", "wordcount", 1000, &three),
        "batch"
    );
    assert_eq!(differs(id, "other", 1000, &three), "job");
    assert_eq!(differs(id, "wordcount", 500, &three), "window_size_ms");
    assert_eq!(differs(id, "wordcount", 1000, &three[..2]), "records");
    let moved = [(5, &b"a"[..]), (1005, b"b"), (1007, b"c")];
    assert_eq!(differs(id, "wordcount", 1000, &moved), "windows");
}

#[test]
fn error_types_are_found_by_their_names() {
    use FunctionErrorType::{MalformedBatch, StorageMisconfigured, StorageUnavailable};
    for kind in [MalformedBatch, StorageUnavailable, StorageMisconfigured] {
        assert_eq!(FunctionErrorType::from_name(&kind.to_string()), Some(kind));
    }
    assert_eq!(FunctionErrorType::from_name("Sandbox.Timedout"), None);
}

proptest! {
    #[test]
    fn any_bytes_come_through(batch in prop::collection::vec(any::<u8>(), 0..2000)) {
        let payload = Invocation::pack(&batch).unwrap().to_json().unwrap();
        prop_assert_eq!(unpack(&payload).unwrap(), batch);
    }

    #[test]
    fn no_block_makes_it_panic(block in prop::collection::vec(any::<u8>(), 0..200), size in 0..5000_usize) {
        let _ = unpack(&payload(&block, "lz4", size));
    }
}
