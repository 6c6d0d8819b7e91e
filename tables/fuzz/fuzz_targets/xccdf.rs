//! Fuzz target: SCAP data streams and XCCDF benchmarks.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("xccdf", input));
