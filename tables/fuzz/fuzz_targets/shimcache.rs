//! Fuzz target: the compatibility cache of Windows.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("shimcache", input));
