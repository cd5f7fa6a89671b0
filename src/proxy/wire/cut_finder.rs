//! The place at which a connection is cut, looked for while its bytes are counted.

use std::ops::Range;

use super::faults::ConnectionFaults;
use super::stream::Side;
use crate::case::CutAt;

/// What one chunk of a connection means for the cut.
#[derive(Debug)]
pub struct CutFinder<'a> {
    faults: &'a ConnectionFaults,
    /// The connection's statement whose answer is not passed on.
    doomed: &'a mut Option<u64>,
    /// Bytes of the chunk that are passed on.
    passes: usize,
    fires: bool,
}

impl<'a> CutFinder<'a> {
    /// Before `length` bytes of a side are looked at.
    pub(in crate::proxy) fn new(
        faults: &'a ConnectionFaults,
        side: Side,
        length: usize,
        doomed: &'a mut Option<u64>,
    ) -> Self {
        let mut cut = Self { faults, doomed, passes: length, fires: false };
        if side == Side::Client
            && let Some(passes) = faults.cut_after_bytes(length)
        {
            cut.fire(passes);
        }
        cut
    }

    /// How many of the bytes are passed on, and whether the connection is closed after them.
    pub(in crate::proxy) fn result(self) -> (usize, bool) {
        (self.passes, self.fires)
    }

    /// The client has sent a message, which begins at `start`, with the statements of these ordinals.
    pub(in crate::proxy) fn sent(&mut self, start: usize, statements: Range<u64>, commits: impl FnOnce() -> bool) {
        if statements.is_empty() {
            return;
        }
        match self.faults.cut() {
            Some(CutAt::BeforeCommit) if commits() => self.take(CutAt::BeforeCommit, start),
            Some(CutAt::AfterStatements(_)) => {
                let doomed = self.faults.cut_after_statements(statements.end - statements.start);
                *self.doomed = doomed.map(|index| statements.start + index).or(*self.doomed);
            }
            _ => {}
        }
    }

    /// Bytes of the server from `at` on answer this statement.
    pub(in crate::proxy) fn answers(&mut self, at: usize, statement: Option<u64>) {
        if statement.is_some() && statement == *self.doomed {
            self.passes = self.passes.min(at);
        }
    }

    /// The server's message at `span` came, and so many of the connection's statements have got their answer.
    pub(in crate::proxy) fn answered(&mut self, span: Range<usize>, settled: u64, next: Option<u64>) {
        if self.doomed.is_some_and(|doomed| doomed <= settled) {
            self.fire(span.start);
        } else {
            self.answers(span.end, next);
        }
    }

    /// The server's message that begins at `start` says that a COMMIT was executed.
    pub(in crate::proxy) fn committed(&mut self, start: usize) {
        self.take(CutAt::AfterCommit, start);
    }

    fn take(&mut self, cut: CutAt, at: usize) {
        if self.faults.take_cut(cut) {
            self.fire(at);
        }
    }

    fn fire(&mut self, at: usize) {
        self.passes = self.passes.min(at);
        self.fires = true;
    }
}
