//! What both sides of the wire share: workloads, the batch codec, partials, receipts, the ledger.
//!
//! Everything here is pure: no clock, no files, no sockets. Bytes come in, bytes and values go out,
//! and no bytes off the wire make it panic. The shapes are those of `proto/README.md`.

pub mod aggregate;
pub mod batch;
pub mod digest;
pub mod directive;
pub mod envelope;
pub mod ids;
pub mod ledger;
pub mod local_row;
mod marker;
pub mod partial;
pub mod receipt;
pub mod row;
pub mod window;
pub mod workload;
