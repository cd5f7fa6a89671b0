//! `fetches`: FETCHes of server-side cursors, which Django's wrappers do not see and the wire does.

use super::measurement::{Found, Left, Measurement};
use crate::case::StatementUnit;
use crate::proxy::Counters;

/// FETCHes, or what they gave.
pub struct Fetches<'m> {
    /// The actor; absent: all of them.
    pub actor: Option<&'m str>,
    /// What of them.
    pub unit: StatementUnit,
}

impl Measurement for Fetches<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        Ok(count(left.flow.wires(self.actor), self.unit).into())
    }
}

/// Counts the FETCHes of these wires, in their unit.
pub fn count<'c>(wires: impl Iterator<Item = &'c Counters>, unit: StatementUnit) -> u64 {
    let tallies = wires.flat_map(|wire| &wire.unseen).filter(|(shape, _)| shape.verb == "FETCH");
    tallies
        .map(|(_, counts)| match unit {
            StatementUnit::Count => counts.statements,
            StatementUnit::Rows => counts.rows,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Counts;
    use crate::proxy::shape;

    #[test]
    fn only_fetches_are_counted_of_all_wires() {
        let mut wire = Counters::default();
        wire.unseen.insert(shape("FETCH 2000 FROM c"), Counts { statements: 3, rows: 4500, ..Counts::default() });
        wire.unseen.insert(shape("COPY t TO STDOUT"), Counts { statements: 1, rows: 9, ..Counts::default() });
        wire.seen.insert(shape("SELECT a FROM t"), Counts { statements: 1, rows: 7, ..Counts::default() });
        let wires = [wire.clone(), Counters::default(), wire];
        assert_eq!(count(wires.iter(), StatementUnit::Count), 6);
        assert_eq!(count(wires.iter(), StatementUnit::Rows), 9000);
        assert_eq!(count([].iter(), StatementUnit::Rows), 0);
    }
}
