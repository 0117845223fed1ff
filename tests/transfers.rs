//! What goes over the network, counted in requests and bytes.

mod common;

#[path = "transfers/pull.rs"]
mod pull;
#[path = "transfers/push.rs"]
mod push;
#[path = "transfers/traffic.rs"]
mod traffic;
