//! Fuzz target: /etc/passwd and /etc/group.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("accounts", input));
