//! Reads an arm's ledger into statements.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use dj_regress_protocol::{Record, records};

use crate::error::{Context as _, Error, Result};
use crate::proxy::{Shape, shape};

/// The actor whose statements no measurement counts.
pub const PROBE: &str = "probe";

/// One statement that an actor gave to Django.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The actor's name in the case.
    pub actor: String,
    /// `main`, or the process's role in a real cluster.
    pub role: String,
    /// Verb and table.
    pub shape: Shape,
    /// Its text, with Django's `%s`.
    pub sql: Arc<str>,
    /// `file:line:function`.
    pub site: String,
    /// `CLOCK_MONOTONIC` in nanoseconds when it was sent.
    pub begin: u64,
    /// How often the server was asked to execute it.
    pub times: u64,
    /// How it ended; absent where its process died first.
    pub end: Option<End>,
}

/// How a statement ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub at: u64,
    /// The cursor's row count; -1 where the driver does not know.
    pub rows: i64,
    /// The exception's class.
    pub error: Option<String>,
}

/// All statements of a ledger, in the order in which they were begun.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The statements.
    pub statements: Vec<Statement>,
}

impl Ledger {
    /// Reads a ledger file. A file that is not there is an arm that sent no statement.
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).cannot_run(|| format!("read the ledger {}", path.display())),
        }
    }

    /// Reads the text of a ledger. A part of a record is what a killed process left: skipped.
    pub fn parse(text: &str) -> Result<Self> {
        let mut ledger = Self::default();
        let mut texts: HashMap<String, (Arc<str>, Shape)> = HashMap::new();
        let mut open: HashMap<(u32, u64), usize> = HashMap::new();
        for record in records(text) {
            let read = record.map_err(|(line, error)| Error::cannot_run(format!("line {line} of the ledger: {error}")));
            match read? {
                Record::Text { id, sql } => {
                    texts.entry(id).or_insert_with(|| (Arc::from(sql.as_str()), shape(&sql)));
                }
                Record::Begin { pid, seq, actor, role, at, text, site, times, alias: _ } => {
                    let (sql, shape) = texts.get(&text).cloned().unwrap_or_else(|| (Arc::from(""), shape("")));
                    open.insert((pid, seq), ledger.statements.len());
                    ledger.statements.push(Statement { actor, role, shape, sql, site, begin: at, times, end: None });
                }
                Record::End { pid, seq, at, rows, error } => {
                    if let Some(index) = open.remove(&(pid, seq)) {
                        ledger.statements[index].end = Some(End { at, rows, error });
                    }
                }
            }
        }
        Ok(ledger)
    }

    /// The statements that measurements count: all but the probe's.
    pub fn measured(&self) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|statement| statement.actor != PROBE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = concat!(
        r#"{"record":"text","id":"a","sql":"SELECT 1 FROM t"}"#,
        "\n",
        r#"{"record":"begin","pid":7,"seq":1,"actor":"q","role":"main","at":5,"text":"a","site":"x.py:1:f","alias":"default","times":1}"#,
        "\n",
        r#"{"record":"end","pid":7,"seq":1,"at":9,"rows":3,"error":null}"#,
        "\n",
        r#"{"record":"begin","pid":7,"seq":2,"actor":"probe","role":"main","at":10,"text":"a","site":"x.py:1:f","alias":"default","times":1}"#,
        "\n",
        r#"{"record":"end","pid":7,"se"#
    );

    #[test]
    fn a_killed_process_leaves_a_statement_begun_and_not_ended() {
        let ledger = Ledger::parse(LEDGER).expect("it is a ledger");
        assert_eq!(ledger.statements.len(), 2);
        assert_eq!(ledger.statements[0].end, Some(End { at: 9, rows: 3, error: None }));
        assert_eq!(ledger.statements[1].end, None);
    }

    #[test]
    fn the_probe_is_not_measured() {
        let ledger = Ledger::parse(LEDGER).expect("it is a ledger");
        assert_eq!(ledger.measured().count(), 1);
    }

    #[test]
    fn a_line_that_is_no_record_is_an_error_with_its_number() {
        let error =
            Ledger::parse("{\"record\":\"text\",\"id\":\"a\",\"sql\":\"\"}\nnonsense\n").expect_err("it is none");
        assert!(error.message.contains("line 2"), "{}", error.message);
    }
}
