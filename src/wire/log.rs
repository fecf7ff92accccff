//! A partition's log as a file: one JSON object per line, exact to the byte, so that what a service
//! saw can be replayed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reject::{Reason, Reject};

/// One record of the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogLine {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The record's timestamp in milliseconds since the epoch, where it has one.
    pub timestamp: Option<i64>,
    /// Value of the header that marks a control record.
    pub kind: Option<String>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The other headers, as text: why a dead letter is one.
    pub headers: BTreeMap<String, String>,
}

impl LogLine {
    /// Reads one line of an exported log.
    ///
    /// # Errors
    /// `json` where it is not such a line.
    pub fn parse(line: &[u8]) -> Result<Self, Reject> {
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| Reject::new(Reason::Json, format_args!("log line: {error}")))?;
        Ok(Self {
            partition: line.partition,
            offset: line.offset,
            timestamp: line.timestamp,
            kind: line.kind,
            key: bytes("key", line.key, line.key_binary)?,
            value: bytes("value", line.value, line.binary)?,
            headers: line.headers,
        })
    }

    /// The record as one line, without a line end; [`LogLine::parse`] reads back the same record.
    #[must_use]
    pub fn write(&self) -> String {
        let (key, key_binary) = text(self.key.as_deref());
        let (value, binary) = text(self.value.as_deref());
        let line = Line {
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            kind: self.kind.clone(),
            key,
            key_binary,
            value,
            binary,
            headers: self.headers.clone(),
        };
        // Writing plain values into memory cannot fail.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    #[serde(default)]
    kind: Option<String>,
    key: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    key_binary: bool,
    value: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    binary: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

fn text(bytes: Option<&[u8]>) -> (Option<String>, bool) {
    match bytes.map(|bytes| (bytes, str::from_utf8(bytes))) {
        None => (None, false),
        Some((_, Ok(text))) => (Some(text.to_owned()), false),
        Some((bytes, Err(_))) => (Some(base64(bytes)), true),
    }
}

fn bytes(name: &str, text: Option<String>, binary: bool) -> Result<Option<Vec<u8>>, Reject> {
    match text {
        Some(text) if binary => from_base64(&text)
            .map(Some)
            .ok_or_else(|| Reject::new(Reason::Json, format_args!("log line: {name}: not base64"))),
        text => Ok(text.map(String::into_bytes)),
    }
}

/// The base64 alphabet of RFC 4648, section 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit <= chunk.len() {
                char::from(ALPHABET[index])
            } else {
                '='
            });
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for (i, digit) in chunk.iter().enumerate() {
            bits |= (ALPHABET.iter().position(|c| c == digit)? as u32) << (18 - 6 * i);
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_has_the_documented_shape() {
        let line = LogLine {
            partition: 0,
            offset: 12,
            timestamp: Some(1_790_000_000_000),
            kind: Some("heartbeat".into()),
            key: None,
            value: Some(b"{\"ts\":1}".to_vec()),
            headers: BTreeMap::new(),
        };
        assert_eq!(
            line.write(),
            r#"{"partition":0,"offset":12,"timestamp":1790000000000,"kind":"heartbeat","key":null,"value":"{\"ts\":1}"}"#
        );
        let binary = LogLine {
            value: Some(vec![0, 255]),
            headers: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            ..line
        };
        assert!(
            binary
                .write()
                .ends_with(r#""value":"AP8=","binary":true,"headers":{"a":"b"}}"#),
            "{}",
            binary.write()
        );
    }

    #[test]
    fn a_line_that_is_none_is_refused() {
        for line in [
            "",
            "{}",
            r#"{"partition":0,"offset":1,"timestamp":1,"key":"a","value":"?","binary":true}"#,
        ] {
            assert_eq!(
                LogLine::parse(line.as_bytes()).map_err(|e| e.reason),
                Err(Reason::Json),
                "{line}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_record_reads_back_as_it_was(
            partition in 0..i32::MAX,
            offset in 0..i64::MAX,
            timestamp in proptest::option::of(0..i64::MAX),
            kind in proptest::option::of(".{0,12}"),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
        ) {
            let line = LogLine { partition, offset, timestamp, kind, key, value, headers: BTreeMap::new() };
            prop_assert_eq!(LogLine::parse(line.write().as_bytes()), Ok(line));
        }
    }
}
