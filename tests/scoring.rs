//! `nhiwatch backtest --labels` and `--against` on a simulated bank.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use nhiwatch::wire::{LogLine, timestamp};
use nhiwatch::{partition, sources};
use nhiwatch_detectors::kernel::time::Span;
use serde_json::Value;

/// A bank of 20 identities over six weeks, three of which are attacked, and its labels.
static BANK: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let simulated = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(["simulate", "--identities", "20", "--days", "42"])
        .args(["--seed", "7", "--attacks", "A3,A5,A7", "--nuisances"])
        .arg("--labels")
        .arg(folder.path().join("labels.ndjson"))
        .env_clear()
        .stdout(File::create(folder.path().join("events.ndjson")).unwrap())
        .status()
        .unwrap();
    assert!(simulated.success());
    let off = "detectors:\n  tool-chain:\n    mode: \"off\"\n";
    fs::write(folder.path().join("off.yaml"), off).unwrap();
    fs::write(folder.path().join("same.yaml"), "profile: dev\n").unwrap();
    folder
});

fn file(name: &str) -> String {
    BANK.path().join(name).display().to_string()
}

/// Exit code and standard error of `nhiwatch backtest`.
fn backtest(flags: &[&str], input: &Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .arg("backtest")
        .args(flags)
        .arg(input)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), err)
}

/// What one scored run left.
struct Scored {
    code: i32,
    err: String,
    json: String,
    scores: Value,
    alerts: Vec<Value>,
}

fn scored(flags: &[&str], input: &Path) -> Scored {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (alerts, scores) = (path("alerts"), path("scores"));
    let to = [
        "--alerts",
        alerts.to_str().unwrap(),
        "--scores",
        scores.to_str().unwrap(),
    ];
    let (code, err) = backtest(&[&to, flags].concat(), input);
    let json = fs::read_to_string(&scores).unwrap();
    Scored {
        code,
        err,
        scores: serde_json::from_str(&json).unwrap(),
        json,
        alerts: values(&fs::read_to_string(alerts).unwrap()),
    }
}

fn events() -> PathBuf {
    BANK.path().join("events.ndjson")
}

fn values(ndjson: &str) -> Vec<Value> {
    let lines = ndjson.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ids<'a>(alerts: impl Iterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    alerts.map(|alert| alert["id"].as_str().unwrap()).collect()
}

/// Whether the incident of `alert`, one of `alerts`, meets `label` up to a day after its end.
fn meets(label: &Value, alert: &Value, alerts: &[Value]) -> bool {
    let at = |time: &Value| timestamp::text(time.as_str().unwrap()).unwrap();
    let own = alerts.iter().filter(|other| other["id"] == alert["id"]);
    let last = own.map(|other| at(&other["ts"])).max().unwrap();
    alert["identity"] == label["identity"]
        && at(&alert["opened"]) <= at(&label["to"]).plus(Span::DAY)
        && last >= at(&label["from"])
}

#[test]
fn the_scores_are_those_of_the_alerts() {
    let labels = file("labels.ndjson");
    let run = scored(&["--labels", &labels], &events());
    assert_eq!(run.code, 0, "{}", run.err);
    let labels = values(&fs::read_to_string(labels).unwrap());
    let attacks = run.scores["attacks"].as_array().unwrap();
    assert_eq!(attacks.len(), 3);
    for attack in attacks {
        let label = labels
            .iter()
            .find(|label| label["scenario"] == attack["scenario"]);
        let label = label.unwrap();
        let about = |alert: &&Value| meets(label, alert, &run.alerts);
        let found = ids(run.alerts.iter().filter(about)).len();
        assert!(found > 0, "{label}");
        assert_eq!(attack["incidents"], found, "{label}");
        for recall in ["any", "medium", "meant"] {
            assert_eq!(attack[recall]["seen"], 1, "{attack}");
            assert_eq!(attack[recall]["low"], 0.025, "{attack}");
        }
        let line = format!(
            "\n  {}          1/1 (2-100 %)",
            attack["scenario"].as_str().unwrap()
        );
        assert!(run.err.contains(&line), "{}", run.err);
    }
    let explained = |alert: &&Value| {
        let mut all = labels.iter();
        alert["severity"] == "info" || all.any(|label| meets(label, alert, &run.alerts))
    };
    let late = |alert: &&Value| alert["opened"].as_str() >= run.scores["scored"]["from"].as_str();
    let unexplained = ids(run.alerts.iter().filter(|one| late(one) && !explained(one)));
    assert!(!unexplained.is_empty(), "nothing would be counted here");
    let total = &run.scores["false_incidents"]["total"]["incidents"];
    assert_eq!(*total, unexplained.len());
    assert_eq!(run.scores["incidents"], ids(run.alerts.iter()).len());
    assert_eq!(run.scores["scored"]["identities"], 20);
    let says = "that is from 28 days after the first event on";
    assert!(run.err.contains(says), "{}", run.err);
    let again = scored(&["--labels", &file("labels.ndjson")], &events());
    assert_eq!(again.json, run.json);
}

