//! The values of an entry: each is written as a text or a number, and none can be wrong.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use nhiwatch_detectors::kernel::event::Kind;
use nhiwatch_detectors::kernel::schedule::Window;
use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

use crate::config;
use crate::wire::event::NAME_MAX;

/// Values that are written as a text: read by [`FromStr`], written by [`Display`](fmt::Display).
macro_rules! written {
    ($($name:ident)+) => {
        $(
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    String::deserialize(from)?.parse().map_err(D::Error::custom)
                }
            }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    to.collect_str(self)
                }
            }
        )+
    };
}

/// Texts of which some hold and some do not.
macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident: $holds:expr, $what:literal;)+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
            pub struct $name(String);

            impl FromStr for $name {
                type Err = String;

                fn from_str(text: &str) -> Result<Self, String> {
                    plain(text)?;
                    let holds: fn(&str) -> bool = $holds;
                    if holds(text) {
                        Ok(Self(text.to_owned()))
                    } else {
                        Err(format!(concat!("`{}` is no ", $what), text))
                    }
                }
            }

            impl $name {
                /// The text itself.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            written!($name);
        )+
    };
}

texts! {
    /// The id of an identity or a credential.
    Name: |_| true, "name";
    /// A text in nobody's notation, or a glob.
    Text: |_| true, "text";
    /// The code of a venue (ISO 10383).
    Mic: |text| text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
        "venue's code (MIC) such as XLON";
    /// An address, or a network of addresses.
    Network: is_network, "address or network such as 10.1.0.0/16";
    /// Where a page is.
    Url: |text| text.starts_with("https://") || text.starts_with("http://"),
        "address of a page such as https://wiki.example/runbook";
}

/// A text that is there, is not too long, and has nothing invisible in it.
fn plain(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("nothing stands here; write a text, or leave the key out".to_owned());
    }
    if text.len() > NAME_MAX {
        return Err(format!("{} bytes, the most is {NAME_MAX}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("a control character stands in this text; remove it".to_owned());
    }
    Ok(())
}

fn is_network(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    length.parse::<u8>().is_ok_and(|length| length <= most)
}

/// A day, `2026-01-02`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Date(pub NaiveDate);

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<NaiveDate>() {
            Ok(date) if date.to_string() == text => Ok(Self(date)),
            _ => Err(format!("`{text}` is no date such as 2026-01-02")),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often something must happen, `90d`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match config::duration_of(text) {
            Some(period) if !period.is_zero() => Ok(Self(period)),
            _ => Err(format!("`{text}` is no duration such as 90d or 12h")),
        }
    }
}

impl fmt::Display for Period {
    /// In the largest unit that says it exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
        ];
        let (size, unit) = units
            .into_iter()
            .find(|(size, _)| millis.is_multiple_of(*size))
            .unwrap_or((1, "ms"));
        write!(f, "{}{unit}", millis / size)
    }
}

/// A time zone by its IANA name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Zone(pub Tz);

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let zone = text.parse().map(Self);
        zone.map_err(|_| format!("`{text}` is no IANA time zone such as Europe/London"))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// A window of the week, such as `Mon-Fri 07:00-19:00`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hours(pub Window);

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let window = text.parse().map(Self);
        window.map_err(|wrong| format!("`{text}` is {wrong}"))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

written!(Date Period Zone Hours);

/// What sort of actor an identity is, by the word that events have for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Actor(pub Kind);

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        static WORDS: LazyLock<Vec<&'static str>> =
            LazyLock::new(|| Kind::ALL.iter().map(|kind| kind.word()).collect());
        let word = String::deserialize(from)?;
        let kind = Kind::from_word(&word).map(Self);
        kind.ok_or_else(|| D::Error::unknown_variant(&word, WORDS.as_slice()))
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.0.word())
    }
}

/// How critical an identity is, from 1 (most) to 4.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Tier(pub u8);

impl<'de> Deserialize<'de> for Tier {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u64::deserialize(from)? {
            tier @ 1..=4 => Ok(Self(tier as u8)),
            other => Err(D::Error::custom(format!(
                "{other} is no tier: 1 (most critical) to 4"
            ))),
        }
    }
}

/// An amount of money above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Amount(pub f64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match f64::deserialize(from)? {
            amount if amount > 0.0 && amount.is_finite() => Ok(Self(amount)),
            other => Err(D::Error::custom(format!("{other} is no amount above 0"))),
        }
    }
}
