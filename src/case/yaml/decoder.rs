//! What a decoder knows of the node that it reads.

use std::cell::RefCell;
use std::rc::Rc;

use serde::de::DeserializeSeed;

use super::diagnostic::{Diagnostic, Unknown};
use super::node::{Key, Node};
use super::place::{own_span, placed};

/// A field that is read from the mapping of its struct.
pub const REST: &str = "$rest";

/// As [`REST`], where the mapping has further keys.
pub const OWN: &str = "$own";

/// A field that is a line.
pub const LINE: &str = "$line";

/// A field that says what is written there.
pub const WRITTEN: &str = "$written";

/// Where the value of a field comes from.
pub enum Source<'de> {
    /// A key of the mapping.
    Entry(&'de Key, &'de Node),
    /// The mapping itself.
    Rest(Decoder<'de>),
    /// Its line.
    Line(usize),
    /// It in one line.
    Written(String),
    /// A value that needs no name.
    Alone(Decoder<'de>),
}

/// What is read, and what is known of its place.
#[derive(Clone)]
pub struct Decoder<'de> {
    /// The node.
    pub node: &'de Node,
    /// The key that holds it.
    pub key: Option<&'de Key>,
    /// Keys of the mapping that others read.
    pub beside: Vec<&'de str>,
    /// The enum whose variant the mapping is, and that variant.
    pub of: Option<(&'static str, &'de str)>,
    /// Whether it is a file, of which all is read that can be.
    pub is_file: bool,
    /// What is wrong so far.
    pub errors: Rc<RefCell<Vec<Diagnostic>>>,
}

impl<'de> Decoder<'de> {
    /// Of this node, alone.
    pub fn of(node: &'de Node, key: Option<&'de Key>) -> Self {
        Self { node, key, beside: Vec::new(), of: None, is_file: false, errors: Rc::default() }
    }

    /// A part of it.
    pub fn child(&self, key: Option<&'de Key>, node: &'de Node) -> Self {
        Self { errors: Rc::clone(&self.errors), ..Self::of(node, key) }
    }

    /// Says where, unless that is known.
    pub fn placed(&self, error: Diagnostic) -> Diagnostic {
        placed(error, self.node, self.key)
    }

    /// Takes in what is wrong.
    pub fn tell(&self, error: Diagnostic) {
        if !error.is_said() {
            self.errors.borrow_mut().push(error);
        }
    }

    /// The fields of a struct, or of a variant that a key of the mapping names.
    /// Last first; and whether there is a key that is none of them.
    pub fn fields(&self, fields: &'static [&'static str]) -> (Vec<(&'de str, Source<'de>)>, bool) {
        let (mut queue, mut is_wrong) = (Vec::new(), false);
        for (key, node) in self.node.entries() {
            let name = key.name.as_str();
            if fields.contains(&name) {
                queue.push((key.name.as_str(), Source::Entry(key, node)));
            } else if !self.beside.contains(&name) && !fields.contains(&REST) && !fields.contains(&OWN) {
                is_wrong = true;
                let known = fields.iter().copied().filter(|field| !field.starts_with('$'));
                let mut unknown = Diagnostic::new(format!("unknown key `{name}`")).at(key.span);
                unknown = unknown.suggest(name, known.chain(self.beside.iter().copied()));
                unknown.unknown = self
                    .of
                    .map(|(noun, variant)| Unknown { key: name.to_owned(), noun, variant: variant.to_owned() })
                    .map(Box::new);
                self.tell(unknown);
            }
        }
        for field in fields.iter().copied() {
            match field {
                LINE => queue.push((field, Source::Line(self.line()))),
                WRITTEN => queue.push((field, Source::Written(self.node.outline()))),
                OWN => {
                    let beside = self.node.entries().iter().map(|(key, _)| key.name.as_str()).collect();
                    queue.push((field, Source::Rest(Self { beside, is_file: false, ..self.clone() })));
                }
                field if field.starts_with(REST) => {
                    let own = fields.iter().copied().filter(|field| !field.starts_with('$'));
                    let beside = self.beside.iter().copied().chain(own).collect();
                    queue.push((field, Source::Rest(Self { beside, is_file: false, ..self.clone() })));
                }
                _ => {}
            }
        }
        queue.reverse();
        (queue, is_wrong)
    }

    fn line(&self) -> usize {
        self.key.map_or_else(|| own_span(self.node), |key| key.span).line
    }
}

/// What is read from a node, or what is wrong with it and where.
pub fn read<'de, S: DeserializeSeed<'de>>(decoder: Decoder<'de>, seed: S) -> Result<S::Value, Diagnostic> {
    let place = decoder.clone();
    seed.deserialize(decoder).map_err(|error| place.placed(error))
}
