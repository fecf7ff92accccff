//! How soon a killed service goes on that knows many identities, with the copy of its state on local disk and without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rdkafka::ClientConfig;

use super::life::{Life, wait_for};
use super::measure::{Work, fill};
use super::population::{Skew, population};
use super::{Bench, say};

/// Measures a kill of a service that knows so many identities as each of `sizes` says, while events of them come.
pub(crate) fn measure(bench: &Bench, sizes: &[usize]) -> Result<()> {
    say(&format!(
        "\nSIGKILL while {OFFERED} events a second come\n\n| identities | state_cache | state records read | of them from \
         disk | seconds of restoring | events taken in again | seconds from the start to the first new event | seconds from SIGTERM to the end |\n\
         |---|---|---|---|---|---|---|---|"
    ));
    for size in sizes {
        let records = population(*size, OFFERED * 60, Skew::Uniform)?;
        let (known, offered) = records.split_at(*size);
        for keeps in [false, true] {
            let folder = tempfile::tempdir()?;
            let cache = folder.path().join("cache");
            let settings = match keeps {
                true => format!("state_cache: {}", cache.display()),
                false => String::new(),
            };
            let topics = bench.topics(known, Work::Watch, &settings)?;
            let path = bench.file(folder.path(), &topics.name, &settings)?;
            let life = Life::start(&path)?;
            wait_for(&topics, known.len())?;
            let done = AtomicBool::new(false);
            let row = std::thread::scope(|scope| {
                let offering =
                    scope.spawn(|| offer(&topics.client, topics.input(), offered, &done));
                let row = kill(life, &path);
                done.store(true, Ordering::Release);
                offering.join().ok().context("the producer panicked")??;
                row
            })?;
            let keeps = if keeps { "yes" } else { "no" };
            say(&format!("| {size} | {keeps} | {row} |"));
            topics.delete()?;
        }
    }
    Ok(())
}

/// Writes records at the rate that is offered, until it is done or there is no more.
fn offer(
    client: &ClientConfig,
    topic: &str,
    records: &[(String, String)],
    done: &AtomicBool,
) -> Result<()> {
    let begun = Instant::now();
    for (second, records) in (0..).zip(records.chunks(OFFERED / 10)) {
        let due = begun + Duration::from_millis(100) * second;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if done.load(Ordering::Acquire) {
            break;
        }
        fill(client, topic, records)?;
    }
    Ok(())
}

/// Kills the service after a while, starts it again, lets it end, and says what that took.
fn kill(life: Life, config: &std::path::Path) -> Result<String> {
    std::thread::sleep(BEFORE);
    drop(life);
    let begun = Instant::now();
    let life = Life::start(config)?;
    let restored = life.line("state restored")?;
    life.line("first new event after the start")?;
    let seconds = begun.elapsed().as_secs_f64();
    std::thread::sleep(BEFORE);
    let ending = life.end()?;
    let number = |name: &str| restored[name].as_i64().context("a number");
    let again = number("next")? - number("stored")?;
    let restoring = restored["seconds"].as_f64().context("seconds")?;
    let (records, copied) = (number("records")?, number("copied")?);
    Ok(format!(
        "{records} | {copied} | {restoring:.1} | {again} | {seconds:.1} | {ending:.1}"
    ))
}

/// Events a second.
const OFFERED: usize = 10_000;
/// How long the service works before it is killed, and before it is asked to end.
const BEFORE: Duration = Duration::from_secs(13);
