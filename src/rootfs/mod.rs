//! A directory that is an image's file system.

pub mod view;

pub use view::{Resolved, View, ViewError, resolve};
