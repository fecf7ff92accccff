//! One record of the events log: an event, or a control record.

use std::borrow::Cow;

use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use super::control;
use super::event::RawEvent;
use super::reject::{Reason, Reject};

/// What a record of the events log holds, as far as it says so by itself: it may be decoded ahead and elsewhere.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are events, and a box for each would be an allocation for each"
)]
pub enum Content<'a> {
    /// The fields of an event, or why they cannot be read.
    Event(Result<RawEvent<'a>, Reject>),
    /// A control record of this kind.
    Control(Cow<'a, str>),
}

impl<'a> Content<'a> {
    /// Decodes `value`; `kind` is that of the [`control::HEADER`] header.
    #[must_use]
    pub fn of(kind: Option<Cow<'a, str>>, value: Option<&'a [u8]>) -> Self {
        if let Some(kind) = kind {
            return Self::Control(kind);
        }
        let value = value.ok_or_else(|| Reject::new(Reason::Empty, "the record has no value"));
        Self::Event(value.and_then(RawEvent::parse))
    }

    /// The identity whose event it is, as far as it is one.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        match self {
            Self::Event(Ok(raw)) => raw.identity(),
            Self::Event(Err(_)) | Self::Control(_) => None,
        }
    }

    /// Hands what it says to `f`, with how many fields of it the schema does not know. `key` and `value` are its record's,
    /// `received` is the record's own timestamp.
    ///
    /// An event's `key` must be its identity: the partition, and so the order, depends on it.
    pub fn with_input<R>(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        received: Option<Timestamp>,
        f: impl FnOnce(Result<Input<'_>, Reject>, u32) -> R,
    ) -> R {
        match self {
            Self::Event(Ok(raw)) => f(keyed_event(raw, key, received), raw.unknown),
            Self::Event(Err(reject)) => f(Err(reject.clone()), 0),
            Self::Control(word) => {
                let input = control::read(word, key, value);
                f(input.and_then(|input| in_its_time(input, received)), 0)
            }
        }
    }
}

/// Decodes one record of the events log and hands it to `f`, borrowed from the record: [`Content::with_input`] at once.
pub fn with_input<R>(
    kind: Option<&str>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    received: Option<Timestamp>,
    f: impl FnOnce(Result<Input<'_>, Reject>, u32) -> R,
) -> R {
    Content::of(kind.map(Cow::Borrowed), value).with_input(key, value, received, f)
}

/// `input` as it was `received`, unless it is a heartbeat that tells a time ahead of its own arrival: believed, it
/// would make every event of the partition late.
fn in_its_time(input: Input<'_>, received: Option<Timestamp>) -> Result<Input<'_>, Reject> {
    match (input, received) {
        (Input::Heartbeat { ts }, Some(received)) if ts > received.plus(AHEAD) => Err(Reject::new(
            Reason::Timestamp,
            format_args!("a heartbeat of {}, ahead of its own arrival", ts.rfc3339()),
        )),
        (
            Input::Unreadable {
                source,
                reason,
                count,
                ..
            },
            received,
        ) => Ok(Input::Unreadable {
            source,
            reason,
            count,
            received,
        }),
        (input, _) => Ok(input),
    }
}

fn keyed_event<'a>(
    raw: &'a RawEvent<'_>,
    key: Option<&[u8]>,
    received: Option<Timestamp>,
) -> Result<Input<'a>, Reject> {
    let event = raw.event(received)?;
    if key == Some(event.identity.as_bytes()) {
        return Ok(Input::Event(event));
    }
    let key = key.map_or_else(|| "absent".into(), String::from_utf8_lossy);
    Err(Reject::new(
        Reason::KeyMismatch,
        format_args!("the key is `{key}`, the identity `{}`", event.identity),
    ))
}

/// How far the clock of whoever writes heartbeats may be ahead of the log's.
const AHEAD: Span = Span::MINUTE.times(5);

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"ts":1790000000,"identity":"svc","action":"s3:GetObject","x":1}"#;

    fn reason(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Reason> {
        with_input(None, key, value, None, |input, _| {
            input.map(drop).map_err(|e| e.reason)
        })
    }

    #[test]
    fn an_event_under_its_identity_is_read_and_its_unknown_fields_counted() {
        let key = Some(b"svc".as_slice());
        let unknown = with_input(None, key, Some(EVENT.as_bytes()), None, |input, unknown| {
            assert!(matches!(input, Ok(Input::Event(event)) if event.action == "s3:GetObject"));
            unknown
        });
        assert_eq!(unknown, 1);
    }

    #[test]
    fn a_heartbeat_ahead_of_its_own_arrival_is_refused() {
        let at = Timestamp::from_seconds;
        let beat = |ts: i64, received| {
            let value = format!(r#"{{"ts":{ts}}}"#);
            with_input(
                Some("heartbeat"),
                None,
                Some(value.as_bytes()),
                received,
                |input, _| input.map(drop).map_err(|reject| reject.reason),
            )
        };
        let now = 1_790_000_000;
        assert_eq!(beat(now + 60, Some(at(now))), Ok(()));
        assert_eq!(beat(now + 600, Some(at(now))), Err(Reason::Timestamp));
        assert_eq!(beat(now + 600, None), Ok(()));
    }

    #[test]
    fn another_key_or_none_is_refused() {
        assert_eq!(
            reason(Some(b"other"), Some(EVENT.as_bytes())),
            Err(Reason::KeyMismatch)
        );
        assert_eq!(
            reason(Some(b"\xff"), Some(EVENT.as_bytes())),
            Err(Reason::KeyMismatch)
        );
        assert_eq!(
            reason(None, Some(EVENT.as_bytes())),
            Err(Reason::KeyMismatch)
        );
        assert_eq!(reason(Some(b"svc"), None), Err(Reason::Empty));
    }
}
