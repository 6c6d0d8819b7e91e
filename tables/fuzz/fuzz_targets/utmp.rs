//! Fuzz target: records of logins.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("utmp", input));
