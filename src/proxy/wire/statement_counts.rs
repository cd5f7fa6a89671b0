//! The counts of one connection: statements by what they are counted as, and the rest.

use indexmap::IndexMap;

use super::counters::{self, Counters, Counts, Overflow as _};
use super::shape::Shape;

/// What a statement is counted as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Class {
    /// Its verb and table.
    pub shape: Shape,
    /// Django's execute wrappers do not see it.
    pub is_unseen: bool,
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
pub struct StatementCounts {
    classes: IndexMap<Class, Counts>,
    /// All but what is counted by class.
    pub totals: Counters,
}

impl StatementCounts {
    /// Everything counted so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.totals.clone();
        for (class, counts) in &self.classes {
            let by_shape = if class.is_unseen { &mut counters.unseen } else { &mut counters.seen };
            counters::add_counts(by_shape, &class.shape, *counts);
        }
        counters
    }

    /// Counts a statement.
    pub fn count(&mut self, class: usize, outcome: Outcome) {
        let Some((_, counts)) = self.classes.get_index_mut(class) else { return };
        match outcome {
            Outcome::Done | Outcome::Failed => {
                let failed = u64::from(matches!(outcome, Outcome::Failed));
                counts.statements += 1;
                counts.failed += failed;
                self.totals.statements += 1;
                self.totals.failed += failed;
            }
            Outcome::Skipped => counts.skipped += 1,
            Outcome::Unanswered => counts.unanswered += 1,
        }
    }

    /// Counts the rows that a statement's answer speaks of.
    pub fn count_rows(&mut self, class: usize, rows: u64) {
        if let Some((_, counts)) = self.classes.get_index_mut(class) {
            counts.rows = counts.rows.saturating_add(rows);
        }
    }

    /// What has been counted as done has failed: its commit did.
    pub fn failed_after_all(&mut self, class: usize) {
        if let Some((_, counts)) = self.classes.get_index_mut(class) {
            counts.failed += 1;
            self.totals.failed += 1;
        }
    }

    /// The index of a class; beyond so many of them, that of all others.
    pub fn class(&mut self, class: Class) -> usize {
        let is_full = self.classes.len() >= counters::MAX_KEYS && !self.classes.contains_key(&class);
        let class = if is_full { Class { shape: Shape::overflow(), is_unseen: false } } else { class };
        let entry = self.classes.entry(class);
        let index = entry.index();
        entry.or_default();
        index
    }

    /// The verb of a class.
    pub fn verb(&self, class: usize) -> &str {
        self.classes.get_index(class).map_or("", |(class, _)| class.shape.verb.as_str())
    }
}
