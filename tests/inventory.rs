//! What is declared of identities: the file, its schema, and what a backtest makes of it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nhiwatch::config::{ConfigErrors, Problem};
use nhiwatch::inventory::{Entry, Inventory};
use serde_json::Value;

const EXAMPLE: &str = "config/inventory.yaml";

/// The inventory that `text` says, or all that is wrong with it.
fn parse(text: &str) -> Result<Inventory, (Vec<Problem>, String)> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("inventory.yaml");
    fs::write(&file, text).unwrap();
    Inventory::load(Some(&file)).map_err(|errors| {
        let told = errors.to_string();
        match errors {
            ConfigErrors::Invalid { problems, .. } => (problems, told),
            ConfigErrors::Unreadable { .. } => panic!("{told}"),
        }
    })
}

#[test]
fn what_is_wrong_with_a_file_is_told_with_place_and_cure() {
    let entry = |rest: &str| format!("identities:\n  - identity: a\n    {rest}\n");
    for (text, place, told) in [
        (String::new(), "1:1", "no identity is declared here"),
        ("identites: []".into(), "1:1", "did you mean `identities`?"),
        ("identities: {}".into(), "1:13", "expected a list, found"),
        (
            "identities:\n  - owner: x\n".into(),
            "2:5",
            "the key `identity` is missing",
        ),
        (
            "identities:\n  - identity: ''\n".into(),
            "2:15",
            "nothing stands here",
        ),
        (entry("ownr: x"), "3:5", "did you mean `owner`?"),
        (
            entry("identity: b"),
            "3:5",
            "the key `identity` stands here twice",
        ),
        (entry("kind: robot"), "3:11", "unknown value `robot`"),
        (
            entry("kind: service-account"),
            "3:11",
            "did you mean `service_account`?",
        ),
        (entry("status: actve"), "3:13", "did you mean `active`?"),
        (
            entry("tier: 5"),
            "3:11",
            "5 is no tier: 1 (most critical) to 4",
        ),
        (
            entry("tier: high"),
            "3:11",
            "expected a whole number, found `high`",
        ),
        (
            entry("created: 2026-2-30"),
            "3:14",
            "`2026-2-30` is no date such as 2026-01-02",
        ),
        (
            entry("created: 2026-02-30"),
            "3:14",
            "`2026-02-30` is no date",
        ),
        (
            entry("recertify_every: 90"),
            "3:22",
            "`90` is no duration such as 90d",
        ),
        (entry("recertify_every: 0d"), "3:22", "`0d` is no duration"),
        (
            entry("timezone: Europe/Lundon"),
            "3:15",
            "`Europe/Lundon` is no IANA time zone",
        ),
        (
            entry("schedule: Mon 07:00-19:00"),
            "3:15",
            "expected a list",
        ),
        (
            entry("schedule: [Mon-Fri 07:00-19:00, Mon-Fri 7-19]"),
            "3:37",
            "`Mon-Fri 7-19` is no window such as `Mon-Fri 07:00-19:00`",
        ),
        (
            entry("scope: all"),
            "3:12",
            "expected a list of actions, or keys such as",
        ),
        (
            entry("scope: {venue: [XLON]}"),
            "3:13",
            "did you mean `venues`?",
        ),
        (
            entry("scope: {venues: [lse]}"),
            "3:22",
            "`lse` is no venue's code (MIC) such as XLON",
        ),
        (
            entry("scope: {networks: [10.0.0.0/33]}"),
            "3:24",
            "is no address or network such as",
        ),
        (
            entry("scope: {max_amount: 0}"),
            "3:25",
            "0 is no amount above 0",
        ),
        (
            entry("scope: [a, [b]]"),
            "3:16",
            "expected a text, found a list",
        ),
        (
            entry("credentials: [k, {kind: mtls}]"),
            "3:22",
            "the key `id` is missing",
        ),
        (
            entry("credentials: [{id: k, kind: key}]"),
            "3:33",
            "unknown value `key`",
        ),
        (entry("honey: maybe"), "3:12", "expected true or false"),
        (
            entry("runbook: wiki/page"),
            "3:14",
            "is no address of a page",
        ),
        (
            entry("aliases: [b, c, b]"),
            "3:21",
            "`b` is the identity itself or stands here twice",
        ),
        (entry("aliases: [a]"), "3:15", "`a` is the identity itself"),
        (
            entry("tier: 1\n  - identity: a"),
            "4:15",
            "`a` is declared twice",
        ),
        (
            entry("aliases: [b]\n  - identity: b"),
            "3:15",
            "`b` is an identity of its own",
        ),
        (
            entry("aliases: [x]\n  - {identity: b, aliases: [x]}"),
            "4:29",
            "`x` is an alias of `a` already",
        ),
    ] {
        let (problems, shown) = parse(&text).expect_err(&text);
        assert_eq!(problems.len(), 1, "{shown}");
        assert!(
            shown.contains(&format!("inventory.yaml:{place}]")),
            "{text}{shown}"
        );
        let all = format!("{} {}", problems[0].message, problems[0].hint);
        assert!(all.contains(told), "{text}{shown}");
    }
}

