//! An alert as an analyst reads it in a terminal.

use std::fmt::Write;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::{BaselineState, Severity};
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::own::STORM;

/// `alert` as lines of text, each ended; with ANSI colours where `colour`.
///
/// Text that comes from events is [escaped](escape), so it can neither move the cursor nor
/// reorder what is read.
#[must_use]
pub fn person(alert: &Alert, colour: bool) -> String {
    let finding = &alert.finding;
    let mut text = headline(alert, colour);
    let mut row = |name: &str, value: &str| {
        let name = format!("{name:<9}");
        let name = if colour {
            format!("\u{1b}[2m{name}\u{1b}[0m")
        } else {
            name
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name} {value}");
    };
    row("who", &who(alert));
    if let Some(may) = may(alert) {
        row("may", &may);
    }
    if !alert.action.is_empty() {
        row("what", &what(alert));
    }
    row("when", &when(alert));
    row("why", &escape(&finding.summary));
    row("expected", &escape(&finding.expected));
    row("observed", &escape(&finding.observed));
    row("how sure", &how_sure(alert));
    for (name, value) in &finding.evidence {
        row("fact", &format!("{name} = {}", escape(value)));
    }
    row("clears", &escape(&finding.clears));
    if let Some((newest, older)) = alert.events.split_last() {
        let older = if older.is_empty() {
            String::new()
        } else {
            format!(" and {} more", older.len())
        };
        row("events", &format!("{}{older}", escape(newest)));
    }
    let findings = if alert.findings == 1 {
        "finding"
    } else {
        "findings"
    };
    let incident = format!(
        "{} revision {}, {} {findings}",
        alert.id, alert.revision, alert.findings
    );
    row("incident", &incident);
    text
}

/// `text`, whose lines stay, each of them as [`escape`] writes it; a backslash stays one.
#[must_use]
pub fn escape_lines(text: &str) -> String {
    let safe = |line: &str| escape(line).replace("\\\\", "\\");
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}

/// `text` on one line, with everything that could deceive a terminal or a reader written out:
/// control characters, backslashes, and characters that are invisible or change direction.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            '\\' => safe.push_str("\\\\"),
            _ if c.is_control() || is_invisible(c) => safe.extend(c.escape_unicode()),
            _ => safe.push(c),
        }
    }
    safe
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

fn headline(alert: &Alert, colour: bool) -> String {
    let severity = alert.severity.word().to_uppercase();
    let (on, off) = if colour {
        (paint(alert.severity), "\u{1b}[0m")
    } else {
        ("", "")
    };
    let update = if alert.revision > 1 { " (update)" } else { "" };
    format!(
        "{on}{severity}{off} {} on {}{update}\n",
        alert.detector,
        escape(&alert.identity)
    )
}

fn paint(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "\u{1b}[2m",
        Severity::Low => "\u{1b}[36m",
        Severity::Medium => "\u{1b}[33m",
        Severity::High => "\u{1b}[31m",
        Severity::Critical => "\u{1b}[1;37;41m",
    }
}

fn who(alert: &Alert) -> String {
    if let Some(members) = &alert.members {
        let named = members.identities.iter().take(NAMED_MAX);
        let named: Vec<String> = named.map(|identity| escape(identity)).collect();
        let more = (alert.findings as usize).saturating_sub(named.len());
        if alert.detector != STORM.name {
            // It is records that are counted, not identities.
            let named = named.join(", ");
            let such = if named.is_empty() { "" } else { ", such as " };
            return format!("{}{such}{named}", escape(&alert.finding.subject));
        }
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return format!("{}{more}", named.join(", "));
    }
    let mut who = format!("{} ({})", escape(&alert.identity), alert.kind);
    let Some(Declared {
        owner, group, tier, ..
    }) = &alert.declared
    else {
        who.push_str(", not in the inventory");
        return who;
    };
    match owner {
        Some(owner) => who.push_str(&format!(", owner {}", escape(owner))),
        None => who.push_str(", nobody owns it"),
    }
    if let Some(group) = group {
        who.push_str(&format!(", group {}", escape(group)));
    }
    if let Some(tier) = tier {
        who.push_str(&format!(", tier {tier}"));
    }
    who
}

/// When and where the identity may act, where that is declared.
fn may(alert: &Alert) -> Option<String> {
    let declared = alert.declared.as_ref()?;
    let mut may = Vec::new();
    if !declared.schedule.is_empty() {
        let zone = Declared::zone(Some(declared));
        may.push(format!("act {} {zone}", declared.schedule));
    }
    if !declared.venues.is_empty() {
        may.push(format!("trade on {}", escape(&declared.venues.join(", "))));
    }
    (!may.is_empty()).then(|| may.join("; "))
}

fn what(alert: &Alert) -> String {
    let from = alert
        .ip
        .as_ref()
        .map_or_else(String::new, |ip| format!(" from {}", escape(ip)));
    format!("{}{from}", escape(&alert.action))
}

fn when(alert: &Alert) -> String {
    let zone = Declared::zone(alert.declared.as_ref());
    let local = match zone.name() {
        "UTC" => format!("{} UTC", alert.ts.wall_clock(zone)),
        name => format!("{} {name}", alert.ts.wall_clock(zone)),
    };
    let span = alert.ts.since(alert.opened);
    let open = if span.micros() > 0 {
        format!(", open for {span}")
    } else {
        String::new()
    };
    format!("{} ({local}){open}", alert.ts)
}

