//! `$name` and `${name}`.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Span};
use super::node::{Kind, Node};
use crate::input::limit;

/// The variable that always exists: the address of the arm's Redis.
pub const REDIS: &str = "redis";

/// What `$redis` stands for. An arm's processes run in the arm's folder, where its socket is.
pub const REDIS_URL: &str = "unix:///proc/self/cwd/redis.sock";

/// Stands in what is enqueued or sent for the index among those; whoever does it puts it in.
pub const INDEX: &str = "i";

/// Puts the variables of a state into its tree.
#[derive(Debug, Default)]
pub struct Filler {
    /// The variables.
    pub vars: IndexMap<String, Node>,
    /// Names that stand for themselves: they are put in later.
    pub later: Vec<String>,
    /// Where variables were put in, and what they are there.
    pub uses: HashMap<Span, String>,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
    /// How many values variables have brought.
    brought: u64,
    is_full: bool,
}

impl Filler {
    /// Of these variables.
    pub fn new(vars: IndexMap<String, Node>) -> Self {
        Self { vars, ..Self::default() }
    }

    /// The tree with every variable put in. What is put in stands where the variable stood.
    pub fn fill(&mut self, node: &Node) -> Node {
        let kind = match &node.kind {
            Kind::Scalar(Value::String(text)) if text.contains('$') => return self.text(text, node),
            Kind::Scalar(value) => Kind::Scalar(value.clone()),
            Kind::List(items) => Kind::List(items.iter().map(|item| self.fill(item)).collect()),
            Kind::Map(entries) => Kind::Map(entries.iter().map(|(key, node)| (key.clone(), self.fill(node))).collect()),
        };
        Node { kind, span: node.span, text: node.text.clone() }
    }

    /// As [`Filler::fill`]; these names are put in later.
    pub fn fill_later(&mut self, node: &Node, later: &[String]) -> Node {
        self.later = later.to_vec();
        let filled = self.fill(node);
        self.later.clear();
        filled
    }

    fn text(&mut self, text: &str, node: &Node) -> Node {
        let mut used: Vec<String> = Vec::new();
        let filled = self.look_through(text, &mut used);
        if let Some(label) = (!used.is_empty()).then(|| used.join(", ")) {
            self.uses.insert(node.span, label);
        }
        match filled {
            Ok(filled) => {
                self.brought = self.brought.saturating_add(filled.size());
                match limit::NODES.check(self.brought) {
                    Ok(()) => at(filled, node.span),
                    Err(wrong) => {
                        // Said once: nothing more is put in.
                        self.errors.extend((!self.is_full).then_some(Diagnostic::from(wrong).at(node.span)));
                        self.is_full = true;
                        node.clone()
                    }
                }
            }
            Err(error) => {
                self.errors.push(error.or_at(node.span));
                node.clone()
            }
        }
    }

    fn look_through(&self, text: &str, used: &mut Vec<String>) -> Result<Node, Diagnostic> {
        if let Some(name) = alone(text)? {
            return Ok(match self.look_up(name)? {
                Found::Later => Node::plain(&text.into(), Span::default()),
                Found::Node(node) => {
                    used.push(says(name, &node));
                    node
                }
            });
        }
        let text = replaced(text, |name| {
            Ok(match self.look_up(name)? {
                Found::Later => Value::from(format!("${name}")),
                Found::Node(node) => {
                    used.push(says(name, &node));
                    node.value()
                }
            })
        })?;
        Ok(Node::plain(&text.into(), Span::default()))
    }

