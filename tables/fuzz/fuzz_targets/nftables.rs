//! Fuzz target: rules of nftables.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("nftables", input));
