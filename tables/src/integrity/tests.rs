use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for folder in ["etc/ssh", "etc/ssh.d", "usr/lib", "usr/lib-x", "usr/bin"] {
            fs::create_dir_all(tree.path(folder)).unwrap();
        }
        for file in ["etc/passwd", "etc/ssh/sshd_config", "etc/ssh.d/a.conf", "usr/lib/a", "usr/lib-x/b", "usr/bin/ls"]
        {
            fs::write(tree.path(file), file).unwrap();
        }
        symlink("ls", tree.path("usr/bin/dir")).unwrap();
        tree
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.0.path().join(below)
    }

    fn record(&self, survey: &Survey) -> (Vec<u8>, Summary) {
        let mut record = Vec::new();
        let summary = compare(self.0.path(), survey, None, Some(&mut record), |change| {
            panic!("told without a baseline: {change:?}")
        });
        (record, summary.unwrap())
    }

    /// The differences as lines, and the figures.
    fn differences(&self, survey: &Survey, baseline: &[u8]) -> (Vec<String>, Summary) {
        let mut lines = Vec::new();
        let mut baseline = baseline;
        let summary = compare(self.0.path(), survey, Some(&mut baseline), None, |change| {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.as_str()).collect();
            lines.push(
                format!("{} {} {}", change.kind.as_str(), change.path_text(), fields.join(",")).trim_end().to_owned(),
            );
        });
        (lines, summary.unwrap())
    }
}

fn everything() -> Survey {
    Survey::of(["/usr", "/etc"])
}

#[test]
fn a_tree_that_did_not_change_has_no_differences() {
    let tree = Tree::new();
    let (record, first) = tree.record(&everything());
    assert_eq!((first.entries, first.files, first.files_read), (14, 6, 6));
    let (lines, second) = tree.differences(&everything(), &record);
    assert_eq!(lines, [""; 0]);
    assert_eq!((second.added, second.removed, second.changed, second.gap_count), (0, 0, 0, 0));
}

