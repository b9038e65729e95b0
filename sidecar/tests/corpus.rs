//! Goes through the corpora of the sidecar's fuzz targets. See `fuzz/README.md`.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

#[path = "../../fuzz/src/sidecar.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzz targets")]
#[allow(clippy::expect_used, reason = "shared with the fuzz targets")]
mod bodies;
#[path = "../../fuzz/src/corpus.rs"]
#[allow(unreachable_pub, reason = "shared with the other corpora")]
mod corpus;

corpus::targets!(bodies: configuration, policy_patch, trace, scenario);
