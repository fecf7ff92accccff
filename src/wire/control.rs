//! Control records: news for the engine that travels on the events' own log, so that a replay sees
//! it at the same place.

use std::borrow::Cow;
use std::num::NonZero;

use nhiwatch_detectors::kernel::alert::IncidentId;
use nhiwatch_detectors::kernel::input::{Input, Ruling};
use nhiwatch_detectors::kernel::time::Timestamp;
use serde::Deserialize;
use serde_json::{Number, Value};

use super::EVENT_LOG;
use super::event::{NAME_MAX, RECORD_MAX};
use super::reject::{Reason, Reject};
use super::timestamp;
use crate::inventory::Entry;

/// Name of the record header that marks a control record; its value is one of [`Control`]'s words.
pub const HEADER: &str = "nhiwatch-kind";

/// The word in the [`HEADER`] among `headers`; none where the record is an event.
///
/// What is not UTF-8 becomes a word that is no control's, so that it is refused by whoever reads the
/// record, and by whoever replays it.
pub fn kind<'h>(
    mut headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
) -> Option<Cow<'h, str>> {
    let (_, word) = headers.find(|(name, _)| *name == HEADER)?;
    Some(String::from_utf8_lossy(word.unwrap_or_default()))
}

/// What a control record is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Control {
    /// Time has passed.
    Heartbeat,
    /// What is declared of an identity has changed.
    Inventory,
    /// An analyst has judged an incident.
    Feedback,
    /// Records of a raw topic could not be read.
    Unreadable,
}

impl Control {
    /// The word in the header.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Inventory => "inventory",
            Self::Feedback => "feedback",
            Self::Unreadable => "unreadable",
        }
    }

    /// The control that `word` stands for, if any.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Heartbeat,
            Self::Inventory,
            Self::Feedback,
            Self::Unreadable,
        ]
        .into_iter()
        .find(|control| control.word() == word)
    }
}

/// Reads the control record of kind `word`; a record without a value removes an inventory entry.
///
/// # Errors
/// `control` for a word or value that says nothing valid, `timestamp`, `key-mismatch`, `too-large`.
pub fn read<'a>(
    word: &str,
    key: Option<&'a [u8]>,
    value: Option<&[u8]>,
) -> Result<Input<'a>, Reject> {
    let control = Control::from_word(word).ok_or_else(|| {
        fault(format_args!(
            "`{word}` is not heartbeat, inventory, feedback or unreadable"
        ))
    })?;
    match (control, value) {
        (Control::Inventory, None) => Ok(Input::Inventory {
            identity: identity(key)?,
            declared: None,
        }),
        (_, None) => Err(Reject::new(Reason::Empty, format_args!("{word}: no value"))),
        (Control::Heartbeat, Some(value)) => {
            let beat: Heartbeat = json(value)?;
            Ok(Input::Heartbeat { ts: beat.read()? })
        }
        (Control::Unreadable, Some(value)) => {
            let unreadable: Unreadable<'_> = json(value)?;
            let reason = Reason::from_word(&unreadable.reason)
                .ok_or_else(|| fault(format_args!("reason: not one of a dead letter")))?;
            let source = identity(key)?;
            if source == EVENT_LOG || source.len() > TOPIC_MAX {
                return Err(fault(format_args!("the key is the name of no topic")));
            }
            let count = u32::try_from(unreadable.count.get())
                .map_err(|_| fault(format_args!("count: more than {}", u32::MAX)))?;
            Ok(Input::Unreadable {
                source,
                reason: reason.word(),
                count: count.into(),
                received: None,
            })
        }
        (Control::Inventory, Some(value)) => {
            let identity = identity(key)?;
            let entry =
                Entry::read(within(value)?).map_err(|wrong| fault(format_args!("{wrong}")))?;
            same(identity, Some(entry.identity.as_str()))?;
            Ok(Input::Inventory {
                identity,
                declared: Some(entry.declared()),
            })
        }
        (Control::Feedback, Some(value)) => {
            let identity = identity(key)?;
            let feedback: Feedback<'_> = json(value)?;
            same(identity, feedback.identity.as_deref())?;
            let incident = IncidentId::parse(&feedback.incident)
                .ok_or_else(|| fault(format_args!("incident: not 32 hex digits")))?;
            let ruling = Ruling::from_word(&feedback.ruling)
                .ok_or_else(|| fault(format_args!("ruling: not benign or malicious")))?;
            Ok(Input::Feedback {
                identity,
                incident,
                ruling,
            })
        }
    }
}

#[derive(Deserialize)]
struct Heartbeat {
    ts: Value,
}

