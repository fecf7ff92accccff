//! The bench on real data, on a benchmark of two series that is made here: no real data are needed.

use std::io;
use std::path::Path;

#[path = "../benches/real_data/lines.rs"]
mod lines;
#[path = "../benches/real_data/nab/mod.rs"]
mod nab;

/// Writes a benchmark of a series that jumps at row 300 and one that does not, and of a detector that
/// has 1.5 and -0.5 on them.
fn benchmark(folder: &Path) -> io::Result<()> {
    let stamp = |row: usize| {
        format!(
            "2024-03-{:02} {:02}:{:02}:00",
            1 + row / 288,
            row / 12 % 24,
            row % 12 * 5
        )
    };
    let series = |jump: f64| {
        let rows = (0..600).map(|row| {
            let noise = (row * 7919 % 101) as f64 / 101.0;
            let level = if row < 300 { 20.0 } else { jump };
            format!("{},{}", stamp(row), level + noise)
        });
        let header = "timestamp,value".to_owned();
        let lines: Vec<String> = std::iter::once(header).chain(rows).collect();
        lines.join("\n")
    };
    let labels = format!(
        r#"{{"group/calm.csv": [], "group/jump.csv": [["{}.000000", "{}.000000"]]}}"#,
        stamp(290),
        stamp(329)
    );
    let scores = "Detector,Profile,File,Threshold,Score,TP\n\
                  other,any,group/calm.csv,0.5,-0.5,0\n\
                  other,any,/group/jump.csv,0.5,1.5,1\n\
                  Totals,,,,1.0,1\n";
    let published = "published/per_file_scores";
    for part in ["labels", "data/group", published] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    write("labels/combined_windows.json", &labels)?;
    write("data/group/calm.csv", &series(20.0))?;
    write("data/group/jump.csv", &series(60.0))?;
    for profile in ["standard", "reward_low_FP_rate", "reward_low_FN_rate"] {
        write(&format!("{published}/other_{profile}_scores.csv"), scores)?;
    }
    Ok(())
}

#[test]
fn a_jump_is_worth_what_the_benchmark_says_and_a_calm_series_nothing() {
    let folder = tempfile::tempdir().unwrap();
    benchmark(folder.path()).unwrap();
    let scores = folder.path().join("scores");

    let report = nab::measure(folder.path(), false, Some(&scores)).unwrap();

    // Row 300 of a window of rows 290 to 329: 30 of its 40 rows are left.
    let sigmoid = |left: f64| 2.0 / (1.0 + (-5.0 * left).exp()) - 1.0;
    let worth = sigmoid(0.75) / sigmoid(1.0);
    let ours = [
        50.0 * (worth + 1.0),
        50.0 * (worth + 1.0),
        100.0 * (worth + 2.0) / 3.0,
    ];
    let [standard, false_rows, missed] = ours.map(|score| format!("{score:.1}"));
    let row = format!("| **statistics of `api-volume`** | {standard} | {false_rows} | {missed} |");
    assert!(report.contains(&row), "{row}\n{report}");
    assert!(
        report.contains("| `other` | 100.0 | 100.0 | 100.0 |"),
        "{report}"
    );
    assert!(report.contains("| group | 2 | 1 | 1 | 0 |"), "{report}");

    let scored = std::fs::read_to_string(scores.join("group/jump.csv")).unwrap();
    assert!(scored.lines().nth(300).unwrap().ends_with(",0"), "{scored}");
    assert!(
        !scored.lines().nth(301).unwrap().ends_with(",0"),
        "{scored}"
    );
}

#[test]
fn a_file_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    benchmark(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("data/group/jump.csv")).unwrap();

    let error = nab::measure(folder.path(), false, None)
        .unwrap_err()
        .to_string();

    assert!(error.contains("jump.csv"), "{error}");
}

#[test]
fn a_line_that_is_not_as_published_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.jsonl.gz");
    let file = std::fs::File::create(&path).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    io::Write::write_all(&mut gzip, b"[1]\n[2]\nthree\n").unwrap();
    gzip.finish().unwrap();

    let error = lines::read::<Vec<u8>>(&path).unwrap_err().to_string();
    assert!(error.contains("orders.jsonl.gz, line 3: "), "{error}");
    let missing = lines::read::<Vec<u8>>(&folder.path().join("none.gz"));
    let error = missing.unwrap_err().to_string();
    assert!(error.contains("none.gz: "), "{error}");
}
