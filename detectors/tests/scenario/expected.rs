//! Whether what a line of a scenario expects came of it.

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::own::OWN;

/// Holds the expectation of one line against the `alerts` it raised and the detectors, indexed as
/// [`CARDS`], that said they were `learning`.
pub(super) fn holds(expected: &str, alerts: &[Alert], learning: &[bool]) -> Result<(), String> {
    let opened: Vec<&Alert> = alerts.iter().filter(|alert| alert.revision == 1).collect();
    let (verb, rest) = expected.split_once(':').unwrap_or((expected, ""));
    let (name, text) = rest.split_once('"').unwrap_or((rest, ""));
    let (name, text) = (name.trim(), text.trim_end_matches('"'));
    let known = CARDS.iter().chain(OWN).any(|card| card.name == name);
    if !name.is_empty() && !known {
        return Err(format!("there is no detector `{name}`"));
    }
    let texts = |alert: &Alert| {
        let finding = &alert.finding;
        let texts = [&finding.summary, &finding.expected, &finding.observed];
        texts.map(String::as_str).join(" | ")
    };
    let its = |alert: &Alert| name.is_empty() || alert.detector == name;
    let mut of_it = opened.iter().filter(|alert| its(alert));
    let updated = || {
        let mut updates = alerts
            .iter()
            .filter(|alert| alert.revision > 1 && its(alert));
        updates.any(|alert| {
            let mut facts = alert.finding.evidence.iter();
            texts(alert).contains(text) || facts.any(|(_, fact)| fact.contains(text))
        })
    };
    let ok = match verb {
        "alert" => of_it.any(|alert| texts(alert).contains(text)),
        "update" => updated(),
        "quiet" => of_it.next().is_none(),
        "learning" => {
            let index = CARDS.iter().position(|card| card.name == name);
            index.is_some_and(|index| learning[index]) && of_it.next().is_none()
        }
        _ => return Err(format!("cannot read the expectation `{expected}`")),
    };
    let seen = alerts.iter().map(|alert| {
        let (name, revision) = (alert.detector, alert.revision);
        format!("{name}, {revision}: {}", texts(alert))
    });
    if ok {
        Ok(())
    } else {
        Err(format!("saw {:?}", seen.collect::<Vec<_>>()))
    }
}
