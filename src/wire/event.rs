//! One event record: JSON bytes in, the kernel's event out, nothing copied on the way.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use nhiwatch_detectors::kernel::event::{Class, Count, Event, Kind, Outcome};
use nhiwatch_detectors::kernel::time::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::fields::{Field, Text};
use super::reject::{Reason, Reject};
use super::values::{Borrowed, Skipped, Ts};

/// The largest number that an event bears, on either side of 0: nobody moves more, and sums stay exact.
const NUMBER_MAX: f64 = 1e18;
/// The longest event record, in bytes.
pub const RECORD_MAX: usize = 1 << 20;
/// The longest `identity` or `action`, in bytes.
pub const NAME_MAX: usize = 512;
/// The longest other string, in bytes.
pub const TEXT_MAX: usize = 8 << 10;
/// The longest delegation chain.
pub const CHAIN_MAX: usize = 64;
/// The most fields the schema does not know.
pub const UNKNOWN_MAX: u32 = 1000;

/// The fields of one event record as they were written, borrowed from its bytes.
///
/// Null and the empty string mean absent.
#[derive(Clone, Debug, Default)]
pub struct RawEvent<'a> {
    json: &'a str,
    /// Where in `json` the value of each text is, or nothing: a third of the room of as many references, since an event is
    /// moved from one thread to another.
    texts: [Extent; Text::ALL.len()],
    /// Values with escapes, as they read.
    unescaped: Vec<(Text, String)>,
    on_behalf_of: Vec<Cow<'a, str>>,
    ts: Option<Ts<'a>>,
    asn: Option<u32>,
    quantity: Option<f64>,
    amount: Option<f64>,
    bytes: Option<f64>,
    count: Option<u64>,
    repeated: Option<Field>,
    /// How many fields the schema does not know; they are ignored.
    pub unknown: u32,
}

/// A part of the record, in bytes; none of it where the text is absent, empty or had escapes.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    start: u32,
    end: u32,
}

impl<'a> RawEvent<'a> {
    /// The fields of the one JSON object in `bytes`.
    ///
    /// # Errors
    /// `empty`, `too-large`, `utf8`, `json` (also for a repeated key) or `wrong-type`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reject> {
        if bytes.len() > RECORD_MAX {
            return Err(Reject::new(
                Reason::TooLarge,
                format_args!(
                    "the record has {} bytes, the most is {RECORD_MAX}",
                    bytes.len()
                ),
            ));
        }
        let text = str::from_utf8(bytes).map_err(|error| Reject::new(Reason::Utf8, error))?;
        if text.trim_ascii().is_empty() {
            return Err(Reject::new(Reason::Empty, "the record has no value"));
        }
        let at = Cell::new(None);
        let mut json = serde_json::Deserializer::from_str(text);
        let parsed = Seed {
            at: &at,
            json: text,
        }
        .deserialize(&mut json)
        .and_then(|raw| {
            json.end()?;
            Ok(raw)
        });
        let raw = parsed.map_err(|error| {
            let reason = if error.is_data() {
                Reason::WrongType
            } else {
                Reason::Json
            };
            match at.get() {
                Some(field) => Reject::new(reason, format_args!("{}: {error}", Field::name(field))),
                None => Reject::new(reason, error),
            }
        })?;
        raw.within_limits()?;
        Ok(raw)
    }

    /// The event these fields tell of; `received` is when the log took the record, if it says.
    ///
    /// # Errors
    /// `missing-field`, `timestamp`, or `wrong-type` for a word or number the schema does not allow.
    pub fn event(&self, received: Option<Timestamp>) -> Result<Event<'_>, Reject> {
        Ok(Event {
            ts: self.ts.as_ref().ok_or_else(|| missing("ts"))?.read()?,
            received,
            uid: self.text(Text::Uid),
            identity: self
                .text(Text::Identity)
                .ok_or_else(|| missing("identity"))?,
            kind: self.word(Text::Kind, Kind::from_word)?,
            on_behalf_of: &self.on_behalf_of,
            credential: self.text(Text::Credential),
            credential_kind: self.text(Text::CredentialKind),
            action: self.text(Text::Action).ok_or_else(|| missing("action"))?,
            class: self.word(Text::Class, Class::from_word)?,
            resource: self.text(Text::Resource),
            resource_type: self.text(Text::ResourceType),
            resource_class: self.text(Text::ResourceClass),
            ip: self.text(Text::Ip),
            asn: self.asn,
            country: self.text(Text::Country),
            user_agent: self.text(Text::UserAgent),
            outcome: self.word(Text::Outcome, Outcome::from_word)?,
            code: self.text(Text::Code),
            session: self.text(Text::Session),
            trace: self.text(Text::Trace),
            venue: self.text(Text::Venue),
            symbol: self.text(Text::Symbol),
            side: self.text(Text::Side),
            quantity: self.quantity,
            amount: self.amount,
            currency: self.text(Text::Currency),
            bytes: self.bytes,
            count: self.count()?,
            env: self.text(Text::Env),
            app: self.text(Text::App),
            app_version: self.text(Text::AppVersion),
            tenant: self.text(Text::Tenant),
            approval_id: self.text(Text::ApprovalId),
        })
    }

    /// The identity as written, if any.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.text(Text::Identity)
    }

    /// The source's own id of the event as written, if any.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.text(Text::Uid)
    }

    fn text(&self, field: Text) -> Option<&str> {
        let Extent { start, end } = self.texts[field as usize];
        if start < end {
            return self.json.get(start as usize..end as usize);
        }
        let mut unescaped = self.unescaped.iter();
        let text = unescaped.find_map(|(of, text)| (*of == field).then_some(text.as_str()));
        text.filter(|text| !text.is_empty())
    }

    /// Notes the value of `field`.
    fn put(&mut self, field: Text, text: Cow<'a, str>) {
        match text {
            Cow::Borrowed(text) => {
                // It is a part of the record, which is no longer than `RECORD_MAX`.
                let start = text.as_ptr().addr().wrapping_sub(self.json.as_ptr().addr()) as u32;
                let end = start + text.len() as u32;
                self.texts[field as usize] = Extent { start, end };
            }
            Cow::Owned(text) => self.unescaped.push((field, text)),
        }
    }

    fn word<T: Default>(&self, field: Text, read: fn(&str) -> Option<T>) -> Result<T, Reject> {
        self.text(field).map_or_else(
            || Ok(T::default()),
            |word| {
                read(word).ok_or_else(|| {
                    wrong(
                        field.name(),
                        format_args!("`{word}` is not one of its words"),
                    )
                })
            },
        )
    }

    fn count(&self) -> Result<Count, Reject> {
        self.count.map_or_else(
            || Ok(Count::default()),
            |n| {
                Count::new(n)
                    .ok_or_else(|| wrong("count", format_args!("{n} is not in 1..={}", Count::MAX)))
            },
        )
    }

    fn within_limits(&self) -> Result<(), Reject> {
        if let Some(field) = self.repeated {
            let detail = format!("{}: the key occurs twice", field.name());
            return Err(Reject::new(Reason::Json, detail));
        }
        if self.unknown > UNKNOWN_MAX {
            let detail = format!("{} unknown fields, the most is {UNKNOWN_MAX}", self.unknown);
            return Err(Reject::new(Reason::TooLarge, detail));
        }
        if self.on_behalf_of.len() > CHAIN_MAX {
            let detail = format!("on_behalf_of: more than {CHAIN_MAX} entries");
            return Err(Reject::new(Reason::TooLarge, detail));
        }
        for &field in Text::ALL {
            let max = if matches!(field, Text::Identity | Text::Action) {
                NAME_MAX
            } else {
                TEXT_MAX
            };
            if let Some(text) = self.text(field) {
                plain(field.name(), text, max)?;
            }
        }
        for link in &self.on_behalf_of {
            plain("on_behalf_of", link, NAME_MAX)?;
        }
        if self.bytes.is_some_and(|bytes| bytes < 0.0) {
            return Err(wrong("bytes", format_args!("less than nothing")));
        }
        let numbers = [
            ("bytes", self.bytes),
            ("amount", self.amount),
            ("quantity", self.quantity),
        ];
        for (field, number) in numbers {
            if number.is_some_and(|number| number.abs() > NUMBER_MAX) {
                return Err(wrong(field, format_args!("beyond {NUMBER_MAX:e}")));
            }
        }
        Ok(())
    }
}

