//! A mapping file, compiled: how a raw record of one format becomes an event.

use std::fmt;

use nhiwatch_detectors::kernel::time::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::documents;
use super::expr::{Condition, Expr, holds};
use super::path::Path;
use crate::wire::{RawEvent, Reason, Reject, encode, event, timestamp};

/// An event got out of a raw record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MappedEvent {
    /// The identity; the key under which the event belongs on the events topic.
    pub identity: String,
    /// The event as canonical JSON of the event schema.
    pub json: String,
    /// When it happened.
    pub ts: Timestamp,
    /// Whether the source itself names the event.
    pub has_uid: bool,
    /// The fields that the mapping knows but did not find in this record.
    pub missing: Vec<&'static str>,
    /// How many fields of a record of the event schema itself that schema does not know.
    pub unknown: u32,
}

impl MappedEvent {
    /// The same event, named `uid`.
    ///
    /// # Errors
    /// `too-large` where `uid` is longer than any text may be.
    pub fn with_uid(self, uid: &str) -> Result<Self, Reject> {
        let raw = RawEvent::parse(self.json.as_bytes())?;
        let mut event = raw.event(None)?;
        event.uid = Some(uid);
        let json = encode::event(&event);
        Ok(Self {
            json,
            has_uid: true,
            ..self
        })
    }

    /// The same event, of `identity`.
    ///
    /// # Errors
    /// `too-large` where `identity` is longer than any may be.
    pub fn with_identity(self, identity: &str) -> Result<Self, Reject> {
        let raw = RawEvent::parse(self.json.as_bytes())?;
        let mut event = raw.event(None)?;
        event.identity = identity;
        let json = encode::event(&event);
        Ok(Self {
            identity: identity.to_owned(),
            json,
            ..self
        })
    }
}

/// How records of one format become events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    name: String,
    detect: Vec<Path>,
    /// What else holds for every record of this format.
    #[serde(default)]
    only: Vec<Condition>,
    /// Records for which all of this holds tell of nothing new and are passed over.
    #[serde(default)]
    skip: Vec<Condition>,
    event: Fields,
}

impl Mapping {
    /// The mapping that the YAML text `written` says.
    ///
    /// # Errors
    /// The fault, with line and column.
    pub fn parse(written: &str) -> Result<Self, String> {
        // Old YAML takes bare `n`, `y` and `on` for truths; here they are keys of somebody's log.
        let strict = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        let mapping: Self = serde_saphyr::from_str_with_options(written, strict)
            .map_err(|error| error.to_string())?;
        if mapping.detect.is_empty() {
            return Err("`detect` needs at least one path".into());
        }
        Ok(mapping)
    }

    /// What `--source` and the config call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether `record` has every path that this format always has, and meets its conditions.
    #[must_use]
    pub fn recognises(&self, record: &Value) -> bool {
        self.detect.iter().all(|path| path.find(record).is_some()) && holds(&self.only, record)
    }

    /// Gives `each` every event in `bytes`, which may hold several documents and envelopes.
    pub fn events(&self, bytes: &[u8], each: &mut dyn FnMut(Result<MappedEvent, Reject>)) {
        let known = |record: &Value| self.recognises(record);
        documents::read(bytes, &known, &mut |record| match record {
            Ok(record) if !known(record) => each(Err(Reject::new(
                Reason::Mapping,
                format_args!(
                    "not a record of {}: it lacks {}",
                    self.name,
                    self.lacks(record)
                ),
            ))),
            Ok(record) => self.map(record, each),
            Err(reject) => each(Err(reject)),
        });
    }

    /// Gives `each` the event that `record`, a record of this format without envelope, tells of.
    pub fn map(&self, record: &Value, each: &mut dyn FnMut(Result<MappedEvent, Reject>)) {
        if self.skip.is_empty() || !holds(&self.skip, record) {
            each(self.event(record));
        }
    }

