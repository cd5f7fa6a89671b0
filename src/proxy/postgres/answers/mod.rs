//! The state of one connection after start-up: which answer belongs to what was asked, and what that makes of the
//! counts. Names of prepared statements and portals follow the server's answers, as they do on the server.

mod asked;
mod statement;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use self::asked::Asked;
use self::statement::{Forgets, Statement};
use super::framing::Message;
use crate::proxy::wire::statement_counts::{Outcome, StatementCounts};

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
    /// The last one answered well since Sync: its implicit transaction can still fail.
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

    /// Whether what was sent last is a COMMIT, or has one in it.
    pub fn commits(&self) -> bool {
        match self.asked.back() {
            Some(Asked::Query(statements, answered)) => {
                statements.iter().skip(*answered).any(|statement| self.counts.commits(statement))
            }
            Some(Asked::Execute(portal)) => {
                self.promised(portal).is_some_and(|statement| self.counts.commits(statement))
            }
            _ => false,
        }
    }

    /// What a portal will be when the server has read everything that was sent.
    fn promised(&self, portal: &[u8]) -> Option<&Statement> {
        let mut sent = self.asked.iter().rev();
        let bound = sent.find_map(|asked| match asked {
            Asked::Bind { portal: name, statement } if name == portal => Some(statement),
            _ => None,
        });
        let Some(bound) = bound else { return self.portals.get(portal) };
        let parsed = sent.find_map(|asked| match asked {
            Asked::Parse(name, statement) if name == bound => Some(statement),
            _ => None,
        });
        parsed.or_else(|| self.statements.get(bound))
    }

    /// A message of the client.
    pub fn frontend(&mut self, message: &Message<'_>) {
        self.counts.totals.messages_up += 1;
        let body = message.body;
        let asked = match message.kind {
            b'Q' => Asked::Query(self.counts.read_all(text(body)), 0),
            b'P' => {
                let (name, rest) = name(body);
                Asked::Parse(name, self.counts.read(text(rest)))
            }
            b'B' => {
                let (portal, rest) = name(body);
                Asked::Bind { portal, statement: name(rest).0 }
            }
            b'D' => Asked::Describe,
            b'E' => Asked::Execute(name(body).0),
            b'C' => Asked::Close(body.first().copied().unwrap_or_default(), name(body.get(1..).unwrap_or_default()).0),
            b'F' => Asked::FunctionCall,
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
            b'd' => self.counts.totals.copied_down += message.length as u64,
            b'1' | b'2' | b'3' | b'n' | b'T' => self.step_done(message.kind),
            _ => {}
        }
    }

    /// The connection has ended: what waits for an answer gets none.
    pub fn end(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Query(statements, answered) => {
                    for statement in statements.iter().skip(answered) {
                        self.counts.count_statement(statement.class, Outcome::Unanswered);
                    }
                }
                Asked::Parse(name, statement) => self.remember(name, statement),
                Asked::Bind { portal, statement } => self.bind(portal, &statement),
                Asked::Execute(portal) => {
                    let class = self.portals.get(&portal).and_then(|statement| statement.class);
                    self.counts.count_statement(class, Outcome::Unanswered);
                }
                Asked::FunctionCall => self.counts.count_function(Outcome::Unanswered),
                _ => {}
            }
        }
    }

    /// CommandComplete, EmptyQueryResponse, PortalSuspended, FunctionCallResponse.
    fn statement_done(&mut self, answer: &Message<'_>) {
        let statement = match self.asked.front_mut() {
            Some(Asked::Query(statements, answered)) => {
                *answered += 1;
                statements.get(*answered - 1).cloned().unwrap_or_default()
            }
            Some(Asked::Execute(portal)) => {
                let statement = self.portals.get(portal).cloned().unwrap_or_default();
                self.asked.pop_front();
                statement
            }
            Some(Asked::FunctionCall) => return self.counts.count_function(Outcome::Done),
            _ => return self.counts.totals.unmatched += 1,
        };
        if std::mem::take(&mut self.copies_in) {
            self.drop_copy();
        }
        let class = statement.class.unwrap_or_else(|| self.counts.class_of_tag(text(answer.body)));
        self.last = Some(class);
        self.counts.count_statement(Some(class), Outcome::Done);
        if answer.kind == b'C' {
            self.counts.count_rows(class, rows(answer.body));
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
            Some(Asked::Parse(name, statement)) => self.remember(name, statement),
            Some(Asked::Bind { portal, statement }) => self.bind(portal, &statement),
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
            Some(Asked::Query(statements, answered)) => {
                let (statements, at) = (std::mem::take(statements), *answered);
                *answered = 0;
                self.counts.count_statement(statements.get(at).and_then(|statement| statement.class), Outcome::Failed);
                for statement in statements.iter().skip(at + 1) {
                    self.counts.count_statement(statement.class, Outcome::Skipped);
                }
                false
            }
            Some(Asked::FunctionCall) => {
                self.counts.count_function(Outcome::Failed);
                false
            }
            // The implicit transaction of what has been answered already.
            Some(Asked::Sync) => {
                if let Some(last) = self.last {
                    self.counts.failed_after_all(last);
                }
                false
            }
            Some(Asked::Execute(portal)) => {
                let class = self.portals.get(portal).and_then(|statement| statement.class);
                self.counts.count_statement(class, Outcome::Failed);
                true
            }
            // Only preparing it may have been asked for.
            Some(Asked::Parse(name, statement)) => {
                let (name, statement) = (std::mem::take(name), std::mem::take(statement));
                self.counts.count_statement(statement.class, Outcome::Failed);
                self.remember(name, statement);
                self.owed = Some(Owed::Counted);
                true
            }
            Some(Asked::Bind { statement, .. }) => {
                let class = self.statements.get(statement).and_then(|statement| statement.class);
                self.counts.count_statement(class, Outcome::Failed);
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
            Asked::Execute(portal) => {
                let class = self.portals.get(portal).and_then(|statement| statement.class);
                match self.owed.take() {
                    Some(Owed::Counted) => {}
                    Some(Owed::Fails) => self.counts.count_statement(class, Outcome::Failed),
                    None => self.counts.count_statement(class, Outcome::Skipped),
                }
            }
            Asked::Parse(name, statement) => self.remember(name.clone(), statement.clone()),
            Asked::Bind { portal, statement } => self.bind(portal.clone(), statement),
            Asked::Query(statements, _) => {
                for statement in statements {
                    self.counts.count_statement(statement.class, Outcome::Skipped);
                }
            }
            Asked::FunctionCall => self.counts.count_function(Outcome::Skipped),
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
                Some(Asked::Query(..) | Asked::FunctionCall | Asked::Sync) => return,
                Some(_) => self.counts.totals.unmatched += 1,
                None => return self.counts.totals.unmatched += 1,
            }
        }
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

/// The rows that a command tag ends with: `FETCH 2000`, `INSERT 0 3`; none in `BEGIN`. What a portal returned before it
/// was suspended is told by no tag.
fn rows(tag: &[u8]) -> u64 {
    let last = text(tag).rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    str::from_utf8(last).ok().and_then(|rows| rows.parse().ok()).unwrap_or_default()
}

/// A text up to its zero byte.
fn text(body: &[u8]) -> &[u8] {
    body.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A name up to its zero byte, and what follows.
fn name(body: &[u8]) -> (Vec<u8>, &[u8]) {
    let name = text(body);
    (name.to_vec(), body.get(name.len() + 1..).unwrap_or_default())
}
