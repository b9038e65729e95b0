//! Reconciling: what the local lane wrote, and every partial that a committed receipt names,
//! become one result; and the double-entry books prove that no record is lost or counted twice.
//!
//! The ledger decides (DESIGN.md, section 4): [`books`] reads it, [`lanes`] reads what the lanes
//! wrote, [`balance`] sets one against the other, [`rows`] merges in bounded memory, [`result`]
//! makes the merged rows visible. The commands are [`run`], [`export`] and [`gc`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod balance;
pub mod books;
pub mod budget;
pub mod error;
pub mod export;
pub mod gc;
pub mod lanes;
mod lines;
pub mod location;
mod parallel;
pub mod result;
pub mod rows;
pub mod run;
pub mod sheet;
pub mod store;
mod text;

pub use text::{grouped, size};
