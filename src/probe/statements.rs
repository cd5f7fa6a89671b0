//! `statements`: counts over the ledger, and who sent the most.

use std::collections::HashMap;

use super::ledger::{Ledger, Statement};
use super::measurement::{Found, Left, Measurement};
use super::window::Window;
use super::writer::{Writer, shorten};
use crate::case::{StatementFilter, StatementUnit};

/// Call sites that are named.
const TOP: usize = 5;

/// Statements that a filter lets through.
pub struct Statements<'m> {
    /// Which.
    pub filter: &'m StatementFilter,
    /// What of them.
    pub unit: StatementUnit,
}

impl Measurement for Statements<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let value = count(left.ledger, self.filter, self.unit, left.window).into();
        Ok(Found { value, writers: top(left.ledger, self.filter, left.window, TOP) })
    }
}

/// Counts the statements that the filter lets through, in their unit.
fn count(ledger: &Ledger, filter: &StatementFilter, unit: StatementUnit, window: &Window) -> u64 {
    selected(ledger, filter, window)
        .map(|statement| match unit {
            StatementUnit::Count => statement.times,
            StatementUnit::Rows => statement.end.as_ref().map_or(0, |end| u64::try_from(end.rows).unwrap_or(0)),
        })
        .sum()
}

/// The call sites that sent the most of these statements, most first.
fn top(ledger: &Ledger, filter: &StatementFilter, window: &Window, at_most: usize) -> Vec<Writer> {
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
