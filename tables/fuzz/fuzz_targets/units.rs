//! Fuzz target: unit files of systemd.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("units", input));
