//! The same number of false alarms for all, and what each sees then.

use std::fmt::Write as _;

use nhiwatch::scoring::interval::Interval;
use nhiwatch::simulate::Label;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use super::bank::{Alarm, Subject, Watched};

/// False incidents an identity-year that each method is allowed.
pub(crate) const BUDGET: f64 = 0.5;

/// What was watched of one subject.
pub(crate) struct Seen {
    pub(crate) subject: Subject,
    /// Banks without attacks.
    pub(crate) clean: Vec<Watched>,
    /// Banks with them, by strength.
    pub(crate) attacked: Vec<(f64, Vec<Watched>)>,
}

/// The whole report, in Markdown.
pub(crate) fn report(
    volume: &Seen,
    chains: &Seen,
    seeds: &str,
    command: &str,
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let years: f64 = volume.clean.iter().map(|bank| bank.identity_years).sum();
    write!(
        out,
        "# What our parts are worth, and what other ways to judge volume see at the same price\n\
         \n\
         Written by `{command}`. {seeds}\n\
         \n\
         Every method watches the same simulated banks ([simulation.md](simulation.md)). Its threshold is the \
         least at which it raises no more than {BUDGET} incidents an identity-year on banks without attacks \
         ({years:.0} identity-years, harmless changes included, which count as false here); alarms of an \
         identity less than a day apart are one incident. Then it is asked what it sees on other banks: an \
         attack is seen where there is an alarm of its identity between its first event and a day after its \
         last. Rivals judge hours that are over. Ours are the findings of one detector, weighed by their \
         bits. The first rows are the whole product, and the product without one part, all at the same default \
         budget, by what they publish as `medium` or more.\n",
    )?;
    for seen in [volume, chains] {
        let thresholds: Vec<f64> = (0..seen.subject.methods().len())
            .map(|method| threshold(&seen.clean, method, years))
            .collect();
        for (strength, banks) in &seen.attacked {
            table(&mut out, seen, (*strength, banks), &thresholds, years)?;
        }
    }
    write!(
        out,
        "\nShares are of so many instances, with the interval of Clopper and Pearson (95 %); delays are medians \
         of those seen, from the first event of the attack, which A17 begins with two weeks of creeping.\n"
    )?;
    Ok(out)
}

fn table(
    out: &mut String,
    seen: &Seen,
    (strength, banks): (f64, &[Watched]),
    thresholds: &[f64],
    years: f64,
) -> std::fmt::Result {
    let clean = &seen.clean;
    let what = match seen.subject {
        Subject::Volume => "Volume: attacks",
        Subject::Chains => "Chains: attacks",
    };
    let mut attacks: Vec<&str> = banks
        .iter()
        .flat_map(|bank| bank.labels.iter().map(|label| label.scenario))
        .collect();
    attacks.sort_unstable();
    attacks.dedup();
    write!(
        out,
        "\n## {what} at {strength} times their reference strength\n\n| method | threshold | false a year | {} |\n|---|---|---|{}\n",
        attacks.join(" | "),
        "---|".repeat(attacks.len()),
    )?;
    let cells = |of: &dyn Fn(&Watched) -> Vec<Alarm>| -> String {
        let all: Vec<(&Watched, Vec<Alarm>)> = banks.iter().map(|bank| (bank, of(bank))).collect();
        let each = attacks.iter().map(|attack| recall(&all, attack));
        each.collect::<Vec<_>>().join(" | ")
    };
    for (product, name) in seen.subject.products().into_iter().enumerate() {
        let false_alarms: usize = clean
            .iter()
            .map(|bank| incidents(&bank.published[product], 0.0))
            .sum();
        let rate = false_alarms as f64 / years;
        let row = cells(&|bank| bank.published[product].clone());
        writeln!(out, "| {name} | default | {rate:.2} | {row} |")?;
    }
    for (method, name) in seen.subject.methods().into_iter().enumerate() {
        let least = thresholds[method];
        let false_alarms: usize = clean
            .iter()
            .map(|bank| incidents(&bank.alarms[method], least))
            .sum();
        let rate = false_alarms as f64 / years;
        let row = cells(&|bank| above(&bank.alarms[method], least));
        writeln!(out, "| {name} | {least:.1} | {rate:.2} | {row} |")?;
    }
    Ok(())
}

fn above(alarms: &[Alarm], least: f64) -> Vec<Alarm> {
    let above = alarms.iter().filter(|alarm| alarm.score >= least);
    above.cloned().collect()
}

/// How many instances of `attack` were seen, and how soon.
fn recall(banks: &[(&Watched, Vec<Alarm>)], attack: &str) -> String {
    let (mut of, mut delays) = (0, Vec::new());
    for (bank, alarms) in banks {
        for label in bank.labels.iter().filter(|label| label.scenario == attack) {
            of += 1;
            delays.extend(delay(label, alarms));
        }
    }
    let interval = Interval::of_share(delays.len(), of);
    delays.sort_by_key(|delay| delay.micros());
    let median = delays
        .get(delays.len() / 2)
        .map_or_else(|| "-".to_owned(), ToString::to_string);
    format!(
        "{}/{of} ({:.0}-{:.0} %), {median}",
        delays.len(),
        100.0 * interval.low,
        100.0 * interval.high
    )
}

fn delay(label: &Label, alarms: &[Alarm]) -> Option<Span> {
    let at = |time: chrono::DateTime<chrono::Utc>| Timestamp::from_micros(time.timestamp_micros());
    let (from, to) = (at(label.from), at(label.to).plus(Span::DAY));
    let about =
        |alarm: &&Alarm| alarm.identity == label.identity && (from..=to).contains(&alarm.ts);
    let first = alarms.iter().filter(about).map(|alarm| alarm.ts).min()?;
    Some(first.since(from))
}

/// The least threshold of `method` at which it stays within the budget on `clean` banks.
fn threshold(clean: &[Watched], method: usize, years: f64) -> f64 {
    let mut scores: Vec<f64> = clean
        .iter()
        .flat_map(|bank| bank.alarms[method].iter().map(|alarm| alarm.score))
        .collect();
    scores.sort_by(f64::total_cmp);
    let fits = |least: f64| {
        let all: usize = clean
            .iter()
            .map(|bank| incidents(&bank.alarms[method], least))
            .sum();
        all as f64 <= BUDGET * years
    };
    let at = scores.partition_point(|least| !fits(*least));
    scores.get(at).copied().unwrap_or(f64::INFINITY)
}

/// Incidents that the alarms of at least this score make; they are in the order of identities and time.
fn incidents(alarms: &[Alarm], least: f64) -> usize {
    let (mut count, mut last): (usize, Option<&Alarm>) = (0, None);
    for alarm in alarms.iter().filter(|alarm| alarm.score >= least) {
        let goes_on = last.is_some_and(|last| {
            last.identity == alarm.identity && alarm.ts.since(last.ts) <= Span::DAY
        });
        count += usize::from(!goes_on);
        last = Some(alarm);
    }
    count
}