impl Heartbeat {
    fn read(&self) -> Result<Timestamp, Reject> {
        let number = |number: &Number| match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => timestamp::integer(whole),
            (None, float) => timestamp::float(float.unwrap_or(f64::NAN)),
        };
        match &self.ts {
            Value::String(written) => timestamp::text(written),
            Value::Number(written) => number(written),
            _ => Err(fault(format_args!(
                "ts: neither an RFC 3339 string nor an epoch number"
            ))),
        }
    }
}

/// Records of one raw topic, which is the key, that could not be read for one reason.
#[derive(Deserialize)]
struct Unreadable<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    count: NonZero<u64>,
}

#[derive(Deserialize)]
struct Feedback<'a> {
    #[serde(borrow)]
    identity: Option<Cow<'a, str>>,
    #[serde(borrow)]
    incident: Cow<'a, str>,
    #[serde(borrow)]
    ruling: Cow<'a, str>,
}

fn json<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, Reject> {
    serde_json::from_slice(within(value)?).map_err(|error| fault(format_args!("{error}")))
}

fn within(value: &[u8]) -> Result<&[u8], Reject> {
    if value.len() <= RECORD_MAX {
        return Ok(value);
    }
    let detail = format_args!("{} bytes", value.len());
    Err(Reject::new(Reason::TooLarge, detail))
}

fn identity(key: Option<&[u8]>) -> Result<&str, Reject> {
    let key = key.unwrap_or_default();
    match str::from_utf8(key) {
        Ok("") => Err(Reject::new(Reason::KeyMismatch, "the record has no key")),
        Ok(key) if key.len() > NAME_MAX => Err(Reject::new(
            Reason::TooLarge,
            format_args!("key: {} bytes", key.len()),
        )),
        Ok(key) => Ok(key),
        Err(error) => Err(Reject::new(Reason::Utf8, format_args!("key: {error}"))),
    }
}

fn same(key: &str, identity: Option<&str>) -> Result<(), Reject> {
    match identity {
        Some(identity) if identity != key => Err(Reject::new(
            Reason::KeyMismatch,
            format_args!("the key is `{key}`, the identity `{identity}`"),
        )),
        _ => Ok(()),
    }
}

/// The most bytes that the name of a topic has.
const TOPIC_MAX: usize = 249;

