//! YAML as a tree in which every key and value knows its place in the file.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use super::diagnostic::{Diagnostic, Span};
use crate::input::limit;

/// A YAML value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub span: Span,
    /// A scalar's characters as they stand in the file: `1.10` is not the number 1.1 there.
    pub text: String,
}

/// What a YAML value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Null, a bool, a number or text.
    Scalar(Value),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the file's order; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A mapping's key with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key.
    pub name: String,
    /// Where it is.
    pub span: Span,
}

impl Node {
    /// A mapping of these.
    pub fn map(entries: Vec<(Key, Node)>) -> Self {
        Self { kind: Kind::Map(entries), span: Span::default(), text: String::new() }
    }

    /// A plain value that stands nowhere in the file but is used here.
    pub fn plain(value: &Value, span: Span) -> Self {
        let (kind, text) = match value {
            Value::Array(items) => {
                (Kind::List(items.iter().map(|item| Self::plain(item, span)).collect()), String::new())
            }
            Value::Object(entries) => {
                let key = |name: &String| Key { name: name.clone(), span };
                let entries = entries.iter().map(|(name, value)| (key(name), Self::plain(value, span))).collect();
                (Kind::Map(entries), String::new())
            }
            Value::String(text) => (Kind::Scalar(value.clone()), text.clone()),
            other => (Kind::Scalar(other.clone()), other.to_string()),
        };
        Self { kind, span, text }
    }

    /// A mapping's entries; of anything else, none.
    pub fn entries(&self) -> &[(Key, Node)] {
        if let Kind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// A list's items; of anything else, none.
    pub fn items(&self) -> &[Node] {
        if let Kind::List(items) = &self.kind { items } else { &[] }
    }

    /// An entry of a mapping.
    pub fn entry(&self, name: &str) -> Option<&(Key, Node)> {
        self.entries().iter().find(|(key, _)| key.name == name)
    }

    /// The value of a mapping's key.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// How many values it is made of.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::List(items) => items.iter().map(Self::size).sum::<u64>() + 1,
            Kind::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum::<u64>() + 1,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        if let Kind::Scalar(value) = &self.kind { value.as_str() } else { None }
    }

    /// Whether nothing at all stands there: a null that is written is something.
    pub fn is_absent(&self) -> bool {
        matches!(self.kind, Kind::Scalar(Value::Null)) && self.text.is_empty()
    }

    /// It without its places.
    pub fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => items.iter().map(Self::value).collect(),
            Kind::Map(entries) => entries.iter().map(|(key, node)| (key.name.clone(), node.value())).collect(),
        }
    }

    /// Puts another one over it: mappings merge; anything else, null too, replaces.
    pub fn put(&mut self, over: Node) {
        match (&mut self.kind, over) {
            (Kind::Map(under), Node { kind: Kind::Map(over), .. }) => {
                for (key, node) in over {
                    match under.iter_mut().find(|(known, _)| known.name == key.name) {
                        Some((_, known)) => known.put(node),
                        None => under.push((key, node)),
                    }
                }
            }
            (_, over) => *self = over,
        }
    }

    /// The entries of a mapping in one line, without the mappings that are listed within it.
    pub fn outline(&self) -> String {
        let is_part = |node: &Node| node.items().iter().any(|item| !item.entries().is_empty());
        let entry = |(key, node): &(Key, Node)| {
            let value = if is_part(node) { "[…]".to_owned() } else { node.inline() };
            format!("{}: {value}", key.name)
        };
        self.entries().iter().map(entry).collect::<Vec<_>>().join(", ")
    }

    /// As it would be written in one line.
    pub fn inline(&self) -> String {
        let join = |parts: Vec<String>| parts.join(", ");
        match &self.kind {
            // Code of several lines is told by its first.
            Kind::Scalar(_) => match self.text.trim_start_matches(['|', '>', '-', '+']).trim_start().split_once('\n') {
                Some((first, _)) => format!("{} …", first.trim_end()),
                None => self.text.clone(),
            },
            Kind::List(items) => format!("[{}]", join(items.iter().map(Self::inline).collect())),
            Kind::Map(entries) => {
                let entry = |(key, node): &(Key, Node)| format!("{}: {}", key.name, node.inline());
                format!("{{{}}}", join(entries.iter().map(entry).collect()))
            }
        }
    }
}

