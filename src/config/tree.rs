//! A YAML document as a tree whose every node knows where it stands.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::Problem;

/// A node and the bytes it takes up in the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Range<usize>,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// `plain` tells a bare word from a quoted one: only a bare `null` is nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Range<usize>,
    pub(super) value: Node,
}

impl Node {
    /// The document in `text`, and what is wrong with it as YAML; an empty file is an empty map.
    pub(super) fn parse(text: &str) -> (Self, Vec<Problem>) {
        let mut builder = Builder {
            text,
            problems: Vec::new(),
            open: Vec::new(),
            root: None,
        };
        for next in Parser::new_from_str(text) {
            match next {
                Ok((event, span)) => builder.take(event, span),
                Err(error) => {
                    let at = builder.offset(error.marker().index());
                    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
                    builder.problems.push(Problem::new(
                        at..end,
                        format!("not valid YAML: {}", error.info()),
                        "mind indentation (spaces, never tabs), colons, brackets and quotes",
                    ));
                    break;
                }
            }
        }
        let root = builder.root.take().unwrap_or(Self {
            at: 0..0,
            content: Content::Map(vec![]),
        });
        (root, builder.problems)
    }

    /// Whether this says nothing: an empty value, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What the node is, for a message.
    pub(super) fn found(&self) -> String {
        match &self.content {
            _ if self.is_null() => "nothing".into(),
            Content::Scalar { text, .. } => format!("`{text}`"),
            Content::List(_) => "a list".into(),
            Content::Map(_) => "a section of keys".into(),
        }
    }

    /// The node at `path`; a number is a place in a list.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Self> {
        let [first, rest @ ..] = path else {
            return Some(self);
        };
        match &self.content {
            Content::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == *first)?
                .value
                .find(rest),
            Content::List(items) => items.get(first.parse::<usize>().ok()?)?.find(rest),
            Content::Scalar { .. } => None,
        }
    }

    /// A section emptied of all it said says nothing more, so it is no error either.
    fn is_bare(&self) -> bool {
        matches!(&self.content, Content::Map(entries) if entries.is_empty())
    }

    /// Takes out the smallest entry or item that covers `at`; tells whether there was one.
    pub(super) fn remove(&mut self, at: &Range<usize>) -> bool {
        let covers = |outer: &Range<usize>| outer.start <= at.start && at.end <= outer.end;
        match &mut self.content {
            Content::Map(entries) => {
                let Some(index) = entries
                    .iter()
                    .position(|entry| covers(&entry.at) || covers(&entry.value.at))
                else {
                    return false;
                };
                let whole = covers(&entries[index].at) || *at == entries[index].value.at;
                let value = &mut entries[index].value;
                if whole || !value.remove(at) || value.is_bare() {
                    entries.remove(index);
                }
                true
            }
            Content::List(items) => {
                let Some(index) = items.iter().position(|item| covers(&item.at)) else {
                    return false;
                };
                let item = &mut items[index];
                if *at == item.at || !item.remove(at) || item.is_bare() {
                    items.remove(index);
                }
                true
            }
            Content::Scalar { .. } => false,
        }
    }
}

/// A collection begun and not yet ended.
struct Open {
    node: Node,
    /// The keys a map has so far.
    keys: BTreeSet<String>,
    /// The key whose value comes next, and its place.
    awaited: Option<(String, Range<usize>)>,
}

/// Assembles a tree from parse events.
struct Builder<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let at = self.range(&span);
        if let Some(tag) = span.tag_span() {
            self.problems.push(Problem::new(
                self.range(&tag),
                "tags are not supported",
                "remove the word after `!`; the key alone says what its value is",
            ));
        }
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let content = Content::Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.put(Node { at, content });
            }
            Event::SequenceStart(..) => {
                self.open(at, Content::List(vec![]));
            }
            Event::MappingStart(..) => {
                self.open(at, Content::Map(vec![]));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { mut node, .. }) = self.open.pop() {
                    let last = match &node.content {
                        Content::List(items) => items.last().map(|item| item.at.end),
                        Content::Map(entries) => entries.last().map(|entry| entry.value.at.end),
                        Content::Scalar { .. } => None,
                    };
                    // The end event of a block stands where the next line begins.
                    let end = if at.is_empty() {
                        last.unwrap_or(at.end)
                    } else {
                        at.end
                    };
                    node.at.end = end.max(node.at.start);
                    self.put(node);
                }
            }
            Event::Alias(..) => {
                self.problems.push(Problem::new(
                    at.clone(),
                    "aliases are not supported",
                    "write the value out where it is needed",
                ));
                self.put(Node {
                    at,
                    content: null(),
                });
            }
            _ => {}
        }
    }

    fn open(&mut self, at: Range<usize>, content: Content) {
        self.open.push(Open {
            node: Node { at, content },
            keys: BTreeSet::new(),
            awaited: None,
        });
    }

    fn put(&mut self, node: Node) {
        let Some(Open {
            node: parent,
            keys,
            awaited,
        }) = self.open.last_mut()
        else {
            if self.root.is_some() {
                self.problems.push(Problem::new(
                    node.at,
                    "a second document in one file",
                    "keep one document; remove the `---` between them",
                ));
            } else {
                self.root = Some(node);
            }
            return;
        };
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match (awaited.take(), node) {
                (Some((key, at)), value) => {
                    if keys.insert(key.clone()) {
                        entries.push(Entry { key, at, value });
                    } else {
                        self.problems.push(Problem::new(
                            at,
                            format!("the key `{key}` stands here twice"),
                            "keep one of the two",
                        ));
                    }
                }
                (
                    None,
                    Node {
                        at,
                        content: Content::Scalar { text, .. },
                    },
                ) => {
                    *awaited = Some((text, at));
                }
                (None, Node { at, .. }) => {
                    self.problems.push(Problem::new(
                        at.clone(),
                        "a key must be a word",
                        "put a name before the colon",
                    ));
                    *awaited = Some((String::new(), at));
                }
            },
            Content::Scalar { .. } => {}
        }
    }

    fn range(&self, span: &Span) -> Range<usize> {
        span.byte_range()
            .unwrap_or_else(|| self.offset(span.start.index())..self.offset(span.end.index()))
    }

    /// Byte offset of the character numbered `index`.
    fn offset(&self, index: usize) -> usize {
        self.text
            .char_indices()
            .nth(index)
            .map_or(self.text.len(), |(byte, _)| byte)
    }
}

fn null() -> Content {
    Content::Scalar {
        text: String::new(),
        plain: true,
    }
}
