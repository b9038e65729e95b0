//! What the fuzz targets check.

#[cfg(feature = "sidecar")]
pub mod sidecar;
pub mod wire;
