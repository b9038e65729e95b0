//! What the sidecar sends to the burst function and gets back. Lambda's payload is JSON, so the
//! batch travels as base64 of an LZ4 block.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::batch::MAX_BATCH_BYTES;
use crate::receipt::Receipt;

/// The largest payload of a synchronous invocation, in bytes: AWS Lambda's quota.
pub const MAX_PAYLOAD_BYTES: usize = 6_291_556;

/// One invocation of the burst function: a compressed batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Invocation {
    #[serde(rename = "batch", deserialize_with = "from_base64")]
    compressed: Vec<u8>,
    encoding: Encoding,
    size: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Encoding {
    #[serde(rename = "lz4")]
    Lz4,
}

/// Why an invocation cannot be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// More than [`MAX_BATCH_BYTES`] uncompressed.
    #[error("a batch of {0} bytes: at most {MAX_BATCH_BYTES} are accepted")]
    BatchTooLarge(usize),
    /// More than [`MAX_PAYLOAD_BYTES`] although compressed.
    #[error(
        "a payload of {0} bytes, compressed and encoded: Lambda accepts at most {MAX_PAYLOAD_BYTES}"
    )]
    PayloadTooLarge(usize),
    /// Not the JSON of an invocation.
    #[error("not an invocation: {0}")]
    Json(#[from] serde_json::Error),
    /// The LZ4 block is broken.
    #[error("the batch cannot be decompressed: {0}")]
    Lz4(#[from] lz4_flex::block::DecompressError),
    /// The block holds fewer bytes than `size` says.
    #[error("the batch has {actual} bytes uncompressed, but size says {expected}")]
    SizeMismatch {
        /// What `size` says.
        expected: usize,
        /// What came out.
        actual: usize,
    },
}

impl Invocation {
    /// Compresses an encoded batch.
    pub fn pack(batch: &[u8]) -> Result<Self, EnvelopeError> {
        if batch.len() > MAX_BATCH_BYTES {
            return Err(EnvelopeError::BatchTooLarge(batch.len()));
        }
        Ok(Self {
            compressed: lz4_flex::block::compress(batch),
            encoding: Encoding::Lz4,
            size: batch.len(),
        })
    }

    /// The payload for Lambda, at most [`MAX_PAYLOAD_BYTES`].
    pub fn to_json(&self) -> Result<Vec<u8>, EnvelopeError> {
        let head = "{\"batch\":\"";
        let Encoding::Lz4 = self.encoding;
        let tail = format!("\",\"encoding\":\"lz4\",\"size\":{}}}", self.size);
        let encoded = self.compressed.len().div_ceil(3) * 4;
        let total = head.len() + encoded + tail.len();
        if total > MAX_PAYLOAD_BYTES {
            return Err(EnvelopeError::PayloadTooLarge(total));
        }
        // base64 needs no escaping in JSON, so the megabytes are written once, by hand.
        let mut json = String::with_capacity(total);
        json.push_str(head);
        STANDARD.encode_string(&self.compressed, &mut json);
        json.push_str(&tail);
        Ok(json.into_bytes())
    }

    /// Reads a payload.
    pub fn from_json(json: &[u8]) -> Result<Self, EnvelopeError> {
        Ok(serde_json::from_slice(json)?)
    }

    /// Decompresses the batch.
    pub fn unpack(&self) -> Result<Vec<u8>, EnvelopeError> {
        // Before anything is allocated by what a sender claims.
        if self.size > MAX_BATCH_BYTES {
            return Err(EnvelopeError::BatchTooLarge(self.size));
        }
        let batch = lz4_flex::block::decompress(&self.compressed, self.size)?;
        if batch.len() != self.size {
            return Err(EnvelopeError::SizeMismatch {
                expected: self.size,
                actual: batch.len(),
            });
        }
        Ok(batch)
    }

    /// The compressed size in bytes, before base64.
    pub fn compressed_bytes(&self) -> usize {
        self.compressed.len()
    }
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Base64;
    impl de::Visitor<'_> for Base64 {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("base64 as a string")
        }
        // Decodes from the parser's own buffer: no copy of the text is made.
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            STANDARD.decode(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Base64)
}

/// The burst function's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the valve gets.
    pub receipt: Receipt,
    /// What the sidecar reports.
    pub timing: Timing,
}

impl Answer {
    /// Reads the payload of a successful invocation and checks that the receipt agrees with itself.
    pub fn from_json(json: &[u8]) -> Result<Self, AnswerError> {
        let answer: Self = serde_json::from_slice(json)?;
        answer.receipt.check()?;
        Ok(answer)
    }
}

/// Why an answer of the burst function is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not the JSON of an answer.
    #[error("not an answer of the burst function: {0}")]
    Json(#[from] serde_json::Error),
    /// The receipt contradicts itself.
    #[error(transparent)]
    Receipt(#[from] crate::receipt::ReceiptError),
}

/// How long the parts of an invocation took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Whether this is the first answer of its instance.
    pub cold: bool,
    /// From process start to the first poll for work.
    pub init_us: u64,
    /// Base64, LZ4 and checking the batch.
    pub decode_us: u64,
    /// Tokenizing, aggregating, sorting.
    pub aggregate_us: u64,
    /// Writing Parquet, its checksum.
    pub encode_us: u64,
    /// Storing the partial.
    pub write_us: u64,
}

/// The `errorType` of the burst function's own errors, by what the sidecar has to do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionErrorType {
    /// The same bytes will not fare better: never retry.
    MalformedBatch,
    /// The partial could not be stored this time: retry.
    StorageUnavailable,
    /// There is no such bucket, or no right to write to it: never retry, alarm.
    StorageMisconfigured,
    /// The batch's partial is there already with other bytes, made by another version of the function: never
    /// retry; the partial there is an orphan unless its receipt has been given.
    PartialConflict,
}

impl FunctionErrorType {
    /// As it stands in `errorType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MalformedBatch => "MalformedBatch",
            Self::StorageUnavailable => "StorageUnavailable",
            Self::StorageMisconfigured => "StorageMisconfigured",
            Self::PartialConflict => "PartialConflict",
        }
    }

    /// The type of this name. `None` means an unknown outcome: retry.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::MalformedBatch,
            Self::StorageUnavailable,
            Self::StorageMisconfigured,
            Self::PartialConflict,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

impl fmt::Display for FunctionErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