    fn look_up(&self, name: &str) -> Result<Found, Diagnostic> {
        if self.later.iter().any(|later| later == name) {
            return Ok(Found::Later);
        }
        let Some(node) = self.vars.get(name) else {
            if name == REDIS {
                return Ok(Found::Node(Node::plain(&REDIS_URL.into(), Span::default())));
            }
            let known = self.vars.keys().map(String::as_str).chain([REDIS]);
            return Err(Diagnostic::new(format!("unknown variable `${name}`")).suggest(name, known));
        };
        if !self.later.is_empty() {
            // A variable may bring in names that are put in later: they must be known by then.
            let known: IndexMap<String, Value> = self.later.iter().map(|name| (name.clone(), "".into())).collect();
            substitute(&node.value(), &known)?;
        }
        Ok(Found::Node(node.clone()))
    }
}

enum Found {
    Later,
    Node(Node),
}

fn says(name: &str, node: &Node) -> String {
    let mut text = node.inline();
    if text.chars().count() > 40 {
        text = text.chars().take(39).chain(['…']).collect();
    }
    format!("`${name}` is {}", if text.is_empty() { "empty" } else { &text })
}

/// A tree that stands here.
fn at(mut node: Node, span: Span) -> Node {
    node.span = span;
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => *items = std::mem::take(items).into_iter().map(|item| at(item, span)).collect(),
        Kind::Map(entries) => {
            for (key, value) in entries {
                key.span = span;
                *value = at(value.clone(), span);
            }
        }
    }
    node
}

/// Puts values into every text of a value. A text that is one variable becomes its value, with its type; `$$` is a
/// dollar; a `$` before anything but a name or `{` stays as it is.
pub fn substitute(value: &Value, vars: &IndexMap<String, Value>) -> Result<Value, Diagnostic> {
    let look_up = |name: &str| {
        let unknown = || Diagnostic::new(format!("unknown variable `${name}`"));
        let known = vars.keys().map(String::as_str).chain([REDIS]);
        vars.get(name).cloned().ok_or_else(|| unknown().suggest(name, known))
    };
    Ok(match value {
        Value::String(text) => match alone(text)? {
            Some(name) => look_up(name)?,
            None => Value::String(replaced(text, look_up)?),
        },
        Value::Array(items) => items.iter().map(|item| substitute(item, vars)).collect::<Result<_, Diagnostic>>()?,
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| Ok((key.clone(), substitute(value, vars)?)))
            .collect::<Result<serde_json::Map<_, _>, Diagnostic>>()
            .map(Value::Object)?,
        other => other.clone(),
    })
}

/// The name in a text that is nothing but one variable.
fn alone(text: &str) -> Result<Option<&str>, Diagnostic> {
    Ok(variable(text)?.filter(|(_, used)| *used == text.len()).map(|(name, _)| name))
}

/// The variable that a text begins with, and the length of its writing.
fn variable(text: &str) -> Result<Option<(&str, usize)>, Diagnostic> {
    let Some(after) = text.strip_prefix('$') else { return Ok(None) };
    if let Some(inner) = after.strip_prefix('{') {
        let name = identifier(inner);
        if name.is_empty() || !inner[name.len()..].starts_with('}') {
            return Err(Diagnostic::new("`${` without a name and `}`").help("write `$$` for a dollar"));
        }
        return Ok(Some((name, name.len() + 3)));
    }
    let name = identifier(after);
    Ok((!name.is_empty()).then_some((name, name.len() + 1)))
}

fn replaced(text: &str, mut look_up: impl FnMut(&str) -> Result<Value, Diagnostic>) -> Result<String, Diagnostic> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(more) = rest.strip_prefix("$$") {
            out.push('$');
            rest = more;
            continue;
        }
        let Some((name, used)) = variable(rest)? else {
            out.push('$');
            rest = &rest[1..];
            continue;
        };
        match look_up(name)? {
            Value::String(text) => out.push_str(&text),
            Value::Array(_) | Value::Object(_) => {
                return Err(Diagnostic::new(format!("`${name}` is a list or mapping and cannot be part of a text")));
            }
            other => out.push_str(&other.to_string()),
        }
        rest = &rest[used..];
    }
    out.push_str(rest);
    Ok(out)
}

fn identifier(text: &str) -> &str {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if starts { &text[..end] } else { "" }
}
