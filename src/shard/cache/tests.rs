//! The copies of the state on a real disk: what was committed is read back, whatever happened to the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::log::{Log, Part, Stamp};
use super::*;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn stamp(until: i64) -> Stamp {
    Stamp { until, at: now() }
}

fn part(records: &[(&str, Option<&str>)]) -> Part {
    let mut part = Part::default();
    for (key, value) in records {
        part.push(key.as_bytes(), value.map(str::as_bytes));
    }
    part
}

fn read(log: &mut Log) -> std::io::Result<Records> {
    let mut records = Records::new();
    log.read(
        || false,
        |key, value| {
            match value {
                Some(value) => records.insert(key.to_vec(), value.to_vec()),
                None => records.remove(key),
            };
        },
    )?;
    Ok(records)
}

fn known(records: &[(&str, &str)]) -> Records {
    let owned = |(key, value): &(&str, &str)| (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    records.iter().map(owned).collect()
}

/// A log of two commits, and a third that was not finished.
fn three(path: &Path) -> Log {
    let mut log = Log::open(path.to_owned()).unwrap();
    log.append(&part(&[
        ("a", Some("1")),
        ("b", Some("1")),
        ("c", Some("1")),
    ]))
    .unwrap();
    log.end(stamp(10)).unwrap();
    log.append(&part(&[("a", Some("2")), ("b", None)])).unwrap();
    log.append(&part(&[("d", Some(""))])).unwrap();
    log.end(stamp(20)).unwrap();
    log.append(&part(&[("a", Some("3"))])).unwrap();
    log
}

const FIRST: &[(&str, &str)] = &[("a", "1"), ("b", "1"), ("c", "1")];
const BOTH: &[(&str, &str)] = &[("a", "2"), ("c", "1"), ("d", "")];

#[test]
fn what_was_committed_is_read_back_and_the_rest_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    drop(three(&path));
    let mut log = Log::open(path).unwrap();
    assert_eq!(log.stamp().map(|stamp| stamp.until), Some(20));
    assert_eq!(read(&mut log).unwrap(), known(BOTH));
    // It goes on where it was cut off.
    log.append(&part(&[("b", Some("4"))])).unwrap();
    log.end(stamp(30)).unwrap();
    let mut expected = known(BOTH);
    expected.extend(known(&[("b", "4")]));
    assert_eq!(read(&mut log).unwrap(), expected);
}

#[test]
fn a_reading_that_is_given_up_leaves_the_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = three(&folder.path().join("x.log"));
    let parts = std::cell::Cell::new(0);
    let second = || parts.replace(parts.get() + 1) == 1;
    let given_up = log.read(second, |key, _| assert_ne!(key, b"d"));
    assert_eq!(
        given_up.unwrap_err().kind(),
        std::io::ErrorKind::Interrupted
    );
    assert_eq!(read(&mut log).unwrap(), known(BOTH));
}

#[test]
fn wherever_a_file_is_cut_off_it_is_as_of_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    drop(three(&path));
    let whole = fs::read(&path).unwrap();
    let mut seen = [0; 3];
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let mut log = Log::open(path.clone()).unwrap();
        let (which, expected) = match log.stamp().map(|stamp| stamp.until) {
            None => (0, Records::new()),
            Some(10) => (1, known(FIRST)),
            _ => (2, known(BOTH)),
        };
        assert_eq!(read(&mut log).unwrap(), expected, "{length} bytes");
        seen[which] += 1;
    }
    assert!(seen.iter().all(|times| *times > 10), "{seen:?}");
}

#[test]
fn no_damaged_byte_is_taken_for_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    drop(three(&path));
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&path, &damaged).unwrap();
        let mut log = Log::open(path.clone()).unwrap();
        if let Ok(records) = read(&mut log) {
            let expected = match log.stamp().map(|stamp| stamp.until) {
                None => Records::new(),
                Some(10) => known(FIRST),
                _ => known(BOTH),
            };
            assert_eq!(records, expected, "byte {at}");
        }
    }
}

