//! The binary as its users meet it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

/// Exit code, standard output and standard error of `nhiwatch ARGS`, in an environment of nothing.
fn nhiwatch(args: &[&str]) -> (i32, String, String) {
    nhiwatch_with(args, &[])
}

fn nhiwatch_with(args: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn wrong_usage_exits_with_2() {
    for args in [
        &["--nonsense"][..],
        &["nonsense"],
        &[],
        &["check", "--confg", "x"],
    ] {
        let (code, out, err) = nhiwatch(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
    }
    let (code, _, err) = nhiwatch(&["simulate", "--labels", "x", "--inventory", "./x"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("name two files"), "{err}");
    let (code, _, err) = nhiwatch(&["detectors", "offhours"]);
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "error: no detector is called `offhours`; did you mean `off-hours`?\n"
    );
    for level in ["a=b=c", "banana"] {
        let (code, _, err) = nhiwatch(&["--log-level", level, "detectors"]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains("try info"), "{err}");
    }
}

#[test]
fn check_tells_what_is_wrong_with_every_file_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("inventory.yaml"), "identities:\n  - {tier: 1}\n").unwrap();
    let config = format!(
        "calendars: {{directory: {}}}\ninventory: {}\n",
        at("nowhere"),
        at("inventory.yaml")
    );
    std::fs::write(at("nhiwatch.yaml"), config).unwrap();
    let (code, _, err) = nhiwatch(&["check", "--config", &at("nhiwatch.yaml")]);
    assert_eq!(code, 1, "{err}");
    for part in ["calendars.directory", "inventory.yaml:2"] {
        assert!(err.contains(part), "{err}");
    }
}

#[test]
fn what_can_never_reach_kafka_ends_run_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = "kafka: {security: {protocol: ssl, ca_file: /nowhere/ca.pem}}\nhttp: {listen: \"127.0.0.1:0\"}\n";
    std::fs::write(file.path(), config).unwrap();
    let (code, _, err) = nhiwatch(&["run", "--config", &file.path().display().to_string()]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("ca_file: /nowhere/ca.pem"), "{err}");
}

#[test]
fn each_commands_help_is_reviewed() {
    for name in ["check", "detectors", "inspect", "completions"] {
        let (code, out, _) = nhiwatch(&[name, "--help"]);
        assert_eq!(code, 0);
        insta::assert_snapshot!(format!("help-{name}"), out);
    }
}

#[test]
fn check_tells_fine_from_invalid_from_unreadable() {
    let (code, out, err) = nhiwatch(&["check", "--config", "config/nhiwatch.yaml"]);
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (0, "config/nhiwatch.yaml is fine\n", "")
    );
    let (code, out, err) = nhiwatch(&["check", "--config", "tests/config/prod.yaml"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.starts_with("error: 1 error in tests/config/prod.yaml\n"),
        "{err}"
    );
    let (code, _, err) = nhiwatch(&["check", "--config", "tests/config/none.yaml"]);
    assert_eq!(code, 3, "{err}");
}

#[test]
fn check_knows_the_mappings_that_come_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sources.yaml");
    for (mapping, expected) in [
        ("aws-cloudtrail", 0),
        ("auto", 0),
        ("native", 0),
        ("aws", 1),
    ] {
        let text = format!("sources: [{{topic: raw, mapping: {mapping}}}]\n");
        std::fs::write(&file, text).unwrap();
        let (code, _, err) = nhiwatch(&["check", "--config", file.to_str().unwrap()]);
        assert_eq!(code, expected, "{mapping}: {err}");
    }
}

#[test]
fn calendars_that_cannot_be_read_are_the_environments_fault_and_wrong_ones_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let (file, events) = (folder.path().join("c.yaml"), folder.path().join("e.json"));
    std::fs::write(&events, "").unwrap();
    let (file, events) = (file.to_str().unwrap(), events.to_str().unwrap());
    std::fs::create_dir(folder.path().join("wrong")).unwrap();
    std::fs::write(folder.path().join("wrong/x.yaml"), "mic: 1\n").unwrap();
    for (calendars, expected) in [("none", 3), ("wrong", 1)] {
        let directory = folder.path().join(calendars);
        let text = format!("calendars: {{directory: {}}}\n", directory.display());
        std::fs::write(file, text).unwrap();
        for args in [
            &["check", "--config", file][..],
            &["backtest", "--config", file, events],
            &["run", "--config", file],
        ] {
            let (code, _, err) = nhiwatch(args);
            assert_eq!(code, expected, "{args:?}: {err}");
            assert!(err.contains(calendars), "{args:?}: {err}");
        }
    }
}

#[test]
fn a_flag_can_be_given_by_the_environment() {
    let (code, ..) = nhiwatch_with(&["check"], &[("NHIWATCH_CONFIG", "tests/config/prod.yaml")]);
    assert_eq!(code, 1);
}

#[test]
fn detectors_are_listed_and_have_pages() {
    let (code, list, _) = nhiwatch(&["detectors"]);
    assert_eq!(code, 0);
    for card in nhiwatch_detectors::CARDS {
        assert!(
            list.contains(card.name) && list.contains(card.summary),
            "{list}"
        );
        assert_eq!(nhiwatch(&["detectors", card.name]).1, card.page);
    }
}

#[test]
fn shells_get_completions() {
    for (shell, part) in [
        ("bash", "complete -F _nhiwatch"),
        ("zsh", "#compdef nhiwatch"),
        ("fish", "complete -c nhiwatch"),
    ] {
        let (code, out, _) = nhiwatch(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(
            out.contains(part) && out.contains("detectors"),
            "{shell}: {out}"
        );
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(["completions", "bash"])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn a_broker_that_is_not_there_is_named_waited_for_and_no_reason_not_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nhiwatch.yaml");
    // Nobody listens on the port that was just let go.
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let (broker, listen) = (free(), free());
    let config = format!("kafka:\n  brokers: {broker}\nhttp:\n  listen: {listen}\n");
    std::fs::write(&file, config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_nhiwatch"))
        .args(["run", "--config", file.to_str().unwrap()])
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let obstacle = lines
        .map_while(Result::ok)
        .find(|line| line.contains("not ready"))
        .unwrap();
    assert!(obstacle.contains(&broker.to_string()), "{obstacle}");
    let mut stream = std::net::TcpStream::connect(listen).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 503"), "{answer}");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
}
