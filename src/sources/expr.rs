//! How one value of an event is got out of a raw record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::path::Path;

/// An expression of a mapping file: a path, or a base with transformations and conditions.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    base: Base,
    before: Option<String>,
    before_last: Option<String>,
    after: Option<String>,
    lower: bool,
    lookup: Option<BTreeMap<String, String>>,
    when: Vec<Condition>,
}

#[derive(Clone, Debug)]
enum Base {
    Path(Path),
    Const(String),
    First(Vec<Expr>),
    Join(Vec<Expr>, String),
}

impl Expr {
    /// The value it has in `record`; the empty string is none.
    #[must_use]
    pub(super) fn value<'v>(&'v self, record: &'v Value) -> Option<Cow<'v, str>> {
        if !holds(&self.when, record) {
            return None;
        }
        let mut value = self.base.value(record)?;
        if let Some(mark) = &self.before
            && let Some(at) = value.find(mark.as_str())
        {
            value = cut(value, 0, at);
        }
        if let Some(mark) = &self.before_last
            && let Some(at) = value.rfind(mark.as_str())
        {
            value = cut(value, 0, at);
        }
        if let Some(mark) = &self.after {
            let at = value.find(mark.as_str())? + mark.len();
            let end = value.len();
            value = cut(value, at, end);
        }
        if self.lower {
            value = Cow::Owned(value.to_lowercase());
        }
        if let Some(table) = &self.lookup {
            value = Cow::Borrowed(look_up(table, &value)?);
        }
        Some(value).filter(|value| !value.is_empty())
    }
}

impl Base {
    fn value<'v>(&'v self, record: &'v Value) -> Option<Cow<'v, str>> {
        match self {
            Self::Path(path) => match path.find(record)? {
                Value::String(text) => Some(Cow::Borrowed(text.as_str())),
                Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
                Value::Number(number) => Some(Cow::Owned(number.to_string())),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
            Self::Const(text) => Some(Cow::Borrowed(text)),
            Self::First(choices) => choices.iter().find_map(|choice| choice.value(record)),
            Self::Join(parts, with) => {
                let parts: Option<Vec<_>> = parts.iter().map(|part| part.value(record)).collect();
                Some(Cow::Owned(parts?.join(with)))
            }
        }
    }
}

/// Whether every one of `conditions` holds in `record`.
#[must_use]
pub(super) fn holds(conditions: &[Condition], record: &Value) -> bool {
    conditions.iter().all(|condition| condition.holds(record))
}

fn cut(value: Cow<'_, str>, from: usize, to: usize) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..to]),
        Cow::Owned(text) => Cow::Owned(text[from..to].to_owned()),
    }
}

/// The entry for `value`: exactly its key, else the longest key ending in `*` that it begins with.
fn look_up<'t>(table: &'t BTreeMap<String, String>, value: &str) -> Option<&'t str> {
    let exact = table.get(value);
    let by_prefix = || {
        table
            .iter()
            .filter(|(key, _)| {
                key.strip_suffix('*')
                    .is_some_and(|start| value.starts_with(start))
            })
            .max_by_key(|(key, _)| key.len())
            .map(|(_, found)| found)
    };
    exact.or_else(by_prefix).map(String::as_str)
}

/// A condition on a record; all that it says must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Conditions")]
pub(super) struct Condition {
    value: Expr,
    tests: Vec<Test>,
}

#[derive(Clone, Debug)]
enum Test {
    Equals(Vec<String>),
    Prefix(String),
    Contains(String),
    Exists(bool),
}

impl Condition {
    fn holds(&self, record: &Value) -> bool {
        let value = self.value.value(record);
        self.tests.iter().all(|test| match (test, &value) {
            (Test::Exists(wanted), value) => value.is_some() == *wanted,
            (_, None) => false,
            (Test::Equals(words), Some(value)) => words.iter().any(|word| word == value),
            (Test::Prefix(start), Some(value)) => value.starts_with(start),
            (Test::Contains(part), Some(value)) => value.contains(part),
        })
    }
}

/// A condition as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditions {
    value: Expr,
    equals: Option<Words>,
    prefix: Option<String>,
    contains: Option<String>,
    exists: Option<bool>,
}

impl TryFrom<Conditions> for Condition {
    type Error = &'static str;

    fn try_from(written: Conditions) -> Result<Self, Self::Error> {
        let tests: Vec<Test> = [
            written.equals.map(|words| Test::Equals(words.0)),
            written.prefix.map(Test::Prefix),
            written.contains.map(Test::Contains),
            written.exists.map(Test::Exists),
        ]
        .into_iter()
        .flatten()
        .collect();
        if tests.is_empty() {
            return Err("a condition needs `equals`, `prefix`, `contains` or `exists`");
        }
        Ok(Self {
            value: written.value,
            tests,
        })
    }
}

