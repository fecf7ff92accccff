//! What a configuration file may say, and how it is told what it may not.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::{Path, PathBuf};

use nhiwatch::config::{Config, ConfigErrors};
use nhiwatch::failure::Failure;

const MAPPINGS: &[&str] = &["cloudtrail", "keycloak"];

fn load(name: &str) -> Result<Config, ConfigErrors> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Config::load_knowing(Some(&root.join(name)), Some(MAPPINGS))
}

/// The messages for a bad file, without this checkout's path.
fn told(name: &str) -> String {
    let root = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    load(&format!("tests/config/{name}.yaml"))
        .unwrap_err()
        .to_string()
        .replace(&root, "")
}

#[test]
fn the_commented_default_is_the_default() {
    assert_eq!(load("config/nhiwatch.yaml").unwrap(), Config::default());
}

/// An unknown key in a section makes the reader list the known ones; each must stand there.
#[test]
fn the_commented_default_has_every_key() {
    let text = std::fs::read_to_string("config/nhiwatch.yaml").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_key = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut sections = 0;
    for (index, line) in lines.iter().enumerate() {
        let top = index == 0;
        if !(top || is_key(line) && line.ends_with(':')) {
            continue;
        }
        let depth = if top { 0 } else { indent(line) + 2 };
        let from = if top { 0 } else { index + 1 };
        let section: Vec<&str> = lines[from..]
            .iter()
            .copied()
            .filter(|line| is_key(line))
            .take_while(|line| indent(line) >= depth)
            .filter(|line| indent(line) == depth)
            .filter_map(|line| line.trim().split_once(':').map(|(key, _)| key))
            .collect();
        let mut with = lines.clone();
        let unknown = format!("{}'?': 1", " ".repeat(depth));
        with.insert(from, &unknown);
        let problems = Config::parse(&with.join("\n"), None).unwrap_err();
        let known = problems[0].hint.strip_prefix("expected one of ").unwrap();
        for key in known.split(", ") {
            assert!(section.contains(&key), "`{key}` is missing under `{line}`");
        }
        sections += 1;
    }
    assert!(sections >= 10, "only {sections} sections were looked at");
}

#[test]
fn an_empty_file_means_the_defaults() {
    for name in ["empty", "comment"] {
        assert_eq!(
            load(&format!("tests/config/{name}.yaml")).unwrap(),
            Config::default()
        );
    }
    assert_eq!(Config::load(None).unwrap(), Config::default());
}

#[test]
fn every_error_is_told_at_once_with_place_and_cure() {
    insta::assert_snapshot!(told("many"));
}

#[test]
fn each_bad_file_is_told_what_is_wrong() {
    for name in [
        "tabs",
        "duplicate",
        "words",
        "broken",
        "list",
        "prod",
        "demo",
        "two",
        "alias",
        "roles",
        "secrets",
        "umlaut",
        "unclosed",
        "tag",
        "budget",
        "limits",
        "librdkafka",
        "misspelt",
    ] {
        insta::assert_snapshot!(name, told(name));
    }
}

#[test]
fn a_secret_is_never_shown() {
    for name in ["secrets", "unclosed", "librdkafka"] {
        let told = told(name);
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_the_environments_fault() {
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("huge.yaml");
    std::fs::write(&huge, "# filler\n".repeat(200_000)).unwrap();
    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    for (file, part) in [
        (huge.as_path(), "larger than 1 MiB"),
        (binary.as_path(), "not UTF-8"),
        (Path::new("/no/such.yaml"), "No such file"),
    ] {
        let failure = Failure::from(Config::load(Some(file)).unwrap_err());
        assert!(matches!(failure, Failure::Environment(_)), "{failure}");
        assert!(failure.to_string().contains(part), "{failure}");
    }
}

#[test]
fn a_file_full_of_errors_is_cut_short() {
    let text: String = (0..500).map(|n| format!("key{n}: 1\n")).collect();
    assert_eq!(Config::parse(&text, None).unwrap_err().len(), 50);
}

#[test]
fn a_large_file_is_judged_within_seconds() {
    let text: String = (0..60_000)
        .map(|n| format!("key{n}: [1, {{a: b}}]\n"))
        .collect();
    let begun = std::time::Instant::now();
    assert_eq!(Config::parse(&text, None).unwrap_err().len(), 50);
    let taken = begun.elapsed();
    assert!(taken.as_secs() < 20, "took {taken:?}");
}

proptest::proptest! {
    /// Whatever the text, it is loaded or told about; masking and carets never leave the text.
    #[test]
    fn no_text_makes_the_reader_fail(
        text in r#"([a-z]{1,3}|kafka|sasl_password|topics|sources|roles|[ \n]{1,4}|[-:,&*!|>'"{}\[\]#\t\r?]|ü|🦀|: |\n  ){0,40}"#,
    ) {
        if let Err(problems) = Config::parse(&text, Some(MAPPINGS)) {
            let file = PathBuf::from("x.yaml");
            let told = ConfigErrors::Invalid { file, text, problems }.to_string();
            assert!(told.contains("x.yaml:"), "{told}");
        }
    }
}

#[test]
fn values_are_read_as_their_types_want_them() {
    let text = "kafka:\n  commit_interval: 1s\n  librdkafka: {fetch.wait.max.ms: 50, log.connection.close: true}\n  \
                security: {protocol: sasl_ssl, mechanism: PLAIN, username: 7, sasl_password: {env: P}}\n\
                detectors:\n  off-hours: {mode: off, config: {p_max: 1e-4}}\n";
    let config = Config::parse(text, None).unwrap();
    assert_eq!(config.kafka.commit_interval.as_secs(), 1);
    assert_eq!(config.kafka.librdkafka["fetch.wait.max.ms"], "50");
    assert_eq!(config.kafka.security.username.as_deref(), Some("7"));
    assert_eq!(config.detectors.off_hours.config.p_max.get(), 1e-4);
}
