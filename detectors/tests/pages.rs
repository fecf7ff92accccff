//! Every detector's page is a test: its headings, its options and its scenarios.

mod scenario;

use std::path::Path;

use nhiwatch_detectors::{CARDS, Configs};
use scenario::World;

/// Runs one scenario under the default settings.
fn run(scenario: &str) -> Result<(), String> {
    let mut world = World::new(&Configs::default());
    scenario::run(&mut world, scenario).map(drop)
}

const HEADINGS: [&str; 7] = [
    "What it detects",
    "Why it matters",
    "What to do",
    "How it decides",
    "When it is wrong",
    "Options",
    "Scenarios",
];

#[test]
fn every_scenario_of_every_page_holds() {
    let mut failures = Vec::new();
    for card in CARDS {
        let scenarios = scenario::scenarios(card.page);
        assert!(
            scenarios.len() >= 3,
            "{} has fewer than three scenarios",
            card.name
        );
        for (number, scenario) in scenarios.iter().enumerate() {
            if let Err(why) = run(scenario) {
                failures.push(format!("{}, scenario {}: {why}", card.name, number + 1));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_scenario_that_does_not_hold_fails() {
    let wrong = "event algo-1 order.create sat 15:00 venue XNYS # quiet";
    assert!(run(wrong).is_err_and(|why| why.contains("off-hours")));
    let nameless = "event algo-1 order.create sat 15:00 # alert: no-such";
    assert!(run(nameless).is_err_and(|why| why.contains("no detector")));
    let fieldless = "event algo-1 order.create sat 15:00 colour red # quiet";
    assert!(run(fieldless).is_err_and(|why| why.contains("no field `colour`")));
}

#[test]
fn a_scenario_sets_every_field_of_an_event() {
    let schema = include_str!("../../config/schema/event.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let fields = schema["properties"].as_object().unwrap().keys();
    for field in fields.filter(|field| !["ts", "identity", "action"].contains(&field.as_str())) {
        let value = match field.as_str() {
            "kind" => "bot",
            "class" => "order",
            "outcome" => "ok",
            _ => "7",
        };
        let line = format!("event svc read sat 15:00 {field} {value} received 3m # quiet");
        assert_eq!(run(&line), Ok(()));
    }
    // What is set is what is judged: this order is one by its class alone.
    let order = "event algo-1 enter sat 15:00 class order venue XNYS # alert: off-hours";
    assert_eq!(run(order), Ok(()));
}

#[test]
fn every_page_has_its_headings_in_order() {
    for card in CARDS {
        let headings: Vec<&str> = card
            .page
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        assert_eq!(headings, HEADINGS, "{}", card.name);
        assert!(
            card.page.starts_with(&format!("# {}\n", card.name)),
            "{}",
            card.name
        );
    }
}

#[test]
fn every_folder_with_a_page_is_registered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<String> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("README.md").is_file())
        .map(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .replace('_', "-")
        })
        .collect();
    folders.sort();
    let names: Vec<&str> = CARDS.iter().map(|card| card.name).collect();
    assert_eq!(folders, names);
}

#[test]
fn every_page_lists_the_options_there_are_with_their_defaults() {
    let configs = serde_json::to_value(Configs::default()).unwrap();
    for card in CARDS {
        let config = configs[card.name]["config"].as_object().unwrap();
        let mut wanted: Vec<(String, String)> = config
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        wanted.sort();
        let mut listed: Vec<(String, String)> = card
            .page
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| {
                let mut cells = line.split('|').map(str::trim);
                let name = cells.next()?.trim_end_matches('`');
                Some((name.to_owned(), cells.next()?.to_owned()))
            })
            .collect();
        listed.sort();
        assert_eq!(listed, wanted, "{}", card.name);
    }
}
