//! Every detector's page is a test: its headings, its options and its scenarios.

mod scenario;

use std::path::Path;

use nhiwatch_detectors::{CARDS, Configs};

const HEADINGS: [&str; 7] = [
    "What it detects",
    "Why it matters",
    "How it decides",
    "When it is wrong",
    "What to do",
    "Options",
    "Scenarios",
];

#[test]
fn every_scenario_of_every_page_holds() {
    let mut failures = Vec::new();
    for card in CARDS {
        let scenarios = scenarios(card.page);
        assert!(
            scenarios.len() >= 3,
            "{} has fewer than three scenarios",
            card.name
        );
        for (number, scenario) in scenarios.iter().enumerate() {
            if let Err(why) = scenario::run(scenario) {
                failures.push(format!("{}, scenario {}: {why}", card.name, number + 1));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_scenario_that_does_not_hold_fails() {
    let wrong = "event algo-1 order.create sat 15:00 venue XNYS # quiet";
    assert!(scenario::run(wrong).is_err_and(|why| why.contains("off-hours")));
    let nameless = "event algo-1 order.create sat 15:00 # alert: no-such";
    assert!(scenario::run(nameless).is_err_and(|why| why.contains("no detector")));
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

fn scenarios(page: &str) -> Vec<String> {
    let mut blocks = page.split("```scenario\n");
    blocks.next();
    blocks
        .filter_map(|block| Some(block.split_once("```")?.0.to_owned()))
        .collect()
}
