//! What a client has asked for that the server has not answered yet.

use super::statement::Statement;

/// A message of the client that gets an answer, or (of COPY) ends one.
#[derive(Debug)]
pub enum Asked {
    /// Its statements, how many of them have been answered, and when it was asked.
    Query(Vec<Statement>, usize, u64),
    Parse(Vec<u8>, Statement, u64),
    Bind {
        portal: Vec<u8>,
        statement: Vec<u8>,
        at: u64,
    },
    Describe,
    /// Of this portal.
    Execute(Vec<u8>, u64),
    Close(u8, Vec<u8>),
    FunctionCall(u64),
    Sync,
    /// Any number of CopyData.
    CopyData,
    /// CopyDone or CopyFail.
    CopyEnd,
}

impl Asked {
    /// Statements in it that have no answer yet.
    pub fn unanswered(&self) -> u64 {
        match self {
            Self::Query(statements, answered, _) => statements.len().saturating_sub(*answered) as u64,
            Self::Execute(..) | Self::FunctionCall(_) => 1,
            _ => 0,
        }
    }
}
