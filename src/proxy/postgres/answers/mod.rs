//! The state of one connection after start-up: which answer belongs to what was asked, and what that makes of the
//! counts. Names of prepared statements and portals follow the server's answers, as they do on the server.

mod ahead;
mod asked;
mod body;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use self::asked::Asked;
use self::body::{backend, name, rows, text};
use self::statement::{Forgets, Statement};
use super::framing::Message;
use crate::proxy::wire::statement_counts::{Outcome, StatementCounts, monotonic};

/// Names remembered. A client that never closes what it prepares loses the shapes of the old ones, not their count.
const MAX_NAMES: usize = 1 << 16;

/// What the first Execute after an error is, which the server skips.
#[derive(Debug, Clone, Copy)]
enum Owed {
    /// Of the statement that has been counted as failed.
    Counted,
    /// Of the one that is to be counted as failed.
    Fails,
}

/// The state machine.
#[derive(Debug, Default)]
pub struct Answers {
    asked: VecDeque<Asked>,
    statements: HashMap<Vec<u8>, Statement>,
    portals: HashMap<Vec<u8>, Statement>,
    /// Until the first ReadyForQuery; errors before it are refusals.
    is_open: bool,
    /// The server waits for the data of COPY.
    copies_in: bool,
    /// After an error, until Sync is answered.
    skips: bool,
    /// The error came before the Execute of the statement that failed.
    owed: Option<Owed>,
    /// The record of the last one answered well since Sync: its implicit transaction can still fail.
    last: Option<usize>,
    /// Statements of the client so far.
    sent: u64,
    counts: StatementCounts,
}

impl Answers {
    /// The counts.
    pub fn counts(&self) -> &StatementCounts {
        &self.counts
    }

    /// The counts.
    pub fn counts_mut(&mut self) -> &mut StatementCounts {
        &mut self.counts
    }

    /// Statements that the client has sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Of these, how many need no answer any more, in the order in which they were sent.
    pub fn settled(&self) -> u64 {
        self.sent.saturating_sub(self.asked.iter().map(Asked::unanswered).sum())
    }

    /// Whether the client waits: for an answer, or to be let in.
    pub fn is_awaited(&self) -> bool {
        !self.is_open || self.sent() > self.settled()
    }

    /// The ordinal of the statement that the server's next message answers.
    pub fn next_answered(&self) -> Option<u64> {
        let is_statement = self.asked.front().is_some_and(|asked| asked.unanswered() > 0);
        is_statement.then(|| self.settled() + 1)
    }

    /// A message of the client.
    pub fn frontend(&mut self, message: &Message<'_>) {
        self.counts.totals.messages_up += 1;
        let (body, at) = (message.body, monotonic());
        let asked = match message.kind {
            b'Q' => Asked::Query(self.counts.read_all(text(body)), 0, at),
            b'P' => {
                let (name, rest) = name(body);
                Asked::Parse(name, self.counts.read(text(rest)), at)
            }
            b'B' => {
                let (portal, rest) = name(body);
                Asked::Bind { portal, statement: name(rest).0, at }
            }
            b'D' => Asked::Describe,
            b'E' => Asked::Execute(name(body).0, at),
            b'C' => Asked::Close(body.first().copied().unwrap_or_default(), name(body.get(1..).unwrap_or_default()).0),
            b'F' => Asked::FunctionCall(at),
            b'S' => Asked::Sync,
            b'd' => {
                self.counts.totals.copied_up += message.length as u64;
                if matches!(self.asked.back(), Some(Asked::CopyData)) {
                    return;
                }
                Asked::CopyData
            }
            b'c' | b'f' => Asked::CopyEnd,
            _ => return,
        };
        self.sent += asked.unanswered();
        if self.skips && !matches!(self.asked.front(), Some(Asked::Sync)) && !matches!(asked, Asked::Sync) {
            self.skip(&asked);
        } else {
            self.asked.push_back(asked);
        }
    }

    /// A message of the server.
    pub fn backend(&mut self, message: &Message<'_>) {
        self.counts.totals.messages_down += 1;
        // What was still under way when a COPY failed: the server drops it too.
        while !self.copies_in && matches!(self.asked.front(), Some(Asked::CopyData | Asked::CopyEnd)) {
            self.asked.pop_front();
        }
        match message.kind {
            b'C' | b'I' | b's' | b'V' => self.statement_done(message),
            b'E' => self.error(),
            b'Z' => self.ready(message.body),
            b'G' => self.copies_in = true,
            b'K' => self.counts.backend = backend(message.body),
            b'd' => self.counts.totals.copied_down += message.length as u64,
            b'1' | b'2' | b'3' | b'n' | b'T' => self.step_done(message.kind),
            _ => {}
        }
    }

