//! The Dockerfile language: text → typed instructions with spans. Pure: no I/O.

pub mod instruction;

pub use instruction::*;
