//! Contexts in object stores and logins of clouds, end to end.

mod common;

#[path = "objects/ecr.rs"]
mod ecr;
#[path = "objects/proxy.rs"]
mod proxy;
#[path = "objects/s3.rs"]
mod s3;
#[path = "remote/server.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod server;
