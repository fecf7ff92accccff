//! `nhiwatch backtest` as its users meet it: a simulated bank goes in, alerts and a report come out.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod input;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use nhiwatch::{partition, sources};
use serde_json::Value;

/// A bank of 20 identities over six weeks, three of which are attacked.
struct Bank {
    folder: tempfile::TempDir,
    labels: String,
    /// Every alert, as one partition gives them.
    alerts: String,
    /// What standard output and standard error said.
    said: (String, String),
}

static BANK: LazyLock<Bank> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (events, labels) = (
        folder.path().join("events.ndjson"),
        folder.path().join("labels"),
    );
    let simulated = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(["simulate", "--identities", "20", "--days", "42"])
        .args(["--seed", "7", "--attacks", "A3,A5,A7", "--labels"])
        .arg(&labels)
        .env_clear()
        .stdout(File::create(&events).unwrap())
        .status()
        .unwrap();
    assert!(simulated.success());
    let (alerts, out, err) = alerts_of(&["--digest"], &[&events]);
    Bank {
        labels: fs::read_to_string(labels).unwrap(),
        alerts,
        said: (out, err),
        folder,
    }
});

impl Bank {
    fn events(&self) -> PathBuf {
        self.folder.path().join("events.ndjson")
    }
}

/// Exit code, standard output and standard error of `nhiwatch` with `arguments`, over `inputs`.
fn nhiwatch(arguments: &[&str], inputs: &[&Path]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(arguments)
        .args(inputs)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn backtest(flags: &[&str], inputs: &[&Path]) -> (i32, String, String) {
    nhiwatch(&[&["backtest"], flags].concat(), inputs)
}

/// The alerts file, standard output and standard error of a backtest that succeeds.
fn alerts_of(flags: &[&str], inputs: &[&Path]) -> (String, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.ndjson");
    let flags = [&["--alerts", file.to_str().unwrap()], flags].concat();
    let (code, out, err) = backtest(&flags, inputs);
    assert_eq!(code, 0, "{err}");
    (fs::read_to_string(file).unwrap(), out, err)
}

fn inspect(identity: &str) -> (i32, String, String) {
    nhiwatch(&["inspect", identity], &[&BANK.events()])
}

#[test]
fn an_identity_can_be_looked_at_by_what_is_normal_for_it() {
    let (code, out, err) = inspect("agent-kyc-02");
    assert_eq!(code, 0, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "agent-kyc-02");
    let map = lines
        .iter()
        .position(|line| line.starts_with("when it is active"));
    let days = &lines[map.unwrap() + 2..][..7];
    let cells = |line: &str| {
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .chars()
            .collect::<Vec<_>>()
    };
    assert!(days.iter().all(|day| cells(day).len() == 24), "{days:?}");
    // It works by day and rests at night and on Sundays.
    let (monday, sunday) = (cells(days[0]), cells(days[6]));
    assert!(monday[2] == '\u{b7}' && monday[8..17].iter().any(|cell| *cell != '\u{b7}'));
    assert!(sunday.iter().all(|cell| *cell == '\u{b7}'), "{sunday:?}");
    let recipe = "tool:read_case [internal_api] > tool:read_customer [customer_pii] > \
                  tool:screen_sanctions [internal_api] > tool:write_decision [internal_api] (";
    assert!(out.contains(recipe), "{out}");
    let (code, _, err) = inspect("agent-kyc-2");
    assert_eq!(code, 2);
    assert!(err.contains("did you mean `agent-kyc-02`?"), "{err}");
}

fn values(ndjson: &str) -> Vec<Value> {
    let lines = ndjson.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Id and revision of every alert; no two are the same.
fn revisions(alerts: &str) -> BTreeSet<(String, u64)> {
    let all = values(alerts);
    let set: BTreeSet<_> = all
        .iter()
        .map(|alert| {
            let id = alert["id"].as_str().unwrap().to_owned();
            (id, alert["revision"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(set.len(), all.len(), "an alert was written twice");
    set
}

/// The lines of a report that say what was read and how many alerts there were; how often a detector
/// knew too little may differ with the order of events of equal time and with the partition's clock.
fn totals(report: &str) -> Vec<&str> {
    report.lines().take(2).collect()
}

#[test]
fn the_same_input_gives_the_same_bytes_and_the_same_state() {
    let (alerts, out, err) = alerts_of(&["--digest"], &[&BANK.events()]);
    assert!(alerts == BANK.alerts, "the alerts differ");
    assert_eq!((out.clone(), err), BANK.said);
    let digest = out.strip_prefix("digest ").unwrap().trim_end();
    assert_eq!(digest.len(), 64, "{out}");
    let fewer = BANK.folder.path().join("fewer.ndjson");
    let events = fs::read_to_string(BANK.events()).unwrap();
    let (last, _) = events.trim_end().rsplit_once('\n').unwrap();
    fs::write(&fewer, last).unwrap();
    let (_, other, _) = alerts_of(&["--digest"], &[&fewer]);
    assert_ne!(other, out, "one event less is another state");
}

#[test]
fn every_attack_raises_an_alert_of_its_detector() {
    let alerts = values(&BANK.alerts);
    let labels = values(&BANK.labels);
    assert_eq!(labels.len(), 3);
    for label in labels {
        let detectors = label["detectors"].as_array().unwrap();
        let of = |alert: &&Value| {
            alert["identity"] == label["identity"]
                && detectors.contains(&alert["detector"])
                && alert["ts"].as_str() >= label["from"].as_str()
                && alert["opened"].as_str() <= label["to"].as_str()
        };
        assert!(alerts.iter().any(|alert| of(&alert)), "{label} is missed");
    }
}

/// What an identity's findings weigh is held against its partition's, so other partitions may mean other
/// alerts; but always those of as many engines, each on its own identities.
#[test]
fn so_many_partitions_are_as_many_engines() {
    const PARTITIONS: i32 = 6;
    let (alerts, ..) = alerts_of(&["--partitions", "6"], &[&BANK.events()]);
    let all = sources::Sources::load(None).unwrap();
    let reader = all.reader("auto").unwrap();
    let mut parts = vec![Vec::new(); PARTITIONS as usize];
    let events = fs::read(BANK.events()).unwrap();
    for line in events.split_inclusive(|byte| *byte == b'\n') {
        let mut partition = None;
        reader.events(line.trim_ascii_end(), &mut |event| {
            let identity = event.unwrap().identity;
            partition = Some(partition::of(identity.as_bytes(), PARTITIONS));
        });
        parts[partition.unwrap() as usize].extend_from_slice(line);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut each = BTreeSet::new();
    for (number, events) in parts.iter().enumerate() {
        let file = folder.path().join(format!("{number}.ndjson"));
        fs::write(&file, events).unwrap();
        each.extend(revisions(&alerts_of(&[], &[&file]).0));
    }
    assert_eq!(revisions(&alerts), each);
}

#[test]
fn a_person_is_told_of_what_is_new_or_more_severe_and_programs_of_each_revision() {
    let (code, out, err) = backtest(&["--digest"], &[&BANK.events()]);
    assert_eq!(code, 0);
    assert_eq!(err, BANK.said.1);
    let words = ["info", "low", "medium", "high", "critical"];
    let mut worst = BTreeMap::new();
    let revisions = values(&BANK.alerts);
    let news: Vec<&str> = revisions
        .iter()
        .filter_map(|alert| {
            let id = alert["id"].as_str().unwrap();
            let severity = words.iter().position(|word| alert["severity"] == *word);
            let before = worst.get(id).copied().flatten();
            (severity > before).then(|| worst.insert(id, severity))?;
            Some(id)
        })
        .collect();
    let told: Vec<&str> = out
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("incident  "))
        .map(|line| line.split_once(' ').unwrap().0)
        .collect();
    assert_eq!(told, news);
    assert!(news.len() > worst.len(), "none became more severe");
    assert!(!out.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(out.lines().last(), BANK.said.0.lines().last());
    assert!(
        err.contains(&format!("\n{} alerts\n", worst.len())),
        "{err}"
    );

    let (code, out, err) = backtest(&["--digest", "--alerts", "-"], &[&BANK.events()]);
    assert_eq!(code, 0);
    assert!(out == BANK.alerts, "standard output is for NDJSON alone");
    assert_eq!(err, format!("{}{}", BANK.said.1, BANK.said.0));
}

#[test]
fn the_report_does_not_call_an_old_identity_judged() {
    // Four calls in six weeks: old enough for every detector, and too little known for any.
    let file = tempfile::NamedTempFile::new().unwrap();
    let event =
        |ts: &str| format!("{{\"ts\":\"{ts}\",\"identity\":\"svc\",\"action\":\"read\"}}\n");
    let days = ["2026-10-01", "2026-10-02", "2026-11-12", "2026-11-13"];
    let events: String = days.map(|day| event(&format!("{day}T10:00:00Z"))).concat();
    fs::write(file.path(), events).unwrap();
    let (_, _, err) = alerts_of(&[], &[file.path()]);
    assert!(
        err.contains("tool-chain              0, 0 updates, of 0 findings; knew too little to judge 4 times\n"),
        "{err}"
    );
    assert!(
        err.ends_with("every identity has been watched long enough for every detector\n"),
        "{err}"
    );
}

#[test]
fn the_report_says_who_is_still_being_learned() {
    let events = fs::read_to_string(BANK.events()).unwrap();
    let file = BANK.folder.path().join("week.ndjson");
    let week: Vec<&str> = events.lines().take(25_000).collect();
    fs::write(&file, week.join("\n")).unwrap();
    let (_, _, err) = alerts_of(&[], &[&file]);
    assert!(err.starts_with("read 25000 events of "), "{err}");
    assert!(
        err.contains(" identities are too young for some detector\n"),
        "{err}"
    );
    let named = err.lines().filter(|line| line.ends_with(" days")).count();
    assert_eq!(named, 10, "{err}");
    assert!(err.contains("  and 10 more\n"), "{err}");
    fs::write(&file, week[0]).unwrap();
    let (_, _, err) = alerts_of(&[], &[&file]);
    let lone = "1 identity is too young for some detector\n";
    assert!(err.contains(lone), "{err}");
}

#[test]
fn wrong_usage_and_what_is_missing_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let (code, _, err) = backtest(&[], &[&missing]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("missing: cannot be read"), "{err}");
    assert_eq!(backtest(&[], &[]).0, 2);
    assert_eq!(backtest(&["--partitions", "0"], &[folder.path()]).0, 2);
    let (code, _, err) = backtest(&["--source", "lgo"], &[folder.path()]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("log for an exported events topic"), "{err}");
    let nowhere = folder.path().join("none/alerts");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let flags = ["--alerts", nowhere.to_str().unwrap()];
    assert_eq!(backtest(&flags, &[empty.path()]).0, 3);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .arg("backtest")
        .arg(BANK.events())
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
