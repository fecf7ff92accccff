//! One record of an input partition, read and ready to go.

use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use rdkafka::message::Message;

use crate::inventory::Aliases;
use crate::metrics::Intake as Outcome;
use crate::sources::{MappedEvent, Reader};
use crate::wire::control::{self, Control};
use crate::wire::{Reason, Reject};

/// What the records of a topic are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'s> {
    /// Raw log records, read by a mapping.
    Raw(Reader<'s>),
    /// News for the engine, passed on as it is.
    Control(Control),
}

/// One record of a lane, decoded.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Its offset.
    pub(super) offset: i64,
    /// When its earliest event happened; none where it waits for no other.
    pub(super) time: Option<Timestamp>,
    /// What it becomes in the event log, in order of time.
    pub(super) records: Vec<Passed>,
    /// Fields in it that the event schema does not know.
    pub(super) unknown: u64,
    /// What could not be read of it, and its bytes.
    pub(super) letter: Option<Letter>,
}

/// A record for the event log.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Passed {
    /// The identity.
    pub(super) key: Vec<u8>,
    /// An event's JSON, or a control record's value.
    pub(super) value: Option<Vec<u8>>,
    /// When the event happened.
    pub(super) ts: Option<Timestamp>,
    /// Which control record it is, if it is one.
    pub(super) control: Option<Control>,
}

/// The original of a record that could not be read, wholly or in part.
#[derive(Debug)]
pub(super) struct Letter {
    /// Why.
    pub(super) reject: Reject,
    /// Its key.
    pub(super) key: Option<Vec<u8>>,
    /// Its value.
    pub(super) value: Option<Vec<u8>>,
}

impl Taken {
    /// What became of the record.
    #[must_use]
    pub(super) fn outcome(&self) -> Outcome {
        match (&self.letter, self.records.first()) {
            (Some(_), _) => Outcome::Deadletter,
            (None, None) => Outcome::Skipped,
            (None, Some(first)) if first.control.is_some() => Outcome::Control,
            (None, Some(_)) => Outcome::Mapped,
        }
    }
}

/// Decodes one record of a topic that holds `content`.
pub(super) fn read(
    content: Content<'_>,
    aliases: &Aliases,
    message: &impl Message,
    wall: Timestamp,
) -> Taken {
    match content {
        Content::Raw(reader) => raw(&reader, aliases, message, wall),
        Content::Control(control) => news(control, message),
    }
}

/// The events in a raw record. One that names no uid gets the record's place for it, so that a
/// record delivered again is known again.
fn raw(reader: &Reader<'_>, aliases: &Aliases, message: &impl Message, wall: Timestamp) -> Taken {
    let (mut events, mut rejects) = (Vec::new(), Rejects::default());
    let value = message.payload().unwrap_or_default();
    if value.len() > RAW_MAX {
        let detail = format_args!("{} bytes, the most is {RAW_MAX}", value.len());
        let (first, others) = (Some(Reject::new(Reason::TooLarge, detail)), 0);
        return Taken {
            offset: message.offset(),
            letter: letter(message, Rejects { first, others }),
            ..Taken::default()
        };
    }
    let resolve = |event| aliases.resolve(event);
    reader.events(value, &mut |event| match event.and_then(resolve) {
        Ok(event) => events.push(event),
        Err(reject) => rejects.push(reject),
    });
    let place = format!(
        "{}/{}/{}",
        message.topic(),
        message.partition(),
        message.offset()
    );
    let several = events.len() > 1;
    let unknown = events.iter().map(|event| u64::from(event.unknown)).sum();
    let mut records: Vec<Passed> = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let event = match (event.has_uid, several) {
            (true, _) => Ok(event),
            (false, false) => event.with_uid(&place),
            (false, true) => event.with_uid(&format!("{place}/{index}")),
        };
        match event.and_then(within) {
            Ok(event) => records.push(Passed {
                key: event.identity.into_bytes(),
                value: Some(event.json.into_bytes()),
                ts: Some(event.ts),
                control: None,
            }),
            Err(reject) => rejects.push(reject),
        }
    }
    records.sort_by_key(|record| record.ts);
    // A stamp from the future says nothing about when its log goes next.
    let time = records.first().and_then(|record| record.ts);
    Taken {
        offset: message.offset(),
        time: time.filter(|time| *time <= wall.plus(AHEAD)),
        records,
        unknown,
        letter: letter(message, rejects),
    }
}

