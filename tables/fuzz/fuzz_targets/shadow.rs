//! Fuzz target: /etc/shadow.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("shadow", input));
