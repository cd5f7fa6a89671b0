//! What there was where an invariant has found nothing: something that is misspelt finds nothing, too.

use std::collections::BTreeMap;

use crate::case::{Quantity, StatementFilter, StatementUnit};
use crate::probe::measurement::Left;
use crate::probe::registry::measurement;

/// So many are named.
const NAMED: usize = 5;

/// What such a measurement could have found, the most frequent first, each with how often; `None` where it is not asked for
/// something by its name, or is not known.
pub fn instead(of: &Quantity, left: &Left<'_>) -> Option<Vec<String>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut add = |what: String, times: u64| *counts.entry(what).or_default() += times;
    match of {
        Quantity::Effects { key: Some(_) } => left.journal.effect_keys().for_each(|key| add(key.to_owned(), 1)),
        Quantity::Requests { matching: Some(_), .. } => {
            let within = left.journal.requests().filter(|(_, _, at)| left.window.contains(*at));
            within.for_each(|(_, path, _)| add(path.to_owned(), 1));
        }
        Quantity::Statements { filter, .. } if is_narrow(filter) => {
            let all = StatementFilter { during: filter.during.clone(), ..StatementFilter::default() };
            let all = Quantity::Statements { filter: all, unit: StatementUnit::Count };
            let found = measurement(&all)?.value(left).ok()?;
            found
                .writers
                .into_iter()
                .for_each(|one| add(format!("{} {}  {}", one.actor, one.site, one.sql), one.statements));
        }
        _ => return None,
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    Some(counts.into_iter().take(NAMED).map(|(what, times)| format!("{times} × {what}")).collect())
}

/// Whether there is something to misspell.
fn is_narrow(filter: &StatementFilter) -> bool {
    [&filter.table, &filter.matching, &filter.site, &filter.actor].into_iter().any(Option::is_some)
}