/// `event`, if every topic takes it.
fn within(event: MappedEvent) -> Result<MappedEvent, Reject> {
    let size = event.json.len();
    if size <= PASSED_MAX {
        return Ok(event);
    }
    let detail = format_args!("the event has {size} bytes, the most is {PASSED_MAX}");
    Err(Reject::new(Reason::TooLarge, detail))
}

/// A control record, if it says something valid.
fn news(control: Control, message: &impl Message) -> Taken {
    let mut taken = Taken {
        offset: message.offset(),
        ..Taken::default()
    };
    let size = message.payload().map_or(0, <[u8]>::len);
    let read = if size <= PASSED_MAX {
        control::read(control.word(), message.key(), message.payload()).map(drop)
    } else {
        let detail = format_args!("the record has {size} bytes, the most is {PASSED_MAX}");
        Err(Reject::new(Reason::TooLarge, detail))
    };
    match read {
        Ok(()) => taken.records.push(Passed {
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().map(<[u8]>::to_vec),
            ts: None,
            control: Some(control),
        }),
        Err(reject) => {
            let (first, others) = (Some(reject), 0);
            taken.letter = letter(message, Rejects { first, others });
        }
    }
    taken
}

/// The first of a record's faults, and how many more there are.
#[derive(Default)]
struct Rejects {
    first: Option<Reject>,
    others: u32,
}

impl Rejects {
    fn push(&mut self, reject: Reject) {
        match self.first {
            None => self.first = Some(reject),
            Some(_) => self.others += 1,
        }
    }
}

/// One letter for a record, however much of it could not be read.
fn letter(message: &impl Message, rejects: Rejects) -> Option<Letter> {
    let Rejects { first, others } = rejects;
    let reject = match (first?, others) {
        (first, 0) => first,
        (first, _) => Reject::new(
            first.reason,
            format_args!("{} (and {others} more)", first.detail),
        ),
    };
    Some(Letter {
        reject,
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
    })
}

/// The longest raw record, in bytes: taken apart, a hostile one takes up some hundred times as much.
const RAW_MAX: usize = 2 << 20;
/// The longest event or control record that is passed on, in bytes: with key and headers, every topic
/// takes it.
const PASSED_MAX: usize = 900_000;
/// How far a source's clock may be ahead of ours.
pub(super) const AHEAD: Span = Span::MINUTE.times(5);

#[cfg(test)]
mod tests {
    use rdkafka::message::{OwnedMessage, Timestamp as Stamp};

    use super::*;
    use crate::inventory::Entry;
    use crate::sources::Sources;

    const WALL: Timestamp = Timestamp::from_seconds(1_790_100_000);

    fn message(key: Option<&str>, value: Option<&str>) -> OwnedMessage {
        let bytes = |text: &str| text.as_bytes().to_vec();
        OwnedMessage::new(
            value.map(bytes),
            key.map(bytes),
            "raw".to_owned(),
            Stamp::NotAvailable,
            3,
            17,
            None,
        )
    }

    fn read_as(content: Content<'_>, message: &OwnedMessage) -> Taken {
        read(content, &Aliases::default(), message, WALL)
    }

    fn auto(value: &str) -> Taken {
        let sources = Sources::load(None).unwrap();
        let reader = sources.reader("auto").unwrap();
        read_as(Content::Raw(reader), &message(None, Some(value)))
    }

