//! The counts of one connection: statements by what they are counted as, each of them where it is asked for, and the rest.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::counters::{self, Counters, Counts, Overflow as _};
use super::sql::{Shape, Way};

/// What a statement is counted as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Class {
    /// What it does.
    pub shape: Shape,
    /// It is the driver's own.
    pub is_unseen: bool,
    /// How it gets past them, if they did not see it.
    pub way: Way,
    /// The beginning of its text, where nobody else has it.
    pub text: Option<String>,
}

/// A statement that went over a wire. What was never executed, as an earlier one of its batch failed, is none.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The process of the server that it was sent to; 0, where the server has not said.
    pub backend: u32,
    /// The database that the connection is to.
    pub database: Arc<str>,
    /// What it is.
    pub class: Arc<Class>,
    /// The beginning of the text of the first statement that is counted as the same.
    pub example: Arc<str>,
    /// See [`monotonic`]: when it was read from the client. It had not left the proxy then.
    pub at: u64,
    /// That its answer speaks of.
    pub rows: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// A statement of a connection.
#[derive(Debug, Clone, Copy)]
struct Record {
    class: usize,
    at: u64,
    rows: u64,
    outcome: Outcome,
}

/// What is counted of a class.
#[derive(Debug, Default)]
struct Counted {
    counts: Counts,
    example: String,
}

/// How much of a text is kept to tell what it was.
const EXAMPLE: usize = 200;

/// `CLOCK_MONOTONIC` in nanoseconds, as the workers write it into ledger and journal.
pub fn monotonic() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .map_or(0, |now| now.tv_sec().unsigned_abs() * 1_000_000_000 + now.tv_nsec().unsigned_abs())
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    classes: IndexMap<Class, Counted>,
    records: Vec<Record>,
    /// The process of the server, once it has said.
    pub backend: u32,
    /// All but what is counted by class.
    pub totals: Counters,
}

impl StatementCounts {
    /// Everything counted so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.totals.clone();
        for (class, counted) in &self.classes {
            let by_shape = if class.is_unseen { &mut counters.unseen } else { &mut counters.seen };
            counters::add_counts(by_shape, &class.shape, counted.counts);
        }
        counters
    }

    /// Each statement that was recorded, and those of these classes that have no answer yet.
    pub fn sent(&self, under_way: &[(usize, u64)], known: &mut HashMap<Class, Arc<Class>>) -> Vec<Sent> {
        let database = self.totals.clients.keys().next().map_or("", |client| client.database.as_str());
        let database: Arc<str> = Arc::from(database);
        let classes: Vec<(Arc<Class>, Arc<str>)> = self
            .classes
            .iter()
            .map(|(class, counted)| {
                let shared = known.entry(class.clone()).or_insert_with(|| Arc::new(class.clone()));
                (Arc::clone(shared), Arc::from(counted.example.as_str()))
            })
            .collect();
        let waiting = under_way.iter().map(|&(class, at)| Record { class, at, rows: 0, outcome: Outcome::Unanswered });
        let sent = self.records.iter().copied().chain(waiting).filter_map(|record| {
            let (class, example) = classes.get(record.class)?.clone();
            let Record { at, rows, outcome, .. } = record;
            Some(Sent { backend: self.backend, database: Arc::clone(&database), class, example, at, rows, outcome })
        });
        sent.collect()
    }

    /// Counts a statement.
    pub fn count(&mut self, class: usize, outcome: Outcome) {
        let Some((_, counted)) = self.classes.get_index_mut(class) else { return };
        let counts = &mut counted.counts;
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

    /// Counts a statement and keeps it, with when it was sent; gives its place.
    pub fn record(&mut self, class: usize, outcome: Outcome, at: u64) -> usize {
        self.count(class, outcome);
        if outcome != Outcome::Skipped {
            self.records.push(Record { class, at, rows: 0, outcome });
        }
        self.records.len().saturating_sub(1)
    }

    /// Counts the rows that the answer to a recorded statement speaks of.
    pub fn count_rows(&mut self, record: usize, rows: u64) {
        let Some(record) = self.records.get_mut(record) else { return };
        record.rows = record.rows.saturating_add(rows);
        if let Some((_, counted)) = self.classes.get_index_mut(record.class) {
            counted.counts.rows = counted.counts.rows.saturating_add(rows);
        }
    }

    /// What has been recorded as done has failed: its commit did.
    pub fn failed_after_all(&mut self, record: usize) {
        let Some(record) = self.records.get_mut(record) else { return };
        record.outcome = Outcome::Failed;
        if let Some((_, counted)) = self.classes.get_index_mut(record.class) {
            counted.counts.failed += 1;
            self.totals.failed += 1;
        }
    }

    /// The index of a class; beyond so many of them, that of all others.
    pub fn class(&mut self, class: Class) -> usize {
        self.class_of(class, "")
    }

    /// The same, of a statement with this text.
    pub fn class_of(&mut self, class: Class, text: &str) -> usize {
        let is_full = self.classes.len() >= counters::MAX_KEYS && !self.classes.contains_key(&class);
        let class = if is_full { Class { shape: Shape::overflow(), ..Class::default() } } else { class };
        let entry = self.classes.entry(class);
        let index = entry.index();
        entry.or_insert_with(|| Counted { example: beginning(text), ..Counted::default() });
        index
    }

    /// The verb of a class.
    pub fn verb(&self, class: usize) -> &str {
        self.classes.get_index(class).map_or("", |(class, _)| class.shape.verb.as_str())
    }
}

/// The beginning of a text.
pub fn beginning(text: &str) -> String {
    text.chars().take(EXAMPLE).collect()
}
