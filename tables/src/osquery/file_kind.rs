//! What a file holds, by its first bytes, in the words of `file(1)`: programs, scripts, archives, text. Only kinds that say
//! something about a host are known; the rest is `data`, as it is for `file(1)` where its database has nothing.

/// How much of a file decides.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kind {
    pub data: String,
    pub mime_type: &'static str,
    pub encoding: &'static str,
}

impl Kind {
    pub fn binary(data: impl Into<String>, mime_type: &'static str) -> Self {
        Kind { data: data.into(), mime_type, encoding: "binary" }
    }
}

/// The first bytes of kinds that need no second look: offset, bytes, words, MIME type.
const MARKS: [(usize, &[u8], &str, &str); 24] = [
    (0, b"\x1f\x8b", "gzip compressed data", "application/gzip"),
    (0, b"\xfd7zXZ\0", "XZ compressed data", "application/x-xz"),
    (0, b"BZh", "bzip2 compressed data", "application/x-bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard compressed data (v0.8+)", "application/zstd"),
    (0, b"PK\x03\x04", "Zip archive data", "application/zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-zip archive data", "application/x-7z-compressed"),
    (257, b"ustar\0", "POSIX tar archive", "application/x-tar"),
    (257, b"ustar  ", "POSIX tar archive (GNU)", "application/x-tar"),
    (0, b"!<arch>\ndebian-binary", "Debian binary package", "application/vnd.debian.binary-package"),
    (0, b"!<arch>\n", "current ar archive", "application/x-archive"),
    (0, b"\xed\xab\xee\xdb", "RPM", "application/x-rpm"),
    (0, b"%PDF-", "PDF document", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG image data", "image/png"),
    (0, b"\xff\xd8\xff", "JPEG image data", "image/jpeg"),
    (0, b"GIF8", "GIF image data", "image/gif"),
    (0, b"SQLite format 3\0", "SQLite 3.x database", "application/vnd.sqlite3"),
    (0, b"TZif", "timezone data", "application/tzif"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O 64-bit", "application/x-mach-binary"),
    (0, b"\xce\xfa\xed\xfe", "Mach-O", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "compiled Java class data", "application/x-java-applet"),
    (0, b"\0asm", "WebAssembly (wasm) binary module", "application/wasm"),
    (0, b"hsqs", "Squashfs filesystem, little endian", "application/octet-stream"),
    (514, b"HdrS", "Linux kernel x86 boot executable", "application/octet-stream"),
    (0, b"regf", "MS Windows registry file", "application/octet-stream"),
];

/// Programs that scripts name, with what `file(1)` calls such a script.
const INTERPRETERS: [(&str, &str, &str); 9] = [
    ("sh", "POSIX shell script", "text/x-shellscript"),
    ("dash", "POSIX shell script", "text/x-shellscript"),
    ("bash", "Bourne-Again shell script", "text/x-shellscript"),
    ("zsh", "Paul Falstad's zsh script", "text/x-shellscript"),
    ("python", "Python script", "text/x-script.python"),
    ("perl", "Perl script text executable", "text/x-perl"),
    ("ruby", "Ruby script", "text/x-ruby"),
    ("node", "Node.js script executable", "application/javascript"),
    ("awk", "awk script", "text/x-awk"),
];

/// The kind of a regular file by its first bytes; ELF is another's task.
pub(super) fn of(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::binary("empty", "inode/x-empty");
    }
    let is_marked =
        |(at, mark, ..): &&(usize, &[u8], &str, &str)| head.get(*at..).is_some_and(|rest| rest.starts_with(mark));
    if let Some((_, _, data, mime_type)) = MARKS.iter().find(is_marked) {
        return Kind::binary(*data, mime_type);
    }
    if head.starts_with(b"MZ") {
        return windows_program(head);
    }
    match text(head) {
        Some((words, encoding)) => of_text(head, &words, encoding),
        None => Kind::binary("data", "application/octet-stream"),
    }
}

/// Microsoft's portable executables (PE format, "COFF file header" and "optional header").
fn windows_program(head: &[u8]) -> Kind {
    let word = |at: usize| head.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    let header = word(0x3c).map(usize::from).filter(|at| head.get(*at..*at + 4) == Some(b"PE\0\0"));
    let Some(header) = header else { return Kind::binary("MS-DOS executable", "application/x-dosexec") };
    let machine = match word(header + 4) {
        Some(0x014c) => "Intel 80386",
        Some(0x8664) => "x86-64",
        Some(0xaa64) => "Aarch64",
        _ => "unknown",
    };
    let format = if word(header + 24) == Some(0x020b) { "PE32+" } else { "PE32" };
    let is_library = word(header + 22).is_some_and(|flags| flags & 0x2000 != 0);
    let surface = match (is_library, word(header + 92)) {
        (true, _) => "DLL",
        (_, Some(2)) => "GUI",
        _ => "console",
    };
    Kind::binary(
        format!("{format} executable ({surface}) {machine}, for MS Windows"),
        "application/vnd.microsoft.portable-executable",
    )
}

/// The words for text, and its encoding; none if it is none.
fn text(head: &[u8]) -> Option<(String, &'static str)> {
    let is_control =
        |byte: &u8| *byte < b' ' && !matches!(*byte, b'\t' | b'\n' | b'\r' | 0x08 | 0x0b | 0x0c | 0x1b | 0x07);
    if head.iter().any(|byte| is_control(byte) || *byte == 0x7f) {
        return None;
    }
    if head.is_ascii() {
        return Some(("ASCII text".to_owned(), "us-ascii"));
    }
    // The head may end within a letter.
    match std::str::from_utf8(head) {
        Ok(_) => Some(("Unicode text, UTF-8 text".to_owned(), "utf-8")),
        Err(error) if error.error_len().is_none() => Some(("Unicode text, UTF-8 text".to_owned(), "utf-8")),
        Err(_) if head.iter().all(|byte| !(0x80..0xa0).contains(byte)) => {
            Some(("ISO-8859 text".to_owned(), "iso-8859-1"))
        }
        Err(_) => None,
    }
}

fn of_text(head: &[u8], words: &str, encoding: &'static str) -> Kind {
    let content = String::from_utf8_lossy(head);
    let with = |data: String, mime_type| Kind { data, mime_type, encoding };
    if let Some(line) = content.strip_prefix("#!") {
        return script(line.lines().next().unwrap_or_default(), words, encoding);
    }
    let start = content.trim_start();
    if content.starts_with("-----BEGIN CERTIFICATE-----") {
        return with("PEM certificate".to_owned(), "text/plain");
    }
    if content.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----") {
        return with("OpenSSH private key".to_owned(), "text/plain");
    }
    if content.starts_with("-----BEGIN") && content.lines().next().is_some_and(|line| line.contains("PRIVATE KEY")) {
        return with("PEM private key".to_owned(), "text/plain");
    }
    if content.starts_with("<?xml version=\"1.0\"") {
        return with(format!("XML 1.0 document, {words}"), "text/xml");
    }
    if start.starts_with("<!DOCTYPE html") || start.starts_with("<!doctype html") || start.starts_with("<html") {
        return with(format!("HTML document, {words}"), "text/html");
    }
    if start.starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(start).is_ok() {
        return with("JSON text data".to_owned(), "application/json");
    }
    with(format!("{words}{}", line_ends(head)), "text/plain")
}

