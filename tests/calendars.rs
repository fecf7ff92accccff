//! The trading calendars against an independent record of what the venues did.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate};
use nhiwatch::calendars::{load, venues};
use nhiwatch_detectors::kernel::calendar::{Phase, Session, SessionClass};
use nhiwatch_detectors::kernel::time::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::from_seconds(DateTime::parse_from_rfc3339(text).unwrap().timestamp())
}

/// What a day's first session is, as `open close` in UTC; empty on a day without.
fn day(mic: &str, date: &str) -> String {
    let date: NaiveDate = date.parse().unwrap();
    let venues = venues(None).unwrap();
    let venue = venues.iter().find(|venue| venue.mic == mic).unwrap();
    let sessions = venue
        .days
        .iter()
        .find(|(day, _)| *day == date)
        .map(|(_, sessions)| sessions);
    sessions.map_or_else(String::new, |sessions| {
        let session = sessions[0];
        let time = |at: Timestamp| at.utc().format("%H:%M").to_string();
        format!("{} {}", time(session.open), time(session.close))
    })
}

#[test]
fn hours_follow_the_wall_clock_and_its_changes() {
    assert_eq!(day("XNYS", "2026-03-06"), "14:30 21:00");
    assert_eq!(day("XNYS", "2026-03-09"), "13:30 20:00");
    assert_eq!(day("XLON", "2026-03-27"), "08:00 16:30");
    assert_eq!(day("XLON", "2026-03-30"), "07:00 15:30");
}

#[test]
fn early_closes_shorten_the_day() {
    assert_eq!(day("XNYS", "2025-11-28"), "14:30 18:00");
    assert_eq!(day("XNAS", "2024-07-03"), "13:30 17:00");
    assert_eq!(day("XLON", "2026-12-24"), "08:00 12:30");
}

#[test]
fn a_day_may_have_a_break_change_its_hours_and_begin_on_the_evening_before() {
    let sessions = |mic: &str, date: &str| {
        let date: NaiveDate = date.parse().unwrap();
        let venues = venues(None).unwrap();
        let venue = venues.iter().find(|venue| venue.mic == mic).unwrap();
        let day = venue.days.iter().find(|(day, _)| *day == date);
        let time = |at: Timestamp| at.utc().format("%d %H:%M").to_string();
        let both = |one: &Session| format!("{}-{}", time(one.open), time(one.close));
        day.unwrap().1.iter().map(both).collect::<Vec<_>>()
    };
    let before = ["01 00:00-01 02:30", "01 03:30-01 06:00"];
    assert_eq!(sessions("XTKS", "2024-11-01"), before);
    let after = ["05 00:00-05 02:30", "05 03:30-05 06:30"];
    assert_eq!(sessions("XTKS", "2024-11-05"), after);
    assert_eq!(sessions("XHKG", "2026-12-24"), ["24 01:30-24 04:00"]);
    assert_eq!(sessions("GLBX", "2026-11-24"), ["23 23:00-24 22:00"]);
}

#[test]
fn a_venue_takes_orders_around_its_session_on_a_short_day_as_well() {
    let calendars = load(None).unwrap();
    let takes = |mic: &str, ts: &str| match calendars.venue(mic).unwrap().phase(at(ts)) {
        Phase::Closed { takes, .. } => takes.map_or("closed", SessionClass::name),
        phase => panic!("{mic} {ts}: {phase:?}"),
    };
    assert_eq!(takes("XNYS", "2026-11-27T14:00:00Z"), "pre-market");
    assert_eq!(takes("XNYS", "2026-11-27T18:00:00Z"), "post-market");
    assert_eq!(takes("XNYS", "2026-11-27T21:59:59Z"), "post-market");
    assert_eq!(takes("XNYS", "2026-11-27T22:00:00Z"), "closed");
    assert_eq!(takes("XNYS", "2026-11-26T16:00:00Z"), "closed");
    assert_eq!(takes("XETR", "2026-11-24T07:59:59Z"), "auction");
    assert_eq!(takes("XETR", "2026-11-24T07:49:59Z"), "pre-open");
    assert_eq!(takes("XTKS", "2026-11-24T02:45:00Z"), "closed");
}

#[test]
fn holidays_and_weekends_have_no_session() {
    assert_eq!(day("XNYS", "2025-01-09"), "");
    assert_eq!(day("XNAS", "2026-11-26"), "");
    assert_eq!(day("XLON", "2022-09-19"), "");
    assert_eq!(day("XLON", "2026-11-22"), "");
}

#[test]
fn a_venue_is_open_within_its_session_and_unknown_outside_its_coverage() {
    let calendars = load(None).unwrap();
    let venue = calendars.venue("XNYS").unwrap();
    assert!(matches!(
        venue.phase(at("2026-11-24T14:30:00Z")),
        Phase::Open(_)
    ));
    assert!(matches!(
        venue.phase(at("2026-11-24T21:00:00Z")),
        Phase::Closed { .. }
    ));
    assert!(matches!(
        venue.phase(at("2015-01-01T05:00:00Z")),
        Phase::Closed { .. }
    ));
    assert!(matches!(
        venue.phase(at("2015-01-01T04:59:59Z")),
        Phase::Unknown
    ));
    assert!(matches!(
        venue.phase(at("2028-01-01T05:00:00Z")),
        Phase::Unknown
    ));
    assert_eq!(venue.hash.len(), 64);
}

