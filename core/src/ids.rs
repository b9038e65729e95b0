//! The names of things on the wire. Each is checked once, when it comes in; whoever holds one may
//! put it in a path, an S3 key or a log line without looking at it again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest job or valve name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// Why a string is not the id it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {given:?}: expected {shape}")]
pub struct IdError {
    what: &'static str,
    shape: &'static str,
    given: String,
}

impl IdError {
    fn new(what: &'static str, shape: &'static str, given: &str) -> Self {
        // What was given may be anything, a whole record even: keep log lines short.
        let given = given.chars().take(MAX_NAME_BYTES + 1).collect();
        Self { what, shape, given }
    }
}

fn is_name(s: &str) -> bool {
    let bytes = s.as_bytes();
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    bytes.len() <= MAX_NAME_BYTES
        && bytes.first().is_some_and(word)
        && bytes.iter().all(|b| word(b) || *b == b'.')
}

/// A decimal number as ids spell it: digits only, no sign, no padding.
fn plain_decimal(s: &str, max: u64) -> Option<u64> {
    let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits || (s.len() > 1 && s.starts_with('0')) {
        return None;
    }
    s.parse().ok().filter(|n| *n <= max)
}

/// Implements what every id has in common: text form in serde and in `Display`/`FromStr`.
macro_rules! serde_as_text {
    ($id:ty) => {
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $id;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id as a string")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$id, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}
pub(crate) use serde_as_text;

macro_rules! name {
    ($(#[$doc:meta])* $id:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// Shape: `[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}`, so it is never `.` or `..` and has no `/`.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $id(Box<str>);

        impl $id {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $id {
            type Err = IdError;

            fn from_str(s: &str) -> Result<Self, IdError> {
                if is_name(s) {
                    Ok(Self(s.into()))
                } else {
                    Err(IdError::new($what, "[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", s))
                }
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $id {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        serde_as_text!($id);
    };
}

name!(
    /// The stable name of a job. It is part of every S3 key.
    JobName,
    "job name"
);
name!(
    /// The name of a valve within its job.
    ValveName,
    "valve name"
);

/// One run of one valve subtask between two restarts: 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

impl AttemptId {
    const DIGITS: usize = 16;

    /// The digits as a number.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl FromStr for AttemptId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if s.len() == Self::DIGITS
            && s.bytes().all(lower_hex)
            && let Ok(value) = u64::from_str_radix(s, 16)
        {
            Ok(Self(value))
        } else {
            Err(IdError::new("attempt id", "16 lower-case hex digits", s))
        }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

serde_as_text!(AttemptId);

/// A batch, unique over all jobs and restarts: `{attempt}-{subtask}-{sequence}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    attempt: AttemptId,
    subtask: u32,
    sequence: u64,
}

impl BatchId {
    /// The highest subtask index: Java's `int`.
    pub const MAX_SUBTASK: u32 = i32::MAX as u32;
    /// The highest sequence number: Java's `long`.
    pub const MAX_SEQUENCE: u64 = i64::MAX as u64;

    /// The id of an attempt's `sequence`-th batch. Numbers beyond Java's range are refused.
    pub fn new(attempt: AttemptId, subtask: u32, sequence: u64) -> Result<Self, IdError> {
        let id = Self {
            attempt,
            subtask,
            sequence,
        };
        if subtask <= Self::MAX_SUBTASK && sequence <= Self::MAX_SEQUENCE {
            Ok(id)
        } else {
            Err(Self::error(&id.to_string()))
        }
    }

    fn error(given: &str) -> IdError {
        IdError::new("batch id", "{attempt}-{subtask}-{sequence}", given)
    }

    /// The attempt that sealed the batch.
    pub fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The index of the valve's subtask, from 0.
    pub fn subtask(&self) -> u32 {
        self.subtask
    }

    /// The number of the batch within its attempt, from 0.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl FromStr for BatchId {
    type Err = IdError;

    fn from_str(s: &str) -> Result<Self, IdError> {
        let parse = || {
            let (attempt, rest) = s.split_once('-')?;
            let (subtask, sequence) = rest.split_once('-')?;
            Some(Self {
                attempt: attempt.parse().ok()?,
                subtask: plain_decimal(subtask, u64::from(Self::MAX_SUBTASK))?
                    .try_into()
                    .ok()?,
                sequence: plain_decimal(sequence, Self::MAX_SEQUENCE)?,
            })
        };
        parse().ok_or_else(|| Self::error(s))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.attempt, self.subtask, self.sequence)
    }
}

serde_as_text!(BatchId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_id_reads_back_what_it_displays() {
        let id: BatchId = "9f3a6c1e2b7d4f08-3-42".parse().unwrap();
        assert_eq!(id.attempt().to_string(), "9f3a6c1e2b7d4f08");
        assert_eq!((id.subtask(), id.sequence()), (3, 42));
        assert_eq!(id.to_string(), "9f3a6c1e2b7d4f08-3-42");
        assert_eq!(BatchId::new(id.attempt(), 3, 42).unwrap(), id);
    }

    #[test]
    fn an_attempt_keeps_its_leading_zeros() {
        let text = "000000000000000a";
        assert_eq!(text.parse::<AttemptId>().unwrap().to_string(), text);
    }

    #[test]
    fn batch_ids_of_another_shape_are_refused() {
        for bad in [
            "",
            "9f3a6c1e2b7d4f08",
            "9f3a6c1e2b7d4f08-0",
            "9f3a6c1e2b7d4f08-0-",
            "9f3a6c1e2b7d4f08--0",
            "9F3A6C1E2B7D4F08-0-0",
            "9f3a6c1e2b7d4f0-0-0",
            "9f3a6c1e2b7d4f08-00-0",
            "9f3a6c1e2b7d4f08-0-01",
            "9f3a6c1e2b7d4f08-+1-0",
            "9f3a6c1e2b7d4f08-0-1-2",
            "9f3a6c1e2b7d4f08-2147483648-0",
            "9f3a6c1e2b7d4f08-0-9223372036854775808",
            "9f3a6c1e2b7d4f08-0-18446744073709551616",
            "9f3a6c1e2b7d4f08-0-1 ",
            "../c1e2b7d4f08ab-0-1",
        ] {
            assert!(bad.parse::<BatchId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_that_java_cannot_hold_make_no_batch_id() {
        let attempt = "9f3a6c1e2b7d4f08".parse().unwrap();
        assert!(BatchId::new(attempt, BatchId::MAX_SUBTASK, BatchId::MAX_SEQUENCE).is_ok());
        assert!(BatchId::new(attempt, BatchId::MAX_SUBTASK + 1, 0).is_err());
        assert!(BatchId::new(attempt, 0, BatchId::MAX_SEQUENCE + 1).is_err());
    }

    #[test]
    fn names_are_safe_as_one_path_segment() {
        for good in [
            "wordcount",
            "_",
            "-",
            "a.b",
            "A..b",
            "0",
            &"x".repeat(MAX_NAME_BYTES),
        ] {
            assert_eq!(good.parse::<JobName>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            ".a",
            "a/b",
            "a b",
            "a\n",
            "ä",
            "a%2e",
            "a\0",
            &"x".repeat(MAX_NAME_BYTES + 1),
        ] {
            assert!(bad.parse::<JobName>().is_err(), "{bad:?}");
            assert!(bad.parse::<ValveName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_strings_in_json_and_checked_on_the_way_in() {
        let id: BatchId = serde_json::from_str("\"9f3a6c1e2b7d4f08-0-7\"").unwrap();
        assert_eq!(
            serde_json::to_string(&id).unwrap(),
            "\"9f3a6c1e2b7d4f08-0-7\""
        );
        assert!(serde_json::from_str::<JobName>("\"..\"").is_err());
        assert!(serde_json::from_str::<AttemptId>("7").is_err());
    }

    #[test]
    fn the_error_names_the_shape_and_stays_short() {
        let error = "/".repeat(10_000).parse::<JobName>().unwrap_err();
        assert!(error.to_string().contains("[A-Za-z0-9._-]{0,127}"));
        assert!(error.to_string().len() < 300);
    }
}