/// The names of every field the schema knows, in no particular order.
pub fn field_names() -> impl Iterator<Item = &'static str> {
    Text::ALL
        .iter()
        .map(|text| text.name())
        .chain(Field::OTHERS.map(Field::name))
}

fn plain(field: &str, text: &str, max: usize) -> Result<(), Reject> {
    if text.len() > max {
        return Err(Reject::new(
            Reason::TooLarge,
            format_args!("{field}: {} bytes, the most is {max}", text.len()),
        ));
    }
    // C libraries, terminals and databases downstream would each cut or misread such a string.
    if text.bytes().any(|byte| byte == 0) {
        return Err(wrong(field, format_args!("contains a NUL character")));
    }
    Ok(())
}

pub(super) fn missing(field: &str) -> Reject {
    Reject::new(
        Reason::MissingField,
        format_args!("{field}: absent, null or empty"),
    )
}

fn wrong(field: &str, detail: fmt::Arguments<'_>) -> Reject {
    Reject::new(Reason::WrongType, format_args!("{field}: {detail}"))
}

/// Reads a record, noting in `at` the field it is in, so that a fault can name it.
struct Seed<'c, 'j> {
    at: &'c Cell<Option<Field>>,
    json: &'j str,
}

impl<'de> DeserializeSeed<'de> for Seed<'_, 'de> {
    type Value = RawEvent<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, 'de> {
    type Value = RawEvent<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event as a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut raw = RawEvent {
            json: self.json,
            ..RawEvent::default()
        };
        let mut seen = 0;
        while let Some(field) = map.next_key::<Field>()? {
            self.at.set(Some(field));
            if seen & field.bit() != 0 {
                raw.repeated = Some(field);
            }
            seen |= field.bit();
            match field {
                Field::Text(text) => {
                    if let Some(Borrowed(value)) = map.next_value()?
                        && raw.repeated.is_none()
                    {
                        raw.put(text, value);
                    }
                }
                Field::Ts => raw.ts = map.next_value()?,
                Field::OnBehalfOf => {
                    let chain: Option<Vec<Borrowed<'de>>> = map.next_value()?;
                    raw.on_behalf_of = chain.into_iter().flatten().map(|link| link.0).collect();
                }
                Field::Asn => raw.asn = map.next_value()?,
                Field::Quantity => raw.quantity = map.next_value()?,
                Field::Amount => raw.amount = map.next_value()?,
                Field::Bytes => raw.bytes = map.next_value()?,
                Field::Count => raw.count = map.next_value()?,
                Field::Unknown => {
                    raw.unknown = raw.unknown.saturating_add(1);
                    map.next_value::<Skipped>()?;
                }
            }
            self.at.set(None);
        }
        Ok(raw)
    }
}
