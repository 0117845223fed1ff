//! Where the files of COPY and ADD come from.

pub use crate::rootfs::ignore;
