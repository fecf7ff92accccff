//! How long it takes from an event's arrival until it is judged and committed, of a shard that is not busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use nhiwatch::kafka::watch;

use super::measure::{PATIENCE, Work, judged, offer};
use super::population::{Shape, Skew, population};
use super::{Bench, say};

/// Measures events that come at a steady rate, of as many identities as each of `sizes` says.
pub(crate) fn measure(bench: &Bench, sizes: &[usize]) -> Result<()> {
    say(&format!(
        "\n{OFFERED} events a second, for {SECONDS} s: milliseconds from being about to be written until being committed; \
         of who acts most, and of all others\n\n| identities | who acts | whose events | events | p50 | p99 | most |\n\
         |---|---|---|---|---|---|---|"
    ));
    for size in sizes {
        for skew in Skew::ALL {
            let seconds = if bench.quick { 2 } else { SECONDS };
            let records = population(*size, OFFERED * seconds, skew, Shape::Bare)?;
            let (known, offered) = records.split_at(*size);
            let delays = delays(bench, known, offered)?;
            let busiest = busiest(offered).context("nobody acts")?;
            let of = |its: bool| {
                let acts = offered.iter().zip(&delays);
                let acts = acts.filter(|((key, _), _)| (key == busiest) == its);
                let mut delays: Vec<f64> = acts.map(|(_, delay)| *delay).collect();
                delays.sort_by(f64::total_cmp);
                delays
            };
            for (whose, delays) in [("the busiest", of(true)), ("all others", of(false))] {
                let last = delays.len().saturating_sub(1);
                let at = |share: f64| delays.get((last as f64 * share) as usize).copied();
                let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
                say(&format!(
                    "| {size} | {} | {whose} | {} | {p50:.0} | {p99:.0} | {most:.0} |",
                    skew.word(),
                    delays.len()
                ));
            }
        }
    }
    Ok(())
}

/// Milliseconds from the arrival of each of the records that are `offered` until it was committed, by a shard that has
/// dealt with those `known`.
fn delays(
    bench: &Bench,
    known: &[(String, String)],
    offered: &[(String, String)],
) -> Result<Vec<f64>> {
    let topics = bench.topics(known, Work::Watch, "")?;
    let (service, never) = (&topics.service, AtomicBool::new(false));
    let delays = std::thread::scope(|scope| {
        let shard = scope.spawn(|| watch::run(service, 0));
        let wait_for = |count: usize, each: &mut dyn FnMut(usize)| -> Result<()> {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let done = judged(service) as usize;
                each(done);
                if done >= count {
                    return Ok(());
                }
                ensure!(
                    Instant::now() < deadline && !shard.is_finished(),
                    "{done} of {count} are committed"
                );
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let measured = wait_for(known.len(), &mut |_| ()).and_then(|()| {
            let offering =
                scope.spawn(|| offer(&topics.client, topics.input(), (offered, OFFERED), &never));
            let mut committed = Vec::with_capacity(offered.len());
            wait_for(known.len() + offered.len(), &mut |done| {
                let now = Instant::now();
                committed.resize((done - known.len()).min(offered.len()), now);
            })?;
            let written = offering
                .join()
                .map_err(|_| anyhow!("the producer panicked"))??;
            let pairs = committed.iter().zip(&written);
            Ok(pairs
                .map(|(committed, written)| (*committed - *written).as_secs_f64() * 1e3)
                .collect())
        });
        service.stop.store(true, Ordering::Release);
        shard.join().map_err(|_| anyhow!("the shard panicked"))??;
        measured
    })?;
    topics.delete()?;
    Ok(delays)
}

/// Who acts most.
fn busiest(records: &[(String, String)]) -> Option<&String> {
    let mut acts = std::collections::HashMap::new();
    for (key, _) in records {
        *acts.entry(key).or_insert(0) += 1;
    }
    acts.into_iter()
        .max_by_key(|(_, acts)| *acts)
        .map(|(key, _)| key)
}

/// Events a second.
const OFFERED: usize = 10_000;
/// For how long they come.
const SECONDS: usize = 20;
