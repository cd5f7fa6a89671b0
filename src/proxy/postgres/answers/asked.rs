//! What a client has asked for that the server has not answered yet.

use super::statement::Statement;

/// A message of the client that gets an answer, or (of COPY) ends one.
#[derive(Debug)]
pub enum Asked {
    /// Its statements, and how many of them have been answered.
    Query(Vec<Statement>, usize),
    Parse(Vec<u8>, Statement),
    Bind {
        portal: Vec<u8>,
        statement: Vec<u8>,
    },
    Describe,
    /// Of this portal.
    Execute(Vec<u8>),
    Close(u8, Vec<u8>),
    FunctionCall,
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
            Self::Query(statements, answered) => statements.len().saturating_sub(*answered) as u64,
            Self::Execute(_) | Self::FunctionCall => 1,
            _ => 0,
        }
    }
}
