//! Fuzz target: apk's list of packages.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("apk", input));
