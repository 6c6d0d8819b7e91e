//! `userassist`: programs that accounts of a Windows image started from the desktop, with how often and when last. Explorer writes
//! the names turned by 13 letters.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::{u32_of, u64_of, unix_time};
use crate::windows::machine::{Entry, Machine, Value};

table! {
    /// Programs that accounts of a Windows image started from the desktop.
    userassist {
        path: Text,
        last_execution_time: BigInt,
        count: Integer,
        sid: Text,
    }
}

const LISTS: &str = r"Software\Microsoft\Windows\CurrentVersion\Explorer\UserAssist";
/// Records since Windows 7 have this length.
const RECORD_BYTES: usize = 72;

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let mut rows = Vec::new();
    for (sid, root) in machine.user_hives() {
        let lists = root.at(LISTS);
        for counts in lists.iter().flat_map(Entry::children).filter_map(|list| list.child("Count")) {
            rows.extend(counts.values().map(|value| to_row(&value, &sid)));
        }
    }
    Box::new(rows.into_iter())
}

fn to_row(value: &Value, sid: &str) -> Row {
    let path = turned(&value.name);
    // Explorer's own records are of its session, not of a program.
    let is_program = !matches!(path.as_str(), "UEME_CTLCUACount:ctor" | "UEME_CTLSESSION");
    let record = Some(&value.bytes).filter(|bytes| is_program && bytes.len() >= RECORD_BYTES);
    let time = record.map(|bytes| u64_of(bytes, 60)).filter(|time| *time != 0);
    row! {
        path,
        last_execution_time: time.map(unix_time).or(is_program.then_some(0)),
        count: time.and(record).map(|bytes| u32_of(bytes, 4)),
        sid,
    }
}

/// Letters turned by 13, which is its own reverse.
fn turned(text: &str) -> String {
    let turn = |letter: char, first: u8| char::from((letter as u8 - first + 13) % 26 + first);
    text.chars()
        .map(|letter| match letter {
            'a'..='z' => turn(letter, b'a'),
            'A'..='Z' => turn(letter, b'A'),
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_turned_back() {
        assert_eq!(turned(r"P:\Jvaqbjf\abgrcnq.rkr"), r"C:\Windows\notepad.exe");
        assert_eq!(turned("é1"), "é1");
    }
}
