//! What was measured, in plain sentences and tables.

use std::collections::BTreeSet;
use std::fmt::{Result, Write as _};

use super::published::Published;
use super::scoring::{Corpus, PROFILES};
use super::series::Series;

/// All that the report says.
pub(super) struct Measured<'a> {
    pub(super) corpus: &'a Corpus<'a>,
    pub(super) threshold: f64,
    /// Each constant, and the standard score where it is a quarter smaller and a quarter larger.
    pub(super) varied: Vec<(&'static str, f64, f64)>,
    pub(super) published: Vec<Published>,
    /// The best score of a clock that flags every so many-th row, and its rows.
    pub(super) clock: (f64, usize),
}

/// The whole report, in Markdown.
pub(super) fn report(measured: &Measured<'_>) -> std::result::Result<String, std::fmt::Error> {
    let mut out = String::new();
    let series = measured.corpus.series.len();
    let all = measured
        .corpus
        .flagged(&PROFILES[0], measured.threshold, |_| true);
    write!(
        out,
        "## The Numenta Anomaly Benchmark\n\
         \n\
         A sanity row, and off-domain. The benchmark (Lavin and Ahmad 2015, <https://arxiv.org/abs/1510.03336>) \
         has values of metrics, most of them every five minutes; nhiwatch counts what identities do, by \
         the hour. So `api-volume` itself cannot be run on it. What is run is its statistics: a decayed level \
         with its scatter for each hour of the day, p-values, the tail that is learned for each series \
         (`detectors/kernel/surprise.rs`), learning that is cut back, one incident while it lasts, which only a \
         higher surprise raises again. Student's law stands for the negative binomial of counts, on both sides, \
         and each row is also held against the row before it. Rows come one at a time; nothing is known of a \
         series beforehand, not even its range.\n\
         \n\
         {series} of the benchmark's 58 series are here, with {} labelled windows. The scoring is the \
         benchmark's own: the first 15 % of a series, at most 750 rows, are not scored; in a window the \
         first row flagged counts, the earlier the more; a row flagged in vain costs; 0 is to flag nothing and 100 \
         is perfect. One threshold stands for all series, the best of the standard profile, as the benchmark \
         chooses it: {:.2} nats.\n",
        all.windows, measured.threshold,
    )?;
    detectors(&mut out, measured)?;
    groups(&mut out, measured)?;
    robustness(&mut out, measured)?;
    meaning(&mut out)?;
    Ok(out)
}

/// Our scores among those published.
fn detectors(out: &mut String, measured: &Measured<'_>) -> Result {
    let score = |profile| measured.corpus.score(profile, measured.threshold, |_| true);
    let mut rows = measured.published.clone();
    rows.push((OURS.to_owned(), PROFILES.each_ref().map(score)));
    rows.sort_by(|(_, a), (_, b)| b[0].total_cmp(&a[0]));
    out.write_str(
        "\n| detector | standard | few false rows | few missed windows |\n|---|---|---|---|\n",
    )?;
    let above = rows.iter().take_while(|(name, _)| name != OURS).count();
    for (name, scores) in rows {
        let [standard, false_rows, missed] = scores.map(|score| format!("{score:.1}"));
        let name = if name == OURS {
            name
        } else {
            format!("`{name}`")
        };
        writeln!(out, "| {name} | {standard} | {false_rows} | {missed} |")?;
    }
    write!(
        out,
        "\nThe other rows are the scores that the benchmark publishes for each file, added up over these \
         series. Their thresholds were chosen on all 58 series and for each profile; ours on these alone, and for \
         the standard profile only. Of these {} detectors {above} have a higher standard score. \
         A clock that flags every {}th row, the best of its kind, has {:.1}.\n",
        measured.published.len(),
        measured.clock.1,
        measured.clock.0
    )
}

/// The same by group of series.
fn groups(out: &mut String, measured: &Measured<'_>) -> Result {
    out.write_str(
        "\n| group | series | windows | seen | rows flagged in vain | standard |\n|---|---|---|---|---|---|\n",
    )?;
    let corpus = measured.corpus;
    for group in names(corpus.series) {
        let of = |series: &Series| series.group() == group;
        let series = corpus.series.iter().filter(|series| of(series)).count();
        let flagged = corpus.flagged(&PROFILES[0], measured.threshold, of);
        let score = match flagged.windows {
            0 => "-".to_owned(),
            windows => format!("{:.1}", PROFILES[0].normal(flagged.raw, windows)),
        };
        writeln!(
            out,
            "| {group} | {series} | {} | {} | {} | {score} |",
            flagged.windows, flagged.seen, flagged.false_rows
        )?;
    }
    Ok(())
}

fn names(series: &[Series]) -> BTreeSet<&str> {
    series.iter().map(Series::group).collect()
}

/// How much the figure owes to what was chosen.
fn robustness(out: &mut String, measured: &Measured<'_>) -> Result {
    let (corpus, standard) = (measured.corpus, &PROFILES[0]);
    let (mut raw, mut windows) = (0.0, 0);
    for group in names(corpus.series) {
        let threshold = corpus.threshold(standard, |series| series.group() != group);
        let flagged = corpus.flagged(standard, threshold, |series| series.group() == group);
        raw += flagged.raw;
        windows += flagged.windows;
    }
    write!(
        out,
        "\nIt is a development figure: the constants were chosen while looking at these same series, one set \
         for all of them. Where the threshold of each group is the best of the other groups, the standard score is \
         {:.1}. Where one constant is a quarter smaller or larger, and the threshold chosen anew, it is:\n\
         \n| constant | smaller | larger |\n|---|---|---|\n",
        standard.normal(raw, windows)
    )?;
    for (name, low, high) in &measured.varied {
        writeln!(out, "| {name} | {low:.1} | {high:.1} |")?;
    }
    Ok(())
}

fn meaning(out: &mut String) -> Result {
    out.write_str(
        "\nWhat it shows: the level, the scatter, the learned tail and the rule of one incident hold on series \
         that nobody here has made, with one threshold for all.\n\
         \n\
         What it does not show: how well nhiwatch sees attacks on identities, or how often it is wrong; for that \
         see [accuracy.md](accuracy.md) and [calibration.md](calibration.md). Nor does it rank detectors. The \
         windows of a series are a tenth of it, so a row flagged early in one may be luck; and many of the \
         benchmark's labels are doubtful, its anomalies trivial or unevenly placed (Wu and Keogh 2020, \
         <https://arxiv.org/abs/2009.13807>). A few points either way mean nothing.\n",
    )
}

/// How our own row is called.
const OURS: &str = "**statistics of `api-volume`**";
