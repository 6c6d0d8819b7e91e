//! Fuzz target: reports of OpenSCAP (ARF).
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("arf", input));
