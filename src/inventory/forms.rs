//! The forms in which an entry holds values: bounded lists, and what may be written short.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// At most `MAX` values; nothing at all is an empty list.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of `list`.
    ///
    /// # Errors
    /// Where one is wrong, or there are too many.
    pub fn read<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error>
    where
        T: Deserialize<'de>,
    {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            if values.len() == MAX {
                return Err(A::Error::custom(format!("more than {MAX} in one list")));
            }
            values.push(value);
        }
        Ok(Self(values))
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Values<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Values<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_none<E>(self) -> Result<Self::Value, E> {
                Ok(List::default())
            }

            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
                from.deserialize_seq(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                List::read(list)
            }
        }
        from.deserialize_option(Values(PhantomData))
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// A section of keys that has a short form too.
pub trait Short: Sized {
    /// Its forms, for a message.
    const FORMS: &'static str;

    /// What a text alone means, if anything.
    fn from_text(_text: &str) -> Option<Result<Self, String>> {
        None
    }

    /// What a list alone means, if anything.
    fn from_list<'de, A: SeqAccess<'de>>(_list: A) -> Option<Result<Self, A::Error>> {
        None
    }
}

/// What may be written short; it is written back in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortened<T>(pub T);

impl<T: Serialize> Serialize for Shortened<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de, T: Short + Deserialize<'de>> Deserialize<'de> for Shortened<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Forms<T>(PhantomData<T>);

        impl<'de, T: Short + Deserialize<'de>> Visitor<'de> for Forms<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::FORMS)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
                let read = T::from_text(text);
                read.map_or_else(
                    || Err(E::invalid_type(serde::de::Unexpected::Str(text), &self)),
                    |read| read.map_err(E::custom),
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
                let read = T::from_list(list);
                read.unwrap_or_else(|| {
                    Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self))
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_any(Forms(PhantomData)).map(Self)
    }
}
