//! A directory that is an image's file system.

pub mod copy;
pub mod glob;
pub mod ignore;
pub mod view;

pub use view::{Resolved, View, ViewError, resolve};
