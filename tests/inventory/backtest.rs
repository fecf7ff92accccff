//! `backtest` and `check` with an inventory, as their users meet them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A folder with a week of one identity's events, written in two names, and an inventory.
struct Week(tempfile::TempDir);

impl Week {
    /// Monday, 2026-01-05, to Friday: `svc` writes at 23:30Z, which is 08:30 in Tokyo.
    fn new(inventory: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let events: String = (5..10)
            .map(|day| {
                let name = if day % 2 == 0 { "svc" } else { "svc-old" };
                format!(
                    "{{\"ts\":\"2026-01-{day:02}T23:30:00Z\",\"identity\":\"{name}\",\
                     \"action\":\"ledger.post\",\"class\":\"write\"}}\n"
                )
            })
            .collect();
        fs::write(folder.path().join("events.ndjson"), events).unwrap();
        fs::write(folder.path().join("inventory.yaml"), inventory).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Exit code, standard error and alerts of a backtest.
    fn backtest(&self, flags: &[&str]) -> (i32, String, Vec<Value>) {
        let alerts = self.path("alerts.ndjson");
        let output = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
            .arg("backtest")
            .args(flags)
            .arg("--alerts")
            .arg(&alerts)
            .arg(self.path("events.ndjson"))
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let lines = fs::read_to_string(&alerts).unwrap_or_default();
        let alerts = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), told, alerts.collect())
    }
}

const DECLARED: &str = "identities:\n  - identity: svc\n    aliases: [svc-old]\n    owner: ledger-team\n    \
                        group: ledgers\n    tier: 1\n    timezone: Asia/Tokyo\n    \
                        schedule: [Tue-Fri 08:00-19:00]\n    scope: {venues: [XTKS]}\n  - identity: idle\n";

#[test]
fn a_backtest_judges_by_the_inventory_and_shows_it_in_the_alert() {
    let week = Week::new(DECLARED);
    let file = week.path("inventory.yaml");
    let file = file.to_str().unwrap();
    let (code, told, alerts) = week.backtest(&["--inventory", file]);
    assert_eq!(code, 0, "{told}");
    // The last is written on Saturday in Tokyo, by the alias.
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let alert = &alerts[0];
    for (field, expected) in [
        ("identity", "svc"),
        ("detector", "off-hours"),
        ("subject", "outside declared schedule"),
        ("owner", "ledger-team"),
        ("group", "ledgers"),
        ("timezone", "Asia/Tokyo"),
    ] {
        assert_eq!(alert[field], expected, "{alert}");
    }
    assert_eq!(alert["schedule"][0], "Tue-Fri 08:00-19:00");
    assert_eq!(
        (&alert["venues"][0], &alert["tier"]),
        (&"XTKS".into(), &1.into())
    );
    assert_eq!(alert["observed"], "ledger.post at Sat 08:30");
    assert!(told.contains("read 5 events of 1 identity"), "{told}");
    assert!(
        told.contains("not seen    1 identity of the inventory, such as idle"),
        "{told}"
    );

    // Without it nothing is known, and both names are somebody.
    let (_, told, alerts) = week.backtest(&[]);
    assert!(
        alerts.is_empty() && told.contains("of 2 identities"),
        "{told}"
    );
    // The zone decides: on New York's clock each event is at 18:30 of the evening before Tokyo's day.
    fs::write(file, DECLARED.replace("Asia/Tokyo", "America/New_York")).unwrap();
    let (_, _, alerts) = week.backtest(&["--inventory", file]);
    assert_eq!(alerts[0]["observed"], "ledger.post at Mon 18:30");
}

#[test]
fn the_configuration_may_name_the_inventory_and_check_looks_at_it() {
    let week = Week::new(DECLARED);
    let config = week.path("nhiwatch.yaml");
    let text = format!("inventory: {}\n", week.path("inventory.yaml").display());
    fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    assert_eq!(week.backtest(&["--config", config]).2.len(), 1);
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
            .args(["check", "--config", config])
            .env_clear()
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(check().0, 0);
    fs::write(
        week.path("inventory.yaml"),
        "identities: [{identity: a, tier: 9}]",
    )
    .unwrap();
    let (code, told) = check();
    assert_eq!(code, 1);
    assert!(
        told.contains("inventory.yaml:1:34") && told.contains("9 is no tier"),
        "{told}"
    );
}

#[test]
fn a_log_holds_its_own_inventory() {
    let week = Week::new(DECLARED);
    let file = week.path("inventory.yaml");
    let flags = ["--source", "log", "--inventory", file.to_str().unwrap()];
    let (code, told, _) = week.backtest(&flags);
    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("--inventory does not go with --source log"),
        "{told}"
    );
}
