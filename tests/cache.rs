//! Results of earlier builds: hits, misses, and what travels over the wire.

mod common;
#[path = "cache/graphs.rs"]
mod graphs;
#[path = "cache/hits.rs"]
mod hits;
#[path = "cache/places.rs"]
mod places;
