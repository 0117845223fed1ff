//! Raw system calls: what neither the standard library nor rustix offers safely. The only `unsafe`.
//!
//! Every function here is safe to call: what a call needs (one thread, a descriptor that nobody
//! else owns) is checked here or cannot be got wrong by the caller.

pub mod credentials;
pub mod lock;
pub mod mount;
pub mod namespace;
pub mod personality;
pub mod process;
pub mod seccomp;
pub mod signal;
