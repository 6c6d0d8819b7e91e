//! Fuzz target: X.509 certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("certificates", input));
