//! Who lacks a right is told which one, and goes on once it is granted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::bank::events;
use super::broker::{Broker, script};
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
        let Some(only) = Only::grant(&broker, right, &[(kind, name)]) else {
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
        let only = Only::grant(&broker, right, &[("topic", name)]).unwrap();
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
    // The same while it works.
    let mut written = 500;
    for (right, kind, name, told) in &cases {
        let only = Only::grant(&broker, right, &[(kind, name)]).unwrap();
        let mut write = || {
            let next = &events[written..written + 20];
            produce(&broker.address, &topic, next, None);
            written += 20;
        };
        // Nobody may write to it either then, and it need not: reading is what fails.
        if *name != topic {
            write();
        }
        let mut said = Vec::new();
        // It may have said of the one before more than once.
        while !said.last().is_some_and(|said: &String| said.contains(told)) {
            let torn = service.wait_for("torn down", SOON);
            let torn = torn.unwrap_or_else(|| panic!("{kind} {name}: {said:#?}"));
            said.push(torn["right"].to_string());
        }
        drop(only);
        write();
        service.wait_for_committed(written as i64);
    }
    let digests = service.drain();
    service.assert_undisturbed(&digests);
}

#[test]
fn the_rights_that_the_page_names_suffice() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "page", 2, 1);
    let event = |id| {
        let json = format!(r#"{{"ts":1790000000,"uid":"{id}","identity":"svc","action":"a"}}"#);
        (String::new(), json)
    };
    let mut records = ["0", "1", "2"].map(event).to_vec();
    records.push((String::new(), "no event".to_owned()));
    produce(&broker.address, &service.topic("raw"), &records, None);
    let mut alike: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for (what, rights) in named_on_the_page(&service) {
        let rights: Vec<_> = rights.into_iter().collect();
        alike.entry(rights.join(",")).or_default().push(what);
    }
    assert_eq!(alike.values().flatten().count(), 11);
    let grant = |(rights, on): (&String, &Vec<(&str, String)>)| {
        let on: Vec<_> = on
            .iter()
            .map(|(kind, name)| (*kind, name.as_str()))
            .collect();
        Only::grant(&broker, rights, &on)
    };
    let Some(granted) = alike.iter().map(grant).collect::<Option<Vec<_>>>() else {
        return;
    };
    service.start();
    service.wait_for_the_end(4);
    service.drain();
    drop(granted);
    assert_eq!(service.dead_letters().len(), 1);
    assert_eq!(service.unreadable().len(), 1);
    service.assert_passed_on_once(3);
}

/// The rights of docs/kafka-rights.md, by kind and name of what they are on.
fn named_on_the_page(
    service: &Service,
) -> BTreeMap<(&'static str, String), BTreeSet<&'static str>> {
    let page = include_str!("../../docs/kafka-rights.md");
    let mut rights: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, role, resource, right, _] = cells[..] else {
            panic!("{row}")
        };
        let right = match right {
            "READ" | "WRITE" => right,
            "DESCRIBE_CONFIGS" => "DescribeConfigs",
            // What may be read or written may be seen.
            "DESCRIBE" => continue,
            _ => panic!("{row}"),
        };
        let names = resource.split('`').skip(1).step_by(2);
        let names: Vec<(&str, String)> = if resource.starts_with("each raw topic") {
            vec![("topic", service.topic("raw"))]
        } else if resource.starts_with("transactional ids") {
            let shard = if role == "watch" { "-0" } else { "" };
            let id = |name| {
                (
                    "transactional-id",
                    format!("{name}{}-a{shard}", service.run),
                )
            };
            names.map(id).collect()
        } else if resource.starts_with("group") {
            names.map(|name| ("group", name.to_owned())).collect()
        } else {
            let topic = |name: &str| ("topic", service.topic(name.strip_prefix("nhi.").unwrap()));
            names.map(topic).collect()
        };
        for what in names {
            rights.entry(what).or_default().insert(right);
        }
    }
    rights
}

/// Some rights are left on something, until this is dropped.
struct Only(Option<&'static str>, Vec<String>);

impl Only {
    /// Nothing, said aloud, where the broker checks no rights.
    fn grant(broker: &Broker, rights: &str, on: &[(&str, &str)]) -> Option<Self> {
        let words = on.iter().flat_map(|(kind, name)| [*kind, *name]);
        let arguments: Vec<&str> = ["only", rights].into_iter().chain(words).collect();
        if !broker.script(&arguments) {
            super::service::note("skipped: the broker is not one of scripts/kafka");
            return None;
        }
        let on = arguments[2..].iter().map(|word| String::from(*word));
        Some(Self(broker.folder(), on.collect()))
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        let Self(folder, on) = self;
        let words = on.iter().map(String::as_str);
        let arguments: Vec<&str> = std::iter::once("free").chain(words).collect();
        assert!(script(*folder, &arguments), "{on:?}");
    }
}

const SOON: Duration = Duration::from_secs(120);
