//! The payload of an invocation, as the runtime hands it over.

use std::time::{Duration, Instant};

use serde::{Deserialize, Deserializer};
use spillway_core::envelope::Invocation;

/// An invocation, or why the payload is none.
///
/// Reading it never fails: the runtime would answer with an error type of its own, which the
/// sidecar takes for an unknown outcome and retries, although the same bytes will not fare better.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) invocation: Result<Invocation, serde_json::Error>,
    /// How long JSON and base64 took.
    pub(crate) took: Duration,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let start = Instant::now();
        let invocation = Invocation::deserialize(deserializer).map_err(serde::de::Error::custom);
        Ok(Self {
            invocation,
            took: start.elapsed(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_no_invocation_is_an_event_all_the_same() {
        for payload in [
            "null",
            "7",
            "[]",
            "{}",
            r#"{"batch":"AA==","encoding":"zip","size":1}"#,
            r#"{"batch":"A!","encoding":"lz4","size":1}"#,
        ] {
            // As the runtime reads it: without asking for the end of the text.
            let mut json = serde_json::Deserializer::from_str(payload);
            let event = Event::deserialize(&mut json).unwrap();
            assert!(event.invocation.is_err(), "{payload}");
        }
    }

    #[test]
    fn an_invocation_is_read() {
        let payload = Invocation::pack(b"batch").unwrap().to_json().unwrap();
        let event: Event = serde_json::from_slice(&payload).unwrap();
        assert_eq!(event.invocation.unwrap().unpack().unwrap(), b"batch");
    }
}
