//! The Dockerfile language: text → typed instructions with spans. Pure: no I/O.

pub mod instruction;
pub mod located;

pub use instruction::*;
pub use located::{Located, line_of};
