//! How the statistics of the detectors do on real data that others have published.
//!
//! `cargo bench --bench real_data --features ablation [-- --write] [--scores FOLDER]`. The data are not part of this
//! repository: they are read from the folder that `NHIWATCH_REAL_DATA` names, and what is not there is
//! not measured. The report goes to the standard output, or with `--write` to `docs/real-data.md`;
//! `--scores` writes the score of every row into a folder, for the benchmark's own scorer. Started
//! otherwise than by `cargo bench`, or with `--quick` or `--test`, it only shows that it works, on a part
//! of the data.

mod agents;
mod lines;
mod masquerade;
mod nab;
mod point;
mod retail;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How the report begins.
const HEAD: &str = "\
# Real data that others have published

Written by `cargo bench --bench real_data --features ablation -- --write`. The data are no part of this repository: they are read from the \
folder that `NHIWATCH_REAL_DATA` names, and what is not there is not measured.

";

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let quick = has("--quick") || has("--test") || !has("--bench");
    let scores = arguments.iter().position(|flag| flag == "--scores");
    let scores = scores
        .map(|at| {
            let folder = arguments.get(at + 1).map(PathBuf::from);
            folder.ok_or_else(|| io::Error::other("`--scores` wants a folder to write to"))
        })
        .transpose()?;
    let mut out = io::stdout().lock();
    let Some(data) = std::env::var_os("NHIWATCH_REAL_DATA").map(PathBuf::from) else {
        return writeln!(
            out,
            "NHIWATCH_REAL_DATA names no folder of real data: nothing to measure."
        );
    };
    let there = |name: &str| Some(data.join(name)).filter(|folder| folder.is_dir());
    let mut report = String::from(HEAD);
    if let Some(folder) = there("nab") {
        report += &nab::measure(&folder, quick, scores.as_deref())?;
    }
    if let Some(folder) = there("online_retail_orders") {
        report += &retail::measure(&folder, quick)?;
    }
    if let Some(folder) = there("git_bot_activity") {
        report += &masquerade::measure(&folder, quick)?;
    }
    if let Some(folder) = there("agentdojo_traces") {
        report += &agents::hijacked(&folder, quick)?;
    }
    if let Some(folder) = there("tau_bench_traces") {
        report += &agents::repeated(&folder)?;
    }
    if report.len() == HEAD.len() {
        let data = data.display();
        return writeln!(
            out,
            "No set of data that is known in {data}: nothing to measure."
        );
    }
    if has("--write") && !quick {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/real-data.md");
        std::fs::write(path, report)
    } else {
        out.write_all(report.as_bytes())
    }
}
