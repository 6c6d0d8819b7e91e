//! Tests of the hive reader against hives that the tests write themselves, whole and damaged.
#![allow(clippy::unwrap_used)] // a failing test may end

use std::rc::Rc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::fuzzing::walk;
use crate::windows::data::shown;
use crate::windows::encoding::utf16;
use crate::windows::hive::{Error, Hive, Key};
use crate::windows::hive_writer::{self as made, Lists, key, wide};
use crate::windows::machine::Entry;
use crate::windows::storage::MemoryStorage;

fn open(bytes: Vec<u8>) -> Result<Hive, Error> {
    Hive::open(Box::new(MemoryStorage(bytes)))
}

fn names(hive: &Hive, key: &Key) -> Vec<String> {
    hive.subkeys(key).map(|child| child.name).collect()
}

/// A hive with one of everything.
pub(crate) fn sample() -> Vec<u8> {
    let many = (0..250).fold(key("Many").listed(Lists::Split), |many, index| many.with(key(&format!("K{index:03}"))));
    key("ROOT")
        .value("", 1, wide("default"))
        .text("Text", "C:\\x")
        .texts("Texts", &["one", "two"])
        .number("Number", 7)
        .value("Bytes", 3, vec![1, 2, 3, 4, 5])
        .value("Big", 3, vec![0xab; 40_000])
        .value("Empty", 0, Vec::new())
        .value("Größe", 5, vec![0, 0, 1, 0])
        .value("日本", 11, 5_u64.to_le_bytes())
        .with(key("Plain").listed(Lists::Plain).with(key("a")).with(key("B")))
        .with(key("Hinted").listed(Lists::Hinted).with(key("Ärger")).with(key("Ключ").text("x", "y")))
        .with(many)
        .hive()
}

/// A hive for the corpus of the fuzzer: the kinds of cells on little room. The data of one value is in segments and claims to be
/// larger than the file.
pub(crate) fn small_sample() -> Vec<u8> {
    let mut bytes = key("ROOT")
        .value("", 1, wide("default"))
        .texts("Texts", &["one", "two"])
        .number("Number", 7)
        .value("日本", 11, 5_u64.to_le_bytes())
        .value("Segment", 3, *b"SEGMENT1")
        .value("List", 3, *b"LISTLIST")
        .value("Big", 3, *b"db\x02\0....\0\0\0\0")
        .with(key("Plain").listed(Lists::Plain).with(key("a")).with(key("B")))
        .with(key("Hinted").listed(Lists::Hinted).with(key("Ключ").text("x", "y")))
        .with(key("Split").listed(Lists::Split).with(key("c").with(key("d").number("", 1))))
        .hive();
    let place = |bytes: &[u8], mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).unwrap();
    let offset = |place: usize| u32::try_from(place - 4 - 4096).unwrap().to_le_bytes();
    let (segment, list, big) = (place(&bytes, b"SEGMENT1"), place(&bytes, b"LISTLIST"), place(&bytes, b"db\x02\0...."));
    bytes[list..list + 8].copy_from_slice(&[offset(segment), offset(segment)].concat());
    bytes[big + 4..big + 8].copy_from_slice(&offset(list));
    let value = (0..bytes.len() - 20)
        .find(|at| bytes[*at..].starts_with(b"vk") && bytes[at + 8..at + 12] == offset(big))
        .unwrap();
    bytes[value + 4..value + 8].copy_from_slice(&20_000_u32.to_le_bytes());
    bytes
}

#[test]
fn large_data_is_read_as_far_as_it_is_there() {
    let hive = open(small_sample()).unwrap();
    let value = hive.value(&hive.root().unwrap(), "Big").unwrap();
    assert_eq!(hive.data(&value, 8).as_deref(), Some(&b"SEGMENT1"[..]));
    assert_eq!(hive.data(&value, 1 << 20), None);
}

#[test]
fn a_hive_is_read_as_it_was_meant() {
    let hive = open(sample()).unwrap();
    assert!(!hive.is_dirty);
    let root = hive.root().unwrap();
    assert_eq!((root.name.as_str(), root.written), ("ROOT", made::WRITTEN_UNIX));
    assert_eq!(names(&hive, &root), ["Hinted", "Many", "Plain"]);
    let text = |name: &str| {
        let value = hive.value(&root, name).unwrap();
        shown(value.kind, &hive.data(&value, 1 << 20).unwrap())
    };
    for (name, expected) in [
        ("", "default"),
        ("text", "C:\\x"),
        ("TEXTS", "one,two"),
        ("Number", "7"),
        ("Bytes", "0102030405"),
        ("Empty", ""),
        ("GRÖSSE", ""),
        ("größe", "256"),
        ("日本", "5"),
    ] {
        if name == "GRÖSSE" {
            assert!(hive.value(&root, name).is_none());
        } else {
            assert_eq!(text(name), expected, "{name}");
        }
    }
    let big = hive.value(&root, "Big").unwrap();
    assert_eq!(hive.data(&big, 1 << 20).unwrap(), vec![0xab; 40_000]);
    assert_eq!(hive.data(&big, 20_000).unwrap().len(), 20_000);
}

