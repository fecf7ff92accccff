//! Where in a JSON document a value is.

use serde::Deserialize;
use serde_json::Value;

/// A dotted path such as `a.b[0]."c.d"[-1]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "String")]
pub(super) struct Path {
    written: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Key(String),
    /// Counted from the end where negative.
    Index(i64),
}

impl Path {
    /// The path that `written` says.
    ///
    /// # Errors
    /// A message naming the fault.
    pub(super) fn parse(written: &str) -> Result<Self, String> {
        let fault = |what: &str| Err(format!("path `{written}`: {what}"));
        let mut steps = Vec::new();
        let mut rest = written;
        loop {
            if let Some(quoted) = rest.strip_prefix('"') {
                let Some((key, after)) = quoted.split_once('"') else {
                    return fault("a quoted key has no closing quote");
                };
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            } else if !rest.starts_with('[') {
                let end = rest.find(['.', '[', '"']).unwrap_or(rest.len());
                if end == 0 {
                    return fault("a key is empty");
                }
                steps.push(Step::Key(rest[..end].to_owned()));
                rest = &rest[end..];
            }
            while let Some(inside) = rest.strip_prefix('[') {
                let Some((index, after)) = inside.split_once(']') else {
                    return fault("a `[` has no `]`");
                };
                let Ok(index) = index.parse() else {
                    return fault("an index is a whole number such as [0] or [-1]");
                };
                steps.push(Step::Index(index));
                rest = after;
            }
            if rest.is_empty() {
                return Ok(Self {
                    written: written.to_owned(),
                    steps,
                });
            }
            let Some(next) = rest.strip_prefix('.') else {
                return fault("after a key or index comes `.` or `[`");
            };
            rest = next;
        }
    }

    /// The value at this path, if there is one that is not null.
    ///
    /// Where the nested walk finds nothing, a top-level key equal to the whole path is taken, as
    /// some shippers flatten documents that way.
    #[must_use]
    pub(super) fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        let nested = self
            .steps
            .iter()
            .try_fold(document, |value, step| match step {
                Step::Key(key) => value.get(key),
                Step::Index(index) => {
                    let list = value.as_array()?;
                    let from_end = usize::try_from(index.unsigned_abs()).ok()?;
                    let at = if *index < 0 {
                        list.len().checked_sub(from_end)?
                    } else {
                        from_end
                    };
                    list.get(at)
                }
            });
        let flat = || document.get(&self.written).filter(|_| self.steps.len() > 1);
        nested.or_else(flat).filter(|value| !value.is_null())
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.written)
    }
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Self::parse(&written)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_keys_quoted_keys_indexes_and_flattened_keys() {
        let document = json!({"a": {"b": [1, {"c.d": 2}]}, "e.f": 3, "n": null});
        for (path, expected) in [
            ("a.b[0]", Some(1)),
            ("a.b[-1].\"c.d\"", Some(2)),
            ("e.f", Some(3)),
            ("a.b[2]", None),
            ("a.b[-3]", None),
            ("a.x.y", None),
            ("n", None),
        ] {
            let found = Path::parse(path).expect("refused").find(&document).cloned();
            assert_eq!(found, expected.map(Value::from), "{path}");
        }
    }

    #[test]
    fn a_wrong_path_is_refused() {
        for path in [
            "", ".a", "a.", "a..b", "a[x]", "a[0", "\"a", "a[0]b", "a\"b\"",
        ] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