fn fault(detail: std::fmt::Arguments<'_>) -> Reject {
    Reject::new(Reason::Control, detail)
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::wire::LogLine;

    fn reason(word: &str, key: Option<&str>, value: Option<&str>) -> Option<Reason> {
        read(word, key.map(str::as_bytes), value.map(str::as_bytes))
            .err()
            .map(|e| e.reason)
    }

    #[test]
    fn a_kind_that_is_no_word_is_refused_and_so_is_its_replay() {
        let other = ("other", Some(b"heartbeat".as_slice()));
        assert_eq!(kind([other].into_iter()), None);
        for value in [Some(b"heart\xffbeat".as_slice()), Some(b""), None] {
            let kind = kind([other, (HEADER, value)].into_iter()).expect("an event");
            let written = LogLine {
                kind: Some(kind.clone().into_owned()),
                ..LogLine::default()
            };
            let replayed = LogLine::parse(written.write().as_bytes()).expect("not read");
            for word in [&*kind, &replayed.kind.expect("an event")] {
                assert_eq!(reason(word, None, Some("{}")), Some(Reason::Control));
            }
        }
    }

    #[test]
    fn what_could_not_be_read_is_told_by_topic_and_reason() {
        let value = br#"{"reason":"utf8","count":3}"#;
        let read = read("unreadable", Some(b"raw"), Some(value));
        let Ok(Input::Unreadable {
            source,
            reason,
            count,
            ..
        }) = read
        else {
            panic!("not read")
        };
        assert_eq!((source, reason, count), ("raw", "utf8", 3));
        let refused = |value| self::reason("unreadable", Some("raw"), Some(value));
        assert_eq!(
            refused(r#"{"reason":"utf8","count":0}"#),
            Some(Reason::Control)
        );
        assert_eq!(
            refused(r#"{"reason":"?","count":1}"#),
            Some(Reason::Control)
        );
        assert_eq!(refused(r#"{"reason":"utf8"}"#), Some(Reason::Control));
        assert_eq!(
            self::reason("unreadable", Some("raw"), None),
            Some(Reason::Empty)
        );
        for source in [EVENT_LOG, &"x".repeat(TOPIC_MAX + 1)] {
            let value = Some(r#"{"reason":"utf8","count":1}"#);
            let refused = self::reason("unreadable", Some(source), value);
            assert_eq!(refused, Some(Reason::Control));
        }
        let huge = refused(r#"{"reason":"utf8","count":4294967296}"#);
        assert_eq!(huge, Some(Reason::Control));
        let keyless = self::reason("unreadable", None, Some(r#"{"reason":"utf8","count":1}"#));
        assert_eq!(keyless, Some(Reason::KeyMismatch));
    }

    #[test]
    fn an_inventory_entry_is_read_with_all_that_detection_uses() {
        let value =
            br#"{"identity":"a","timezone":"Europe/London","tier":2,"owner":"pay","aliases":["b"],
            "schedule":["Mon-Fri 07:00-19:00"],"scope":{"venues":["XLON"]},"group":null}"#;
        let Ok(Input::Inventory {
            identity,
            declared: Some(declared),
        }) = read("inventory", Some(b"a"), Some(value))
        else {
            panic!("not read")
        };
        assert_eq!(identity, "a");
        assert_eq!(declared.timezone, Some(Tz::Europe__London));
        assert_eq!(
            (declared.owner.as_deref(), declared.tier),
            (Some("pay"), Some(2))
        );
        assert_eq!(declared.schedule.to_string(), "Mon-Fri 07:00-19:00");
        assert_eq!(declared.venues, ["XLON"]);
    }

    #[test]
    fn a_refused_entry_names_its_fault() {
        for (value, told) in [
            (r#"{"identity":"a","ownr":"x"}"#, "unknown field `ownr`"),
            (r#"{"tier":1}"#, "missing field `identity`"),
            (r#"["a"]"#, "not a JSON object"),
            (
                r#"{"identity":"a","tier":"2"}"#,
                "tier: invalid type: string",
            ),
            (r#"{"identity":"a","tier":9}"#, "tier: 9 is no tier"),
            (
                r#"{"identity":"a","scope":{"venues":["XLON","lse"]}}"#,
                "scope.venues[1]: `lse` is no venue's code",
            ),
            (
                r#"{"identity":"a","scope":{"venue":[]}}"#,
                "unknown field `venue`",
            ),
            (
                r#"{"identity":"a","aliases":["b","b"]}"#,
                "aliases[1]: `b` is",
            ),
            (
                r#"{"identity":"a","identity":"a"}"#,
                "duplicate field `identity`",
            ),
            (r#"{"identity":"a"}{}"#, "trailing characters"),
        ] {
            let read = read("inventory", Some(b"a"), Some(value.as_bytes()));
            let reject = read.map(drop).unwrap_err();
            assert_eq!(reject.reason, Reason::Control, "{value}");
            assert!(reject.detail.contains(told), "{value}: {reject}");
        }
    }

    #[test]
    fn an_inventory_tombstone_removes_the_entry() {
        let read = read("inventory", Some(b"a"), None);
        assert!(matches!(
            read,
            Ok(Input::Inventory {
                identity: "a",
                declared: None
            })
        ));
    }

    #[test]
    fn heartbeats_and_rulings_are_read() {
        let beat = read("heartbeat", None, Some(br#"{"ts":1790000000}"#));
        assert!(
            matches!(beat, Ok(Input::Heartbeat { ts }) if ts == Timestamp::from_seconds(1_790_000_000))
        );
        let value = br#"{"incident":"000102030405060708090a0b0c0d0e0f","ruling":"benign"}"#;
        let ruling = read("feedback", Some(b"a"), Some(value));
        assert!(matches!(
            ruling,
            Ok(Input::Feedback {
                ruling: Ruling::Benign,
                ..
            })
        ));
    }

    #[test]
    fn what_says_nothing_valid_is_refused() {
        let long = "x".repeat(100_000);
        for (word, key, value, expected) in [
            ("restart", Some("a"), Some("{}"), Reason::Control),
            (&long, Some("a"), Some("{}"), Reason::Control),
            ("heartbeat", None, None, Reason::Empty),
            ("heartbeat", None, Some("{"), Reason::Control),
            ("heartbeat", None, Some(r#"{"ts":[1]}"#), Reason::Control),
            ("heartbeat", None, Some(r#"{"ts":-1}"#), Reason::Timestamp),
            ("inventory", None, Some("{}"), Reason::KeyMismatch),
            (
                "inventory",
                Some("a"),
                Some(r#"{"identity":"b"}"#),
                Reason::KeyMismatch,
            ),
            (
                "inventory",
                Some("a"),
                Some(r#"{"timezone":"Mars/Base"}"#),
                Reason::Control,
            ),
            (
                "inventory",
                Some("a"),
                Some(r#"{"tier":9}"#),
                Reason::Control,
            ),
            (
                "feedback",
                Some("a"),
                Some(r#"{"incident":"12","ruling":"benign"}"#),
                Reason::Control,
            ),
        ] {
            assert_eq!(reason(word, key, value), Some(expected), "{value:?}");
        }
    }
}
