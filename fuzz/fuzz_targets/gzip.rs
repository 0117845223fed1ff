#![no_main]
#![allow(dead_code, reason = "one of the functions is this target's")]

#[path = "../../tests/properties/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::gzip(bytes));
