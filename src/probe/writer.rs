//! Who sent statements.

use serde::Serialize;

/// Statements of one text from one call site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// How many the server was asked to execute.
    pub statements: u64,
    /// The actor's name in the case.
    pub actor: String,
    /// `file:line:function`.
    pub site: String,
    /// The text, with Django's `%s`, shortened.
    pub sql: String,
}

/// One line of at most 100 characters.
pub fn shorten(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 100 { line } else { line.chars().take(99).chain(['…']).collect() }
}
