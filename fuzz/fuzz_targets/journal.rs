#![no_main]

#[allow(dead_code, unused_imports, reason = "the other targets use the rest")]
#[path = "../../pzog/tests/fuzz/bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::journal(bytes));