#[test]
fn every_error_is_told_at_once() {
    let many: String = (0..40)
        .map(|n| format!("  - {{identity: s{n}, tier: 9}}\n"))
        .collect();
    let text = format!("identities:\n{many}  - identity: s1\n    aliases: [s2]\n");
    let (problems, shown) = parse(&text).unwrap_err();
    assert_eq!(problems.len(), 42, "{shown}");
    let list = (0..9)
        .map(|_| "daily 01:00-02:00")
        .collect::<Vec<_>>()
        .join(", ");
    let (problems, _) = parse(&format!(
        "identities: [{{identity: a, schedule: [{list}]}}]"
    ))
    .unwrap_err();
    assert_eq!(problems[0].message, "more than 8 in one list");
}

#[test]
fn a_file_that_is_not_there_is_the_environments_fault() {
    let errors = Inventory::load(Some(Path::new("/no/such.yaml"))).unwrap_err();
    assert!(
        errors
            .to_string()
            .contains("cannot read the inventory file /no/such.yaml")
    );
    assert_eq!(Inventory::load(None).unwrap(), Inventory::default());
}

#[test]
fn an_entry_of_the_file_reads_back_as_the_record_that_it_becomes() {
    let inventory = Inventory::load(Some(Path::new(EXAMPLE))).unwrap();
    assert_eq!(inventory.entries().len(), 3);
    for entry in inventory.entries() {
        assert_eq!(Entry::read(entry.json().as_bytes()), Ok(entry.clone()));
    }
    assert_eq!(
        inventory.aliases().identity("settlement-legacy"),
        Some("svc-settlement")
    );
    assert_eq!(inventory.aliases().identity("svc-settlement"), None);
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../config/schema/inventory.schema.json")).unwrap()
}

/// What of the schema's structure `value` does not keep to; patterns and formats aside.
fn fault(schema: &Value, value: &Value) -> Option<String> {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{kind}"),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind)) {
        return Some(format!("{value} is none of {kinds:?}"));
    }
    if let Some(words) = schema["enum"]
        .as_array()
        .filter(|words| !words.contains(value))
    {
        return Some(format!("{value} is none of {words:?}"));
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        let fit = forms
            .iter()
            .filter(|form| fault(form, value).is_none())
            .count();
        return (fit != 1).then(|| format!("{value} fits {fit} forms"));
    }
    let bound = |name: &str| schema[name].as_f64();
    let number = value.as_f64();
    if number.is_some_and(|n| {
        bound("minimum").is_some_and(|least| n < least)
            || bound("maximum").is_some_and(|most| n > most)
            || bound("exclusiveMinimum").is_some_and(|least| n <= least)
    }) {
        return Some(format!("{value} is out of range"));
    }
    let size = value
        .as_str()
        .map(str::len)
        .or(value.as_array().map(Vec::len));
    if size.is_some_and(|size| {
        let size = size as f64;
        bound("minLength").is_some_and(|least| size < least)
            || bound("maxLength").is_some_and(|most| size > most)
            || bound("maxItems").is_some_and(|most| size > most)
    }) {
        return Some(format!("{value} is too short or too long"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| fault(&schema["items"], item));
    }
    let object = value.as_object()?;
    let required = schema["required"].as_array();
    if let Some(key) = required
        .into_iter()
        .flatten()
        .find(|key| !object.contains_key(key.as_str().unwrap()))
    {
        return Some(format!("{key} is missing"));
    }
    object
        .iter()
        .find_map(|(key, value)| match schema["properties"].get(key) {
            Some(property) => fault(property, value),
            None => Some(format!("{key} is unknown")),
        })
}