    /// The connection has ended: what waits for an answer gets none.
    pub fn end(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Query(statements, answered, at) => {
                    for statement in statements.iter().skip(answered) {
                        self.count(statement, Outcome::Unanswered, at);
                    }
                }
                Asked::Parse(name, statement, _) => self.remember(name, statement),
                Asked::Bind { portal, statement, .. } => self.bind(portal, &statement),
                Asked::Execute(portal, at) => {
                    self.count(&self.of_portal(&portal), Outcome::Unanswered, at);
                }
                Asked::FunctionCall(at) => self.count_function(Outcome::Unanswered, at),
                _ => {}
            }
        }
    }

    /// CommandComplete, EmptyQueryResponse, PortalSuspended, FunctionCallResponse.
    fn statement_done(&mut self, answer: &Message<'_>) {
        let (statement, at) = match self.asked.front_mut() {
            Some(Asked::Query(statements, answered, at)) => {
                *answered += 1;
                (statements.get(*answered - 1).cloned().unwrap_or_default(), *at)
            }
            Some(Asked::Execute(portal, at)) => {
                let asked = (self.portals.get(portal).cloned().unwrap_or_default(), *at);
                self.asked.pop_front();
                asked
            }
            Some(Asked::FunctionCall(at)) => {
                let at = *at;
                return self.count_function(Outcome::Done, at);
            }
            _ => return self.counts.totals.unmatched += 1,
        };
        if std::mem::take(&mut self.copies_in) {
            self.drop_copy();
        }
        let class = self.class(&statement);
        let class = class.unwrap_or_else(|| self.counts.class_of_tag(text(answer.body)));
        let record = self.counts.record(class, Outcome::Done, at);
        self.last = Some(record);
        if answer.kind == b'C' {
            self.counts.count_rows(record, rows(answer.body));
        }
        if let Some((name, class)) = statement.prepares {
            self.remember(name, Statement { class: Some(class), ..Statement::default() });
        }
        match statement.forgets {
            Some(Forgets::All) => self.statements.clear(),
            Some(Forgets::One(name)) => drop(self.statements.remove(&name)),
            None => {}
        }
    }

    /// All that the server has read while it waited for data, CopyDone included.
    fn drop_copy(&mut self) {
        let begin = usize::from(matches!(self.asked.front(), Some(Asked::Query(..))));
        if let Some(end) = self.asked.iter().position(|asked| matches!(asked, Asked::CopyEnd)) {
            self.asked.drain(begin..=end);
        }
    }

    /// ParseComplete, BindComplete, CloseComplete, and what ends the answer to Describe.
    fn step_done(&mut self, kind: u8) {
        match (kind, self.asked.front()) {
            (b'1', Some(Asked::Parse(..)))
            | (b'2', Some(Asked::Bind { .. }))
            | (b'3', Some(Asked::Close(..)))
            | (b'n' | b'T', Some(Asked::Describe)) => {}
            // Its rows begin.
            (b'T', Some(Asked::Query(..))) => return,
            _ => return self.counts.totals.unmatched += 1,
        }
        match self.asked.pop_front() {
            Some(Asked::Parse(name, statement, _)) => self.remember(name, statement),
            Some(Asked::Bind { portal, statement, .. }) => self.bind(portal, &statement),
            Some(Asked::Close(b'S', name)) => drop(self.statements.remove(&name)),
            Some(Asked::Close(_, name)) => drop(self.portals.remove(&name)),
            _ => {}
        }
    }

    fn error(&mut self) {
        let copied_in = std::mem::take(&mut self.copies_in);
        if self.skips || !self.is_open {
            return;
        }
        let is_batch = match self.asked.front_mut() {
            // Nothing was asked: the server ends the connection.
            None => return,
            Some(Asked::Query(statements, answered, at)) => {
                let (statements, failed, at) = (std::mem::take(statements), *answered, *at);
                *answered = 0;
                self.count(&statements.get(failed).cloned().unwrap_or_default(), Outcome::Failed, at);
                for statement in statements.iter().skip(failed + 1) {
                    self.count(statement, Outcome::Skipped, at);
                }
                false
            }
            Some(Asked::FunctionCall(at)) => {
                let at = *at;
                self.count_function(Outcome::Failed, at);
                false
            }
            // The implicit transaction of what has been answered already.
            Some(Asked::Sync) => {
                if let Some(last) = self.last {
                    self.counts.failed_after_all(last);
                }
                false
            }
            Some(Asked::Execute(portal, at)) => {
                let (portal, at) = (std::mem::take(portal), *at);
                self.count(&self.of_portal(&portal), Outcome::Failed, at);
                true
            }
            // Only preparing it may have been asked for.
            Some(Asked::Parse(name, statement, at)) => {
                let (name, statement, at) = (std::mem::take(name), std::mem::take(statement), *at);
                self.count(&statement, Outcome::Failed, at);
                self.remember(name, statement);
                self.owed = Some(Owed::Counted);
                true
            }
            Some(Asked::Bind { statement, at, .. }) => {
                let at = *at;
                let statement = self.statements.get(statement.as_slice()).cloned().unwrap_or_default();
                self.count(&statement, Outcome::Failed, at);
                self.owed = Some(Owed::Counted);
                true
            }
            Some(_) => {
                self.owed = Some(Owed::Fails);
                true
            }
        };
        if is_batch {
            self.skip_to_sync(copied_in);
        }
    }

    /// The server reads on until Sync, executing nothing.
    fn skip_to_sync(&mut self, copied_in: bool) {
        self.asked.pop_front();
        // Read while it waited for data, where Sync means nothing.
        while copied_in && matches!(self.asked.front(), Some(Asked::Sync)) {
            self.asked.pop_front();
        }
        self.skips = true;
        while let Some(asked) = self.asked.pop_front_if(|asked| !matches!(asked, Asked::Sync)) {
            self.skip(&asked);
        }
    }

    fn skip(&mut self, asked: &Asked) {
        match asked {
            Asked::Execute(portal, at) => {
                let statement = self.of_portal(portal);
                match self.owed.take() {
                    Some(Owed::Counted) => {}
                    Some(Owed::Fails) => self.count(&statement, Outcome::Failed, *at),
                    None => self.count(&statement, Outcome::Skipped, *at),
                }
            }
            Asked::Parse(name, statement, _) => self.remember(name.clone(), statement.clone()),
            Asked::Bind { portal, statement, .. } => self.bind(portal.clone(), statement),
            Asked::Query(statements, _, at) => {
                for statement in statements {
                    self.count(statement, Outcome::Skipped, *at);
                }
            }
            Asked::FunctionCall(at) => self.count_function(Outcome::Skipped, *at),
            _ => {}
        }
    }

    /// ReadyForQuery, with the state of the transaction.
    fn ready(&mut self, state: &[u8]) {
        (self.skips, self.owed, self.copies_in, self.last) = (false, None, false, None);
        if state == b"I" {
            self.portals.clear();
        }
        if !std::mem::replace(&mut self.is_open, true) {
            return;
        }
        // The first is the one, unless the proxy has lost track: then this is where it finds it again.
        loop {
            match self.asked.pop_front() {
                Some(Asked::Query(..) | Asked::FunctionCall(_) | Asked::Sync) => return,
                Some(_) => self.counts.totals.unmatched += 1,
                None => return self.counts.totals.unmatched += 1,
            }
        }
    }

    /// What a portal executes.
    fn of_portal(&self, portal: &[u8]) -> Statement {
        self.portals.get(portal).cloned().unwrap_or_default()
    }

    /// What a statement is counted as: by SQL one is executed that was prepared before.
    fn class(&self, statement: &Statement) -> Option<usize> {
        let prepared = statement.executes.as_ref().and_then(|name| self.statements.get(name));
        prepared.and_then(|prepared| prepared.class).or(statement.class)
    }

    /// Counts a statement; one without a class by the answer that it has not got.
    fn count(&mut self, statement: &Statement, outcome: Outcome, at: u64) {
        let class = self.class(statement).unwrap_or_else(|| self.counts.class_of_tag(b""));
        self.counts.record(class, outcome, at);
    }

    fn count_function(&mut self, outcome: Outcome, at: u64) {
        let class = self.counts.class_of_function();
        self.counts.record(class, outcome, at);
    }

    fn remember(&mut self, name: Vec<u8>, statement: Statement) {
        if self.statements.len() >= MAX_NAMES {
            self.statements.clear();
        }
        self.statements.insert(name, statement);
    }

    fn bind(&mut self, portal: Vec<u8>, statement: &[u8]) {
        if self.portals.len() >= MAX_NAMES {
            self.portals.clear();
        }
        let statement = self.statements.get(statement).cloned().unwrap_or_default();
        self.portals.insert(portal, statement);
    }
}
