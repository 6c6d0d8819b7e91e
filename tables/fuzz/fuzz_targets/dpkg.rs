//! Fuzz target: dpkg's status.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("dpkg", input));
