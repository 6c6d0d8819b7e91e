//! Records of logins (`utmp(5)`) as glibc writes them on 64-bit Linux.

use crate::reader::Scan;
use crate::root::Follow;

const RECORD_BYTES: usize = 384;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub kind: i16,
    pub pid: i32,
    pub tty: String,
    pub user: String,
    pub host: String,
    pub time: i64,
}

impl Login {
    /// osquery's word for the kind of a record.
    pub const fn kind_name(&self) -> &'static str {
        match self.kind {
            1 => "runlevel",
            2 => "reboot",
            3 => "newtime",
            4 => "oldtime",
            5 => "init",
            6 => "login",
            7 => "user",
            8 => "dead",
            9 => "accounting",
            _ => "empty",
        }
    }
}

/// The records of the first of these files that exists.
pub(crate) fn read(scan: &Scan, files: &[&str]) -> Vec<Login> {
    let file = files.iter().find(|file| scan.exists(file));
    let bytes = file.and_then(|file| scan.bytes(file, Follow::Links)).unwrap_or_default();
    bytes.as_chunks::<RECORD_BYTES>().0.iter().map(parse).collect()
}

fn parse(record: &[u8; RECORD_BYTES]) -> Login {
    let text = |start: usize, length: usize| {
        let field = &record[start..start + length];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let number =
        |start: usize| i32::from_ne_bytes([record[start], record[start + 1], record[start + 2], record[start + 3]]);
    Login {
        kind: i16::from_ne_bytes([record[0], record[1]]),
        pid: number(4),
        tty: text(8, 32),
        user: text(44, 32),
        host: text(76, 256),
        time: i64::from(number(340)),
    }
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    input.as_chunks::<RECORD_BYTES>().0.iter().map(|record| parse(record).kind_name().len()).sum::<usize>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_from_its_bytes() {
        let mut record = [0; RECORD_BYTES];
        record[0] = 7;
        record[4..8].copy_from_slice(&42_i32.to_ne_bytes());
        record[8..13].copy_from_slice(b"pts/0");
        record[44..49].copy_from_slice(b"alice");
        record[76..84].copy_from_slice(b"10.0.0.1");
        record[340..344].copy_from_slice(&1_700_000_000_i32.to_ne_bytes());
        let login = parse(&record);
        assert_eq!((login.kind_name(), login.pid, login.time), ("user", 42, 1_700_000_000));
        assert_eq!((login.user.as_str(), login.tty.as_str(), login.host.as_str()), ("alice", "pts/0", "10.0.0.1"));
    }
}
