//! Fuzz target: lines of authorized_keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("authorized_keys", input));
