//! One record of the events log: an event, or a control record.

use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::Timestamp;

use super::control;
use super::event::RawEvent;
use super::reject::{Reason, Reject};

/// Decodes one record of the events log and hands it to `f`, borrowed from the record.
///
/// `kind` is the value of the [`control::HEADER`] header, `received` the record's own timestamp.
/// `f` also learns how many fields of the record the schema does not know.
/// An event's `key` must be its identity: the partition, and so the order, depends on it.
pub fn with_input<R>(
    kind: Option<&str>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    received: Option<Timestamp>,
    f: impl FnOnce(Result<Input<'_>, Reject>, u32) -> R,
) -> R {
    if let Some(word) = kind {
        return f(control::read(word, key, value), 0);
    }
    match value.ok_or_else(|| Reject::new(Reason::Empty, "the record has no value")) {
        Ok(value) => match RawEvent::parse(value) {
            Ok(raw) => f(keyed_event(&raw, key, received), raw.unknown),
            Err(reject) => f(Err(reject), 0),
        },
        Err(reject) => f(Err(reject), 0),
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
