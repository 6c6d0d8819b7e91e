//! A program or library in ELF (System V ABI, "Object files"), in the words of `file(1)`. Headers may lie anywhere in a file,
//! so they are read where they are, each with a bound.

use std::fs::File;

use super::file_kind::Kind;
use crate::functions::hex;
use crate::posix::FileExt;

/// Headers of programs or of sections that are looked at.
const MAX_HEADERS: usize = 512;
/// The longest table of headers, note, name or list that is read.
const MAX_PART_BYTES: u64 = 64 << 10;

const DYNAMIC: u32 = 2;
const INTERPRETER: u32 = 3;
const NOTE: u32 = 4;
const SYMBOLS: u32 = 2;
/// `DT_FLAGS_1` and the flag in it that tells a program from a library.
const FLAGS_1: u64 = 0x6fff_fffb;
const IS_PROGRAM: u64 = 0x0800_0000;

/// Reads numbers in the order and the width of the file.
struct Elf<'a> {
    file: &'a File,
    is_64: bool,
    is_little: bool,
}

/// A part of the file.
struct Part {
    kind: u32,
    at: u64,
    size: u64,
}

/// What an ELF file is; none if it is none, or broken.
pub(super) fn describe(file: &File, head: &[u8]) -> Option<Kind> {
    let (class, order) = (*head.get(4)?, *head.get(5)?);
    if !head.starts_with(b"\x7fELF") || !matches!(class, 1 | 2) || !matches!(order, 1 | 2) {
        return None;
    }
    let elf = Elf { file, is_64: class == 2, is_little: order == 1 };
    let programs = elf.programs(head).unwrap_or_default();
    let part = |kind: u32| programs.iter().find(|part| part.kind == kind);
    let dynamic = part(DYNAMIC);
    let interpreter = part(INTERPRETER).and_then(|part| elf.read(part));
    let interpreter = interpreter.map(|bytes| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned());
    let is_pie = dynamic.is_some_and(|part| elf.is_program(part));
    let (kind, mime_type) = match elf.word(head, 16)? {
        1 => ("relocatable", "application/x-object"),
        2 => ("executable", "application/x-executable"),
        3 if is_pie => ("pie executable", "application/x-pie-executable"),
        3 => ("shared object", "application/x-sharedlib"),
        4 => ("core file", "application/x-coredump"),
        _ => ("unknown type", "application/octet-stream"),
    };
    let mut words = vec![
        format!("ELF {}-bit {} {kind}", if elf.is_64 { 64 } else { 32 }, if elf.is_little { "LSB" } else { "MSB" }),
        machine(elf.word(head, 18)?),
        format!("version 1 ({})", system(*head.get(7)?)),
    ];
    if !matches!(kind, "relocatable" | "core file") {
        words.push(
            match (dynamic.is_some(), interpreter.is_some()) {
                (false, _) => "statically linked",
                (true, false) if is_pie => "static-pie linked",
                _ => "dynamically linked",
            }
            .to_owned(),
        );
    }
    words.extend(interpreter.map(|path| format!("interpreter {path}")));
    for note in programs.iter().filter(|part| part.kind == NOTE).filter_map(|part| elf.read(part)) {
        elf.notes(&note, &mut words);
    }
    let sections = elf.sections(head).unwrap_or_default();
    let has_symbols = sections.iter().any(|section| section.kind == SYMBOLS);
    words.push(if has_symbols { "not stripped" } else { "stripped" }.to_owned());
    Some(Kind::binary(words.join(", "), mime_type))
}