    fn lacks(&self, record: &Value) -> String {
        let lacking = self
            .detect
            .iter()
            .filter(|path| path.find(record).is_none());
        let lacking = lacking.map(Path::to_string).collect::<Vec<_>>().join(", ");
        if lacking.is_empty() {
            "what `only` asks".into()
        } else {
            lacking
        }
    }

    fn event(&self, record: &Value) -> Result<MappedEvent, Reject> {
        let mut found = Map::new();
        let mut missing = Vec::new();
        for (name, source) in &self.event.0 {
            match source.value(name, record)? {
                Some(value) => drop(found.insert((*name).to_owned(), value)),
                None => missing.push(*name),
            }
        }
        let mut mapped = canonical(&Value::Object(found).to_string())?;
        mapped.missing = missing;
        Ok(mapped)
    }
}

/// The event that `json`, a text of the event schema, tells of.
///
/// # Errors
/// As reading any event of the schema.
pub(super) fn canonical(json: &str) -> Result<MappedEvent, Reject> {
    let raw = RawEvent::parse(json.as_bytes())?;
    let event = raw.event(None)?;
    Ok(MappedEvent {
        identity: event.identity.to_owned(),
        json: encode::event(&event),
        ts: event.ts,
        has_uid: event.uid.is_some(),
        missing: Vec::new(),
        unknown: raw.unknown,
    })
}

/// Where each field of an event comes from.
#[derive(Clone, Debug)]
struct Fields(Vec<(&'static str, Source)>);

#[derive(Clone, Debug)]
enum Source {
    One(Expr),
    /// `on_behalf_of` is a list: of each expression the value, where it has one.
    List(Vec<Expr>),
}

impl Source {
    fn value(&self, name: &str, record: &Value) -> Result<Option<Value>, Reject> {
        let expr = match self {
            Self::One(expr) => expr,
            Self::List(exprs) => {
                let links: Vec<Value> = exprs
                    .iter()
                    .filter_map(|e| e.value(record))
                    .map(|v| v.into())
                    .collect();
                return Ok(Some(Value::Array(links)).filter(|v| v != &Value::Array(Vec::new())));
            }
        };
        let Some(value) = expr.value(record) else {
            return Ok(None);
        };
        Ok(match name {
            "ts" => Some(timestamp::lenient(&value)?.rfc3339().into()),
            "asn" | "quantity" | "amount" | "bytes" | "count" => Some(number(name, &value)?),
            // Sources also write host names, `private` or nothing here; none is a network.
            "ip" => address(&value).map(Value::from),
            _ => Some(value.into()),
        })
    }
}

fn number(name: &str, text: &str) -> Result<Value, Reject> {
    serde_json::from_str::<serde_json::Number>(text)
        .map(Value::Number)
        .map_err(|_| {
            Reject::new(
                Reason::WrongType,
                format_args!("{name}: `{text}` is not a number"),
            )
        })
}

fn address(text: &str) -> Option<String> {
    let plain = text.parse::<std::net::IpAddr>();
    let with_port = || {
        text.parse::<std::net::SocketAddr>()
            .map(|address| address.ip())
    };
    plain.or_else(|_| with_port()).ok().map(|ip| ip.to_string())
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the fields of the event schema, each with where it comes from")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    let source = if name == "on_behalf_of" {
                        Source::List(map.next_value()?)
                    } else {
                        Source::One(map.next_value()?)
                    };
                    fields.push((name, source));
                }
                for required in ["ts", "identity", "action"] {
                    if !fields.iter().any(|(name, _)| *name == required) {
                        return Err(A::Error::missing_field(required));
                    }
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Table)
    }
}

