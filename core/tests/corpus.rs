//! Goes through the corpora of the fuzz targets: what fuzzing has found stays found, without a fuzzer.
//! See `fuzz/README.md`.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

#[path = "../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "shared with the other corpora")]
mod corpus;
#[path = "../../fuzz/src/wire.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[allow(clippy::expect_used, reason = "shared with the fuzz targets")]
mod wire;

corpus::targets!(
    wire: batch,
    report,
    directive,
    invocation,
    answer,
    ledger_line,
    partial_file,
    local_line
);
