//! How soon a killed service goes on that knows many identities, with the copy of its state on local disk and without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::life::{Life, wait_for};
use super::measure::{Work, offer};
use super::population::{Shape, Skew, population};
use super::{Bench, say};

/// Measures a kill of a service that knows so many identities as each of `sizes` says, while events of them come.
pub(crate) fn measure(bench: &Bench, sizes: &[usize]) -> Result<()> {
    say(&format!(
        "\nSIGKILL while {OFFERED} events a second come, so many times: the middle and the most\n\n| identities | \
         state_cache | kills | state records read | of them from disk | seconds of restoring | events taken in again | \
         seconds from the start to the first new event | seconds from SIGTERM to the end |\n\
         |---|---|---|---|---|---|---|---|---|"
    ));
    let kills = match std::env::var("NHIWATCH_KILLS") {
        Ok(kills) => kills.parse().context("NHIWATCH_KILLS is a number")?,
        Err(_) if bench.quick => 1,
        Err(_) => KILLS,
    };
    for size in sizes {
        let records = population(
            *size,
            OFFERED * SECONDS * (kills + 1),
            Skew::Uniform,
            Shape::Bare,
        )?;
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
                let offering = scope
                    .spawn(|| offer(&topics.client, topics.input(), (offered, OFFERED), &done));
                let row = kill(life, &path, kills);
                done.store(true, Ordering::Release);
                offering.join().ok().context("the producer panicked")??;
                row
            })?;
            let keeps = if keeps { "yes" } else { "no" };
            say(&format!("| {size} | {keeps} | {kills} | {row} |"));
            topics.delete()?;
        }
    }
    Ok(())
}

/// Kills the service so many times after a while and starts it again, then lets it end, and says what that took.
fn kill(mut life: Life, config: &std::path::Path, kills: usize) -> Result<String> {
    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..kills {
        std::thread::sleep(BEFORE);
        drop(life);
        let begun = Instant::now();
        life = Life::start(config)?;
        let restored = life.line("state restored")?;
        life.line("first new event after the start")?;
        let seconds = begun.elapsed().as_secs_f64();
        let number = |name: &str| restored[name].as_f64().context("a number");
        let again = number("next")? - number("stored")?;
        let (records, copied) = (number("records")?, number("copied")?);
        let row = [records, copied, number("seconds")?, again, seconds];
        for (figures, figure) in figures.iter_mut().zip(row) {
            figures.push(figure);
        }
    }
    std::thread::sleep(BEFORE);
    let ending = life.end()?;
    let [records, copied, restoring, again, seconds] = figures.map(|mut figures| {
        figures.sort_by(f64::total_cmp);
        let at = |at: usize| figures.get(at).copied().unwrap_or_default();
        (at(kills / 2), at(kills - 1))
    });
    Ok(format!(
        "{:.0} | {:.0} | {:.1}, {:.1} | {:.0}, {:.0} | {:.1}, {:.1} | {ending:.1}",
        records.0, copied.0, restoring.0, restoring.1, again.0, again.1, seconds.0, seconds.1
    ))
}

/// Events a second.
const OFFERED: usize = 10_000;
/// How often a service is killed, where `NHIWATCH_KILLS` does not say.
const KILLS: usize = 20;
/// How long one kill takes, with all that comes before it.
const SECONDS: usize = 25;
/// How long the service works before it is killed, and before it is asked to end.
const BEFORE: Duration = Duration::from_secs(13);
