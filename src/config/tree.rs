//! A YAML document as a tree whose every node knows where it stands.

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
                    builder.problems.push(Problem::new(
                        at..at,
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
                if whole || !entries[index].value.remove(at) {
                    entries.remove(index);
                }
                true
            }
            Content::List(items) => {
                let Some(index) = items.iter().position(|item| covers(&item.at)) else {
                    return false;
                };
                if *at == items[index].at || !items[index].remove(at) {
                    items.remove(index);
                }
                true
            }
            Content::Scalar { .. } => false,
        }
    }
}

/// Assembles a tree from parse events.
struct Builder<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    /// Collections begun and not yet ended, each map with the key whose value is awaited.
    open: Vec<(Node, Option<(String, Range<usize>)>)>,
    root: Option<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) {
        let at = self.range(&span);
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
                self.open.push((
                    Node {
                        at,
                        content: Content::List(vec![]),
                    },
                    None,
                ));
            }
            Event::MappingStart(..) => {
                self.open.push((
                    Node {
                        at,
                        content: Content::Map(vec![]),
                    },
                    None,
                ));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some((mut node, _)) = self.open.pop() {
                    let last = match &node.content {
                        Content::List(items) => items.last().map(|item| item.at.end),
                        Content::Map(entries) => entries.last().map(|entry| entry.value.at.end),
                        Content::Scalar { .. } => None,
                    };
                    // The end event of a block stands where the next line begins.
                    node.at.end = last.unwrap_or(at.end).max(node.at.start);
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

    fn put(&mut self, node: Node) {
        let Some((parent, awaited)) = self.open.last_mut() else {
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
                    if entries.iter().any(|entry| entry.key == key) {
                        self.problems.push(Problem::new(
                            at,
                            format!("the key `{key}` stands here twice"),
                            "keep one of the two",
                        ));
                    } else {
                        entries.push(Entry { key, at, value });
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
