//! Results of earlier builds: hits, misses, and what travels over the wire.

mod common;
#[path = "cache/hits.rs"]
mod hits;
