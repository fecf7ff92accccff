//! What `nhiwatch backtest` reads: how it is packed, what cannot be read, and what is never written over.

use std::fs::{self, File};
use std::io::Write as _;

use nhiwatch::wire::LogLine;
use nhiwatch::{partition, sources};
use serde_json::json;

use super::{BANK, alerts_of, backtest, revisions, totals};

#[test]
fn how_the_input_is_packed_does_not_change_the_alerts() {
    let events = fs::read(BANK.events()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let packed = folder.path().join("packed.gz");
    let mut gzip =
        flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
    gzip.write_all(&events).unwrap();
    gzip.finish().unwrap();
    assert!(alerts_of(&[], &[&packed]).0 == BANK.alerts, "packed");

    // Two files side by side, each with every second event: not in the order of time.
    let days = folder.path().join("days");
    fs::create_dir(&days).unwrap();
    let lines: Vec<&[u8]> = events.split_inclusive(|byte| *byte == b'\n').collect();
    for (nth, name) in ["a.ndjson", "b.ndjson"].iter().enumerate() {
        let half: Vec<&[u8]> = lines.iter().skip(nth).step_by(2).copied().collect();
        fs::write(days.join(name), half.concat()).unwrap();
    }
    let (alerts, _, err) = alerts_of(&[], &[&days]);
    assert_eq!(revisions(&alerts), revisions(&BANK.alerts));
    assert_eq!(totals(&err), totals(&BANK.said.1));
}

#[test]
fn an_exported_log_gives_the_alerts_of_its_events() {
    let all = sources::Sources::load(None).unwrap();
    let reader = all.reader("auto").unwrap();
    let mut log = String::new();
    for line in fs::read(BANK.events())
        .unwrap()
        .split(|byte| *byte == b'\n')
    {
        if line.is_empty() {
            continue;
        }
        reader.events(line, &mut |event| {
            let event = event.unwrap();
            let line = LogLine {
                partition: partition::of(event.identity.as_bytes(), 4),
                timestamp: Some(event.ts.millis() + 1),
                key: Some(event.identity.into_bytes()),
                value: Some(event.json.into_bytes()),
                ..LogLine::default()
            };
            log.push_str(&line.write());
            log.push('\n');
        });
    }
    let place = format!("log.ndjson:{}: json: log line", log.lines().count() + 1);
    log.push_str("{\"not\":\"a log line\"}\n");
    let file = BANK.folder.path().join("log.ndjson");
    fs::write(&file, log).unwrap();
    let (alerts, _, err) = alerts_of(&["--source", "log"], &[&file]);
    let (spread, ..) = alerts_of(&["--partitions", "4"], &[&BANK.events()]);
    assert_eq!(revisions(&alerts), revisions(&spread));
    assert!(err.contains(&place), "{err}");
    let (code, out, err) = backtest(&["--source", "log", "--partitions", "2"], &[&file]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
}

#[test]
fn what_cannot_be_read_is_named_and_changes_no_alert() {
    let events = fs::read_to_string(BANK.events()).unwrap();
    let (first, rest) = events.split_once('\n').unwrap();
    let garbage = "garbage\n{\"ts\":\"never\",\"identity\":\"x\",\"action\":\"y\"}\n{\"odd\":1}";
    let file = BANK.folder.path().join("garbage.ndjson");
    fs::write(&file, format!("{first}\n{garbage}\n{rest}more garbage\n")).unwrap();
    let (alerts, _, err) = alerts_of(&[], &[&file]);
    assert!(alerts == BANK.alerts, "the alerts differ");
    let unreadable: Vec<&str> = err
        .lines()
        .filter(|line| line.contains("unreadable"))
        .collect();
    let place = file.display();
    for (line, (reason, n, at)) in
        unreadable
            .iter()
            .zip([("json", 2, 2), ("timestamp", 1, 3), ("mapping", 1, 4)])
    {
        let expected = format!("  unreadable  {reason:<14} {n:>8}  first {place}:{at}: {reason}: ");
        assert!(line.starts_with(&expected), "{err}");
    }
    assert_eq!(unreadable.len(), 3, "{err}");
}

#[test]
fn an_input_of_which_nothing_can_be_read_is_not_fine() {
    let file = tempfile::NamedTempFile::with_suffix(".ndjson").unwrap();
    fs::write(file.path(), "no log\n{\"odd\":1}\n").unwrap();
    let (code, _, err) = backtest(&[], &[file.path()]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("read no events") && err.contains("unreadable"),
        "{err}"
    );
}

#[test]
fn an_empty_input_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (code, out, err) = backtest(&[], &[file.path()]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.starts_with("read no events; "), "{err}");
}

#[test]
fn alerts_are_never_written_into_the_input() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    fs::write(&events, "precious").unwrap();
    let inside = folder.path().join("alerts");
    for (alerts, input) in [(&events, events.as_path()), (&inside, folder.path())] {
        let (code, _, err) = backtest(&["--alerts", alerts.to_str().unwrap()], &[input]);
        assert_eq!(code, 2, "{err}");
    }
    assert_eq!(fs::read_to_string(&events).unwrap(), "precious");
    assert!(!inside.exists());
}

#[test]
fn fields_that_the_schema_does_not_know_are_counted_in_events_and_in_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.ndjson");
    let event = r#"{"ts":1790000000,"identity":"svc","action":"a","x":1,"y":{"z":2}}"#;
    let line = json!({"partition": 0, "offset": 0, "timestamp": 1, "key": "svc", "value": event});
    for (text, source) in [
        (event, "native"),
        (event, "auto"),
        (&line.to_string(), "log"),
    ] {
        fs::write(&file, text).unwrap();
        let (_, _, err) = alerts_of(&["--source", source], &[&file]);
        assert!(
            err.contains("\n  ignored     unknown fields        2\n"),
            "{source}: {err}"
        );
    }
}