#[test]
fn the_published_schema_has_exactly_the_keys_that_are_read() {
    let schema = schema();
    let properties = &schema["properties"];
    let form = |of: &Value| -> Value {
        let forms = of["oneOf"].as_array().unwrap();
        forms.iter().find(|form| form["type"] == "object").unwrap()["properties"].clone()
    };
    for (published, text) in [
        (properties.clone(), "identities: [{identity: a, zzz: 1}]"),
        (
            form(&properties["scope"]),
            "identities: [{identity: a, scope: {zzz: 1}}]",
        ),
        (
            form(&properties["credentials"]["items"]),
            "identities: [{identity: a, credentials: [{id: k, zzz: 1}]}]",
        ),
    ] {
        let (problems, _) = parse(text).unwrap_err();
        let read = problems[0].hint.strip_prefix("expected one of ").unwrap();
        let read: BTreeSet<&str> = read.split(", ").collect();
        let published = published.as_object().unwrap();
        assert_eq!(read, published.keys().map(String::as_str).collect());
    }
}

#[test]
fn the_example_has_every_key_and_keeps_to_the_schema() {
    let schema = schema();
    let text = fs::read_to_string(EXAMPLE).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(
            text.contains(&format!("{key}:")),
            "{key} is missing in {EXAMPLE}"
        );
    }
    for entry in Inventory::load(Some(Path::new(EXAMPLE))).unwrap().entries() {
        let value = serde_json::from_str(&entry.json()).unwrap();
        assert_eq!(fault(&schema, &value), None);
    }
}

#[test]
fn schema_and_reader_refuse_and_take_the_same() {
    let schema = schema();
    for (json, fine) in [
        (r#"{"identity":"a"}"#, true),
        (
            r#"{"identity":"a","owner":null,"aliases":null,"scope":null}"#,
            true,
        ),
        (
            r#"{"identity":"a","scope":["x"],"credentials":["k",{"id":"l"}]}"#,
            true,
        ),
        (r#"{"identity":"a","scope":{"max_amount":1.5}}"#, true),
        (r#"{}"#, false),
        (r#"{"identity":null}"#, false),
        (r#"{"identity":"a","tier":0}"#, false),
        (r#"{"identity":"a","tier":"1"}"#, false),
        (r#"{"identity":"a","tier":1.5}"#, false),
        (r#"{"identity":"a","honey":"yes"}"#, false),
        (r#"{"identity":"a","owner":""}"#, false),
        (r#"{"identity":"a","status":"gone"}"#, false),
        (r#"{"identity":"a","kind":""}"#, false),
        (r#"{"identity":"a","scope":"x"}"#, false),
        (r#"{"identity":"a","scope":{"max_amount":0}}"#, false),
        (r#"{"identity":"a","credentials":[7]}"#, false),
        (r#"{"identity":"a","credentials":[{"kind":"jwt"}]}"#, false),
        (r#"{"identity":"a","extra":1}"#, false),
    ] {
        let value = serde_json::from_str(json).unwrap();
        assert_eq!(fault(&schema, &value).is_none(), fine, "schema: {json}");
        assert_eq!(Entry::read(json.as_bytes()).is_ok(), fine, "reader: {json}");
    }
}

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
