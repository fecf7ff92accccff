//! The published schema and the reader agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nhiwatch::inventory::{Entry, Inventory};
use serde_json::Value;

use super::{EXAMPLE, parse};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../config/schema/inventory.schema.json")).unwrap()
}

/// What of the schema's structure `value` does not keep to; patterns and formats aside.
fn fault(schema: &Value, value: &Value) -> Option<String> {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{kind}"),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is(kind)) {
        return Some(format!("{value} is none of {kinds:?}"));
    }
    if let Some(words) = schema["enum"]
        .as_array()
        .filter(|words| !words.contains(value))
    {
        return Some(format!("{value} is none of {words:?}"));
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        let fit = forms
            .iter()
            .filter(|form| fault(form, value).is_none())
            .count();
        return (fit != 1).then(|| format!("{value} fits {fit} forms"));
    }
    let bound = |name: &str| schema[name].as_f64();
    let number = value.as_f64();
    if number.is_some_and(|n| {
        bound("minimum").is_some_and(|least| n < least)
            || bound("maximum").is_some_and(|most| n > most)
            || bound("exclusiveMinimum").is_some_and(|least| n <= least)
    }) {
        return Some(format!("{value} is out of range"));
    }
    let size = value
        .as_str()
        .map(str::len)
        .or(value.as_array().map(Vec::len));
    if size.is_some_and(|size| {
        let size = size as f64;
        bound("minLength").is_some_and(|least| size < least)
            || bound("maxLength").is_some_and(|most| size > most)
            || bound("maxItems").is_some_and(|most| size > most)
    }) {
        return Some(format!("{value} is too short or too long"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| fault(&schema["items"], item));
    }
    let object = value.as_object()?;
    let required = schema["required"].as_array();
    if let Some(key) = required
        .into_iter()
        .flatten()
        .find(|key| !object.contains_key(key.as_str().unwrap()))
    {
        return Some(format!("{key} is missing"));
    }
    object
        .iter()
        .find_map(|(key, value)| match schema["properties"].get(key) {
            Some(property) => fault(property, value),
            None => Some(format!("{key} is unknown")),
        })
}

#[test]
fn the_published_schema_has_exactly_the_keys_that_are_read() {
    let schema = schema();
    let properties = &schema["properties"];
    let form = |of: &Value| -> Value {
        let forms = of["oneOf"].as_array().unwrap();
        forms.iter().find(|form| form["type"] == "object").unwrap()["properties"].clone()
    };
    for (published, text) in [
        (properties.clone(), "identities: [{identity: a, zzz: 1}]"),
        (
            form(&properties["scope"]),
            "identities: [{identity: a, scope: {zzz: 1}}]",
        ),
        (
            form(&properties["credentials"]["items"]),
            "identities: [{identity: a, credentials: [{id: k, zzz: 1}]}]",
        ),
    ] {
        let (problems, _) = parse(text).unwrap_err();
        let read = problems[0].hint.strip_prefix("expected one of ").unwrap();
        let read: BTreeSet<&str> = read.split(", ").collect();
        let published = published.as_object().unwrap();
        assert_eq!(read, published.keys().map(String::as_str).collect());
    }
}

#[test]
fn the_example_has_every_key_and_keeps_to_the_schema() {
    let schema = schema();
    let text = fs::read_to_string(EXAMPLE).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(
            text.contains(&format!("{key}:")),
            "{key} is missing in {EXAMPLE}"
        );
    }
    for entry in Inventory::load(Some(Path::new(EXAMPLE))).unwrap().entries() {
        let value = serde_json::from_str(&entry.json()).unwrap();
        assert_eq!(fault(&schema, &value), None);
    }
}

#[test]
fn schema_and_reader_refuse_and_take_the_same() {
    let schema = schema();
    for (json, fine) in [
        (r#"{"identity":"a"}"#, true),
        (
            r#"{"identity":"a","owner":null,"aliases":null,"scope":null}"#,
            true,
        ),
        (
            r#"{"identity":"a","scope":["x"],"credentials":["k",{"id":"l"}]}"#,
            true,
        ),
        (r#"{"identity":"a","scope":{"max_amount":1.5}}"#, true),
        (r#"{}"#, false),
        (r#"{"identity":null}"#, false),
        (r#"{"identity":"a","tier":0}"#, false),
        (r#"{"identity":"a","tier":"1"}"#, false),
        (r#"{"identity":"a","tier":1.5}"#, false),
        (r#"{"identity":"a","honey":"yes"}"#, false),
        (r#"{"identity":"a","owner":""}"#, false),
        (r#"{"identity":"a","status":"gone"}"#, false),
        (r#"{"identity":"a","kind":""}"#, false),
        (r#"{"identity":"a","scope":"x"}"#, false),
        (r#"{"identity":"a","scope":{"max_amount":0}}"#, false),
        (r#"{"identity":"a","credentials":[7]}"#, false),
        (r#"{"identity":"a","credentials":[{"kind":"jwt"}]}"#, false),
        (r#"{"identity":"a","extra":1}"#, false),
    ] {
        let value = serde_json::from_str(json).unwrap();
        assert_eq!(fault(&schema, &value).is_none(), fine, "schema: {json}");
        assert_eq!(Entry::read(json.as_bytes()).is_ok(), fine, "reader: {json}");
    }
}
