//! One thing that a statement does.

use serde::Serialize;

/// What is done to a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Touch {
    /// `SELECT` for what is read; `INSERT`, `UPDATE`, `DELETE`, `TRUNCATE`, `COPY`, `MERGE`, `CREATE`, ...
    pub verb: &'static str,
    /// The table, without its schema.
    pub table: String,
}
