//! `statements`: counts over the ledger, and who sent the most.

use std::collections::HashMap;

use serde::Serialize;

use super::ledger::{Ledger, Statement};
use crate::case::{StatementFilter, StatementUnit};
use crate::runner::Window;

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

/// Counts the statements that the filter lets through, in their unit.
pub fn measure(ledger: &Ledger, filter: &StatementFilter, unit: StatementUnit, window: &Window) -> u64 {
    selected(ledger, filter, window)
        .map(|statement| match unit {
            StatementUnit::Count => statement.times,
            StatementUnit::Rows => statement.end.as_ref().map_or(0, |end| u64::try_from(end.rows).unwrap_or(0)),
        })
        .sum()
}

/// The call sites that sent the most of these statements, most first.
pub fn top(ledger: &Ledger, filter: &StatementFilter, window: &Window, at_most: usize) -> Vec<Writer> {
    let mut by_site: HashMap<(&str, &str, &str), u64> = HashMap::new();
    for statement in selected(ledger, filter, window) {
        *by_site.entry((&statement.actor, &statement.site, &statement.sql)).or_default() += statement.times;
    }
    let mut writers: Vec<Writer> = by_site
        .into_iter()
        .map(|((actor, site, sql), statements)| Writer {
            statements,
            actor: actor.into(),
            site: site.into(),
            sql: shorten(sql),
        })
        .collect();
    writers.sort_by(|a, b| b.statements.cmp(&a.statements).then_with(|| (&a.site, &a.sql).cmp(&(&b.site, &b.sql))));
    writers.truncate(at_most);
    writers
}

fn selected<'l>(
    ledger: &'l Ledger,
    filter: &'l StatementFilter,
    window: &'l Window,
) -> impl Iterator<Item = &'l Statement> {
    ledger.measured().filter(move |statement| window.contains(statement.begin) && lets_through(filter, statement))
}

fn lets_through(filter: &StatementFilter, statement: &Statement) -> bool {
    fn given(wanted: Option<&String>, test: impl FnOnce(&str) -> bool) -> bool {
        wanted.is_none_or(|wanted| test(wanted))
    }
    given(filter.verb.as_ref(), |verb| statement.shape.verb == verb)
        && given(filter.table.as_ref(), |table| statement.shape.table.as_deref() == Some(table))
        && given(filter.matching.as_ref(), |text| statement.sql.contains(text))
        && given(filter.site.as_ref(), |site| statement.site.contains(site))
        && given(filter.actor.as_ref(), |actor| *statement.actor == *actor)
}

/// One line of at most 100 characters.
pub fn shorten(sql: &str) -> String {
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 100 { line } else { line.chars().take(99).chain(['…']).collect() }
}
