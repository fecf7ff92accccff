//! The files a user deploys fit the program: metrics, paths, configuration, hardening.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nhiwatch::config::Config;
use nhiwatch::metrics::NAMES;
use serde_json::Value;

fn read(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    list(&value[key]).iter().filter_map(Value::as_str).collect()
}

/// The metrics a query names; a histogram's series count as the histogram.
fn metrics(query: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = query
        .split(|c| !word(c))
        .filter(|name| name.starts_with("nhiwatch_"));
    let histogram = |name: &str| {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        base.filter(|base| NAMES.contains(base)).map(str::to_owned)
    };
    names
        .map(|name| histogram(name).unwrap_or_else(|| name.to_owned()))
        .collect()
}

fn check_known(place: &str, names: &BTreeSet<String>) {
    for name in names {
        assert!(
            NAMES.contains(&name.as_str()),
            "{place} asks for {name}, which is not there"
        );
    }
}

#[test]
fn every_rule_asks_for_metrics_there_are_and_names_the_cure() {
    let rules = yaml("config/prometheus/alerts.yml");
    let rules: Vec<&Value> = list(&rules["groups"])
        .iter()
        .flat_map(|group| list(&group["rules"]))
        .collect();
    assert!(rules.len() > 10);
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        let asked = metrics(rule["expr"].as_str().unwrap());
        check_known(name, &asked);
        assert!(
            !asked.is_empty() || name == "NhiwatchDown",
            "{name} asks for nothing of ours"
        );
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()));
        for annotation in ["summary", "cure"] {
            assert!(
                rule["annotations"][annotation].is_string(),
                "{name} lacks {annotation}"
            );
        }
    }
}

#[test]
fn the_dashboard_shows_every_metric_and_no_other() {
    let dashboard = json("config/grafana/dashboards/nhiwatch.json");
    let mut shown = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title} has the id of another"
        );
        for target in list(&panel["targets"]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let asked = metrics(target["expr"].as_str().unwrap());
            check_known(title, &asked);
            shown.extend(asked);
        }
    }
    for variable in list(&dashboard["templating"]["list"]) {
        check_known(
            "a variable",
            &metrics(variable["definition"].as_str().unwrap_or_default()),
        );
    }
    let missing: Vec<_> = NAMES
        .iter()
        .filter(|name| !shown.contains(**name))
        .collect();
    assert!(missing.is_empty(), "not shown: {missing:?}");
}

#[test]
fn the_grafana_files_find_each_other() {
    let source = yaml("config/grafana/provisioning/datasources/prometheus.yaml");
    let url = source["datasources"][0]["url"].as_str().unwrap();
    let compose = yaml("docker-compose.yml");
    let host = url.trim_start_matches("http://").split(':').next().unwrap();
    assert!(compose["services"][host].is_object(), "no service {host}");
    let provider = yaml("config/grafana/provisioning/dashboards/nhiwatch.yaml");
    let folder = provider["providers"][0]["options"]["path"]
        .as_str()
        .unwrap();
    let mounts = texts(&compose["services"]["grafana"], "volumes");
    assert!(mounts.contains(&format!("./config/grafana/dashboards:{folder}:ro").as_str()));
}

#[test]
fn prometheus_scrapes_the_port_that_is_served_and_reads_the_rules() {
    let compose = yaml("docker-compose.yml");
    let config = yaml("config/prometheus/prometheus.yml");
    let target = config["scrape_configs"][0]["static_configs"][0]["targets"][0]
        .as_str()
        .unwrap();
    let (host, port) = target.split_once(':').unwrap();
    assert!(compose["services"][host].is_object(), "no service {host}");
    assert_eq!(port, composed().http.listen.port().to_string());
    let rules = config["rule_files"][0].as_str().unwrap();
    let rules = rules.replace("/etc/prometheus/", "config/prometheus/");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(rules).is_file());
}

/// The configuration the compose file runs.
fn composed() -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/compose/nhiwatch.yaml");
    Config::load(Some(&path)).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_configuration_for_trying_is_valid() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/try.yaml");
    let config = nhiwatch::config::Config::load(Some(path.as_ref())).unwrap();
    assert_eq!(config.sources[0].topic, "bank.raw");
}

#[test]
fn the_composed_configuration_is_valid_and_reaches_the_broker() {
    let compose = yaml("docker-compose.yml");
    let kafka = &compose["services"]["kafka"]["environment"];
    let advertised = kafka["KAFKA_ADVERTISED_LISTENERS"].as_str().unwrap();
    let config = composed();
    assert!(advertised.contains(&format!("INTERNAL://{}", config.kafka.brokers)));
    let topic = format!("--topic={}", config.sources[0].topic);
    assert!(texts(&compose["services"]["raw-topic"], "command").contains(&topic.as_str()));
    let generator = texts(&compose["services"]["generator"], "command")[0];
    assert!(generator.contains(&format!("-b {} -t bank.raw", config.kafka.brokers)));
    for service in ["topics", "nhiwatch"] {
        let command = texts(&compose["services"][service], "command");
        assert_eq!(
            command.last(),
            Some(&"/etc/nhiwatch/compose/nhiwatch.yaml"),
            "{service}"
        );
    }
}

#[test]
fn services_are_on_the_loopback_and_without_privileges() {
    let compose = yaml("docker-compose.yml");
    for (name, service) in compose["services"].as_object().unwrap() {
        assert_eq!(texts(service, "cap_drop"), ["ALL"], "{name}");
        assert_eq!(
            texts(service, "security_opt"),
            ["no-new-privileges:true"],
            "{name}"
        );
        let kafka = service["image"]
            .as_str()
            .unwrap()
            .starts_with("apache/kafka:");
        assert!(
            kafka || service["read_only"] == true,
            "{name} may write to its image"
        );
        for port in texts(service, "ports") {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        for mount in texts(service, "volumes") {
            let from = mount.split(':').next().unwrap();
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
            let known = compose["volumes"].get(from).is_some() || folder.is_dir();
            assert!(known, "{name} mounts {from}, which is not there");
        }
    }
}
