//! `statements`: what went over the wires, and who sent the most of it.

use std::collections::HashMap;

use super::measurement::{Found, Left, Measurement};
use super::statement::Statement;
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
        let value = count(left.statements, self.filter, self.unit, left.window).into();
        Ok(Found { value, writers: top(left.statements, self.filter, left.window, TOP) })
    }
}

/// Counts the statements that the filter lets through, in their unit.
fn count(statements: &[Statement], filter: &StatementFilter, unit: StatementUnit, window: &Window) -> u64 {
    selected(statements, filter, window)
        .map(|statement| match unit {
            StatementUnit::Count => 1,
            StatementUnit::Rows => statement.rows,
        })
        .sum()
}

/// The call sites that sent the most of these statements, most first.
fn top(statements: &[Statement], filter: &StatementFilter, window: &Window, at_most: usize) -> Vec<Writer> {
    let mut by_site: HashMap<(&str, &str, &str), u64> = HashMap::new();
    for statement in selected(statements, filter, window) {
        *by_site.entry((&statement.actor, &statement.site, &statement.sql)).or_default() += 1;
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
    statements: &'l [Statement],
    filter: &'l StatementFilter,
    window: &'l Window,
) -> impl Iterator<Item = &'l Statement> {
    statements.iter().filter(move |statement| window.contains(statement.at) && lets_through(filter, statement))
}

fn lets_through(filter: &StatementFilter, statement: &Statement) -> bool {
    fn given(wanted: Option<&String>, test: impl FnOnce(&str) -> bool) -> bool {
        wanted.is_none_or(|wanted| test(wanted))
    }
    statement.class.shape.does(filter.verb.as_deref(), filter.table.as_deref())
        && given(filter.matching.as_ref(), |text| statement.sql.contains(text))
        && given(filter.site.as_ref(), |site| statement.site.contains(site))
        && given(filter.actor.as_ref(), |actor| *statement.actor == *actor)
}
