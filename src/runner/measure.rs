//! What is measured in an arm when its steps are played: sources reconciled, then one value per invariant.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::alone::looked_at_others;
use super::instead::instead;
use super::session::Session;
use crate::case::{Bound, Per, Quantity, StatementUnit, WRITES, word};
use crate::judge::{self, MeasuredInvariant, Trouble, TroubleKind};
use crate::probe::journal::Journal;
use crate::probe::ledger::{Ledger, PROBE};
use crate::probe::measurement::Left;
use crate::probe::reconcile::Wire;
use crate::probe::registry::measurement;
use crate::probe::statement::Evidence;
use crate::probe::window::monotonic;
use crate::probe::writer::Writer;
use crate::probe::writers::{self, TableWriter};
use crate::probe::{fetches, reconcile};

/// What was measured in an arm.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By invariant.
    pub values: IndexMap<String, Value>,
    /// For counts of statements: who sent the most.
    pub writers: HashMap<String, Vec<Writer>>,
    /// By invariant that has found none of what it names: what there was.
    pub instead: HashMap<String, Vec<String>>,
    /// Who wrote the table that `explain --writes` asks for.
    pub writes: Vec<TableWriter>,
}

/// Looks at what every invariant wants, once all that was seen in different ways adds up.
pub async fn probe(
    session: &mut Session<'_>,
    guard_cycle: Option<f64>,
    control: Option<&IndexMap<String, Bound>>,
) -> Result<Measured, String> {
    let journal = session.journal()?;
    // A guard of its own, unless the case bounds it.
    let is_bounded = session.state.invariants.values().any(|one| matches!(one.of, Quantity::Outbound { .. }));
    if let Some(tried) = journal.outbound().filter(|_| !is_bounded) {
        return Err(tried);
    }
    if let Some(lives) = session.still_lives().await? {
        return Err(lives);
    }
    let tasks = session.task_counts(&journal).await?;
    let is_counted = session.servers.has_statistics();
    // Whatever still goes on is bracketed by two looks at the wires.
    let requested = session.requested(&journal);
    session.traffic().await;
    let before = if is_counted { session.actors.sent() } else { Vec::new() };
    let server = if is_counted { Some(session.servers.executed().await?) } else { None };
    let until = monotonic();
    let after = session.actors.sent();
    let ledger = Ledger::read(&session.folder.join("ledger"))?;
    if session.servers.is_shared
        && let Some(why) = looked_at_others(&ledger)
    {
        return Err(why);
    }
    let disturbed = &session.record.disturbed;
    let of_app = after.iter().filter(|(actor, _)| actor != PROBE);
    let evidence = Evidence::new(&ledger, of_app.map(|(actor, sent)| (actor.as_str(), sent.as_slice())), until);
    let mut differences = evidence.differences;
    if let Some(server) = server {
        let wires = after.into_iter().enumerate().map(|(index, (actor, after))| Wire {
            is_disturbed: disturbed.is(&actor),
            before: before.get(index).map(|(_, sent)| sent.clone()).unwrap_or_default(),
            actor,
            after,
        });
        let wires: Vec<Wire> = wires.collect();
        differences.extend(reconcile::with_server(&wires, &session.servers.database, &server.executed));
    }
    differences.extend(reconcile::with_requests(&requested, |actor| disturbed.is(actor)));
    if !differences.is_empty() {
        return Err(format!("ledger, wire and server do not agree: {}", differences.join("; ")));
    }
    let writes = session.writes().await?;
    let mut measured = Measured::default();
    for (name, invariant) in &session.state.invariants {
        let about = |why: String| format!("`{name}`: {why}");
        let Some(measurement) = measurement(&invariant.of) else { continue };
        let during = invariant.of.during();
        let (window, flow) = (session.record.windows.get(during), session.record.windows.flow(during));
        let left = Left {
            statements: &evidence.statements,
            journal: &journal,
            tasks: &tasks,
            readings: &session.record.readings,
            exchanges: &session.web.exchanges,
            log: &session.log,
            writes: &writes,
            window: &window,
            flow: &flow,
            sample: session.record.samples.of(name),
        };
        let found = measurement.value(&left).map_err(about)?;
        if found.value == 0
            && let Some(others) = instead(&invariant.of, &left)
        {
            measured.instead.insert(name.clone(), others);
        }
        let value = match invariant.per {
            None => found.value,
            Some(Per::Fetch) => per_fetch(session, &invariant.of, &found.value),
            Some(per) => divide(&found.value, window.units(per, guard_cycle))
                .ok_or_else(|| about(format!("nothing to divide by, no {} in the window", word(per))))?,
        };
        measured.values.insert(name.clone(), value);
        measured.writers.insert(name.clone(), found.writers);
    }
    if let Some(why) = broken(session, &journal, &measured.values, control) {
        return Err(why);
    }
    if let Some(table) = &session.context.writes_of {
        let verbs = WRITES.map(str::to_owned);
        let writes = writes.get(table).map_or(&[][..], Vec::as_slice);
        measured.writes = writers::of(&evidence.statements, writes, table, &verbs, &session.record.windows.whole);
    }
    Ok(measured)
}

/// What broke in the app though no bound says that it does. `control`: what the case bounds under its control.
fn broken(
    session: &Session<'_>,
    journal: &Journal,
    values: &IndexMap<String, Value>,
    control: Option<&IndexMap<String, Bound>>,
) -> Option<String> {
    let answers = session.web.exchanges.iter().filter(|exchange| exchange.is_broken()).filter_map(|exchange| {
        let (status, _) = exchange.outcome.as_ref().ok()?;
        let said = format!("{}: {status}", exchange.request);
        Some(Trouble { kind: TroubleKind::Answer, at: exchange.begun, said })
    });
    // The exception says more than the answer that was made of it.
    let troubles: Vec<Trouble> = journal.raised().chain(answers).collect();
    let measured = session.state.invariants.iter().filter_map(|(name, invariant)| {
        let bounds = invariant.sides().map(|(_, bound)| bound).chain(control.and_then(|control| control.get(name)));
        let during = match &invariant.of {
            Quantity::Reading(reading) => reading.rsplit_once('.').map(|(step, _)| step),
            of => of.during(),
        };
        let window = session.record.windows.get(during);
        Some(MeasuredInvariant {
            of: &invariant.of,
            value: values.get(name)?,
            bounds: bounds.collect(),
            window: (window.begin, window.end),
        })
    });
    judge::undescribed(&troubles, &measured.collect::<Vec<_>>())
}

/// The rows of the FETCHes of an actor by their number; of none, none.
fn per_fetch(session: &Session<'_>, of: &Quantity, rows: &Value) -> Value {
    let flow = session.record.windows.flow(of.during());
    let fetches = fetches::count(flow.wires(of.actor()), StatementUnit::Count);
    divide(rows, fetches as f64).unwrap_or_else(|| Value::from(0))
}

/// A rate; whole where it is.
fn divide(value: &Value, by: f64) -> Option<Value> {
    let rate = value.as_f64()? / by;
    if !rate.is_finite() {
        return None;
    }
    // Exact for counts below 2^53, which is what a whole rate is compared as.
    Some(if rate.fract() == 0.0 && rate.abs() < 9e15 { Value::from(rate as i64) } else { Value::from(rate) })
}