/// The name of a field of the event schema.
struct Name(&'static str);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let written = String::deserialize(from)?;
        event::field_names()
            .find(|name| *name == written)
            .map(Self)
            .ok_or_else(|| {
                let nearest = super::hint(&written, event::field_names());
                D::Error::custom(format_args!("`{written}` is no field of an event{nearest}"))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: &str = "name: m\ndetect: [t, who]\nskip: [{value: stage, equals: early}]\n\
        event: {ts: t, identity: who, action: {const: a}, ip: from, count: n, on_behalf_of: [boss]}\n";

    fn events(record: &str) -> Vec<Result<MappedEvent, Reason>> {
        let mapping = Mapping::parse(MAPPING).expect("refused");
        let mut events = Vec::new();
        mapping.events(record.as_bytes(), &mut |event| {
            events.push(event.map_err(|e| e.reason))
        });
        events
    }

    fn json(record: &str) -> Result<String, Reason> {
        let mut all = events(record);
        assert_eq!(all.len(), 1, "{record}");
        all.remove(0).map(|event| event.json)
    }

    #[test]
    fn typed_fields_are_read_as_their_type() {
        let event = r#"{"ts":"2026-09-21T14:13:20Z","identity":"w""#;
        for (record, rest) in [
            (r#"{"t":1790000000,"who":"w"}"#, r#","action":"a"}"#),
            (
                r#"{"t":"1790000000.0","who":"w","n":"3"}"#,
                r#","action":"a","count":3}"#,
            ),
            (
                r#"{"t":1790000000000,"who":"w","from":"10.0.0.9:5123"}"#,
                r#","action":"a","ip":"10.0.0.9"}"#,
            ),
            (
                r#"{"t":1790000000,"who":"w","from":"s3.amazonaws.com"}"#,
                r#","action":"a"}"#,
            ),
            (
                r#"{"t":1790000000,"who":"w","boss":"b"}"#,
                r#","on_behalf_of":["b"],"action":"a"}"#,
            ),
        ] {
            assert_eq!(json(record), Ok(format!("{event}{rest}")), "{record}");
        }
    }

    #[test]
    fn what_cannot_be_mapped_says_why() {
        for (record, reason) in [
            ("", Reason::Empty),
            ("{", Reason::Json),
            ("{\"who\":\"\u{7f}\"}", Reason::Mapping),
            (r#"{"t":"noon","who":"w"}"#, Reason::Timestamp),
            (r#"{"t":1790000000,"who":["w"]}"#, Reason::MissingField),
            (
                r#"{"t":1790000000,"who":"w","n":"many"}"#,
                Reason::WrongType,
            ),
            ("date,user\n2026-01-01,bob", Reason::Json),
        ] {
            assert_eq!(json(record), Err(reason), "{record}");
        }
    }

    #[test]
    fn what_was_not_found_is_named_and_what_is_skipped_is_no_event() {
        let found = events(r#"{"t":1790000000,"who":"w","n":1}"#)
            .remove(0)
            .expect("refused");
        assert_eq!(found.missing, ["ip", "on_behalf_of"]);
        assert_eq!(events(r#"{"t":1790000000,"who":"w","stage":"early"}"#), []);
    }

    #[test]
    fn a_wrong_mapping_file_is_refused_with_the_place() {
        for (file, place) in [
            (
                "name: m\ndetect: [t]\nevent:\n  ts: t\n  identity: i\n  actoin: a\n",
                "line 6",
            ),
            (
                "name: m\ndetect: [t]\nevent:\n  ts: t\n  identity: 'i['\n  action: a\n",
                "line 5",
            ),
            (
                "name: m\ndetect: [t]\ntypo: 1\nevent: {ts: t, identity: i, action: a}\n",
                "line 3",
            ),
            (
                "name: m\ndetect: [t]\nevent: {ts: t, identity: i}\n",
                "action",
            ),
            (
                "name: m\ndetect: []\nevent: {ts: t, identity: i, action: a}\n",
                "detect",
            ),
        ] {
            let fault = Mapping::parse(file).expect_err(file);
            assert!(fault.contains(place), "{fault}");
        }
        let fault = Mapping::parse("name: m\ndetect: [t]\nevent: {actoin: a}").expect_err("taken");
        assert!(fault.contains("did you mean `action`"), "{fault}");
    }
}
