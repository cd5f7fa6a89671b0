//! Reads an arm's ledger: what Django's wrappers saw, and from where in the app.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use dj_regress_protocol::{Record, record};

use crate::error::{Context as _, Result};
use crate::proxy::{Shape, shape};

/// The actor whose statements no measurement counts.
pub const PROBE: &str = "probe";

/// A call of an actor: one text that it gave to a cursor of Django.
#[derive(Debug, Clone)]
pub struct Call {
    /// The actor's name in the case.
    pub actor: Arc<str>,
    /// `main`, or the process's role in a real cluster.
    pub role: Arc<str>,
    /// What its text says that it does.
    pub shape: Arc<Shape>,
    /// Its text, with Django's `%s`.
    pub sql: Arc<str>,
    /// `file:line:function`.
    pub site: Arc<str>,
    /// `CLOCK_MONOTONIC` in nanoseconds when it was sent.
    pub begin: u64,
    /// How often the server was to execute it; 0, where that was not known before.
    pub times: u64,
    /// The process of the server that its connection is to; 0, where the driver does not say.
    pub backend: u32,
    /// How it ended; absent where its process died first.
    pub end: Option<End>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub at: u64,
    /// The cursor's row count; -1 where the driver does not know.
    pub rows: i64,
    /// The exception's class.
    pub error: Option<String>,
}

/// All calls of a ledger, in the order in which they were begun.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The calls.
    pub calls: Vec<Call>,
}

impl Ledger {
    /// Reads a ledger file. A file that is not there is an arm that sent no statement.
    pub fn read(path: &Path) -> Result<Self> {
        match File::open(path) {
            Ok(file) => Self::parse(BufReader::new(file).lines()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).cannot_run(|| format!("read the ledger {}", path.display())),
        }
    }

    /// Reads the lines of a ledger. A part of a record is what a killed process left: skipped. Many statements say the
    /// same: each text is kept once.
    fn parse(lines: impl Iterator<Item = io::Result<String>>) -> Result<Self> {
        let mut ledger = Self::default();
        let mut texts: HashMap<String, (Arc<str>, Arc<Shape>)> = HashMap::new();
        let mut open: HashMap<(u32, u64), usize> = HashMap::new();
        let mut said = HashSet::new();
        let mut once = |text: String| {
            if let Some(same) = said.get(text.as_str()) {
                return Arc::clone(same);
            }
            let text: Arc<str> = Arc::from(text);
            said.insert(Arc::clone(&text));
            text
        };
        for (index, line) in lines.enumerate() {
            let doing = || format!("line {} of the ledger", index + 1);
            let Some(read) = record(&line.cannot_run(doing)?) else { continue };
            match read.cannot_run(doing)? {
                Record::Text { id, sql } => {
                    texts.entry(id).or_insert_with(|| (Arc::from(sql.as_str()), Arc::new(shape(&sql))));
                }
                Record::Begin { pid, seq, actor, role, at, text, site, times, backend, alias: _ } => {
                    let unknown = || (Arc::from(""), Arc::new(shape("")));
                    let (sql, shape) = texts.get(&text).cloned().unwrap_or_else(unknown);
                    let (actor, role, site) = (once(actor), once(role), once(site));
                    open.insert((pid, seq), ledger.calls.len());
                    ledger.calls.push(Call { actor, role, shape, sql, site, begin: at, times, backend, end: None });
                }
                Record::End { pid, seq, at, rows, error } => {
                    if let Some(index) = open.remove(&(pid, seq)) {
                        ledger.calls[index].end = Some(End { at, rows, error });
                    }
                }
            }
        }
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Ledger> {
        Ledger::parse(text.lines().map(|line| Ok(line.to_owned())))
    }

    const LEDGER: &str = concat!(
        r#"{"record":"text","id":"a","sql":"SELECT 1 FROM t"}"#,
        "\n",
        r#"{"record":"begin","pid":7,"seq":1,"actor":"q","role":"main","at":5,"text":"a","site":"x.py:1:f","alias":"default","backend":7,"times":1}"#,
        "\n",
        r#"{"record":"end","pid":7,"seq":1,"at":9,"rows":3,"error":null}"#,
        "\n",
        r#"{"record":"begin","pid":7,"seq":2,"actor":"probe","role":"main","at":10,"text":"a","site":"x.py:1:f","alias":"default","backend":7,"times":1}"#,
        "\n",
        r#"{"record":"end","pid":7,"se"#
    );

    #[test]
    fn a_killed_process_leaves_a_statement_begun_and_not_ended() {
        let ledger = parse(LEDGER).expect("it is a ledger");
        assert_eq!(ledger.calls.len(), 2);
        assert_eq!(ledger.calls[0].end, Some(End { at: 9, rows: 3, error: None }));
        assert_eq!(ledger.calls[1].end, None);
    }

    #[test]
    fn a_line_that_is_no_record_is_an_error_with_its_number() {
        let error = parse("{\"record\":\"text\",\"id\":\"a\",\"sql\":\"\"}\nnonsense\n").expect_err("it is none");
        assert!(error.message.contains("line 2"), "{}", error.message);
    }
}