#[test]
fn the_page_lists_every_calendar_and_who_vouches_for_it() {
    let page = std::fs::read_to_string("docs/calendars.md").unwrap();
    let listed: Vec<(&str, bool)> = page
        .lines()
        .filter_map(|line| {
            let code = line.strip_prefix("| `")?.split('`').next()?;
            Some((code, line.ends_with("| yes |")))
        })
        .collect();
    let venues = venues(None).unwrap();
    let known: Vec<(&str, bool)> = venues
        .iter()
        .map(|venue| (venue.mic.as_str(), venue.unverified.is_none()))
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn every_session_equals_the_recorded_one() {
    let Some(data) = std::env::var_os("NHIWATCH_REAL_DATA") else {
        return skip();
    };
    let mut compared = 0;
    for venue in venues(None).unwrap() {
        let file = format!(
            "exchange_calendars/{}_sessions.csv",
            venue.mic.replace('/', "_")
        );
        let Ok(recorded) = std::fs::read_to_string(PathBuf::from(&data).join(file)) else {
            continue;
        };
        compared += 1;
        let mut ours = vec!["date,open_utc,close_utc,break_start_utc,break_end_utc".to_owned()];
        ours.extend(venue.days.iter().map(|(date, sessions)| {
            let time = |at: Timestamp| at.utc().format("%Y-%m-%dT%H:%MZ").to_string();
            assert_eq!(sessions.len(), 1, "{} {date}", venue.mic);
            format!(
                "{date},{},{},,",
                time(sessions[0].open),
                time(sessions[0].close)
            )
        }));
        for (ours, recorded) in ours.iter().zip(recorded.lines()) {
            assert_eq!(ours, recorded, "{}", venue.mic);
        }
        assert_eq!(ours.len(), recorded.lines().count(), "{}", venue.mic);
    }
    assert!(compared >= 4, "{compared}");
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip() {
    eprintln!("skipped: NHIWATCH_REAL_DATA is not set");
}

/// Loads a folder holding `files` and returns the message it is refused with.
fn refusal(files: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (index, text) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{index}.yaml")), text).unwrap();
    }
    let message = load(Some(folder.path())).unwrap_err().to_string();
    message.replace(&folder.path().display().to_string(), "DIR")
}

const TOKYO: &str = "mic: XTKX
version: \"1\"
timezone: Asia/Tokyo
coverage: {from: 2026-01-01, to: 2026-01-31}
days: [Mon, Tue, Wed, Thu, Fri]
hours: [\"09:00-11:30\", \"12:30-15:30\"]
holidays:
  New Year: [2026-01-01, 2026-01-02]
early_closes: []
special: [{date: 2026-01-03, name: Trial, hours: [\"09:00-10:00\"]}]
";

#[test]
fn a_folder_adds_a_venue_with_a_break_and_a_special_opening() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokyo.yaml"), TOKYO).unwrap();
    let calendars = load(Some(folder.path())).unwrap();
    assert_eq!(calendars.iter().count(), 13);
    let sessions = calendars.venue("XTKX").unwrap().sessions();
    assert_eq!(sessions.len(), 1 + 2 * 20);
    assert_eq!(sessions[0].open, at("2026-01-03T00:00:00Z"));
    assert_eq!(sessions[2].open, at("2026-01-05T03:30:00Z"));
}

#[test]
fn a_file_that_is_wrong_is_refused_with_its_place() {
    let check = |from: &str, to: &str, expected: &str| {
        let text = TOKYO.replacen(from, to, 1);
        assert_ne!(text, TOKYO, "{from}");
        let message = refusal(&[&text]);
        assert!(message.starts_with("DIR/0.yaml:"), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    check("version:", "verzion:", ":2:1: ");
    check("Asia/Tokyo", "Asia/Tokio", ":3:11: ");
    check(
        "2026-01-02]",
        "2026-01-04]",
        ":8:26: 2026-01-04 is no trading day anyway",
    );
    check(
        "12:30-15:30",
        "11:00-15:30",
        ":6:24: hours must follow each other",
    );
    check("12:30-15:30", "12:60-15:30", "`12:60-15:30` are no hours");
    check(
        "early_closes: []",
        "before_open: [{class: pre-open, lasts: \"00:00\"}]",
        "this must last a minute or more",
    );
    check(
        "early_closes: []",
        "after_close: [{class: lunch, lasts: \"01:00\"}]",
        "unknown variant `lunch`",
    );
    check(
        "early_closes: []",
        "changes: [{from: 2025-01-05, hours: [\"09:00-10:00\"]}]",
        "changes must follow each other",
    );
    check("XTKX", "Tokyo", ":1:6: `Tokyo` is no code of four");
    check("to: 2026-01-31", "to: 2025-01-31", "`to` must be");
    check(
        "date: 2026-01-03",
        "date: 2027-01-03",
        "outside the coverage",
    );
    let early = "early_closes: [{name: n, close: \"16:00\", dates: [2026-01-05]}]";
    check("early_closes: []", early, "does not shorten");
    assert!(refusal(&[TOKYO, TOKYO]).contains("DIR/1.yaml: XTKX is already defined in DIR/0.yaml"));
}