/// One word or a list of them.
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quoted text or a list of them")
            }

            fn visit_str<E>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        from.deserialize_any(OneOrMore)
    }
}

/// An expression as written, where it is more than a path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    path: Option<Path>,
    r#const: Option<String>,
    first: Option<Vec<Expr>>,
    join: Option<Vec<Expr>>,
    with: Option<String>,
    before: Option<String>,
    before_last: Option<String>,
    after: Option<String>,
    #[serde(default)]
    lower: bool,
    lookup: Option<BTreeMap<String, String>>,
    #[serde(default)]
    when: Vec<Condition>,
}

impl Node {
    fn compile(self) -> Result<Expr, &'static str> {
        let base = match (self.path, self.r#const, self.first, self.join, self.with) {
            (Some(path), None, None, None, None) => Base::Path(path),
            (None, Some(text), None, None, None) => Base::Const(text),
            (None, None, Some(choices), None, None) => Base::First(choices),
            (None, None, None, Some(parts), Some(with)) => Base::Join(parts, with),
            (None, None, None, Some(_), None) => return Err("`join` needs `with`"),
            _ => return Err("exactly one of `path`, `const`, `first` and `join` (with `with`)"),
        };
        Ok(Expr {
            base,
            before: self.before,
            before_last: self.before_last,
            after: self.after,
            lower: self.lower,
            lookup: self.lookup,
            when: self.when,
        })
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PathOrNode;
        impl<'de> Visitor<'de> for PathOrNode {
            type Value = Expr;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a mapping with `path`, `const`, `first` or `join`")
            }

            fn visit_str<E: Error>(self, written: &str) -> Result<Expr, E> {
                let base = Base::Path(Path::parse(written).map_err(E::custom)?);
                Ok(Expr {
                    base,
                    before: None,
                    before_last: None,
                    after: None,
                    lower: false,
                    lookup: None,
                    when: Vec::new(),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expr, A::Error> {
                let node = Node::deserialize(MapAccessDeserializer::new(map))?;
                node.compile().map_err(A::Error::custom)
            }
        }
        from.deserialize_any(PathOrNode)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_have_their_documented_values() {
        let record = json!({"a": "X:y:z", "b": true, "n": 7, "list": ["p", "q"], "empty": ""});
        for (written, expected) in [
            ("a", Some("X:y:z")),
            ("b", Some("true")),
            ("n", Some("7")),
            ("list", None),
            ("empty", None),
            ("{path: a, before: ':'}", Some("X")),
            ("{path: b, before: ':'}", Some("true")),
            ("{path: a, before_last: ':'}", Some("X:y")),
            ("{path: b, before_last: ':'}", Some("true")),
            ("{path: a, after: ':'}", Some("y:z")),
            ("{path: b, after: ':'}", None),
            ("{path: a, after: ':', before: ':y'}", None),
            ("{path: a, lower: true}", Some("x:y:z")),
            (
                "{path: a, lookup: {'X:*': short, 'X:y*': long, '*': all}}",
                Some("long"),
            ),
            ("{path: n, lookup: {'7': seven, '*': all}}", Some("seven")),
            ("{path: n, lookup: {'8': eight}}", None),
            ("{first: [none, empty, {const: c}]}", Some("c")),
            ("{join: [n, 'list[-1]'], with: '-'}", Some("7-q")),
            ("{join: [n, none], with: '-'}", None),
            (
                "{const: c, when: [{value: n, equals: ['6', '7']}]}",
                Some("c"),
            ),
            ("{const: c, when: [{value: n, equals: '6'}]}", None),
            (
                "{const: c, when: [{value: empty, exists: false}]}",
                Some("c"),
            ),
            ("{const: c, when: [{value: none, prefix: ''}]}", None),
            (
                "{const: c, when: [{value: a, prefix: 'X', contains: 'q'}]}",
                None,
            ),
        ] {
            let strict = serde_saphyr::options! { strict_booleans: true };
            let expr: Expr = serde_saphyr::from_str_with_options(written, strict).expect(written);
            assert_eq!(expr.value(&record).as_deref(), expected, "{written}");
        }
    }

    #[test]
    fn a_wrong_expression_is_refused() {
        for written in [
            "{path: a, const: b}",
            "{lower: true}",
            "{path: a, uper: true}",
            "{join: [a, b]}",
            "{path: a, when: [{value: b}]}",
            "{path: 'a..b'}",
            "[a]",
        ] {
            assert!(
                serde_saphyr::from_str::<Expr>(written).is_err(),
                "{written}"
            );
        }
    }
}