    fn values(taken: &Taken) -> Vec<&str> {
        let values = taken.records.iter().map(|record| record.value.as_deref());
        values
            .map(|value| str::from_utf8(value.unwrap()).unwrap())
            .collect()
    }

    #[test]
    fn an_event_without_uid_gets_its_place_and_one_with_keeps_it() {
        let bare = r#"{"ts":1790000000,"identity":"a","action":"x"}"#;
        let taken = auto(bare);
        assert_eq!(taken.outcome(), Outcome::Mapped);
        assert_eq!(taken.records[0].key, b"a");
        assert!(values(&taken)[0].contains(r#""uid":"raw/3/17""#));
        let named = r#"{"ts":1790000000,"uid":"u","identity":"a","action":"x"}"#;
        assert!(values(&auto(named))[0].contains(r#""uid":"u""#));
    }

    #[test]
    fn the_events_of_one_record_go_in_order_of_time_and_keep_their_own_place() {
        let event = |second: i64| {
            format!(
                r#"{{"ts":{},"identity":"a","action":"x"}}"#,
                1_790_000_000 + second
            )
        };
        let taken = auto(&format!("[{},{}]", event(5), event(1)));
        assert_eq!(taken.time, Some(Timestamp::from_seconds(1_790_000_001)));
        let values = values(&taken);
        assert!(values[0].contains(r#""uid":"raw/3/17/1""#), "{values:?}");
        assert!(values[1].contains(r#""uid":"raw/3/17/0""#), "{values:?}");
    }

    #[test]
    fn what_cannot_be_read_is_one_letter_and_its_neighbours_go() {
        let event = r#"{"ts":1790000000,"identity":"a","action":"x"}"#;
        let taken = auto(&format!(r#"[{{"odd":1}},{event},{{"odder":2}}]"#));
        assert_eq!(taken.records.len(), 1);
        assert_eq!(taken.outcome(), Outcome::Deadletter);
        let letter = taken.letter.unwrap();
        assert_eq!(letter.reject.reason, Reason::Mapping);
        assert!(letter.reject.detail.ends_with("(and 1 more)"));
        assert!(letter.value.unwrap().starts_with(b"[{\"odd\""));
        let empty = read_as(
            Content::Control(Control::Inventory),
            &message(None, Some("{}")),
        );
        assert_eq!(empty.letter.unwrap().reject.reason, Reason::KeyMismatch);
    }

    #[test]
    fn an_event_of_an_alias_is_the_identitys() {
        let entry = br#"{"identity":"a","aliases":["b"]}"#;
        let mut aliases = Aliases::default();
        aliases.declare(&Entry::read(entry).unwrap());
        let sources = Sources::load(None).unwrap();
        let content = Content::Raw(sources.reader("auto").unwrap());
        let event = r#"{"ts":1790000000,"identity":"b","action":"x"}"#;
        let taken = read(content, &aliases, &message(None, Some(event)), WALL);
        assert_eq!(taken.records[0].key, b"a");
        assert!(values(&taken)[0].contains(r#""identity":"a""#));
        assert!(values(&taken)[0].contains(r#""uid":"raw/3/17""#));
    }

    #[test]
    fn a_stamp_from_the_future_does_not_hold_its_log_up() {
        let taken = auto(r#"{"ts":1890000000,"identity":"a","action":"x"}"#);
        assert_eq!((taken.time, taken.records.len()), (None, 1));
    }

    #[test]
    fn inventory_and_rulings_are_passed_on_as_they_are() {
        let value = r#"{"identity":"a","timezone":"Europe/Zurich"}"#;
        let content = Content::Control(Control::Inventory);
        let taken = read_as(content, &message(Some("a"), Some(value)));
        assert_eq!(taken.outcome(), Outcome::Control);
        assert_eq!(taken.records[0].control, Some(Control::Inventory));
        assert_eq!(values(&taken), [value]);
        let removed = read_as(content, &message(Some("a"), None));
        assert_eq!(removed.records[0].value, None);
    }
}
