//! Sets any field of an event by its name in the event schema.

use nhiwatch_detectors::kernel::event::{Class, Count, Event, Kind, Outcome};

use super::duration;

/// Sets field `name` of `event`; `received` is how long after its time the event arrives.
/// `on_behalf_of`, a list, is set by who owns it.
pub(super) fn set<'a>(event: &mut Event<'a>, name: &str, value: &'a str) -> Result<(), String> {
    let wrong = || format!("`{value}` is no value of `{name}`");
    let number = || value.parse::<f64>().map_err(|_| wrong());
    match name {
        "received" => event.received = Some(event.ts.plus(duration(value)?)),
        "kind" => event.kind = Kind::from_word(value).ok_or_else(wrong)?,
        "class" => event.class = Class::from_word(value).ok_or_else(wrong)?,
        "outcome" => event.outcome = Outcome::from_word(value).ok_or_else(wrong)?,
        "asn" => event.asn = Some(value.parse().map_err(|_| wrong())?),
        "quantity" => event.quantity = Some(number()?),
        "amount" => event.amount = Some(number()?),
        "bytes" => event.bytes = Some(number()?),
        "count" => {
            let count = value.parse().ok().and_then(Count::new);
            event.count = count.ok_or_else(wrong)?;
        }
        _ => *text(event, name).ok_or_else(|| format!("no field `{name}`"))? = Some(value),
    }
    Ok(())
}

fn text<'e, 'a>(event: &'e mut Event<'a>, name: &str) -> Option<&'e mut Option<&'a str>> {
    Some(match name {
        "uid" => &mut event.uid,
        "credential" => &mut event.credential,
        "credential_kind" => &mut event.credential_kind,
        "resource" => &mut event.resource,
        "resource_type" => &mut event.resource_type,
        "resource_class" => &mut event.resource_class,
        "ip" => &mut event.ip,
        "country" => &mut event.country,
        "user_agent" => &mut event.user_agent,
        "code" => &mut event.code,
        "session" => &mut event.session,
        "trace" => &mut event.trace,
        "venue" => &mut event.venue,
        "symbol" => &mut event.symbol,
        "side" => &mut event.side,
        "currency" => &mut event.currency,
        "env" => &mut event.env,
        "app" => &mut event.app,
        "app_version" => &mut event.app_version,
        "tenant" => &mut event.tenant,
        "approval_id" => &mut event.approval_id,
        _ => return None,
    })
}
