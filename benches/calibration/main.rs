//! How often the detectors, and what is published of them, are wrong while nothing is wrong.
//!
//! `cargo bench --bench calibration [-- --quick | --full] [--dev] [--write]`. Identities of ten null
//! families are watched for half a year by an engine that begins cold, from raw events; their findings
//! are held against their p-values, and what is published against the budget; so are sessions of seven
//! habits. The report goes to the
//! standard output, or with `--write` to `docs/calibration.md`. `--full` takes four times as many seeds,
//! `--dev` the seeds that may be tuned on. Started otherwise than by `cargo bench`, or with `--quick` or
//! `--test`, it only shows that it works.

mod nulls;
mod report;
mod sessions;
mod watch;

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use watch::{Seen, watch};

/// Identities of each family that a seed makes.
const OF_EACH: u64 = 25;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let quick = has("--quick") || has("--test") || !has("--bench");
    let (count, of_each, size) = match (quick, has("--full")) {
        (true, _) => (1, 2, " --quick"),
        (_, true) => (40, OF_EACH, " --full"),
        _ => (10, OF_EACH, ""),
    };
    let (first, kind) = if has("--dev") {
        (1, " --dev")
    } else {
        (9001, "")
    };
    let seeds: Vec<u64> = (first..first + count).collect();
    let seen = all(&seeds, of_each);
    let command = format!("cargo bench --bench calibration --{size}{kind} --write");
    let report = report::report(&seen, &seeds, &command).map_err(io::Error::other)?;
    if has("--write") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/calibration.md");
        std::fs::write(path, report)
    } else {
        io::stdout().lock().write_all(report.as_bytes())
    }
}

/// What is seen of all `seeds`, as many at once as there are processors.
fn all(seeds: &[u64], of_each: u64) -> Seen {
    let left = Mutex::new(seeds.iter().copied());
    let next = || left.lock().ok().and_then(|mut left| left.next());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut seen = Seen::default();
    thread::scope(|scope| {
        let work = || {
            let mut seen = Seen::default();
            while let Some(seed) = next() {
                seen.add(watch(seed, of_each));
                let sessions = sessions::watch(seed, of_each);
                seen.add(Seen {
                    sessions,
                    ..Seen::default()
                });
            }
            seen
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            if let Ok(part) = worker.join() {
                seen.add(part);
            }
        }
    });
    seen
}