#[test]
fn a_file_that_was_written_anew_holds_the_newest_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let mut log = Log::open(path.clone()).unwrap();
    let value = "x".repeat(1 << 20);
    for n in 0..80_i64 {
        let (key, gone) = (format!("key-{}", n % 3), format!("gone-{n}"));
        log.append(&part(&[(&key, Some(&value)), (&gone, Some("1"))]))
            .unwrap();
        log.append(&part(&[(&gone, None)])).unwrap();
        log.end(stamp(n)).unwrap();
    }
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 20 << 20, "{size} bytes after some 80 MB");
    assert!(!path.with_extension("new").exists());
    for mut log in [log, Log::open(path).unwrap()] {
        assert_eq!(log.stamp().map(|stamp| stamp.until), Some(79));
        let records = read(&mut log).unwrap();
        let keys: Vec<_> = records.keys().map(|key| key.as_slice()).collect();
        assert_eq!(keys, [b"key-0", b"key-1", b"key-2"]);
    }
}

#[test]
fn a_folder_belongs_to_one_process_and_a_file_to_one_shard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    let directory = Arc::new(Directory::take(&path, "nhi.state").unwrap());
    let refused = Directory::take(&path, "nhi.state").unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    let held = directory.open(3).unwrap();
    assert!(directory.open(3).is_err());
    drop(held);
    assert!(directory.open(3).is_ok());
    drop(directory);
    assert!(Directory::take(&path, "nhi.state").is_ok());
}

#[test]
fn a_copy_is_used_only_where_the_topic_has_what_came_since_and_deletes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::take(folder.path(), "nhi.state").unwrap());
    let until = |stamp: Option<Stamp>, bounds| {
        let mut held = directory.open(0).unwrap();
        if let Some(stamp) = stamp {
            held.log.end(stamp).unwrap();
        }
        Found(held).goes_on_at(bounds)
    };
    assert_eq!(until(None, (0, 100)), None);
    assert_eq!(until(Some(stamp(50)), (0, 100)), Some(49));
    assert_eq!(until(None, (0, 50)), Some(49), "it is still there");
    assert_eq!(until(None, (49, 50)), Some(49));
    assert_eq!(until(None, (50, 60)), None, "the next record is deleted");
    assert_eq!(until(None, (0, 49)), None, "the topic was made anew");
    let old = Stamp {
        until: 50,
        at: now() - AGE_MAX,
    };
    assert_eq!(until(Some(old), (0, 100)), None);
    let ahead = Stamp {
        until: 50,
        at: now() + 2 * SKEW,
    };
    assert_eq!(until(Some(ahead), (0, 100)), None);
}

#[test]
fn what_is_left_half_written_or_too_old_is_deleted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let age = std::time::Duration::from_millis(AGE_MAX.unsigned_abs() + 60_000);
    for name in [
        "nhi.state-3.log",
        "nhi.state-3.new",
        "nhi.state-4.log",
        "notes.log",
        "other-4.log",
    ] {
        let file = fs::File::create(folder.path().join(name)).unwrap();
        if !name.contains('3') {
            file.set_modified(std::time::SystemTime::now() - age)
                .unwrap();
        }
    }
    let directory = Directory::take(folder.path(), "nhi.state").unwrap();
    let names = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        ["lock", "nhi.state-3.log", "notes.log", "other-4.log"]
    );
    drop(directory);
}

#[test]
fn a_copy_that_cannot_be_written_is_given_up_and_nobody_waits() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::take(folder.path(), "nhi.state").unwrap());
    let metrics = crate::metrics::Metrics::new().unwrap();
    let writer = Writer::start(metrics.clone());
    let mut held = directory.open(0).unwrap();
    held.log.close_for_writing();
    writer.take(0, held, false);
    assert!(writer.append(0, part(&[("a", Some("1"))]), false));
    writer.end(0, stamp(1));
    writer.give_up([0].iter());
    let text = metrics.render().unwrap();
    assert!(
        text.contains("nhiwatch_state_cache_given_up_total 1\n"),
        "{text}"
    );
    // Another shard may have it now.
    assert_eq!(directory.open(0).unwrap().log.stamp(), None);
}
