//! Statements read from their texts.

use super::super::split;
use crate::proxy::wire::sql::{Reading, Shape, Way, is_unseen, read};
use crate::proxy::wire::statement_counts::{Class, StatementCounts, beginning};

/// A statement's text, read once.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// Index of its class; absent where the text is not known. Then its answer says what it was.
    pub class: Option<usize>,
    /// What it undoes once it is done.
    pub forgets: Option<Forgets>,
    /// The name that it gives to a statement once it is done, and that one's class.
    pub prepares: Option<(Vec<u8>, usize)>,
    /// The name of the statement that it really executes.
    pub executes: Option<Vec<u8>>,
}

/// What SQL takes back that messages have prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forgets {
    /// Every statement.
    All,
    /// The statement of this name.
    One(Vec<u8>),
}

impl StatementCounts {
    /// The class of calls of the fast path: the driver's large objects.
    pub fn class_of_function(&mut self) -> usize {
        self.class(Class { shape: Shape::of_verb("FUNCTION"), is_unseen: true, way: Way::Driver, ..Class::default() })
    }

    /// What an answer's tag says of a statement whose text is not known: `SELECT 1` answers any SELECT of one row.
    pub fn class_of_tag(&mut self, tag: &[u8]) -> usize {
        let text = String::from_utf8_lossy(tag.split(u8::is_ascii_digit).next().unwrap_or_default()).into_owned();
        let reading = read(&text);
        self.class_of(Class::new(&text, reading.shape, reading.way), &text)
    }

    /// Reads the text of one statement.
    pub fn read(&mut self, text: &[u8]) -> Statement {
        let text = String::from_utf8_lossy(text);
        let Reading { shape, prepares, executes, way } = read(&text);
        let forgets = match shape.verb.as_str() {
            "DEALLOCATE" | "DISCARD" => forgets(&text),
            _ => None,
        };
        let own = if prepares.is_some() { Shape::of_verb("PREPARE") } else { shape.clone() };
        let class = Some(self.class_of(Class::new(&text, own, way), &text));
        let prepares = prepares.map(|name| (name.into_bytes(), self.class_of(Class::new(&text, shape, way), &text)));
        Statement { class, forgets, prepares, executes: executes.map(String::into_bytes) }
    }

    /// Reads the text of a simple query.
    pub fn read_all(&mut self, text: &[u8]) -> Vec<Statement> {
        split::statements(text).into_iter().map(|text| self.read(text)).collect()
    }

    /// Whether a statement ends its transaction well, if it can.
    pub fn commits(&self, statement: &Statement) -> bool {
        statement.class.is_some_and(|class| matches!(self.verb(class), "COMMIT" | "END"))
    }
}

impl Class {
    fn new(text: &str, shape: Shape, way: Way) -> Self {
        let is_unseen = is_unseen(text) || shape.verb == "PREPARE";
        let text = (way == Way::Cursor).then(|| beginning(text));
        Self { shape, is_unseen, way, text }
    }
}

/// Of `DEALLOCATE [PREPARE] name` and `DISCARD ALL`.
fn forgets(text: &str) -> Option<Forgets> {
    let mut words = text.trim().trim_end_matches(';').split_whitespace().skip(1);
    let name = words.find(|word| !word.eq_ignore_ascii_case("PREPARE"))?;
    Some(match name.strip_prefix('"') {
        _ if name.eq_ignore_ascii_case("ALL") => Forgets::All,
        Some(quoted) => Forgets::One(quoted.trim_end_matches('"').as_bytes().to_vec()),
        None => Forgets::One(name.to_ascii_lowercase().into_bytes()),
    })
}
