//! Wrong hits are the worst fault. Random projects are edited at random and built with a cache and
//! without; the images have to be the same. Where commands give something else each time they run, all
//! parts of an image have to be of the same time.
//!
//! A failure tells a seed; `KILN_SEEDS=17..18` builds that one again, `KILN_SEEDS=0..1000` many, with
//! `KILN_ROUNDS` edits each.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "cache_properties/consistent.rs"]
mod consistent;
#[path = "cache_properties/edits.rs"]
mod edits;
#[path = "cache_properties/keys.rs"]
mod keys;
#[path = "cache_properties/lab.rs"]
mod lab;
#[path = "cache_properties/project.rs"]
mod project;
#[path = "cache_properties/same.rs"]
mod same;
#[path = "cache_properties/words.rs"]
mod words;

use std::ops::Range;

/// The seeds to try, and the edits of each.
fn seeds(usual: Range<u64>, rounds: usize) -> (Range<u64>, usize) {
    let variable = |name: &str| std::env::var(name).ok();
    let seeds = variable("KILN_SEEDS").map(|text| {
        let (first, end) = text.split_once("..").expect("KILN_SEEDS is FIRST..END");
        first.parse().unwrap()..end.parse().unwrap()
    });
    let wanted = variable("KILN_ROUNDS").map(|text| text.parse().unwrap());
    (seeds.unwrap_or(usual), wanted.unwrap_or(rounds))
}