fn how_sure(alert: &Alert) -> String {
    let baseline = match alert.baseline {
        BaselineState::Learning => "still learning what is normal for it",
        BaselineState::Provisional => "less than four weeks of history",
        BaselineState::Mature => "four weeks of history or more",
    };
    match alert.finding.p_value {
        Some(p) => {
            let bits = p.bits();
            let risk = alert.risk.as_ref().map_or_else(String::new, |risk| {
                let told = risk.bits >= risk.threshold && alert.severity == Severity::Low;
                let rest = if told { ", and it was told before" } else { "" };
                format!(
                    "risk {:.1} bits, {:.1} make it medium{rest}; ",
                    risk.bits, risk.threshold
                )
            });
            format!("p = {p} ({bits:.0} bits of surprise); {risk}{baseline}")
        }
        None => "certain: a rule, not an estimate".into(),
    }
}

/// How many identities of a storm a person is shown.
const NAMED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::super::tests::{bare, closed_venue, sample, storm};
    use super::{Severity, escape, person};

    #[test]
    fn an_alert_answers_who_what_when_why_and_how_sure() {
        insta::assert_snapshot!(person(&sample(), false), @r"
        HIGH off-hours on svc-settlement (update)
          who       svc-settlement (service_account), owner payments-sre, group settlement, tier 1
          may       act Mon-Fri 06:00-20:00, Sat 10:00-12:00 UTC; trade on XLON, XNYS
          what      iam:CreateAccessKey from 203.0.113.7
          when      2026-11-22T03:01:30.123456Z (Sun 03:01 UTC), open for 1m 30s
          why       active on Sunday at 03:00, never before
          expected  nothing between 20:00 and 06:00
          observed  41 calls at Sun 03:00
          how sure  p = 4.57e-9 (28 bits of surprise); risk 9.2 bits, 6.5 make it medium; four weeks of history or more
          fact      cell = Sun 03:00
          fact      visits = 0 of 9
          clears    activity at this hour on 3 further Sundays
          events    e-2 and 1 more
          incident  abababababababababababababababab revision 2, 2 findings
        ");
    }

    #[test]
    fn what_is_low_at_a_great_risk_says_why() {
        let mut alert = sample();
        let told = "make it medium, and it was told before;";
        assert!(!person(&alert, false).contains(told));
        alert.severity = Severity::Low;
        assert!(person(&alert, false).contains(told));
    }

    #[test]
    fn a_rule_is_certain_and_an_unknown_identity_is_said_to_be_so() {
        insta::assert_snapshot!(person(&bare(), false), @r"
        CRITICAL retired-identity on svc-settlement
          who       svc-settlement (unknown), not in the inventory
          what      iam:CreateAccessKey
          when      2026-11-22T03:00:00Z (Sun 03:00 UTC)
          why       active on Sunday at 03:00, never before
          expected  nothing between 20:00 and 06:00
          observed  41 calls at Sun 03:00
          how sure  certain: a rule, not an estimate
          clears    activity at this hour on 3 further Sundays
          incident  abababababababababababababababab revision 1, 1 finding
        ");
    }

    #[test]
    fn a_rule_of_a_detector_that_also_estimates_is_certain() {
        let text = person(&closed_venue(), false);
        assert!(text.contains("how sure  certain: a rule"), "{text}");
    }

    #[test]
    fn colour_adds_escapes_and_nothing_else() {
        let plain = person(&sample(), false);
        let coloured = person(&sample(), true);
        assert!(!plain.contains('\u{1b}') && coloured.contains("\u{1b}[31mHIGH\u{1b}[0m"));
        let mut stripped = String::new();
        for part in coloured.split('\u{1b}') {
            stripped.push_str(part.strip_prefix('[').map_or(part, |rest| {
                rest.split_once('m').map_or(rest, |(_, rest)| rest)
            }));
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn hostile_text_is_written_out() {
        assert_eq!(escape("a\u{1b}[2J\r\nb\\"), "a\\u{1b}[2J\\r\\nb\\\\");
        assert_eq!(
            escape("gpj\u{202e}exe\u{200b}\u{9b}"),
            "gpj\\u{202e}exe\\u{200b}\\u{9b}"
        );
        assert_eq!(escape("zürich-日本"), "zürich-日本");
        let mut alert = sample();
        let hostile = "x\u{1b}]0;t\u{7}\n\u{202e}";
        alert.identity = hostile.into();
        alert.action = hostile.into();
        alert.ip = Some(hostile.into());
        alert.events = vec![hostile.into()];
        alert.finding.summary = hostile.into();
        alert.finding.expected = hostile.into();
        alert.finding.observed = hostile.into();
        alert.finding.clears = hostile.into();
        alert.finding.evidence = vec![("fact".into(), hostile.into())];
        let declared = alert.declared.as_mut().unwrap();
        declared.owner = Some(hostile.into());
        declared.group = Some(hostile.into());
        declared.venues = vec![hostile.into()];
        let text = person(&alert, false);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{text:?}");
        assert_eq!(text.lines().count(), 13);
    }

    #[test]
    fn of_a_storm_some_are_named() {
        let mut alert = storm();
        alert.findings = 40;
        let text = person(&alert, false);
        assert!(text.contains("svc-a, svc-b and 38 more"), "{text}");
    }
}
