//! `cpuid`: features of the processor as it reports them itself; no rows where it has no such instruction.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Features of the processor.
    cpuid: live_only {
        feature: Text,
        value: Text,
        output_register: Text,
        output_bit: Integer,
        input_eax: Text,
    }
}

/// Name, leaf, register (0 eax to 3 edx), bit (Intel 64 manual, CPUID).
const FEATURES: [(&str, u32, usize, u32); 31] = [
    ("fpu", 1, 3, 0),
    ("vme", 1, 3, 1),
    ("tsc", 1, 3, 4),
    ("msr", 1, 3, 5),
    ("pae", 1, 3, 6),
    ("mce", 1, 3, 7),
    ("apic", 1, 3, 9),
    ("mtrr", 1, 3, 12),
    ("mmx", 1, 3, 23),
    ("sse", 1, 3, 25),
    ("sse2", 1, 3, 26),
    ("htt", 1, 3, 28),
    ("sse3", 1, 2, 0),
    ("vmx", 1, 2, 5),
    ("smx", 1, 2, 6),
    ("ssse3", 1, 2, 9),
    ("sse4.1", 1, 2, 19),
    ("sse4.2", 1, 2, 20),
    ("aes", 1, 2, 25),
    ("avx", 1, 2, 28),
    ("rdrand", 1, 2, 30),
    ("hypervisor", 1, 2, 31),
    ("sgx", 7, 1, 2),
    ("avx2", 7, 1, 5),
    ("smep", 7, 1, 7),
    ("rtm", 7, 1, 11),
    ("mpx", 7, 1, 14),
    ("rdseed", 7, 1, 18),
    ("smap", 7, 1, 20),
    ("sha", 7, 1, 29),
    ("pku", 7, 2, 3),
];
const REGISTERS: [&str; 4] = ["eax", "ebx", "ecx", "edx"];

#[cfg(target_arch = "x86_64")]
fn leaf(number: u32) -> Option<[u32; 4]> {
    use std::arch::x86_64::__cpuid_count;
    let highest = __cpuid_count(0, 0).eax;
    (number <= highest).then(|| {
        let answer = __cpuid_count(number, 0);
        [answer.eax, answer.ebx, answer.ecx, answer.edx]
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn leaf(_: u32) -> Option<[u32; 4]> {
    None
}

fn rows(_: &Scan) -> Rows {
    Box::new(FEATURES.into_iter().filter_map(|(feature, number, register, bit)| {
        let value = leaf(number)?[register] >> bit & 1;
        Some(row! {
            feature,
            value: value.to_string(),
            output_register: REGISTERS[register],
            output_bit: bit,
            input_eax: number.to_string(),
        })
    }))
}
