//! The layers that kiln writes, byte by byte where it matters, and those that it reads.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

#[path = "layers/many.rs"]
mod many;
#[path = "layers/metadata.rs"]
mod metadata;
#[path = "layers/order.rs"]
mod order;
#[path = "layers/raw.rs"]
mod raw;
#[path = "layers/whiteouts.rs"]
mod whiteouts;
