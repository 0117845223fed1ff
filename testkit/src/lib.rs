//! What kiln's tests share.
//!
//! - [`registry`]: an OCI registry on loopback that can be told to misbehave.
//! - [`tar`]: tar archives byte by byte, also hostile ones.
//! - [`tree`]: trees of files on disk.
//! - [`base`]: base images from Debian packages.
//! - [`image`]: images read back: merged tree, configuration, differences.
//! - [`process`]: other programs: a Docker daemon, a Docker registry.
//! - [`token_server`]: signs tokens that a Docker registry believes.
//! - [`proxy`]: an HTTP proxy.
//! - [`distant`]: a way to a server that takes time.
//! - [`client`]: a small HTTP client.
//!
//! Nothing here uses kiln's own code: a test that reads an image back must not agree with kiln
//! only because both made the same mistake.

pub mod base;
pub mod client;
pub mod digest;
pub mod distant;
pub mod image;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod tar;
pub mod token_server;
pub mod tree;

pub use registry::{Action, Fault, Quirk, Registry, Request};
