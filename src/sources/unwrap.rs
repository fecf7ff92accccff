//! The events inside what a shipper wrote: envelopes, lists and JSON kept as text.

use serde_json::Value;

use crate::wire::{Reason, Reject};

/// How many envelopes deep an event may lie.
pub(super) const DEPTH_MAX: u8 = 4;

/// Keys of lists of events.
const LISTS: [&str; 4] = ["Records", "records", "items", "logEvents"];
/// Keys of objects that hold the event.
const OBJECTS: [&str; 3] = ["detail", "_source", "data"];
/// Keys of texts that hold the event as JSON; `event.original` is the flattened form.
const TEXTS: [&str; 5] = ["message", "log", "event.original", "body", "_raw"];

/// Gives `each` every event that lies in `value`; `known` says what is an event and no envelope.
///
/// A value that is neither is given as it is: whoever maps it says why it cannot.
pub(super) fn unwrap(
    value: &Value,
    known: &dyn Fn(&Value) -> bool,
    each: &mut dyn FnMut(Result<&Value, Reject>),
) {
    open(value, DEPTH_MAX, known, each);
}

fn open(
    value: &Value,
    depth: u8,
    known: &dyn Fn(&Value) -> bool,
    each: &mut dyn FnMut(Result<&Value, Reject>),
) {
    if known(value) {
        return each(Ok(value));
    }
    let list = value
        .as_array()
        .or_else(|| LISTS.iter().find_map(|&key| value.get(key)?.as_array()));
    let object = || {
        OBJECTS
            .iter()
            .find_map(|&key| value.get(key).filter(|v| v.is_object()))
    };
    let text = || {
        TEXTS
            .iter()
            .find_map(|&key| value.get(key)?.as_str().filter(|t| is_json(t)))
    };
    let inside = if let Some(list) = list {
        Inside::List(list)
    } else if let Some(object) = object() {
        Inside::Object(object)
    } else if let Some(text) = text() {
        Inside::Text(text)
    } else {
        return each(Ok(value));
    };
    let Some(depth) = depth.checked_sub(1) else {
        let detail = format!("more than {DEPTH_MAX} envelopes around the event");
        return each(Err(Reject::new(Reason::Mapping, detail)));
    };
    match inside {
        Inside::List(list) => list.iter().for_each(|item| open(item, depth, known, each)),
        Inside::Object(object) => open(object, depth, known, each),
        Inside::Text(text) => match serde_json::from_str(text) {
            Ok(parsed) => open(&parsed, depth, known, each),
            Err(error) => each(Err(Reject::new(
                Reason::Json,
                format_args!("the text inside the envelope: {error}"),
            ))),
        },
    }
}

enum Inside<'v> {
    List(&'v [Value]),
    Object(&'v Value),
    Text(&'v str),
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(value: &Value) -> Vec<Result<Value, Reason>> {
        let mut events = Vec::new();
        unwrap(value, &|value| value.get("e").is_some(), &mut |event| {
            events.push(event.cloned().map_err(|reject| reject.reason));
        });
        events
    }

    #[test]
    fn every_envelope_is_opened() {
        let one = json!({"e": 1});
        for envelope in [
            json!({"e": 1}),
            json!([{"e": 1}]),
            json!({"Records": [{"e": 1}]}),
            json!({"records": [{"e": 1}]}),
            json!({"items": [{"e": 1}]}),
            json!({"detail-type": "x", "detail": {"e": 1}}),
            json!({"logEvents": [{"id": "7", "message": "{\"e\":1}"}]}),
            json!({"log": "{\"e\":1}\n"}),
            json!({"_index": "i", "_source": {"e": 1}}),
            json!({"_source": {"message": "{\"Records\":[{\"e\":1}]}"}}),
        ] {
            assert_eq!(events(&envelope), [Ok(one.clone())], "{envelope}");
        }
    }

    #[test]
    fn depth_is_bounded_and_a_bad_neighbour_harms_nobody() {
        let deep = json!([[[[[{"e": 1}]]]]]);
        assert_eq!(events(&deep), [Err(Reason::Mapping)]);
        let mixed = json!({"logEvents": [{"message": "{oops"}, {"message": "{\"e\":1}"}]});
        assert_eq!(events(&mixed), [Err(Reason::Json), Ok(json!({"e": 1}))]);
    }
}