/// Reads YAML text.
pub fn parse(source: &str) -> Result<Node, Diagnostic> {
    if let Err(wrong) = limit::FILE.check(source.len() as u64) {
        return Err(Diagnostic::from(wrong).at(Span { line: 1, column: 1, len: 1 }));
    }
    let size = |limit: limit::Limit| usize::try_from(limit.most).unwrap_or(usize::MAX);
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_nodes: size(limit::NODES),
            max_events: 4 * size(limit::NODES),
            max_depth: size(limit::DEPTH),
            // What aliases stand for included.
            max_total_scalar_bytes: 4 * size(limit::FILE),
        },
    };
    let raw: Raw = serde_saphyr::from_str_with_options(source, options).map_err(|error| diagnose(&error))?;
    Ok(raw.into_node(source))
}

fn diagnose(error: &serde_saphyr::Error) -> Diagnostic {
    let location = error.location();
    let mut error = error;
    // What an alias stands for is wrong: the error lies within.
    while let serde_saphyr::Error::AliasError { error: inner, .. }
    | serde_saphyr::Error::WithSnippet { error: inner, .. } = error
    {
        error = inner;
    }
    let message = match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key `{key}`"),
        serde_saphyr::Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            return limited(limit::DEPTH, location);
        }
        serde_saphyr::Error::Budget { .. } => return limited(limit::NODES, location),
        other => UserMessageFormatter.format_message(other).into_owned(),
    };
    // YAML reads a bare `>` as the start of a block of text: the slip of whoever writes a bound.
    let is_bound = message.contains("unexpected character: `>'");
    let mut diagnostic = Diagnostic::new(message.replace("`>'", "`>`"));
    if is_bound {
        diagnostic = diagnostic.help("a bound that begins with `>` needs quotes: `\">= 3\"`");
    }
    if let Some(location) = location {
        diagnostic = diagnostic.at(span_of(location));
    }
    diagnostic
}

fn limited(limit: limit::Limit, location: Option<Location>) -> Diagnostic {
    Diagnostic::from(limit.refuse("more")).at(location.map_or(Span { line: 1, column: 1, len: 1 }, span_of))
}

fn span_of(location: Location) -> Span {
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Span {
        line: size(location.line()).max(1),
        column: size(location.column()).max(1),
        len: size(location.span().len()),
    }
}

struct Raw(Spanned<RawKind>);

enum RawKind {
    Scalar(Value),
    List(Vec<Raw>),
    Map(Vec<(Spanned<String>, Raw)>),
}

impl Raw {
    fn into_node(self, source: &str) -> Node {
        let Self(Spanned { value, referenced, defined }) = self;
        // Only of scalars: that of mappings within mappings would be the file many times over.
        let text = if matches!(value, RawKind::Scalar(_)) { verbatim(defined, source) } else { String::new() };
        let kind = match value {
            RawKind::Scalar(value) => Kind::Scalar(value),
            RawKind::List(items) => Kind::List(items.into_iter().map(|item| item.into_node(source)).collect()),
            RawKind::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let span = span_of(key.referenced);
                        (Key { name: key.value, span }, value.into_node(source))
                    })
                    .collect(),
            ),
        };
        Node { kind, span: span_of(referenced), text }
    }
}

fn verbatim(location: Location, source: &str) -> String {
    let span = location.span();
    let text = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
        let start = usize::try_from(start).ok()?;
        source.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    });
    text.unwrap_or_default().trim().to_owned()
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<RawKind, E> {
        Ok(RawKind::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawKind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(RawKind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawKind, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawKind::Map(entries))
    }
}
