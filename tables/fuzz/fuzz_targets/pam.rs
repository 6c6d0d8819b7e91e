//! Fuzz target: files of /etc/pam.d.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("pam", input));
