//! Events written as canonical JSON: the contract's field order, absent fields left out.

use nhiwatch_detectors::kernel::event::{Class, Event, Kind, Outcome};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// `event` as one line of JSON without a line end; reading it back gives the same event.
///
/// `received` is the log's, not the event's, and so is not written.
#[must_use]
pub fn event(event: &Event<'_>) -> String {
    // Writing plain values into memory cannot fail: no map key here is anything but a string.
    serde_json::to_string(&Canonical(event)).unwrap_or_default()
}

struct Canonical<'e>(&'e Event<'e>);

impl Serialize for Canonical<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("ts", &event.ts.rfc3339())?;
        text(&mut map, "uid", event.uid)?;
        map.serialize_entry("identity", event.identity)?;
        text(&mut map, "kind", word(event.kind, Kind::word))?;
        if !event.on_behalf_of.is_empty() {
            map.serialize_entry("on_behalf_of", event.on_behalf_of)?;
        }
        text(&mut map, "credential", event.credential)?;
        text(&mut map, "credential_kind", event.credential_kind)?;
        map.serialize_entry("action", event.action)?;
        text(&mut map, "class", word(event.class, Class::word))?;
        text(&mut map, "resource", event.resource)?;
        text(&mut map, "resource_type", event.resource_type)?;
        text(&mut map, "resource_class", event.resource_class)?;
        text(&mut map, "ip", event.ip)?;
        if let Some(asn) = event.asn {
            map.serialize_entry("asn", &asn)?;
        }
        text(&mut map, "country", event.country)?;
        text(&mut map, "user_agent", event.user_agent)?;
        text(&mut map, "outcome", word(event.outcome, Outcome::word))?;
        text(&mut map, "code", event.code)?;
        text(&mut map, "session", event.session)?;
        text(&mut map, "trace", event.trace)?;
        text(&mut map, "venue", event.venue)?;
        text(&mut map, "symbol", event.symbol)?;
        text(&mut map, "side", event.side)?;
        number(&mut map, "quantity", event.quantity)?;
        number(&mut map, "amount", event.amount)?;
        text(&mut map, "currency", event.currency)?;
        number(&mut map, "bytes", event.bytes)?;
        if event.count.get() != 1 {
            map.serialize_entry("count", &event.count.get())?;
        }
        text(&mut map, "env", event.env)?;
        text(&mut map, "app", event.app)?;
        text(&mut map, "app_version", event.app_version)?;
        text(&mut map, "tenant", event.tenant)?;
        text(&mut map, "approval_id", event.approval_id)?;
        map.end()
    }
}

fn word<T: Default + PartialEq + Copy>(
    value: T,
    word: fn(T) -> &'static str,
) -> Option<&'static str> {
    (value != T::default()).then(|| word(value))
}

fn text<M: SerializeMap>(map: &mut M, name: &str, value: Option<&str>) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, value))
}

/// A whole number is written as one: `5`, not `5.0`.
fn number<M: SerializeMap>(map: &mut M, name: &str, value: Option<f64>) -> Result<(), M::Error> {
    /// Every whole number up to here is exact in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Some(whole) if whole.fract() == 0.0 && whole.abs() < EXACT => {
            map.serialize_entry(name, &(whole as i64))
        }
        Some(value) if value.is_finite() => map.serialize_entry(name, &value),
        _ => Ok(()),
    }
}
