//! The list of all measurements.

use super::measurement::Measurement;
use crate::case::{Invariant, Per, Quantity};

/// What a real cluster does in a wall-clock window repeats roughly.
const REAL_TIME: f64 = 0.5;

/// A cluster beats twice a second: over the five seconds that a case looks at least, one beat more or less is a tenth.
const BEATS: f64 = 0.1;

/// What measures a quantity. Growth is not one arm's to tell.
pub fn measurement(of: &Quantity) -> Option<Box<dyn Measurement + '_>> {
    Some(match of {
        Quantity::Growth { .. } => return None,
        Quantity::Reading(name) => Box::new(super::reading::Reading { name }),
        Quantity::Statements { filter, unit } => Box::new(super::statements::Statements { filter, unit: *unit }),
        Quantity::Rows { table, .. } => Box::new(super::rows::Rows { table }),
        Quantity::WireBytes { direction, actor, .. } => {
            Box::new(super::wire_bytes::WireBytes { direction: *direction, actor: actor.as_deref() })
        }
        Quantity::Connections { actor, .. } => Box::new(super::connections::Connections { actor: actor.as_deref() }),
        Quantity::WalBytes { table, .. } => Box::new(super::wal_bytes::WalBytes { table: table.as_deref() }),
        Quantity::Writers { table, verbs, allowed, .. } => Box::new(super::writers::Writers { table, verbs, allowed }),
        Quantity::Tasks(count) => Box::new(super::tasks::Tasks(*count)),
        Quantity::Http { count, status, matching, .. } => {
            Box::new(super::answers::Answers { count: *count, status: *status, matching: matching.as_deref() })
        }
        Quantity::Requests { actor, matching, .. } => {
            Box::new(super::requests::Requests { actor: actor.as_deref(), matching: matching.as_deref() })
        }
        Quantity::Cache { count, actor, .. } => {
            Box::new(super::cache::Cache { count: *count, actor: actor.as_deref() })
        }
        Quantity::Effects { key } => Box::new(super::effects::Effects { key: key.as_deref() }),
        Quantity::Log { matching, .. } => Box::new(super::log::Log { matching }),
        Quantity::Memory { actor, .. } => Box::new(super::memory::GrownMemory { actor }),
        Quantity::Fetches { actor, unit, .. } => {
            Box::new(super::fetches::Fetches { actor: actor.as_deref(), unit: *unit })
        }
        Quantity::Outbound { matching, .. } => Box::new(super::outbound::Outbound { matching: matching.as_deref() }),
        Quantity::Redis { field, .. } => Box::new(super::redis::RedisSays { field: *field }),
    })
}

/// By what share two runs of the same state may differ in what an invariant looks at; `None` if they say nothing about each
/// other. `is_real`: whether real clusters were at work.
pub fn tolerance(invariant: &Invariant, is_real: bool) -> Option<f64> {
    if is_real || invariant.per == Some(Per::Second) {
        return Some(REAL_TIME);
    }
    measurement(&invariant.of).map_or(Some(0.0), |measurement| measurement.tolerance())
}

/// The same for values that are held against each other as a var grows. What real clusters do is counted over a stretch of
/// real time, in which they do a beat more or less; a reading is what they leave.
pub fn growth_tolerance(invariant: &Invariant, is_real: bool) -> Option<f64> {
    let own = tolerance(invariant, false);
    if is_real && !matches!(invariant.of, Quantity::Reading(_)) { own.map(|own| own.max(BEATS)) } else { own }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::case::{Direction, HttpCount, TaskCount};

    #[rstest]
    #[case::counts(Quantity::Tasks(TaskCount::Lost), Some(0.0))]
    #[case::bytes(Quantity::WireBytes { direction: Direction::Both, actor: None, during: None }, Some(0.01))]
    #[case::memory(Quantity::Memory { actor: "web".to_owned(), during: None }, Some(1.0))]
    #[case::growth(Quantity::Growth { of: "rows".to_owned() }, Some(0.0))]
    #[case::latency(Quantity::Http { count: HttpCount::Latency, status: None, matching: None, during: None }, None)]
    fn a_measurement_knows_how_exactly_it_repeats(#[case] of: Quantity, #[case] expected: Option<f64>) {
        let found = measurement(&of).map_or(Some(0.0), |measurement| measurement.tolerance());
        assert_eq!(found, expected);
    }
}
