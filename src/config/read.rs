//! Fills types from a tree. The types say what they expect, so a bare `5` is text where text is
//! wanted; every error carries its place and, where one can be named, the cure.

use std::fmt;
use std::ops::Range;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::problem::Problem;
use super::tree::{Content, Entry, Node};

/// The first thing that does not fit; `at` is filled in by the innermost node that knows.
#[derive(Debug)]
pub(super) struct Misfit {
    at: Option<Range<usize>>,
    message: String,
    hint: String,
}

impl Misfit {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            hint: hint.into(),
        }
    }

    fn at(mut self, at: &Range<usize>) -> Self {
        self.at.get_or_insert_with(|| at.clone());
        self
    }

    pub(super) fn problem(self) -> Problem {
        Problem::new(self.at.unwrap_or(0..0), self.message, self.hint)
    }
}

impl std::error::Error for Misfit {}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), "")
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {expected}, found {unexpected}"), "")
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(
            format!("{unexpected} does not fit: expected {}", range(expected)),
            "",
        )
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(
            format!("unknown value `{variant}`"),
            choices(variant, expected),
        )
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key `{field}`"), choices(field, expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(
            format!("the key `{field}` is missing here"),
            format!("add `{field}:`"),
        )
    }
}

/// Keys whose value is a secret's place. Of a wrong value nothing is shown: it may be the secret.
const SECRETS: [&str; 2] = ["sasl_password", "ssl_key_password"];
const NOT_A_SECRET: &str = "this is not where a secret is kept";
const SECRET_HINT: &str = "name where it is kept: {file: /run/secrets/x} or {env: NAME}";

/// The words nearest to `word` first, else all of them.
fn choices(word: &str, known: &[&str]) -> String {
    let nearest = nearest(word, known.iter().copied());
    match (nearest, known) {
        (Some(nearest), _) => format!("did you mean `{nearest}`?"),
        (None, []) => "nothing may stand here".into(),
        (None, _) => format!("expected one of {}", known.join(", ")),
    }
}

/// The one of `known` that `word` is most likely a slip of the pen for.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['_', '-'], "");
    let word = plain(word);
    known
        .map(|known| (strsim::jaro_winkler(&word, &plain(known)), known))
        .filter(|(alike, _)| *alike > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A number type's bounds in words.
fn range(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number that is not negative".into(),
        "i32" => format!("a whole number from {} to {}", i32::MIN, i32::MAX),
        other => other.to_owned(),
    }
}

impl<'a> Node {
    fn wrong(&self, expected: impl fmt::Display) -> Misfit {
        Misfit::new(format!("expected {expected}, found {}", self.found()), "").at(&self.at)
    }

    fn scalar(&'a self, expected: &str) -> Result<&'a str, Misfit> {
        match &self.content {
            Content::Scalar { text, .. } if !self.is_null() => Ok(text),
            _ => Err(self.wrong(expected)),
        }
    }
}

macro_rules! whole {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            const WHAT: &str = "a whole number";
            let digits = self.scalar(WHAT)?.replace('_', "");
            let value = digits.parse::<u64>().map(|n| (Some(n), 0));
            match value.or_else(|_| digits.parse::<i64>().map(|n| (None, n))) {
                Ok((Some(number), _)) => visitor.visit_u64(number),
                Ok((None, number)) => visitor.visit_i64(number),
                Err(_) => Err(self.wrong(WHAT)),
            }
            .map_err(|misfit: Misfit| misfit.at(&self.at))
        })+
    };
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Misfit;

    whole! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.content {
            Content::Scalar { .. } if self.is_null() => visitor.visit_unit(),
            Content::Scalar { text, .. } => visitor.visit_borrowed_str(text),
            Content::List(items) => visitor.visit_seq(Items(items.iter())),
            Content::Map(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                value: None,
            }),
        }
        .map_err(|misfit: Misfit| misfit.at(&self.at))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.scalar("true or false")? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.scalar("a number")?.replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => visitor.visit_f64(number),
            _ => Err(self.wrong("a number")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor
            .visit_borrowed_str(self.scalar("a text")?)
            .map_err(|misfit: Misfit| misfit.at(&self.at))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.content {
            Content::List(items) => visitor.visit_seq(Items(items.iter())),
            _ => Err(self.wrong("a list")),
        }
        .map_err(|misfit: Misfit| misfit.at(&self.at))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.content {
            Content::Map(entries) => visitor.visit_map(Entries {
                rest: entries.iter(),
                value: None,
            }),
            // `kafka:` with nothing under it means the defaults.
            _ if self.is_null() => visitor.visit_map(Entries {
                rest: [].iter(),
                value: None,
            }),
            _ => Err(self.wrong("a section of keys")),
        }
        .map_err(|misfit: Misfit| misfit.at(&self.at))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match &self.content {
            Content::Scalar { text, .. } if !self.is_null() => {
                visitor.visit_enum(text.as_str().into_deserializer())
            }
            Content::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant(&entries[0])),
            _ => Err(self.wrong(format!("one of {}", variants.join(", ")))),
        }
        .map_err(|misfit: Misfit| misfit.at(&self.at))
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let item = self.0.next();
        item.map(|node| {
            let read = seed.deserialize(node);
            read.map_err(|misfit| misfit.at(&node.at))
        })
        .transpose()
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some(entry) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(entry);
        let key: StrDeserializer<'_, Misfit> = entry.key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|misfit| misfit.at(&entry.at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        match self.value.take() {
            Some(entry) => seed.deserialize(&entry.value).map_err(|misfit| {
                if SECRETS.contains(&entry.key.as_str()) {
                    Misfit {
                        at: Some(entry.at.clone()),
                        ..Misfit::new(NOT_A_SECRET, SECRET_HINT)
                    }
                } else {
                    misfit.at(&entry.value.at)
                }
            }),
            None => Err(Misfit::custom("a value without its key")),
        }
    }
}

/// `name: value`, read as the variant `name` that holds `value`.
struct Variant<'de>(&'de Entry);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Misfit;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Misfit> {
        let name: StrDeserializer<'_, Misfit> = self.0.key.as_str().into_deserializer();
        let name = seed
            .deserialize(name)
            .map_err(|misfit| misfit.at(&self.0.at))?;
        Ok((name, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Err(self.0.value.wrong("nothing"))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(&self.0.value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.0.value.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(MapAccessDeserializer::new(match &self.0.value.content {
            Content::Map(entries) => Entries {
                rest: entries.iter(),
                value: None,
            },
            _ => return Err(self.0.value.wrong("a section of keys")),
        }))
    }
}
