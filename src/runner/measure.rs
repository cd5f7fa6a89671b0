//! What is measured in an arm when its steps are played: sources reconciled, then one value per invariant.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::alone::looked_at_others;
use super::browser::Exchange;
use super::session::Session;
use super::window::Window;
use crate::case::model::{
    CacheCount, Direction, HttpCount, Per, Quantity, StatementUnit, StatusFilter, TaskCount, WRITES,
};
use crate::probe::journal::{Journal, TaskCounts};
use crate::probe::ledger::Ledger;
use crate::probe::statements::{self, Writer};
use crate::probe::writers::{self, TableWriter};
use crate::probe::{fetches, log, reconcile};
use crate::proxy::{Counters, HttpCounters};

/// Call sites named for an invariant.
const TOP_WRITERS: usize = 5;

/// What was measured in an arm.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// By invariant.
    pub values: IndexMap<String, Value>,
    /// For counts of statements: who sent the most.
    pub writers: HashMap<String, Vec<Writer>>,
    /// Who wrote the table that `explain --writes` asks for.
    pub writes: Vec<TableWriter>,
}

/// Looks at what every invariant wants, once all that was seen in different ways adds up.
pub async fn probe(session: &mut Session<'_>, guard_cycle: Option<f64>) -> Result<Measured, String> {
    let journal = session.journal()?;
    // Until a case can bound it, none is as declared.
    if let Some(tried) = journal.outbound() {
        return Err(tried);
    }
    let tasks = session.task_counts(&journal).await?;
    let ledger = Ledger::read(&session.folder.join("ledger"))?;
    if session.shares_its_server()
        && let Some(why) = looked_at_others(&ledger)
    {
        return Err(why);
    }
    let mut differences = Vec::new();
    if session.has_statistics() {
        let server = session.executed().await?;
        differences = reconcile::with_server(&ledger, &server.executed, session.disturbed);
    }
    for (actor, counters) in session.wire().await {
        differences.extend(reconcile::with_wire(&ledger, &actor, &counters.seen, session.disturbed));
    }
    differences.extend(reconcile::with_requests(&session.requested(&journal), session.disturbed));
    if !differences.is_empty() {
        return Err(format!("ledger, wire and server do not agree: {}", differences.join("; ")));
    }
    let mut measured = Measured::default();
    for (name, invariant) in &session.state.invariants {
        let Some(value) = quantity(session, (&ledger, &journal, &tasks), name, &invariant.of, &mut measured).await?
        else {
            continue;
        };
        let value = match invariant.per {
            None => value,
            Some(Per::Fetch) => per_fetch(session, &invariant.of, &value),
            Some(per) => {
                let window = session.windows.get(invariant.of.during());
                divide(&value, window.units(per, guard_cycle))
                    .ok_or_else(|| format!("`{name}`: nothing to divide by, no {per} in the window"))?
            }
        };
        measured.values.insert(name.clone(), value);
    }
    if let Some(table) = &session.stage.writes_of {
        let verbs = WRITES.map(str::to_owned);
        let writes = session.writes(table).await?;
        measured.writes = writers::of(&ledger, &writes, table, &verbs, &session.windows.whole);
    }
    Ok(measured)
}

