//! The state that is kept on local disk as well, beside the one in Kafka.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bank::events;
use super::broker::Broker;
use super::losses::recreate;
use super::service::Service;
use super::traces::produce;

/// How long a start may take.
const SOON: Duration = Duration::from_secs(120);

#[test]
fn a_copy_is_read_where_it_is_of_the_state_in_kafka_and_of_no_other() {
    let Some(broker) = Broker::find() else { return };
    let events = events(6, 3, true);
    let mut first = Service::prepare(&broker, "copies", 1);
    first.keep_copies();
    first.configure("checkpoint_interval: 0s");
    let topic = first.topic("events");
    produce(&broker.address, &topic, &events[..500], None);
    first.start();
    first.wait_for_committed(500);
    first.kill();
    start_from_the_copy(&mut first);
    first.drain();

    // Another instance learns a state anew, and the first one comes back with the copy of the one that is gone.
    let mut other = first.twin("b");
    other.configure("checkpoint_interval: 0s");
    recreate(&broker, &first, "state");
    produce(&broker.address, &topic, &events[500..600], None);
    other.start_with(&["--accept-data-loss", "earliest"]);
    other.wait_for_committed(600);
    for batch in events[600..900].chunks(50) {
        produce(&broker.address, &topic, batch, None);
        std::thread::sleep(Duration::from_millis(300));
    }
    other.wait_for_committed(900);
    other.drain();
    first.start();
    let warned = first.wait_for("the state cache is not used", SOON).unwrap();
    assert_eq!(warned["reason"], "it is of another state");
    assert_eq!(restored(&first).1, 0);
    produce(&broker.address, &topic, &events[900..1000], None);
    first.wait_for_committed(1000);
    first.kill();

    // From now on it has a copy of the new one.
    start_from_the_copy(&mut first);
    let digests = first.drain();
    first.assert_undisturbed(&digests);
}

#[test]
fn a_copy_that_is_damaged_or_anothers_costs_nothing_but_time() {
    let Some(broker) = Broker::find() else { return };
    let events = events(12, 17, true);
    let mut service = Service::prepare(&broker, "damaged", 2);
    service.keep_copies();
    service.configure("checkpoint_interval: 0s");
    let topic = service.topic("events");
    let copies = [0, 1].map(|partition| {
        let name = format!("cache/{}-{partition}.log", service.topic("state"));
        service.folder.path().join(name)
    });
    type Harm = fn(&[PathBuf; 2]);
    let damages: [(&str, Harm); 4] = [
        ("none", |_| ()),
        ("each is the other's", |[one, other]| {
            let between = one.with_extension("between");
            fs::rename(one, &between).unwrap();
            fs::rename(other, one).unwrap();
            fs::rename(between, other).unwrap();
        }),
        ("a bit of the beginning", |copies| {
            copies.iter().for_each(|copy| flip(copy, 8));
        }),
        ("not a copy", |copies| {
            for copy in copies {
                fs::write(copy, "no copy").unwrap();
            }
        }),
    ];
    let mut written = 0;
    for (damage, harm) in damages {
        let next = &events[written..written + 200];
        produce(&broker.address, &topic, next, None);
        written += next.len();
        service.start();
        service.wait_for_committed(written as i64);
        service.drain();
        harm(&copies);
        service.start();
        let copied = [(); 2].map(|()| restored(&service).1);
        let used = copied.map(|copied| copied > 0);
        assert_eq!(used, [damage == "none"; 2], "{damage}: {copied:?}");
        service.drain();
    }
    produce(&broker.address, &topic, &events[written..], None);
    service.start();
    service.wait_for_committed(events.len() as i64);
    let digests = service.drain();
    service.assert_undisturbed(&digests);
}

#[test]
fn a_full_disk_costs_the_copy_and_nothing_else() {
    let Some(broker) = Broker::find() else { return };
    let events = events(12, 29, true);
    let mut service = Service::prepare(&broker, "full", 2);
    service.keep_copies();
    service.configure("checkpoint_interval: 0s");
    let topic = service.topic("events");
    let (early, late) = events.split_at(events.len() / 2);
    service.start_on_a_full_disk(64);
    for batch in early.chunks(early.len().div_ceil(10)) {
        produce(&broker.address, &topic, batch, None);
        std::thread::sleep(Duration::from_millis(300));
    }
    let told = service.wait_for("the state cache is not kept", SOON);
    assert!(told.is_some(), "nothing is said of the disk");
    service.wait_for_committed(early.len() as i64);
    service.kill();
    // What the copies hold is of a commit long ago, and Kafka knows the rest.
    service.start();
    for _ in 0..2 {
        let (records, copied) = restored(&service);
        assert!(copied < records, "{copied} of {records}");
    }
    produce(&broker.address, &topic, late, None);
    service.wait_for_committed(events.len() as i64);
    let digests = service.drain();
    service.assert_undisturbed(&digests);
    // From now on the copies are kept again.
    start_from_the_copy(&mut service);
    service.drain();
}

#[test]
fn a_folder_of_another_process_is_refused_and_one_that_cannot_be_made_is_named() {
    let Some(broker) = Broker::find() else { return };
    let mut first = Service::prepare(&broker, "folder", 1);
    first.keep_copies();
    first.start();
    assert!(first.wait_for("state restored", SOON).is_some());
    let said = |service: &Service| {
        let output = service.command("run").output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8_lossy(&output.stderr).replace('\n', " ")
    };
    let text = said(&first);
    assert!(text.contains("another process uses it"), "{text}");
    first.drain();
    let second = first.twin("b");
    second.configure("state_cache: /proc/nowhere");
    let text = said(&second);
    assert!(
        text.contains("/proc/nowhere") && text.contains("kafka.state_cache"),
        "{text}"
    );
}

/// Another bit in the byte at `at`.
fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Starts it, and makes sure that most of its state was read from disk.
fn start_from_the_copy(service: &mut Service) {
    service.start();
    let (records, copied) = restored(service);
    assert!(copied > 0 && copied * 2 > records, "{copied} of {records}");
}

/// The records of which a state was restored, and those of them that were read from disk.
fn restored(service: &Service) -> (i64, i64) {
    let line = service.wait_for("state restored", SOON).unwrap();
    let number = |name: &str| line[name].as_i64().unwrap();
    (number("records"), number("copied"))
}
