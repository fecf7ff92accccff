//! How state is stored: keys, versions and layouts.
//!
//! A key is `h` or `b` and the identity for the hot part and the rest, or starts with a zero byte
//! for what belongs to the whole partition. A payload is a layout version and a postcard message.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::baseline::Baseline;
use super::detector::Detector;
use super::event::Kind;
use super::incidents::Incidents;
use super::inventory::Declared;
use super::names::Symbol;
use super::risk::Risk;
use super::time::Timestamp;

/// Key of the record that holds what is global to the partition.
pub const META: &[u8] = b"\0meta";

/// Key of the record that holds the storms.
const STORMS: &[u8] = b"\0storms";

/// Layout version of every payload.
const LAYOUT: u8 = 26;

/// What a stored record is about.
#[derive(Debug, PartialEq)]
pub(crate) enum Key<'a> {
    Hot(&'a str),
    Rest(&'a str),
    Meta,
    Storms,
    Name(Symbol),
    Seen(i64, u32),
}

impl<'a> Key<'a> {
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.clear();
        match self {
            Self::Hot(identity) => {
                to.push(b'h');
                to.extend_from_slice(identity.as_bytes());
            }
            Self::Rest(identity) => {
                to.push(b'b');
                to.extend_from_slice(identity.as_bytes());
            }
            Self::Meta => to.extend_from_slice(META),
            Self::Storms => to.extend_from_slice(STORMS),
            Self::Name(symbol) => {
                to.extend_from_slice(b"\0name");
                to.extend_from_slice(&symbol.0.to_be_bytes());
            }
            Self::Seen(generation, chunk) => {
                to.extend_from_slice(b"\0seen");
                to.extend_from_slice(&generation.to_be_bytes());
                to.extend_from_slice(&chunk.to_be_bytes());
            }
        }
    }

    pub(crate) fn read(key: &'a [u8]) -> Option<Self> {
        match key {
            [b'h', identity @ ..] => Some(Self::Hot(std::str::from_utf8(identity).ok()?)),
            [b'b', identity @ ..] => Some(Self::Rest(std::str::from_utf8(identity).ok()?)),
            META => Some(Self::Meta),
            STORMS => Some(Self::Storms),
            [0, b'n', b'a', b'm', b'e', symbol @ ..] => Some(Self::Name(Symbol(
                u32::from_be_bytes(symbol.try_into().ok()?),
            ))),
            [0, b's', b'e', b'e', b'n', rest @ ..] => {
                let (generation, chunk) = rest.split_at_checked(8)?;
                let generation = i64::from_be_bytes(generation.try_into().ok()?);
                Some(Self::Seen(
                    generation,
                    u32::from_be_bytes(chunk.try_into().ok()?),
                ))
            }
            _ => None,
        }
    }
}

/// The part of an identity's state that only closes and findings touch, as it is stored.
#[derive(Serialize, Deserialize)]
pub(crate) struct Rest<'a> {
    pub(crate) failed: bool,
    pub(crate) baseline: std::borrow::Cow<'a, Baseline>,
    pub(crate) incidents: std::borrow::Cow<'a, Incidents>,
    pub(crate) risk: Option<std::borrow::Cow<'a, Box<Risk>>>,
    pub(crate) states: Vec<DetectorState>,
}

/// How a [`Rest`] begins: what its partition wants to know of an identity that is not looked at.
#[derive(Default, Deserialize)]
pub(crate) struct Outline {
    pub(crate) failed: bool,
    pub(crate) first_seen: Option<Timestamp>,
    pub(crate) kind: Kind,
    pub(crate) declared: Option<Declared>,
    pub(crate) venue: Option<Box<str>>,
}

/// A detector's state of one identity, as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DetectorState {
    name: String,
    version: u8,
    bytes: Vec<u8>,
}

impl DetectorState {
    pub(crate) fn of<D: Detector>(state: &D::State) -> Self {
        let bytes = postcard::to_allocvec(state).unwrap_or_default();
        Self {
            name: D::CARD.name.to_owned(),
            version: D::STATE_VERSION,
            bytes,
        }
    }

    /// Its detector's name, and the bytes it takes.
    pub(crate) fn size(&self) -> (String, usize) {
        (self.name.clone(), size(self))
    }

    /// The state of detector `D` among `stored`; a new one where it is missing or of another layout.
    pub(crate) fn find<D: Detector>(stored: &[Self]) -> D::State {
        stored
            .iter()
            .find(|state| state.name == D::CARD.name && state.version == D::STATE_VERSION)
            .and_then(|state| postcard::from_bytes(&state.bytes).ok())
            .unwrap_or_default()
    }
}

/// Writes `value` as a payload into `to`, replacing what was there: the layout, a checksum of the message,
/// and the message.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T, to: &mut Vec<u8>) {
    to.clear();
    to.push(LAYOUT);
    to.extend([0; CHECKSUM]);
    // Writing into a vector fails only for values without a known length, of which we have none.
    let written = postcard::to_extend(value, std::mem::take(to));
    *to = written.unwrap_or_default();
    if let Some((head, message)) = to.split_at_mut_checked(1 + CHECKSUM) {
        head[1..].copy_from_slice(&checksum(message));
    }
}

/// What tells a damaged message from a whole one; no defence against who wants to forge one.
fn checksum(message: &[u8]) -> [u8; CHECKSUM] {
    (xxh3_64(message) as u32).to_le_bytes()
}

const CHECKSUM: usize = 4;

/// Bytes that `value` takes in a payload.
pub(crate) fn size<T: Serialize + ?Sized>(value: &T) -> usize {
    postcard::experimental::serialized_size(value).unwrap_or(0)
}

/// Reads a payload, or its beginning.
pub(crate) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    postcard::from_bytes(open(payload)?).map_err(|error| error.to_string())
}

/// The message of a payload, which is of this layout and not damaged.
fn open(payload: &[u8]) -> Result<&[u8], String> {
    match payload {
        [LAYOUT, rest @ ..] => match rest.split_first_chunk::<CHECKSUM>() {
            Some((sum, message)) if *sum == checksum(message) => Ok(message),
            _ => Err("the record is damaged: its checksum does not fit".to_owned()),
        },
        payload => check_layout(payload).map(|()| &[][..]),
    }
}

/// Whether a payload is of this layout.
pub(crate) fn check_layout(payload: &[u8]) -> Result<(), String> {
    match payload.first() {
        Some(&LAYOUT) => Ok(()),
        Some(other) => Err(format!(
            "layout {other} is not layout {LAYOUT}, which this version reads"
        )),
        None => Err("the payload is empty".to_owned()),
    }
}

/// `bytes` in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back() {
        let keys = [
            Key::Hot("svc"),
            Key::Rest("b\0x"),
            Key::Meta,
            Key::Name(Symbol(0x0102_0304)),
            Key::Seen(-5, 7),
        ];
        let mut bytes = Vec::new();
        for key in &keys {
            key.write(&mut bytes);
            assert_eq!(Key::read(&bytes).as_ref(), Some(key));
        }
        assert_eq!(Key::read(b"\0seen1"), None);
        assert_eq!(Key::read(b""), None);
    }

    #[test]
    fn a_damaged_or_foreign_payload_is_refused() {
        let mut bytes = Vec::new();
        encode(&(7_u32, "x"), &mut bytes);
        assert_eq!(decode::<(u32, String)>(&bytes), Ok((7, "x".to_owned())));
        assert!(decode::<(u32, String)>(&bytes[..2]).is_err());
        bytes[0] = 99;
        assert!(decode::<(u32, String)>(&bytes).is_err_and(|e| e.contains("layout 99")));
    }
}
