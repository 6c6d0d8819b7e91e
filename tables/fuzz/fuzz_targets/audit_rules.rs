//! Fuzz target: audit rules.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("audit_rules", input));
