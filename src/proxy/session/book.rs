//! Statements by what they are counted as, and the counts.

use indexmap::IndexMap;

use super::super::counters::{self, Counters, Overflow as _, Tally};
use super::super::split;
use crate::probe::server::is_unseen;
use crate::probe::sql::{Shape, shape};

/// What a statement is counted as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Class {
    shape: Shape,
    is_unseen: bool,
}

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

/// How a statement ended.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// Well.
    Done,
    /// With an error.
    Failed,
    /// Not executed, as an earlier one of its batch failed.
    Skipped,
    /// With its connection.
    Unanswered,
}

/// The counts of one connection.
#[derive(Debug, Default)]
pub struct Book {
    classes: IndexMap<Class, Tally>,
    /// All but what is counted by class.
    pub totals: Counters,
}

impl Book {
    /// Everything counted so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.totals.clone();
        for (class, tally) in &self.classes {
            let tallies = if class.is_unseen { &mut counters.unseen } else { &mut counters.seen };
            counters::tally(tallies, &class.shape, *tally);
        }
        counters
    }

    /// Counts a statement.
    pub fn count(&mut self, class: Option<usize>, outcome: Outcome) {
        let class = class.unwrap_or_else(|| self.class_of_tag(b""));
        let Some((_, tally)) = self.classes.get_index_mut(class) else { return };
        match outcome {
            Outcome::Done | Outcome::Failed => {
                let failed = u64::from(matches!(outcome, Outcome::Failed));
                tally.statements += 1;
                tally.failed += failed;
                self.totals.statements += 1;
                self.totals.failed += failed;
            }
            Outcome::Skipped => tally.skipped += 1,
            Outcome::Unanswered => tally.unanswered += 1,
        }
    }

    /// Counts a call of the fast path: the driver's large objects.
    pub fn count_function(&mut self, outcome: Outcome) {
        let class = self.class(Class { shape: Shape { verb: "FUNCTION".to_owned(), table: None }, is_unseen: true });
        self.count(Some(class), outcome);
    }

    /// What has been counted as done has failed: its commit did.
    pub fn failed_after_all(&mut self, class: usize) {
        if let Some((_, tally)) = self.classes.get_index_mut(class) {
            tally.failed += 1;
            self.totals.failed += 1;
        }
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

    fn class(&mut self, class: Class) -> usize {
        let is_full = self.classes.len() >= counters::MAX_KEYS && !self.classes.contains_key(&class);
        let class = if is_full { Class { shape: Shape::overflow(), is_unseen: false } } else { class };
        let entry = self.classes.entry(class);
        let index = entry.index();
        entry.or_default();
        index
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
