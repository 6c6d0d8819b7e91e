//! Fuzz target: sshd_config.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("sshd_config", input));
