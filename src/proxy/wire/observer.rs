//! What a protocol tells of its bytes: counts for everybody, and places in the stream for the faults.

use std::fmt;
use std::io;

use super::cut_finder::CutFinder;
use super::statement_counts::StatementCounts;
use super::stream::Side;

/// Why a connection ended other than by its end.
#[derive(Debug)]
pub enum Broken {
    /// What was read has been counted as malformed, and nothing after it can be understood.
    Malformed,
    /// A socket failed, or ended before start-up was complete.
    Io,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

/// Understands one connection's bytes.
pub trait Observer: fmt::Debug + Send + 'static {
    /// Counts the next bytes of a side, and tells what is aimed at where it stands in them.
    ///
    /// # Errors
    ///
    /// Where the connection cannot go on.
    fn received(&mut self, side: Side, bytes: &[u8], cut: Option<&mut CutFinder<'_>>) -> Result<(), Broken>;

    /// Whether the stream may end here.
    fn is_between_messages(&self, side: Side) -> bool;

    /// Statements that the client has sent: a statement's ordinal on its connection.
    fn sent(&self) -> u64;

    /// Whether the client waits: for an answer, or to be let in.
    fn is_awaited(&self) -> bool;

    /// The classes of statements that have no answer yet, and when they were sent.
    fn under_way(&self) -> Vec<(usize, u64)> {
        Vec::new()
    }

    /// Of the server's bytes, the last ones that may begin the answer to a COMMIT.
    fn undecided(&self) -> usize;

    /// The connection has ended: what waits for an answer gets none.
    fn end(&mut self);

    /// The counts.
    fn counts(&self) -> &StatementCounts;

    /// The counts.
    fn counts_mut(&mut self) -> &mut StatementCounts;
}