impl Elf<'_> {
    fn word(&self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn double_word(&self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// An address or a size: eight bytes, or four in a file of 32 bits.
    fn address(&self, bytes: &[u8], at: usize) -> Option<u64> {
        if !self.is_64 {
            return self.double_word(bytes, at).map(u64::from);
        }
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    fn read(&self, part: &Part) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(part.size.min(MAX_PART_BYTES)).ok()?];
        self.file.read_exact_at(&mut bytes, part.at).ok()?;
        Some(bytes)
    }

    /// A table of headers: where it is, how long each is, how many there are.
    fn table(&self, at: u64, size: u16, count: u16) -> Option<Vec<Vec<u8>>> {
        let (size, count) = (usize::from(size), usize::from(count).min(MAX_HEADERS));
        let whole = self.read(&Part { kind: 0, at, size: (size * count) as u64 })?;
        Some(if size == 0 { Vec::new() } else { whole.chunks_exact(size).map(<[u8]>::to_vec).collect() })
    }

    fn programs(&self, head: &[u8]) -> Option<Vec<Part>> {
        let [at, size, count, offset, length] = if self.is_64 { [32, 54, 56, 8, 32] } else { [28, 42, 44, 4, 16] };
        let headers = self.table(self.address(head, at)?, self.word(head, size)?, self.word(head, count)?)?;
        let part = |header: &Vec<u8>| {
            Some(Part {
                kind: self.double_word(header, 0)?,
                at: self.address(header, offset)?,
                size: self.address(header, length)?,
            })
        };
        Some(headers.iter().filter_map(part).collect())
    }

    fn sections(&self, head: &[u8]) -> Option<Vec<Part>> {
        let [at, size, count, offset, length] = if self.is_64 { [40, 58, 60, 24, 32] } else { [32, 46, 48, 16, 20] };
        let headers = self.table(self.address(head, at)?, self.word(head, size)?, self.word(head, count)?)?;
        let part = |header: &Vec<u8>| {
            Some(Part {
                kind: self.double_word(header, 4)?,
                at: self.address(header, offset)?,
                size: self.address(header, length)?,
            })
        };
        Some(headers.iter().filter_map(part).collect())
    }

    fn is_program(&self, dynamic: &Part) -> bool {
        let width = if self.is_64 { 8 } else { 4 };
        let bytes = self.read(dynamic).unwrap_or_default();
        bytes.chunks_exact(2 * width).any(|entry| {
            self.address(entry, 0) == Some(FLAGS_1)
                && self.address(entry, width).is_some_and(|flags| flags & IS_PROGRAM != 0)
        })
    }

    /// The notes of the GNU tools: which build this is, and the oldest kernel it runs on.
    fn notes(&self, mut notes: &[u8], words: &mut Vec<String>) {
        let aligned = |size: u32| usize::try_from(size).unwrap_or(usize::MAX).checked_next_multiple_of(4);
        while let (Some(name), Some(value), Some(kind)) =
            (self.double_word(notes, 0), self.double_word(notes, 4), self.double_word(notes, 8))
        {
            let (Some(name_bytes), Some(value_bytes)) = (aligned(name), aligned(value)) else { return };
            let Some(rest) = notes.get(12..) else { return };
            let Some((name, rest)) = rest.split_at_checked(name_bytes) else { return };
            let Some((content, rest)) = rest.split_at_checked(value_bytes) else { return };
            let value = content.get(..usize::try_from(value).unwrap_or(0)).unwrap_or_default();
            let number = |index: usize| self.double_word(value, index * 4).unwrap_or(0);
            match (name, kind) {
                (b"GNU\0", 3) => words.push(format!("BuildID[sha1]={}", hex(value))),
                (b"GNU\0", 1) if number(0) == 0 => {
                    words.push(format!("for GNU/Linux {}.{}.{}", number(1), number(2), number(3)));
                }
                _ => {}
            }
            notes = rest;
        }
    }
}

fn machine(number: u16) -> String {
    match number {
        3 => "Intel i386",
        8 => "MIPS",
        20 => "PowerPC or cisco 4500",
        21 => "64-bit PowerPC or cisco 7500",
        22 => "IBM S/390",
        40 => "ARM, EABI5",
        62 => "x86-64",
        183 => "ARM aarch64",
        243 => "UCB RISC-V",
        247 => "eBPF",
        258 => "LoongArch",
        other => return format!("machine {other}"),
    }
    .to_owned()
}

const fn system(number: u8) -> &'static str {
    match number {
        0 => "SYSV",
        3 => "GNU/Linux",
        9 => "FreeBSD",
        _ => "other",
    }
}