/// What `file(1)` says of the ends of lines, where they are not the usual ones.
fn line_ends(head: &[u8]) -> String {
    const LONG_LINE_BYTES: usize = 300;
    let longest = head.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
    let long = if longest > LONG_LINE_BYTES { format!(", with very long lines ({longest})") } else { String::new() };
    let is_windows = head.windows(2).any(|pair| pair == b"\r\n");
    let ends = match (head.contains(&b'\n'), is_windows) {
        (_, true) => ", with CRLF line terminators",
        (false, _) => ", with no line terminators",
        _ => "",
    };
    format!("{long}{ends}")
}

fn script(line: &str, words: &str, encoding: &'static str) -> Kind {
    let mut parts = line.split_whitespace();
    let program = parts.next().unwrap_or_default();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    // `#!/usr/bin/env -S python3 -u` names the program behind it.
    let called = match name(program).as_str() {
        "env" => parts.find(|part| !part.starts_with('-')).map(name).unwrap_or_default(),
        other => other.to_owned(),
    };
    let is_called = |known: &str| {
        called.strip_prefix(known).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    match INTERPRETERS.iter().find(|(known, ..)| is_called(known)) {
        Some((_, data, mime_type)) if data.ends_with("executable") => {
            Kind { data: (*data).to_owned(), mime_type, encoding }
        }
        Some((_, data, mime_type)) => Kind { data: format!("{data}, {words} executable"), mime_type, encoding },
        None => {
            Kind { data: format!("a {} script, {words} executable", line.trim()), mime_type: "text/plain", encoding }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_named_as_file_does() {
        for (head, data, mime_type) in [
            (&b""[..], "empty", "inode/x-empty"),
            (b"hello\n", "ASCII text", "text/plain"),
            (b"hello", "ASCII text, with no line terminators", "text/plain"),
            (b"a\r\nb\r\n", "ASCII text, with CRLF line terminators", "text/plain"),
            ("é\n".as_bytes(), "Unicode text, UTF-8 text", "text/plain"),
            (b"\xe9\n", "ISO-8859 text", "text/plain"),
            (b"#!/bin/sh\n", "POSIX shell script, ASCII text executable", "text/x-shellscript"),
            (b"#!/bin/bash -e\n", "Bourne-Again shell script, ASCII text executable", "text/x-shellscript"),
            (b"#!/usr/bin/env python3\n", "Python script, ASCII text executable", "text/x-script.python"),
            (b"#!/usr/bin/perl -w\n", "Perl script text executable", "text/x-perl"),
            (b"{\"a\": [1]}\n", "JSON text data", "application/json"),
            (b"{ no json\n", "ASCII text", "text/plain"),
            (b"<?xml version=\"1.0\"?>\n<a/>\n", "XML 1.0 document, ASCII text", "text/xml"),
            (b"\x1f\x8b\x08\0\0\0", "gzip compressed data", "application/gzip"),
            (b"a\0b", "data", "application/octet-stream"),
        ] {
            let kind = of(head);
            assert_eq!((kind.data.as_str(), kind.mime_type), (data, mime_type));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            of(&bytes);
            of(&[b"MZ", &bytes[..]].concat());
            of(&[b"#!", &bytes[..]].concat());
        }
    }
}
