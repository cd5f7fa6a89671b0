//! Who wrote a table: the app's statements with their call sites, strangers from triggers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::measurement::{Found, Left, Measurement, Requires};
use super::statement::Statement;
use super::triggers::Write;
use super::window::Window;
use super::writer::{Writer, shorten};
use crate::proxy::{Shape, shape};

/// How actors introduce themselves to the server: `dj-regress/<actor>`.
const ACTOR_PREFIX: &str = "dj-regress/";

/// Statements that wrote to a table, but for those of who may.
pub struct Writers<'m> {
    /// The table.
    pub table: &'m str,
    /// In capitals.
    pub verbs: &'m [String],
    /// The actors that may.
    pub allowed: &'m [String],
}

impl Measurement for Writers<'_> {
    fn requires(&self) -> Requires<'_> {
        Requires { triggers_on: Some(self.table), ..Requires::default() }
    }

    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let writes = left.writes.get(self.table).ok_or_else(|| format!("nobody watched who writes {}", self.table))?;
        let all = of(left.statements, writes, self.table, self.verbs, left.window);
        let is_allowed = |writer: &TableWriter| !writer.is_stranger && self.allowed.contains(&writer.writer);
        let others: Vec<TableWriter> = all.into_iter().filter(|writer| !is_allowed(writer)).collect();
        let statements: u64 = others.iter().map(|writer| writer.statements).sum();
        Ok(Found { value: statements.into(), writers: others.into_iter().map(Into::into).collect() })
    }
}

/// One writer of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableWriter {
    /// The actor's name in the case; a stranger's application name.
    pub writer: String,
    /// Whether it is no call site of an actor of the arm: a foreign client, or a function on the server.
    pub is_stranger: bool,
    /// The process's role; for a stranger where it came from: `pid 7, local`.
    pub role: String,
    /// `file:line:function`; for a stranger its statement.
    pub site: String,
    /// `INSERT`, `UPDATE`, `DELETE` or `TRUNCATE`.
    pub verb: String,
    /// Statements.
    pub statements: u64,
    /// Rows that they touched, where the driver knows.
    pub rows: u64,
}

impl From<TableWriter> for Writer {
    fn from(writer: TableWriter) -> Self {
        let TableWriter { writer: name, role, site, verb, statements, is_stranger, .. } = writer;
        if is_stranger {
            Self { statements, actor: name, site: role, sql: shorten(&site) }
        } else {
            Self { statements, actor: name, site, sql: verb }
        }
    }
}

/// The writers of a table in a window, most statements first.
pub fn of(
    statements: &[Statement],
    writes: &[Write],
    table: &str,
    verbs: &[String],
    window: &Window,
) -> Vec<TableWriter> {
    type Key = (String, bool, String, String, String);
    let mut found: BTreeMap<Key, (u64, u64)> = BTreeMap::new();
    let mut add = |key: Key, statements: u64, rows: u64| {
        let entry = found.entry(key).or_default();
        entry.0 += statements;
        entry.1 += rows;
    };
    let wanted = |verb: &str| verbs.iter().any(|wanted| wanted == verb);
    for statement in statements.iter().filter(|statement| window.contains(statement.at)) {
        let does = statement.class.shape.touches.iter().filter(|touch| touch.table == table && wanted(touch.verb));
        for touch in does {
            let (actor, role, site) = (&statement.actor, &statement.role, &statement.site);
            let key = (actor.to_string(), false, role.to_string(), site.to_string(), touch.verb.to_owned());
            add(key, 1, statement.rows);
        }
    }
    let strange =
        |write: &&Write| window.contains(write.at) && wanted(&write.verb) && is_strange(write, table, statements);
    for write in writes.iter().filter(strange) {
        let from = write.address.as_deref().unwrap_or("local");
        let role = format!("pid {}, {from}", write.pid);
        add((write.application.clone(), true, role, write.statement.clone(), write.verb.clone()), 1, write.rows);
    }
    let mut writers: Vec<TableWriter> = found
        .into_iter()
        .map(|((writer, is_stranger, role, site, verb), (statements, rows))| TableWriter {
            writer,
            is_stranger,
            role,
            site,
            verb,
            statements,
            rows,
        })
        .collect();
    writers.sort_by_key(|writer| std::cmp::Reverse(writer.statements));
    writers
}

/// A write that is no statement of an actor: of a client that is none, or made by a function or trigger that an actor's
/// statement (which says something else) called.
fn is_strange(write: &Write, table: &str, statements: &[Statement]) -> bool {
    let does = |shape: &Shape| shape.does(Some(&write.verb), Some(table));
    let said = shape(&write.statement);
    // What EXECUTE executes is not in its text.
    let is_executed = || {
        let mut of_backend = statements.iter().filter(|one| i64::from(one.backend) == i64::from(write.pid));
        said.verb == "EXECUTE" && of_backend.any(|one| does(&one.class.shape))
    };
    !write.application.starts_with(ACTOR_PREFIX) || !(does(&said) || is_executed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(application: &str, statement: &str) -> Write {
        Write {
            at: 5,
            application: application.into(),
            pid: 7,
            address: None,
            verb: "DELETE".into(),
            statement: statement.into(),
            rows: 1,
        }
    }

    #[test]
    fn a_foreign_client_is_named_and_an_actor_is_left_to_the_ledger() {
        let window = Window { begin: 0, end: u64::MAX, ..Window::default() };
        let writes = [write("psql", "DELETE FROM t WHERE a = 1"), write("dj-regress/q", "DELETE FROM t")];
        let writers = of(&[], &writes, "t", &["DELETE".to_owned()], &window);
        assert_eq!(writers.len(), 1);
        assert_eq!((writers[0].writer.as_str(), writers[0].is_stranger), ("psql", true));
    }

    #[test]
    fn a_stranger_outside_the_window_is_not_of_it() {
        let window = Window { begin: 6, end: 9, ..Window::default() };
        assert!(of(&[], &[write("psql", "DELETE FROM t")], "t", &["DELETE".to_owned()], &window).is_empty());
    }

    #[test]
    fn a_function_that_an_actor_calls_is_a_stranger_with_the_call_as_its_statement() {
        let window = Window { begin: 0, end: u64::MAX, ..Window::default() };
        let writers = of(&[], &[write("dj-regress/q", "SELECT purge()")], "t", &["DELETE".to_owned()], &window);
        assert_eq!(writers[0].site, "SELECT purge()");
    }
}
