//! What was seen, against what the p-values and the budget say: realised over nominal, with intervals.

use std::fmt::Write as _;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::budget::{Budget, FINDINGS_PER_DAY};
use nhiwatch_detectors::kernel::detector::Severity;
use statrs::distribution::{ContinuousCDF, Gamma};

use super::nulls::Family;
use super::watch::{Seen, Test, UNSCORED, WEEKS};

/// Levels at which calibration is measured.
const LEVELS: [f64; 5] = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
const DAYS: f64 = (WEEKS - UNSCORED) as f64 * 7.0;
const DAYS_PER_YEAR: f64 = 365.25;
/// Days that the tail of an identity rests on at most: the sum over all past of what is left of each.
const TAIL_DAYS: f64 = 84.0;

/// The whole report, in Markdown.
pub(crate) fn report(seen: &Seen, seeds: &[u64], command: &str) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let identities = identities(seen, |_| true);
    write!(
        out,
        "# How often nhiwatch is wrong while nothing is wrong\n\
         \n\
         Written by `{command}`. Seeds 1 to 10 are for development, 9001 and above for reports; this one \
         rests on {}.\n\
         \n\
         {identities:.0} identities of ten families, nothing wrong with any of them, are watched for {WEEKS} \
         weeks by engines that begin cold: raw events in, {:.1} million records that stand for {:.0} million \
         calls. Baselines are learned on the way, and every hour is judged before it is learned. Weeks {} to \
         {WEEKS} are counted: {:.2} million identity-hours. 60 % of the identities have business hours, half \
         of those one call in a hundred outside them; the mean of a busy hour lies between 0.5 and 3000 calls. \
         All identities of a seed share a partition. Intervals are exact Poisson intervals of 95 %; they take \
         findings to be independent, which those of one identity are not quite.\n",
        listed(seeds),
        seen.records as f64 / 1e6,
        seen.calls as f64 / 1e6,
        UNSCORED + 1,
        identities * DAYS * 24.0 / 1e6,
    )?;
    findings(&mut out, seen)?;
    families(&mut out, seen)?;
    sessions(&mut out, seen)?;
    resolution(&mut out, seen)?;
    incidents(&mut out, seen)?;
    Ok(out)
}

/// Ranges of seeds, in words.
fn listed(seeds: &[u64]) -> String {
    match seeds {
        [first, .., last] => format!("seeds {first} to {last}"),
        [only] => format!("seed {only}"),
        [] => "no seed".to_owned(),
    }
}

fn identities(seen: &Seen, of: impl Fn(Family) -> bool) -> f64 {
    let counted = seen.identities.iter().filter(|(family, _)| of(**family));
    counted.map(|(_, count)| *count as f64).sum()
}

fn no_storms(family: Family) -> bool {
    family != Family::Storms
}

fn storms(family: Family) -> bool {
    family == Family::Storms
}

/// Findings at a level over those that the level promises: `cell` of the tables.
fn ratio(seen: &Seen, test: &Test, level: f64, of: impl Fn(Family) -> bool) -> String {
    if level > test.begins() * 1.000_001 {
        return "-".to_owned();
    }
    let windows = seen.windows.get(test).into_iter().flatten();
    let found = windows
        .filter(|(family, p)| of(*family) && *p <= level)
        .count() as u64;
    let tests = identities(seen, &of) * DAYS * FINDINGS_PER_DAY / test.begins();
    over(found, level * tests)
}

/// `found` over `nominal`, its interval, and `found` itself.
fn over(found: u64, nominal: f64) -> String {
    let (low, high) = interval(found);
    let [ratio, low, high] = [found as f64, low, high].map(|count| short(count / nominal));
    format!("{ratio} [{low}, {high}] ({found})")
}