#[test]
fn every_kind_of_list_is_read_and_searched() {
    let hive = open(sample()).unwrap();
    let root = hive.root().unwrap();
    let below = |name: &str| hive.subkey(&root, name).unwrap();
    assert_eq!(names(&hive, &below("plain")), ["a", "B"]);
    assert_eq!(names(&hive, &below("HINTED")), ["Ärger", "Ключ"]);
    let many = below("Many");
    assert_eq!(names(&hive, &many).len(), 250);
    assert_eq!(hive.subkey(&many, "k249").unwrap().name, "K249");
    assert!(hive.subkey(&many, "K250").is_none());
    assert!(hive.subkey(&below("Hinted"), "ключ").is_some(), "capitals matter outside of ASCII");
}

#[test]
fn a_hive_that_was_not_closed_says_so() {
    let mut bytes = sample();
    bytes[4] = 2;
    assert!(open(bytes).unwrap().is_dirty);
    assert_eq!(open(b"regf".to_vec()).err(), Some(Error::NotAHive));
    let mut bytes = sample();
    bytes[24] = 99;
    assert_eq!(open(bytes).err(), Some(Error::Version(1, 99)));
    let mut bytes = sample();
    bytes[36..40].fill(0xff);
    assert_eq!(open(bytes).err(), Some(Error::Root));
    let cut = sample()[..4096].to_vec();
    assert_eq!(open(cut).err(), Some(Error::Root));
}

/// Where a key's cell begins in the file, by its name.
fn place_of(bytes: &[u8], name: &str) -> usize {
    (0..bytes.len() - 80)
        .find(|at| bytes[*at..].starts_with(b"nk") && bytes[at + 76..].starts_with(name.as_bytes()))
        .unwrap()
}

#[test]
fn keys_that_lead_in_a_circle_are_not_followed() {
    let mut bytes = key("ROOT").with(key("Aaaa").with(key("Bbbb").with(key("Cccc")))).hive();
    let (first, second) = (place_of(&bytes, "Aaaa"), place_of(&bytes, "Bbbb"));
    // The second key's list names the first key again.
    let list = u32::from_le_bytes(bytes[second + 28..second + 32].try_into().unwrap()) as usize + 4096 + 4;
    let again = u32::try_from(first - 4 - 4096).unwrap();
    bytes[list + 4..list + 8].copy_from_slice(&again.to_le_bytes());
    let hive = open(bytes.clone()).unwrap();
    assert_eq!(walk(&hive), 3);
    // And it claims that to be right; then the root no longer has it.
    let parent = u32::try_from(second - 4 - 4096).unwrap();
    bytes[first + 16..first + 20].copy_from_slice(&parent.to_le_bytes());
    assert_eq!(walk(&open(bytes).unwrap()), 1);
}

#[test]
fn a_list_that_names_one_key_often_has_it_once() {
    let mut bytes = key("ROOT").with(key("Aaaa")).with(key("Bbbb")).hive();
    let root = place_of(&bytes, "ROOT");
    let list = u32::from_le_bytes(bytes[root + 28..root + 32].try_into().unwrap()) as usize + 4096 + 4;
    let first: [u8; 4] = bytes[list + 4..list + 8].try_into().unwrap();
    bytes[list + 12..list + 16].copy_from_slice(&first);
    assert_eq!(walk(&open(bytes).unwrap()), 2);
}

#[test]
fn a_small_hive_does_not_fill_the_memory() {
    let many = (0..5_000).fold(key("Many"), |many, index| many.number(&format!("v{index}"), index));
    let mut bytes = many.value("Big", 3, vec![7; 100_000]).hive();
    let at = place_of(&bytes, "Many");
    let list = u32::from_le_bytes(bytes[at + 40..at + 44].try_into().unwrap()) as usize + 4096 + 4;
    // Every entry of the list is the large value.
    let big: [u8; 4] = bytes[list + 5_000 * 4..list + 5_001 * 4].try_into().unwrap();
    for index in 0..5_000 {
        bytes[list + index * 4..list + index * 4 + 4].copy_from_slice(&big);
    }
    let root = Entry::root_of(Rc::new(open(bytes).unwrap())).unwrap();
    assert_eq!(root.every_value().count(), 5_001);
    let kept: usize = root.values().map(|value| value.bytes.len()).sum();
    assert!((20 << 20..25 << 20).contains(&kept), "{kept}");
}

#[test]
fn any_damage_is_survived_in_little_time() {
    let wholes = [sample(), small_sample(), small_sample(), small_sample()];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    let began = Instant::now();
    for round in 0..5_000 {
        let whole = &wholes[round % wholes.len()];
        let mut bytes = whole.clone();
        for _ in 0..=next(12) {
            let at = next(bytes.len() - 4);
            match next(4) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => bytes[at..at + 4].fill(0xff),
                2 => bytes[at..at + 4].fill(0),
                // An offset to somewhere in the file.
                _ => {
                    let offset = u32::try_from(next(whole.len()) & !7).unwrap();
                    bytes[at & !3..(at & !3) + 4].copy_from_slice(&offset.to_le_bytes());
                }
            }
        }
        if next(8) == 0 {
            bytes.truncate(next(whole.len()));
        }
        if let Ok(hive) = open(bytes) {
            walk(&hive);
        }
    }
    assert!(began.elapsed() < Duration::from_mins(2), "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut hive = key("R").with(key("a").text("b", "c")).hive();
        let length = bytes.len().min(hive.len() - 4096);
        hive[4096..4096 + length].copy_from_slice(&bytes[..length]);
        if let Ok(hive) = open(hive) {
            walk(&hive);
        }
        utf16(&bytes);
    }
}
