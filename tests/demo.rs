//! The demo as its users meet it: what it must show, with its default seed.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn every_detector_sees_its_attack_and_nobody_else_is_suspected() {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(["demo", "--exit"])
        .env_clear()
        .output()
        .unwrap();
    // A hang, not a measure: it takes some ten seconds.
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let verdicts: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(": seen by "))
        .filter_map(|(attack, detector)| Some((detector, attack.split_once(" on ")?.1)))
        .collect();
    let detectors: Vec<&str> = verdicts.keys().copied().collect();
    assert_eq!(detectors, ["api-volume", "off-hours", "tool-chain"]);
    for (detector, identity) in &verdicts {
        let alert = format!(" {detector} on {identity} at ");
        assert!(text.contains(&alert), "{alert}: {text}");
    }
    let (_, last) = text.split_once("that were not attacked: ").unwrap();
    let numbers: Vec<u32> = last
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    // What the budget allows in 19 of 20 such banks, as the demo says itself.
    assert!(numbers[0] <= 8 && numbers[1] <= 3, "{text}");
    assert!(text.contains(" 0 could not be read."), "{text}");
}
