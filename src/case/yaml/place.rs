//! Where to point: a cursor into the tree.

use super::diagnostic::{Diagnostic, Span};
use super::node::{Key, Kind, Node};

/// A cursor into the tree. Walking to what is not there stays where it is, so that an error about
/// something absent points at what should have held it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// What is there.
    pub node: &'a Node,
    key: Option<Span>,
}

impl<'a> Place<'a> {
    /// The top of the file.
    pub fn top(node: &'a Node) -> Self {
        Self { node, key: None }
    }

    /// The value of this key.
    #[must_use]
    pub fn get(self, name: &str) -> Self {
        self.node.entry(name).map_or(self, |(key, node)| Self { node, key: Some(key.span) })
    }

    /// This item of the list.
    #[must_use]
    pub fn item(self, index: usize) -> Self {
        self.node.items().get(index).map_or(self, |node| Self { node, key: None })
    }

    /// Whether the key is there.
    pub fn has(self, name: &str) -> bool {
        self.node.entry(name).is_some()
    }

    /// The value's place; of a mapping or list, the place of the key that holds it.
    pub fn span(self) -> Span {
        self.key.filter(|_| !matches!(self.node.kind, Kind::Scalar(_))).unwrap_or_else(|| own_span(self.node))
    }

    /// The place of the key that holds the value.
    pub fn key_span(self) -> Span {
        self.key.unwrap_or_else(|| own_span(self.node))
    }
}

/// Where a value begins: a mapping with its first key.
pub fn own_span(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => entries.first().map_or(node.span, |(key, _)| key.span),
        Kind::List(_) => Span { len: 1, ..node.span },
        Kind::Scalar(_) => node.span,
    }
}

/// Says where an error about a value lies, unless that is known: at the value, or at the key that holds it.
pub fn placed(error: Diagnostic, node: &Node, key: Option<&Key>) -> Diagnostic {
    let key = key.map(|key| key.span);
    // An empty value has no place of its own worth pointing at.
    let value = key.filter(|_| node.is_absent()).unwrap_or_else(|| own_span(node));
    let holder = key.filter(|_| !matches!(node.kind, Kind::Scalar(_))).unwrap_or(value);
    error.or_within(value, holder)
}
