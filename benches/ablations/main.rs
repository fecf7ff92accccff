//! What our detectors see without their parts at the same number of false alarms, and other ways to judge
//! volume.
//!
//! `cargo bench --bench ablations --features ablation [-- --quick] [--dev] [--write]`. Thresholds are
//! chosen on some seeds and recall is counted on others. The report goes to the standard output, or with
//! `--write` to `docs/ablations.md`; with `--dev` it rests on seeds that may be tuned on. Started otherwise
//! than by `cargo bench`, or with `--quick` or `--test`, it only shows that it works.

mod bank;
mod report;
mod rivals;

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use bank::{Size, Subject, Watched, watch};
use report::Seen;

/// Strengths at which attacks are made: A3 is 50, 10 and 5 times the usual rate.
const STRENGTHS: [f64; 3] = [1.0, 0.2, 0.1];

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let quick = has("--quick") || has("--test") || !has("--bench");
    let first = if has("--dev") { 1 } else { 7001 };
    let (clean, attacked) = if quick { (1, 1) } else { (3, 10) };
    let clean_size = |subject| Size {
        subject,
        identities: if quick { 25 } else { 200 },
        days: if quick { 35 } else { 70 },
        attacks: "none",
        strength: 1.0,
        harmless: !quick,
    };
    let subjects: [(Subject, &[f64], &str); 2] = [
        (
            Subject::Volume,
            &STRENGTHS,
            if quick { "A3" } else { "A3x2,A9x2,A12x2,A17x2" },
        ),
        (
            Subject::Chains,
            &[1.0],
            if quick {
                "A7"
            } else {
                "A6x2,A7x2,A8x2,A11x2,A14x2,A16x2,A19x2,A20x2"
            },
        ),
    ];
    let mut work: Vec<(u64, Size)> = Vec::new();
    for (subject, strengths, attacks) in subjects {
        work.extend((first..first + clean).map(|seed| (seed, clean_size(subject))));
        for &strength in strengths {
            let from = first + clean;
            work.extend((from..from + attacked).map(|seed| {
                let size = Size {
                    identities: if quick { 25 } else { 60 },
                    attacks,
                    strength,
                    harmless: false,
                    ..clean_size(subject)
                };
                (seed, size)
            }));
        }
    }
    let mut watched = all(&work)?.into_iter();
    let [volume, chains] = subjects.map(|(subject, strengths, _)| Seen {
        subject,
        clean: watched.by_ref().take(clean as usize).collect(),
        attacked: strengths
            .iter()
            .map(|strength| {
                let banks = watched.by_ref().take(attacked as usize).collect();
                (*strength, banks)
            })
            .collect(),
    });
    let kind = if has("--dev") { " --dev" } else { "" };
    let command = format!("cargo bench --bench ablations --features ablation --{kind} --write");
    let seeds = format!(
        "Thresholds were chosen on seeds {first} to {}, of {} identities; recall was counted on seeds {} to {}, of 60. \
         Seeds 1 to 13 are for development.",
        first + clean - 1,
        clean_size(Subject::Volume).identities,
        first + clean,
        first + clean + attacked - 1,
    );
    let report = report::report(&volume, &chains, &seeds, &command).map_err(io::Error::other)?;
    if has("--write") && !quick {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ablations.md");
        std::fs::write(path, report)
    } else {
        io::stdout().lock().write_all(report.as_bytes())
    }
}

/// Watches all of `work`, in its order, as much at once as there are processors.
fn all(work: &[(u64, Size)]) -> io::Result<Vec<Watched>> {
    let next = Mutex::new(0..work.len());
    let done: Mutex<Vec<(usize, io::Result<Watched>)>> = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some(at) = next.lock().ok().and_then(|mut next| next.next()) else {
                        return;
                    };
                    let (seed, size) = &work[at];
                    let watched = watch(*seed, size);
                    if let Ok(mut done) = done.lock() {
                        done.push((at, watched));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, watched)| watched).collect()
}
