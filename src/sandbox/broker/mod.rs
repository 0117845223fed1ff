//! /proc, /sys and /dev for a RUN that has no mounts.
//!
//! In an ordinary container nothing can be mounted, so the root of a RUN is a plain directory whose
//! /proc is empty. A seccomp filter ([`filter`]) stops those system calls of the RUN that take a path,
//! and this process, outside the root, decides: the real file is opened here and handed over by its
//! descriptor, a question about it is answered into the caller's memory, and a path of the image,
//! as nearly all are, goes on to the kernel untouched.
//!
//! What a RUN may reach is in [`place`]. Three rules make it safe:
//! - What the kernel carries out after a look at the caller's memory, it carries out inside the RUN's
//!   root, whatever another thread has written there meanwhile.
//! - What is carried out here, is so with the path that was read once, and with the eyes of the
//!   caller's user.
//! - No descriptor of a directory outside the root is ever given away ([`mirror`]).

mod call;
mod caller;
mod family;
mod filter;
mod hear;
mod led;
mod mirror;
mod path;
mod place;
mod processes;
mod serve;
mod stat;
mod tables;

pub(super) use family::Family;
pub(super) use hear::{Broker, links_among};

use std::io;

use crate::sys::seccomp::{self, Listener};

/// Puts the calling thread, and all that it starts, under the broker's filter.
pub(super) fn install_filter() -> io::Result<Listener> {
    seccomp::install(&filter::program())
}
