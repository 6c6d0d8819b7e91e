//! Fuzz target: the boot configuration of Windows.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("bcd", input));
