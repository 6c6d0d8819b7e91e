//! Fuzz target: sudoers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("sudoers", input));
