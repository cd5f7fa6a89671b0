//! `fetches`: FETCHes of server-side cursors, which Django's wrappers do not see and the wire does.

use crate::case::StatementUnit;
use crate::proxy::Counters;

/// Counts the FETCHes of these wires, in their unit.
pub fn measure<'c>(wires: impl Iterator<Item = &'c Counters>, unit: StatementUnit) -> u64 {
    let tallies = wires.flat_map(|wire| &wire.unseen).filter(|(shape, _)| shape.verb == "FETCH");
    tallies
        .map(|(_, tally)| match unit {
            StatementUnit::Count => tally.statements,
            StatementUnit::Rows => tally.rows,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::sql::shape;
    use crate::proxy::Tally;

    #[test]
    fn only_fetches_are_counted_of_all_wires() {
        let mut wire = Counters::default();
        wire.unseen.insert(shape("FETCH 2000 FROM c"), Tally { statements: 3, rows: 4500, ..Tally::default() });
        wire.unseen.insert(shape("COPY t TO STDOUT"), Tally { statements: 1, rows: 9, ..Tally::default() });
        wire.seen.insert(shape("SELECT a FROM t"), Tally { statements: 1, rows: 7, ..Tally::default() });
        let wires = [wire.clone(), Counters::default(), wire];
        assert_eq!(measure(wires.iter(), StatementUnit::Count), 6);
        assert_eq!(measure(wires.iter(), StatementUnit::Rows), 9000);
        assert_eq!(measure([].iter(), StatementUnit::Rows), 0);
    }
}
