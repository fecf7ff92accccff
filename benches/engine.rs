//! What one event costs the engine, and what one identity weighs, by the number of identities.
//!
//! `cargo bench --bench engine [-- IDENTITIES…]`. Each identity gets an event every few minutes of
//! event time for a day and a half, in turn but in no order that memory knows, so that almost every event
//! touches cold memory and every hour closes for every identity: the cost with closes is what a service pays.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits, Settings};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

fn main() -> std::io::Result<()> {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|arg| arg.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![10_000, 100_000, 1_000_000]
    } else {
        sizes
    };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "| identities | events | ns per event | same, within an hour | memory per identity | state per identity | ns \
         to write it | ns to restore it |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for size in sizes {
        measure(size, &mut out)?;
    }
    Ok(())
}

fn measure(size: usize, out: &mut impl Write) -> std::io::Result<()> {
    let limits = Limits {
        identities: size + 1,
        ..Limits::default()
    };
    let decision = Decision::new(Settings {
        limits,
        ..Settings::default()
    });
    let decision = Arc::new(decision);
    let mut engine = Engine::new(0, Arc::clone(&decision));
    let before = resident();
    let rounds = (3_000_000 / size).clamp(6, 120);
    let mut round = Round::new(size);
    // Warm up: every identity exists and has closed its first hours.
    round.run(&mut engine, Span::MINUTE.times(40), 6);
    let with_closes = round.run(&mut engine, Span::MINUTE.times(20), rounds);
    // What opens an hour is not timed here.
    round.run(&mut engine, Span::SECOND, 1);
    let within = round.run(&mut engine, Span::SECOND, 12);
    let memory = resident().saturating_sub(before) / size;
    let (mut keys, mut payloads) = (Vec::new(), Vec::new());
    let started = Instant::now();
    engine.flush(|key: &[u8], payload: Option<&[u8]>| {
        if let Some(payload) = payload {
            keys.push(key.to_vec());
            payloads.push(payload.to_vec());
        }
    });
    let writing = started.elapsed().as_nanos() as usize / size;
    let state = payloads.iter().map(Vec::len).sum::<usize>() / size;
    drop(engine);
    let started = Instant::now();
    let mut engine = Engine::new(0, decision);
    for (key, payload) in keys.iter().zip(&payloads) {
        engine
            .restore(key, payload)
            .map_err(std::io::Error::other)?;
    }
    engine.restored().map_err(std::io::Error::other)?;
    let restoring = started.elapsed().as_nanos() as usize / size;
    writeln!(
        out,
        "| {size} | {} | {with_closes:.0} | {within:.0} | {memory} B | {state} B | {writing} | {restoring} |",
        size * rounds,
    )
}

struct Round {
    names: Vec<String>,
    now: Timestamp,
}

impl Round {
    fn new(size: usize) -> Self {
        let mut names: Vec<String> = (0..size)
            .map(|n| format!("arn:aws:iam::111122223333:role/svc-{n:07}"))
            .collect();
        names.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        Self {
            names,
            now: Timestamp::from_seconds(1_767_571_200),
        }
    }

    /// Lets every identity act once every `step`, `rounds` times; gives nanoseconds per event.
    fn run(&mut self, engine: &mut Engine, step: Span, rounds: usize) -> f64 {
        let actions = [
            "s3:GetObject",
            "s3:PutObject",
            "kms:Decrypt",
            "sqs:SendMessage",
        ];
        let mut alerts = Vec::new();
        let started = Instant::now();
        for round in 0..rounds {
            for (n, identity) in self.names.iter().enumerate() {
                let event = Event {
                    ts: self.now.plus(Span::from_micros((n % 1000) as i64)),
                    identity,
                    action: actions[(n + round) % 4],
                    class: Class::Read,
                    credential: Some("ASIA1"),
                    ip: Some("10.0.0.1"),
                    ..Event::default()
                };
                if n.is_multiple_of(Engine::AHEAD) {
                    // As a shard does: while these are judged, what is known of the next ones is fetched.
                    let next = self.names.iter().skip(n + Engine::AHEAD);
                    engine.prefetch(next.map(String::as_str));
                }
                engine.handle(&Input::Event(event), &mut alerts);
            }
            self.now = self.now.plus(step);
        }
        started.elapsed().as_nanos() as f64 / (rounds * self.names.len()) as f64
    }
}

/// Resident memory of this process in bytes; 0 where the system does not say.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    pages * 4096
}
