//! Where the image and its digest go, and what is printed.

mod common;

#[path = "outputs/digests.rs"]
mod digests;
#[path = "outputs/exports.rs"]
mod exports;
#[path = "outputs/files.rs"]
mod files;
#[path = "outputs/metadata.rs"]
mod metadata;
#[path = "outputs/results.rs"]
mod results;
#[path = "outputs/squash.rs"]
mod squash;
#[path = "outputs/times.rs"]
mod times;
