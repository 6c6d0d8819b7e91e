//! Fuzz target: headers of RPM's database.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("rpm", input));
