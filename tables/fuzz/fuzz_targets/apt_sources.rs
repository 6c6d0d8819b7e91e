//! Fuzz target: apt's sources.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("apt_sources", input));