/// What an invariant looks at, before it is divided. Growth is not one arm's to tell.
async fn quantity(
    session: &Session<'_>,
    (ledger, journal, tasks): (&Ledger, &Journal, &TaskCounts),
    name: &str,
    of: &Quantity,
    measured: &mut Measured,
) -> Result<Option<Value>, String> {
    let windows = &session.windows;
    let window = windows.get(of.during());
    let about = |why: String| format!("`{name}`: {why}");
    Ok(Some(match of {
        Quantity::Growth { .. } => return Ok(None),
        Quantity::Reading(reading) => {
            session.readings.get(reading).cloned().ok_or_else(|| about(format!("nothing was read as `{reading}`")))?
        }
        Quantity::Rows { table, during } => session.rows(table, during.as_deref()).map_err(about)?,
        Quantity::Statements { filter, unit } => {
            measured.writers.insert(name.to_owned(), statements::top(ledger, filter, &window, TOP_WRITERS));
            Value::from(statements::measure(ledger, filter, *unit, &window))
        }
        Quantity::WireBytes { direction, actor, during } => {
            let bytes = |wire: &Counters| match direction {
                Direction::Up => wire.bytes_up,
                Direction::Down => wire.bytes_down,
                Direction::Both => wire.bytes(),
            };
            Value::from(windows.flow(during.as_deref()).wires(actor.as_deref()).map(bytes).sum::<u64>())
        }
        Quantity::Connections { actor, during } => {
            let flow = windows.flow(during.as_deref());
            Value::from(flow.wires(actor.as_deref()).map(|wire| wire.connections).sum::<u64>())
        }
        Quantity::WalBytes { table, during } => {
            let flow = windows.flow(during.as_deref());
            let of_table = flow.wal.iter().filter(|(shape, _)| table.is_none() || shape.table == *table);
            Value::from(of_table.map(|(_, bytes)| bytes).sum::<u64>())
        }
        Quantity::Writers { table, verbs, allowed, .. } => {
            let writes = session.writes(table).await.map_err(about)?;
            let all = writers::of(ledger, &writes, table, verbs, &window);
            let is_allowed = |writer: &TableWriter| !writer.is_stranger && allowed.contains(&writer.writer);
            let others: Vec<TableWriter> = all.into_iter().filter(|writer| !is_allowed(writer)).collect();
            let statements: u64 = others.iter().map(|writer| writer.statements).sum();
            measured.writers.insert(name.to_owned(), others.into_iter().map(Into::into).collect());
            Value::from(statements)
        }
        Quantity::Tasks(count) => Value::from(match count {
            TaskCount::Lost => tasks.lost,
            TaskCount::Duplicated => tasks.duplicated,
            TaskCount::Executed => tasks.executed,
            TaskCount::Queued => tasks.queued,
            TaskCount::Succeeded => tasks.succeeded,
            TaskCount::Failed => tasks.failed,
        }),
        Quantity::Http { count, status, matching, .. } => {
            answers(session, *count, *status, matching.as_deref(), &window)
        }
        Quantity::Requests { actor, matching, .. } => {
            let is_one = |(by, path, at): &(&str, &str, u64)| {
                window.contains(*at)
                    && actor.as_ref().is_none_or(|actor| actor == by)
                    && matching.as_ref().is_none_or(|part| path.contains(part))
            };
            Value::from(journal.requests().filter(is_one).count())
        }
        Quantity::Cache { count, actor, during } => {
            let flow = windows.flow(during.as_deref());
            let proxies = flow.http.iter().filter(|(name, _)| actor.as_ref().is_none_or(|actor| actor == *name));
            Value::from(proxies.map(|(_, counters)| cached(counters, *count)).sum::<u64>())
        }
        Quantity::Effects { key } => Value::from(journal.effects(key.as_deref())),
        Quantity::Log { matching, .. } => Value::from(log::lines(&session.log, window.log, matching).map_err(about)?),
        Quantity::Memory { actor, during } => session.grown(actor, during.as_deref()).map_err(about)?,
        Quantity::Fetches { actor, unit, during } => {
            Value::from(fetches::measure(windows.flow(during.as_deref()).wires(actor.as_deref()), *unit))
        }
        Quantity::Redis { field, during } => session.redis_said(*field, during.as_deref()).map_err(about)?,
    }))
}

/// Of what the harness's own clients asked within a window.
fn answers(
    session: &Session<'_>,
    count: HttpCount,
    status: Option<StatusFilter>,
    matching: Option<&str>,
    window: &Window,
) -> Value {
    let asked = session.web.exchanges.iter().filter(|exchange| window.contains(exchange.begun));
    match count {
        HttpCount::Errors => Value::from(asked.filter(|exchange| exchange.outcome.is_err()).count()),
        HttpCount::Latency => {
            let slowest = asked.map(|exchange| exchange.ended - exchange.begun).max();
            Value::from(slowest.unwrap_or_default() as f64 / 1e9)
        }
        HttpCount::Answers => {
            let is_one = |exchange: &&Exchange| match &exchange.outcome {
                Ok((found, body)) => {
                    status.is_none_or(|status| status.takes(*found))
                        && matching.is_none_or(|part| String::from_utf8_lossy(body).contains(part))
                }
                Err(_) => false,
            };
            Value::from(asked.filter(is_one).count())
        }
    }
}

fn cached(counters: &HttpCounters, count: CacheCount) -> u64 {
    match count {
        CacheCount::Hits => counters.hits,
        CacheCount::Misses => counters.misses,
        CacheCount::Revalidations => counters.revalidations,
        CacheCount::Entries => counters.entries,
        CacheCount::Bytes => counters.bytes,
        CacheCount::Errors => counters.errors,
    }
}

/// The rows of the FETCHes of an actor by their number; of none, none.
fn per_fetch(session: &Session<'_>, of: &Quantity, rows: &Value) -> Value {
    let flow = session.windows.flow(of.during());
    let fetches = fetches::measure(flow.wires(of.actor()), StatementUnit::Count);
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
