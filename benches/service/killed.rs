//! How often state is stored, against what that costs and how soon a killed service goes on.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::life::{Life, wait_for};
use super::measure::{Work, fill, weigh};
use super::population::{Shape, Skew, population};
use super::{Bench, say};

/// Measures so many `events` for each interval.
pub(crate) fn measure(bench: &Bench, events: usize) -> Result<()> {
    let identities = if bench.quick { 1_000 } else { 50_000 };
    say(&format!(
        "\n{events} events of {identities} identities, then SIGKILL\n\n| checkpoint_interval | events/s | bytes of state \
         per event | events taken in again | seconds from the start to the first new event |\n|---|---|---|---|---|"
    ));
    let records = population(identities, events, Skew::Uniform, Shape::Bare)?;
    let intervals = ["0s", "1s", "5s", "15s", "1m"];
    for interval in if bench.quick {
        &intervals[2..3]
    } else {
        &intervals[..]
    } {
        let settings = format!("checkpoint_interval: {interval}, checkpoint_records: 1000000000");
        let topics = bench.topics(&records, Work::Watch, &settings)?;
        let folder = tempfile::tempdir()?;
        let path = bench.file(folder.path(), &topics.name, &settings)?;
        let life = Life::start(&path)?;
        wait_for(&topics, identities)?;
        let begun = Instant::now();
        wait_for(&topics, records.len())?;
        let rate = events as f64 / begun.elapsed().as_secs_f64();
        drop(life);
        let (bytes, _) = weigh(&topics.client, &topics.service.config.topics.state)?;
        fill(&topics.client, topics.input(), &records[..1])?;
        let begun = Instant::now();
        let life = Life::start(&path)?;
        let restored = life.line("state restored")?;
        life.line("first new event after the start")?;
        let seconds = begun.elapsed().as_secs_f64();
        let offset = |name: &str| restored[name].as_i64().context("an offset");
        let again = offset("next")? - offset("stored")?;
        let bytes = bytes as f64 / records.len() as f64;
        say(&format!(
            "| {interval} | {rate:.0} | {bytes:.0} | {again} | {seconds:.1} |"
        ));
        drop(life);
        topics.delete()?;
    }
    Ok(())
}