#[test]
fn an_exported_log_is_scored_as_its_events_are() {
    let all = sources::Sources::load(None).unwrap();
    let reader = all.reader("auto").unwrap();
    let mut log = String::new();
    for line in fs::read_to_string(events()).unwrap().lines() {
        reader.events(line.as_bytes(), &mut |event| {
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
    let file_of_log = BANK.path().join("log.ndjson");
    fs::write(&file_of_log, log).unwrap();
    let (labels, off) = (file("labels.ndjson"), file("off.yaml"));
    let flags = ["--labels", &labels, "--against", &off];
    let of_log = scored(&[&flags[..], &["--source", "log"]].concat(), &file_of_log);
    let of_events = scored(&[&flags[..], &["--partitions", "4"]].concat(), &events());
    assert_eq!(of_log.scores["attacks"], of_events.scores["attacks"]);
    assert_eq!(of_log.scores["scored"], of_events.scores["scored"]);
    assert_eq!(of_log.scores["against"], of_events.scores["against"]);
    assert_eq!((of_log.code, of_events.code), (1, 1));
}

#[test]
fn a_configuration_that_sees_less_fails_and_what_it_misses_is_listed() {
    let (labels, off) = (file("labels.ndjson"), file("off.yaml"));
    let run = scored(&["--labels", &labels, "--against", &off], &events());
    assert_eq!(run.code, 1, "{}", run.err);
    let against = &run.scores["against"];
    let chains = ids(run
        .alerts
        .iter()
        .filter(|one| one["detector"] == "tool-chain"));
    let removed = against["difference"]["removed"].as_array().unwrap();
    // What one detector does not say any more may leave room for another: there can be others too.
    assert!(!chains.is_empty() && ids(removed.iter()).is_superset(&chains));
    let falls = against["falls"].as_array().unwrap().iter();
    let fallen: Vec<&Value> = falls
        .filter(|fall| fall["scenario"] == "A7")
        .map(|fall| &fall["recall"])
        .collect();
    assert_eq!(fallen, ["any", "medium"]);
    let (first, listed) = (&removed[0], run.err.lines());
    let listed: Vec<&str> = listed
        .filter(|line| line.starts_with("  removed  2"))
        .collect();
    assert_eq!(listed.len(), removed.len().min(10));
    assert!(
        listed[0].contains(first["identity"].as_str().unwrap()),
        "{}",
        listed[0]
    );
    let says = format!("A7 FALLS with {off}, at any severity: 0 seen, 1 without it\n");
    assert!(run.err.contains(&says), "{}", run.err);

    // The other way round it is a gain; without labels nobody can tell.
    let same = file("same.yaml");
    let gain = scored(
        &["--config", &off, "--labels", &labels, "--against", &same],
        &events(),
    );
    assert_eq!(gain.code, 0, "{}", gain.err);
    let added = &gain.scores["against"]["difference"]["added"];
    assert_eq!(added, &against["difference"]["removed"]);
    let unlabelled = scored(&["--against", &off], &events());
    assert_eq!(unlabelled.code, 0, "{}", unlabelled.err);
    let difference = &unlabelled.scores["against"]["difference"];
    assert_eq!(difference, &against["difference"]);
}

#[test]
fn the_same_configuration_makes_no_difference_and_the_other_one_no_alert() {
    let (labels, same) = (file("labels.ndjson"), file("same.yaml"));
    let run = scored(&["--labels", &labels, "--against", &same], &events());
    assert_eq!(run.code, 0, "{}", run.err);
    let n = ids(run.alerts.iter()).len();
    let says = format!("no difference: {n} incidents are the same\n");
    assert!(run.err.ends_with(&says), "{}", run.err);
    assert_eq!(run.scores["against"]["attacks"], run.scores["attacks"]);
    let alone = scored(&["--labels", &labels], &events());
    assert_eq!(run.alerts, alone.alerts);
}

#[test]
fn what_is_scored_can_be_said_and_an_unknown_identity_is_told() {
    let labels = BANK.path().join("unknown.ndjson");
    let row = r#"{"scenario":"A1","identity":"nobody","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z","detectors":[],"malicious":true}"#;
    let later = row.replace("2026-11", "2026-12");
    fs::write(&labels, format!("{row}\n{later}\n")).unwrap();
    let flags = ["--labels", labels.to_str().unwrap(), "--score-from"];
    let week = scored(&[&flags[..], &["2026-11-06"]].concat(), &events());
    assert_eq!(week.scores["scored"]["from"], "2026-11-06T00:00:00Z");
    let days = week.scores["scored"]["days"].as_f64().unwrap();
    assert!((days - 8.0).abs() < 0.1, "{days}");
    assert_eq!(week.scores["labels"]["unseen"][0], "nobody");
    assert!(week.err.contains("1, such as nobody; "), "{}", week.err);
    assert_eq!(week.scores["labels"]["outside"], 1);
    assert!(week.err.contains("missed: 1; "), "{}", week.err);
    assert_eq!(week.scores["attacks"][0]["any"]["seen"], 0);
    let all = scored(&[&flags[..], &["2026-10-01"]].concat(), &events());
    let total = &all.scores["false_incidents"]["total"]["incidents"];
    let count = all.alerts.iter().filter(|one| one["severity"] != "info");
    assert_eq!(*total, ids(count).len());
    let none = scored(&[&flags[..], &["2027-01-01"]].concat(), &events());
    assert!(
        none.err.contains("scored: no day, the input ends at"),
        "{}",
        none.err
    );
    assert_eq!(
        none.scores["false_incidents"]["total"]["per_identity_year"],
        Value::Null
    );
}

#[test]
fn wrong_labels_and_a_wrong_configuration_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let good = fs::read_to_string(file("labels.ndjson")).unwrap();
    fs::write(path("labels"), format!("{good}nonsense\n")).unwrap();
    fs::write(
        path("other.yaml"),
        "detectors:\n  tool-chian:\n    mode: alert\n",
    )
    .unwrap();
    fs::write(path("inventory.yaml"), "inventory: nowhere.yaml\n").unwrap();
    let place = format!("{}:{}: expected", path("labels"), good.lines().count() + 1);
    for (flag, name, code, says) in [
        ("--labels", "labels", 1, place.as_str()),
        ("--labels", "none", 3, "labels file"),
        ("--against", "other.yaml", 1, "other.yaml"),
        ("--against", "none.yaml", 3, "none.yaml"),
        (
            "--against",
            "inventory.yaml",
            2,
            "give --inventory, or name the same",
        ),
    ] {
        let (found, err) = backtest(&[flag, &path(name)], &events());
        assert_eq!(found, code, "{flag} {name}: {err}");
        assert!(err.contains(says) && err.contains(name), "{err}");
    }
}

#[test]
fn flags_that_do_nothing_and_files_that_would_be_lost_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("scores").display().to_string();
    let labels = folder.path().join("labels").display().to_string();
    fs::copy(file("labels.ndjson"), &labels).unwrap();
    let before = fs::read(&labels).unwrap();
    for (flags, says) in [
        (&["--scores", &to][..], "--scores has nothing to write"),
        (&["--score-from", "2026-11-01"], "give --labels FILE too"),
        (&["--labels", &labels, "--scores", "-"], "name a file"),
        (
            &["--labels", &labels, "--scores", &labels],
            "name a file elsewhere",
        ),
        (
            &["--labels", &labels, "--alerts", &labels],
            "name a file elsewhere",
        ),
        (
            &["--labels", &labels, "--scores", &to, "--alerts", &to],
            "name two files",
        ),
        (&["--labels", &labels, "--score-from", "soon"], "RFC 3339"),
    ] {
        let (code, err) = backtest(flags, &events());
        assert_eq!(code, 2, "{flags:?}: {err}");
        assert!(err.contains(says), "{err}");
    }
    assert_eq!(fs::read(&labels).unwrap(), before);
}
