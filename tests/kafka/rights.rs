//! Who lacks a right is told which one, and goes on once it is granted.

use std::process::Command;
use std::time::Duration;

use super::bank::events;
use super::broker::Broker;
use super::service::Service;
use super::traces::produce;

#[test]
fn whoever_lacks_a_right_is_told_which_and_goes_on_once_it_is_granted() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare(&broker, "rights", 1);
    let (topic, events) = (service.topic("events"), events(6, 3, true));
    produce(&broker.address, &topic, &events[..500], None);
    let id = format!("nhiwatch-watch-{}-a-0", service.run);
    let [alerts, state] = ["alerts", "state"].map(|name| service.topic(name));
    let cases = [
        (
            "DESCRIBE",
            "group",
            "nhiwatch-watch",
            "READ on group nhiwatch-watch".to_owned(),
        ),
        (
            "DESCRIBE",
            "transactional-id",
            &id,
            format!("WRITE on those that begin with {}", &id[..id.len() - 2]),
        ),
        ("DESCRIBE", "topic", &topic, format!("READ on {topic}")),
        (
            "READ,DescribeConfigs",
            "topic",
            &state,
            format!("WRITE on {state}"),
        ),
    ];
    for (right, kind, name, told) in &cases {
        let Some(only) = Only::grant(&broker, right, kind, name) else {
            return;
        };
        service.start();
        let torn = service.wait_for("torn down", SOON).unwrap();
        let said = torn["right"].as_str().unwrap_or_default();
        assert!(said.contains(told), "{kind} {name}: {torn}");
        drop(only);
        assert!(
            service.wait_for("state restored", SOON).is_some(),
            "{kind} {name}"
        );
        service.kill();
    }

    let hidden = [
        ("CREATE", &alerts, "we may not see whether it is there"),
        (
            "READ,WRITE",
            &state,
            "cannot be seen; grant DESCRIBE_CONFIGS",
        ),
    ];
    for (right, name, told) in hidden {
        let only = Only::grant(&broker, right, "topic", name).unwrap();
        service.start();
        let waits = service.wait_for("not ready", SOON).unwrap();
        let said = waits["obstacle"].as_str().unwrap();
        assert!(
            said.contains(&format!("{name}: ")) && said.contains(told),
            "{said}"
        );
        drop(only);
        assert!(service.wait_for("state restored", SOON).is_some(), "{name}");
        service.kill();
    }
    service.start();
    service.wait_for_committed(500);
    let digests = service.drain();
    service.assert_undisturbed(&digests);
}

/// One right is left on something, until this is dropped.
struct Only(String, String, String);

impl Only {
    /// Nothing, said aloud, where the broker checks no rights.
    fn grant(broker: &Broker, right: &str, kind: &str, name: &str) -> Option<Self> {
        if !script(&broker.address, &["only", right, kind, name]) {
            let checked = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!checked, "the broker of scripts/kafka checks rights");
            super::service::note("skipped: the broker checks no rights");
            return None;
        }
        Some(Self(
            broker.address.clone(),
            kind.to_owned(),
            name.to_owned(),
        ))
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        let Self(address, kind, name) = self;
        assert!(script(address, &["free", kind, name]), "{kind} {name}");
    }
}

fn script(address: &str, arguments: &[&str]) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
    let output = Command::new(script)
        .args(arguments)
        .env("NHIWATCH_TEST_BROKERS", address)
        .output();
    output.is_ok_and(|output| output.status.success())
}

const SOON: Duration = Duration::from_secs(120);
