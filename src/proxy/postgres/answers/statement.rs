//! Statements read from their texts.

use super::super::split;
use crate::proxy::wire::shape::is_unseen;
use crate::proxy::wire::shape::{Shape, shape};
use crate::proxy::wire::statement_counts::{Class, Outcome, StatementCounts};

/// A statement's text, read once.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// Index of its class; absent where the text is not known. Then its answer says what it was.
    pub class: Option<usize>,
    /// What it undoes once it is done.
    pub forgets: Option<Forgets>,
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
    /// Counts a statement; one without a class by the answer that it has not got.
    pub fn count_statement(&mut self, class: Option<usize>, outcome: Outcome) {
        let class = class.unwrap_or_else(|| self.class_of_tag(b""));
        self.count(class, outcome);
    }

    /// Counts a call of the fast path: the driver's large objects.
    pub fn count_function(&mut self, outcome: Outcome) {
        let class = self.class(Class { shape: Shape { verb: "FUNCTION".to_owned(), table: None }, is_unseen: true });
        self.count(class, outcome);
    }

    /// What an answer's tag says of a statement whose text is not known: `SELECT 1` answers any SELECT of one row.
    pub fn class_of_tag(&mut self, tag: &[u8]) -> usize {
        self.class(Class::of(tag.split(u8::is_ascii_digit).next().unwrap_or_default()))
    }

    /// Reads the text of one statement.
    pub fn read(&mut self, text: &[u8]) -> Statement {
        let class = Class::of(text);
        let forgets = match class.shape.verb.as_str() {
            "DEALLOCATE" | "DISCARD" => forgets(&String::from_utf8_lossy(text)),
            _ => None,
        };
        Statement { class: Some(self.class(class)), forgets }
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
    fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let shape = shape(&text);
        // The driver's own: `cursor.copy()` passes by Django, and prepared statements are evicted unasked.
        let is_unseen = matches!(shape.verb.as_str(), "COPY" | "DEALLOCATE") || is_unseen(&text);
        Self { shape, is_unseen }
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
