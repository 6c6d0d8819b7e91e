//! Fuzz target: tasks of Windows' scheduler.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tables::fuzzing::run("task_xml", input));