#[test]
fn each_kind_of_change_is_told_in_the_order_of_the_walk() {
    let tree = Tree::new();
    let (record, _) = tree.record(&everything());
    fs::write(tree.path("etc/passwd"), "root:x:0:0").unwrap();
    fs::set_permissions(tree.path("etc/ssh/sshd_config"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(tree.path("etc/ssh/new"), "").unwrap();
    fs::remove_file(tree.path("usr/bin/dir")).unwrap();
    symlink("/bin/sh", tree.path("usr/bin/dir")).unwrap();
    fs::remove_dir_all(tree.path("usr/lib")).unwrap();
    fs::remove_file(tree.path("usr/lib-x/b")).unwrap();
    fs::create_dir(tree.path("usr/lib-x/b")).unwrap();
    let (lines, summary) = tree.differences(&everything(), &record);
    assert_eq!(
        lines,
        [
            "changed /etc/passwd content,mtime",
            "added /etc/ssh/new",
            "changed /etc/ssh/sshd_config mode",
            "changed /usr/bin/dir target",
            "removed /usr/lib",
            "removed /usr/lib/a",
            "changed /usr/lib-x/b type,mode",
        ]
    );
    assert_eq!((summary.added, summary.removed, summary.changed), (1, 2, 4));
}

#[test]
fn a_change_that_keeps_size_and_mtime_is_found() {
    let tree = Tree::new();
    let (record, _) = tree.record(&everything());
    let path = tree.path("usr/bin/ls");
    let before = fs::metadata(&path).unwrap();
    fs::write(&path, "usr/bin/LS").unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(tree.differences(&everything(), &record).0, ["changed /usr/bin/ls content"]);
}

#[test]
fn what_seems_unchanged_is_read_again_only_where_asked() {
    let tree = Tree::new();
    let (record, _) = tree.record(&everything());
    // Too new to be sure: all are read again, and the next record knows them as settled.
    std::thread::sleep(Duration::from_millis(3_100));
    let mut settled = Vec::new();
    let mut baseline = record.as_slice();
    let second = compare(tree.0.path(), &everything(), Some(&mut baseline), Some(&mut settled), |_| {}).unwrap();
    assert_eq!(second.files_read, 6);
    assert_eq!(tree.differences(&everything(), &settled).1.files_read, 0);
    let all = Survey { reads_all: true, ..everything() };
    assert_eq!(tree.differences(&all, &settled).1.files_read, 6);
}

#[test]
fn excluded_paths_are_not_looked_at() {
    let tree = Tree::new();
    let excludes = ["/etc/ssh", "**/*.conf", "/usr/*/a"].map(str::to_owned).to_vec();
    let survey = Survey { excludes, ..everything() };
    let (record, summary) = tree.record(&survey);
    assert_eq!(summary.files, 3);
    fs::write(tree.path("etc/ssh/new"), "").unwrap();
    fs::write(tree.path("usr/lib/a"), "other").unwrap();
    fs::write(tree.path("etc/b.conf"), "other").unwrap();
    assert_eq!(tree.differences(&survey, &record).0, [""; 0]);
    let other = compare(tree.0.path(), &everything(), Some(&mut record.as_slice()), None, |_| {});
    assert!(other.unwrap_err().to_string().contains("was made of /etc /usr by sha256 without"));
}

#[test]
fn overlapping_paths_are_walked_once_and_a_file_is_a_path_too() {
    let tree = Tree::new();
    let survey = Survey::of(["/usr/lib/", "/usr", "/etc/passwd", "/nowhere"]);
    let (record, summary) = tree.record(&survey);
    assert_eq!((summary.entries, summary.files, summary.gap_count), (9, 4, 0));
    assert_eq!(summary.missing, [Path::new("/nowhere")]);
    fs::create_dir(tree.path("nowhere")).unwrap();
    assert_eq!(tree.differences(&survey, &record).0, ["added /nowhere"]);
}

#[test]
fn a_link_or_a_fifo_or_a_loop_holds_nothing_up() {
    let tree = Tree::new();
    symlink(".", tree.path("etc/loop")).unwrap();
    symlink("/", tree.path("etc/out")).unwrap();
    let fifo = tree.path("etc/fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let odd = tree.path("etc").join(std::ffi::OsStr::from_bytes(b"\xff\xfe\n"));
    fs::write(odd, "x").unwrap();
    let (record, summary) = tree.record(&everything());
    assert_eq!((summary.entries, summary.gap_count), (18, 0));
    assert_eq!(tree.differences(&everything(), &record).0, [""; 0]);
}

#[test]
fn a_file_beyond_the_limit_is_compared_by_its_metadata_and_named() {
    let tree = Tree::new();
    fs::File::create(tree.path("etc/sparse")).unwrap().set_len(10 << 30).unwrap();
    let (record, summary) = tree.record(&everything());
    assert_eq!(summary.gap_count, 1);
    assert_eq!(summary.gaps[0].path, "/etc/sparse");
    assert!(summary.gaps[0].reason.contains("larger than"), "{:?}", summary.gaps);
    fs::File::options().write(true).open(tree.path("etc/sparse")).unwrap().set_len(11 << 30).unwrap();
    assert_eq!(tree.differences(&everything(), &record).0, ["changed /etc/sparse size,mtime"]);
}

#[test]
fn what_was_not_known_in_the_baseline_is_not_known_to_be_the_same() {
    let tree = Tree::new();
    let few = Survey { limits: Limits { file_bytes: 4, ..Limits::default() }, ..everything() };
    let (record, summary) = tree.record(&few);
    assert_eq!(summary.gap_count, 6);
    let (lines, summary) = tree.differences(&everything(), &record);
    assert_eq!((lines, summary.gap_count), (Vec::new(), 6));
    assert!(summary.gaps[0].reason.contains("when the baseline was made"), "{:?}", summary.gaps);
}

#[test]
fn a_link_that_is_named_hides_what_it_points_to() {
    let tree = Tree::new();
    symlink("usr/lib", tree.path("lib")).unwrap();
    symlink("bin", tree.path("usr/sbin")).unwrap();
    let (_, summary) = tree.record(&Survey::of(["/lib", "/etc"]));
    assert_eq!((summary.gap_count, summary.gaps[0].path.as_str()), (1, "/lib"));
    // Fedora has /usr/sbin -> bin, and both are in a survey of programs.
    let (_, summary) = tree.record(&Survey::of(["/lib", "/usr/bin", "/usr/lib", "/usr/sbin"]));
    assert_eq!(summary.gap_count, 0);
}

#[test]
fn a_device_that_becomes_another_is_a_change() {
    let device = |number| baseline::Record {
        path: b"/etc/null".to_vec(),
        kind: Kind::Character,
        mode: 0o666,
        uid: 0,
        gid: 0,
        size: 0,
        modified: (1, 0),
        changed: (1, 0),
        inode: 1,
        is_settled: true,
        content: number,
    };
    // null is 1:3, the memory 1:1.
    let (null, memory) = (device(Content::Device(0x103)), device(Content::Device(0x101)));
    let change = Change::between(&null, &memory).unwrap();
    assert_eq!(change.fields, [Field::Device]);
    assert!(Change::between(&null, &null).is_none());
    assert!(change::was_unknown(&device(Content::None), &null));
}

#[test]
fn a_folder_of_more_names_than_are_held_is_walked_in_order() {
    let tree = Tree::new();
    fs::create_dir(tree.path("etc/many")).unwrap();
    for number in 0..60_000 {
        fs::hard_link(tree.path("etc/passwd"), tree.path(&format!("etc/many/{number}"))).unwrap_or_else(|_| {
            fs::File::create(tree.path(&format!("etc/many/{number}"))).unwrap();
        });
    }
    let (record, summary) = tree.record(&everything());
    assert_eq!(summary.entries, 14 + 60_001);
    fs::remove_file(tree.path("etc/many/59999")).unwrap();
    // The links share an inode, whose ctime has changed with their number.
    let (lines, _) = tree.differences(&everything(), &record);
    assert_eq!(lines, ["removed /etc/many/59999"]);
}

#[test]
fn limits_end_a_survey_with_what_to_do() {
    let tree = Tree::new();
    let with = |limits| Survey { limits, ..everything() };
    let entries = compare(tree.0.path(), &with(Limits { entries: 3, ..Limits::default() }), None, None, |_| {});
    assert!(matches!(entries, Err(Error::OverEntries(3))));
    let time = compare(tree.0.path(), &with(Limits { time: Duration::ZERO, ..Limits::default() }), None, None, |_| {});
    assert!(matches!(time, Err(Error::OverTime(_))));
    for (survey, says) in [
        (Survey::of([""; 0]), "name at least one"),
        (Survey::of(["etc"]), "write it from the root"),
        (Survey::of(["/etc/../root"]), "write it from the root"),
        (Survey { excludes: vec!["cache".to_owned()], ..everything() }, "/var/cache"),
    ] {
        let error = compare(tree.0.path(), &survey, None, None, |_| {}).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let nowhere = compare(Path::new("/does/not/exist"), &everything(), None, None, |_| {}).unwrap_err();
    assert!(matches!(nowhere, Error::Root { .. }));
}

#[test]
fn a_baseline_that_was_cut_off_or_changed_is_refused() {
    let tree = Tree::new();
    let (record, _) = tree.record(&everything());
    let read = |bytes: &[u8]| compare(tree.0.path(), &everything(), Some(&mut { bytes }), None, |_| {});
    assert!(read(&record).is_ok());
    for length in 0..record.len() {
        assert!(read(&record[..length]).is_err(), "cut off at {length}");
    }
    for position in 0..record.len() {
        let mut changed = record.clone();
        changed[position] ^= 0x20;
        assert!(read(&changed).is_err(), "changed at {position}");
    }
}

fn any_content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::None),
        Just(Content::Unknown),
        (any::<[u8; 32]>(), any::<[u8; 16]>()).prop_map(|(digest, attributes)| Content::Digest(digest, attributes)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Content::Target),
        any::<u64>().prop_map(Content::Device),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = prop::collection::vec(prop::collection::vec(1_u8.., 1..4), 1..4);
    (name, any_content(), any::<(u16, u32, u32, u64, u64)>(), any::<((i64, u32), (i64, u32))>(), any::<bool>())
        .prop_map(|(names, content, (mode, uid, gid, size, inode), (modified, changed), is_settled)| Record {
            path: names.iter().flat_map(|name| [b"/", name.as_slice()].concat()).collect(),
            kind: Kind::File,
            mode,
            uid,
            gid,
            size,
            modified,
            changed,
            inode,
            is_settled,
            content,
        })
}

proptest! {
    #[test]
    fn records_are_read_as_they_were_written(mut records in prop::collection::vec(any_record(), 0..20)) {
        records.sort_by(|left, right| order::of_paths(&left.path, &right.path));
        records.dedup_by(|left, right| order::of_paths(&left.path, &right.path).is_eq());
        let mut bytes = Vec::new();
        let mut writer = baseline::Writer::new(&mut bytes, &Made::of(&everything())).unwrap();
        for record in &records {
            writer.add(record).unwrap();
        }
        writer.finish().unwrap();
        let mut reader = baseline::Reader::new(bytes.as_slice()).unwrap();
        prop_assert_eq!(reader.made(), &Made::of(&everything()));
        for record in &records {
            let read = reader.read().unwrap();
            prop_assert_eq!(read.as_ref(), Some(record));
        }
        prop_assert!(reader.read().unwrap().is_none());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), seems_right in any::<bool>()) {
        let mut input = Vec::new();
        if seems_right {
            let made = serde_json::to_vec(&Made::of(&everything())).unwrap();
            input.extend(b"TNTRBASE\x01");
            input.push(u8::try_from(made.len()).unwrap());
            input.extend(made);
        }
        input.extend(bytes);
        if let Ok(mut reader) = baseline::Reader::new(input.as_slice()) {
            while let Ok(Some(_)) = reader.read() {}
        }
    }
}
