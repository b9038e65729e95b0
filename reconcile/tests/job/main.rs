//! Whole jobs: their files go in, the result and the balance come out.
//!
//! One binary, because each would link everything anew.

#![allow(clippy::unwrap_used)]

mod command;
mod common;
mod defects;
mod gc;
mod result;
mod s3;