/// Two digits that say something.
fn short(value: f64) -> String {
    if value >= 10.0 || value == 0.0 {
        format!("{value:.0}")
    } else if value >= 0.1 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// The exact 95 % interval of the mean of a Poisson count (Garwood 1936).
fn interval(count: u64) -> (f64, f64) {
    let quantile =
        |shape: f64, p: f64| Gamma::new(shape, 1.0).map_or(f64::NAN, |law| law.inverse_cdf(p));
    let low = if count == 0 {
        0.0
    } else {
        quantile(count as f64, 0.025)
    };
    (low, quantile(count as f64 + 1.0, 0.975))
}

fn sessions(out: &mut String, seen: &Seen) -> std::fmt::Result {
    write!(
        out,
        "\n## Sessions\n\
         \n\
         The same of `tool-chain`, which looks at sessions: other identities, as many of each habit as above of a \
         family, with some twenty sessions a day by a law that never changes. Sessions in which the smallest p-value is \
         at most the level, over the level times the sessions of weeks {} to {WEEKS}.\n\
         \n\
         | habit | sessions | 1e-2 | 1e-3 | 1e-4 |\n|---|---|---|---|---|\n",
        UNSCORED + 1,
    )?;
    for (habit, judged) in &seen.sessions {
        write!(out, "| {} | {}", habit.words(), judged.sessions)?;
        for level in [1e-2, 1e-3, 1e-4] {
            let found = judged.found.iter().filter(|p| **p <= level).count() as u64;
            write!(out, " | {}", over(found, level * judged.sessions as f64))?;
        }
        out.push_str(" |\n");
    }
    Ok(())
}

fn findings(out: &mut String, seen: &Seen) -> std::fmt::Result {
    write!(
        out,
        "\n## Findings over all families\n\
         \n\
         Realised over nominal, its interval, and the count: identity-hours whose smallest p-value is at most \
         the level, against the level times the tests made. A test is made so many times a day that its \
         findings come {FINDINGS_PER_DAY} times a day; where it begins to speak is the first level, and above \
         that nothing is seen. 1 is right, less is cautious. Retry storms are abnormal hours by any measure, \
         and stand apart.\n\
         \n\
         | detector | begins at | families | at that | {} |\n|---|---|---|---|{}\n",
        LEVELS.map(|level| format!("{level:.0e}")).join(" | "),
        "---|".repeat(LEVELS.len()),
    )?;
    for test in seen.windows.keys() {
        for (name, of) in [
            ("all but storms", no_storms as fn(Family) -> bool),
            ("retry storms", storms),
        ] {
            let begins = test.begins();
            let all = [&[begins][..], &LEVELS].concat();
            let cells: Vec<String> = all
                .iter()
                .map(|level| ratio(seen, test, *level, of))
                .collect();
            let cells = cells.join(" | ");
            writeln!(
                out,
                "| {} | {begins:.2e} | {name} | {cells} |",
                test.detector
            )?;
        }
    }
    let silent = CARDS.iter().map(|card| card.name).filter(|name| {
        let mut tests = seen.windows.keys();
        tests.all(|test| test.detector != *name)
    });
    let silent: Vec<String> = silent.map(|name| format!("`{name}`")).collect();
    if !silent.is_empty() {
        write!(out, "\nNo finding at all: {}.\n", silent.join(", "))?;
    }
    Ok(())
}

fn families(out: &mut String, seen: &Seen) -> std::fmt::Result {
    write!(
        out,
        "\n## Findings by family\n\nThe same, at where each test begins and at a tenth and a hundredth of that.\n"
    )?;
    for test in seen.windows.keys() {
        let begins = test.begins();
        write!(
            out,
            "\n`{}`, from {begins:.2e}:\n\n| family | at that | a tenth | a hundredth |\n|---|---|---|---|\n",
            test.detector
        )?;
        for family in Family::ALL {
            let cell = |level: f64| ratio(seen, test, level, |it| it == family);
            let cells = [begins, begins / 10.0, begins / 100.0]
                .map(cell)
                .join(" | ");
            writeln!(out, "| {} | {cells} |", family.words())?;
        }
    }
    Ok(())
}

fn resolution(out: &mut String, seen: &Seen) -> std::fmt::Result {
    write!(
        out,
        "\n## Resolution\n\
         \n\
         What the data of one identity can show: one over the windows that its own tail rests on, {TAIL_DAYS} days of \
         them with a half-life of 58. Below it a p-value goes by the shape of that tail. Beside it the smallest \
         p-value there was, and about the smallest that so many tests would bring by chance.\n\
         \n\
         | detector | begins at | of one identity | tests | smallest, without storms | by chance |\n\
         |---|---|---|---|---|---|\n"
    )?;
    for (test, windows) in &seen.windows {
        let begins = test.begins();
        let tests = identities(seen, no_storms) * DAYS * FINDINGS_PER_DAY / begins;
        let counted = windows.iter().filter(|(family, _)| no_storms(*family));
        let smallest = counted.map(|(_, p)| *p).fold(1.0, f64::min);
        writeln!(
            out,
            "| {} | {begins:.2e} | {:.1e} | {tests:.0} | {smallest:.1e} | {:.1e} |",
            test.detector,
            begins / FINDINGS_PER_DAY / TAIL_DAYS,
            1.0 / tests
        )?;
    }
    Ok(())
}

fn incidents(out: &mut String, seen: &Seen) -> std::fmt::Result {
    let budget = Budget::default();
    write!(
        out,
        "\n## Published incidents against the budget\n\
         \n\
         Incidents that opened in the weeks counted, a year and identity, by the highest severity they \
         reached: the rate, its interval, and the count. The budget is {} low, {} medium and {} high.\n\
         \n\
         | families | identity-years | low | medium | high | low over budget | medium or more | high |\n\
         |---|---|---|---|---|---|---|---|\n",
        budget.low.get(),
        budget.medium.get(),
        budget.high.get(),
    )?;
    row(out, seen, &budget, "all but storms", no_storms)?;
    for family in Family::ALL {
        row(out, seen, &budget, family.words(), |it| it == family)?;
    }
    write!(
        out,
        "\nBy the detector that published them, without storms:\n\n| detector | low | medium | high |\n|---|---|---|---|\n"
    )?;
    let mut names: Vec<&str> = seen.incidents.iter().map(|(_, name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let count = |severity: Severity| {
            let all = seen.incidents.iter();
            all.filter(|it| no_storms(it.0) && it.1 == name && it.2 == severity)
                .count()
        };
        let [low, medium, high] = [Severity::Low, Severity::Medium, Severity::High].map(count);
        writeln!(out, "| {name} | {low} | {medium} | {high} |")?;
    }
    Ok(())
}

fn row(
    out: &mut String,
    seen: &Seen,
    budget: &Budget,
    name: &str,
    of: impl Fn(Family) -> bool,
) -> std::fmt::Result {
    let years = identities(seen, &of) * DAYS / DAYS_PER_YEAR;
    let count = |within: &dyn Fn(Severity) -> bool| -> u64 {
        let all = seen.incidents.iter();
        all.filter(|it| of(it.0) && within(it.2)).count() as u64
    };
    let exactly = [Severity::Low, Severity::Medium, Severity::High];
    let rates = exactly.map(|severity| over(count(&|it| it == severity), years));
    let budgeted = [
        (Severity::Low, budget.low.get()),
        (Severity::Medium, budget.medium.get()),
        (Severity::High, budget.high.get()),
    ];
    let ratios = budgeted.map(|(severity, budget)| {
        let found = if severity == Severity::Low {
            count(&|it| it == severity)
        } else {
            count(&|it| it >= severity)
        };
        short(found as f64 / years / budget)
    });
    writeln!(
        out,
        "| {name} | {years:.0} | {} | {} |",
        rates.join(" | "),
        ratios.join(" | ")
    )
}
