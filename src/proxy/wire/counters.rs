//! What the proxy counts, as plain numbers that can be added and subtracted.

use std::collections::BTreeMap;
use std::ops::{AddAssign, Sub};

use super::sql::Shape;

/// Shapes and clients kept apart; whatever comes beyond goes by [`Overflow::overflow`].
pub(in crate::proxy) const MAX_KEYS: usize = 4096;

/// Who a connection says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    /// The role.
    pub user: String,
    /// The database; where none is named, that of the role's name.
    pub database: String,
    /// Empty where none is given at start-up.
    pub application_name: String,
}

/// Statements of one shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered by the server, well or badly.
    pub statements: u64,
    /// Of these, those answered by an error.
    pub failed: u64,
    /// Sent, but not executed: an earlier one of the same batch failed. Not among `statements`.
    pub skipped: u64,
    /// Sent, but their connection ended before the answer: they may have run or not. Not among `statements`.
    pub unanswered: u64,
    /// Rows that the answers speak of: returned, written or copied.
    pub rows: u64,
}

/// Statements by shape.
pub type CountsByShape = BTreeMap<Shape, Counts>;

/// All that went over an actor's connections so far. Of two snapshots, the difference is a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// From the clients, all protocol bytes.
    pub bytes_up: u64,
    /// To the clients, all protocol bytes.
    pub bytes_down: u64,
    /// Complete messages from the clients.
    pub messages_up: u64,
    /// Complete messages to the clients.
    pub messages_down: u64,
    /// Of `bytes_up`, the data of COPY.
    pub copied_up: u64,
    /// Of `bytes_down`, the data of COPY.
    pub copied_down: u64,
    /// Sessions begun, whether or not the server let them in.
    pub connections: u64,
    /// Requests to cancel; each comes over a connection of its own, which is not among `connections`.
    pub cancels: u64,
    /// Requests for TLS or GSSAPI encryption that were refused.
    pub refused: u64,
    /// Statements answered by the server, well or badly.
    pub statements: u64,
    /// Of these, those answered by an error.
    pub failed: u64,
    /// Connections closed for what they sent, or for not saying who they are in time.
    pub malformed: u64,
    /// Streams that ended within a message: a killed client, a crashed server.
    pub truncated: u64,
    /// Answers that nothing was sent for: the proxy lost track. Never, as far as known.
    pub unmatched: u64,
    /// Statements of the app.
    pub seen: CountsByShape,
    /// The driver's own: BEGIN, COMMIT, set_config, FETCH, CLOSE, ...
    pub unseen: CountsByShape,
    /// Connections by who they said they are.
    pub clients: BTreeMap<Client, u64>,
}

macro_rules! each_number {
    ($macro:ident) => {
        $macro!(
            bytes_up,
            bytes_down,
            messages_up,
            messages_down,
            copied_up,
            copied_down,
            connections,
            cancels,
            refused,
            statements,
            failed,
            malformed,
            truncated,
            unmatched
        )
    };
}

impl Counters {
    /// Bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.bytes_up + self.bytes_down
    }

    /// Counts a client's connection.
    pub(in crate::proxy) fn connected(&mut self, client: Client) {
        self.connections += 1;
        add(&mut self.clients, client, 1, |count, more| *count += more);
    }
}

impl Counts {
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.statements += other.statements;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.unanswered += other.unanswered;
        self.rows += other.rows;
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            statements: self.statements.saturating_sub(earlier.statements),
            failed: self.failed.saturating_sub(earlier.failed),
            skipped: self.skipped.saturating_sub(earlier.skipped),
            unanswered: self.unanswered.saturating_sub(earlier.unanswered),
            rows: self.rows.saturating_sub(earlier.rows),
        }
    }
}

/// What stands for the keys that are not kept apart.
pub(in crate::proxy) trait Overflow: Ord {
    /// The one key for all of them.
    fn overflow() -> Self;
}

impl Overflow for Shape {
    fn overflow() -> Self {
        Self::of_verb("(other)")
    }
}

impl Overflow for Client {
    fn overflow() -> Self {
        Self { user: "(other)".to_owned(), ..Self::default() }
    }
}

fn add<K: Overflow, V: Default>(map: &mut BTreeMap<K, V>, key: K, more: V, add: impl Fn(&mut V, V)) {
    let key = if map.len() < MAX_KEYS || map.contains_key(&key) { key } else { K::overflow() };
    add(map.entry(key).or_default(), more);
}

/// Adds to a shape's counts.
pub(in crate::proxy) fn add_counts(by_shape: &mut CountsByShape, shape: &Shape, more: Counts) {
    if !more.is_zero() {
        add(by_shape, shape.clone(), more, |counts, more| *counts += more);
    }
}

impl AddAssign<&Self> for Counters {
    fn add_assign(&mut self, other: &Self) {
        macro_rules! add_numbers {
            ($($field:ident),*) => { $(self.$field += other.$field;)* };
        }
        each_number!(add_numbers);
        for (mine, others) in [(&mut self.seen, &other.seen), (&mut self.unseen, &other.unseen)] {
            for (shape, more) in others {
                add_counts(mine, shape, *more);
            }
        }
        for (client, more) in &other.clients {
            add(&mut self.clients, client.clone(), *more, |count, more| *count += more);
        }
    }
}

impl Sub for &Counters {
    type Output = Counters;

    /// What came after `earlier`; shapes and clients with nothing new are left out.
    fn sub(self, earlier: Self) -> Counters {
        let mut difference = Counters::default();
        macro_rules! subtract_numbers {
            ($($field:ident),*) => { $(difference.$field = self.$field.saturating_sub(earlier.$field);)* };
        }
        each_number!(subtract_numbers);
        let new = |later: &CountsByShape, earlier: &CountsByShape| -> CountsByShape {
            let before = |shape| earlier.get(shape).copied().unwrap_or_default();
            let new = later.iter().map(|(shape, counts)| (shape.clone(), *counts - before(shape)));
            new.filter(|(_, counts)| !counts.is_zero()).collect()
        };
        difference.seen = new(&self.seen, &earlier.seen);
        difference.unseen = new(&self.unseen, &earlier.unseen);
        for (client, count) in &self.clients {
            let new = count.saturating_sub(earlier.clients.get(client).copied().unwrap_or_default());
            if new > 0 {
                difference.clients.insert(client.clone(), new);
            }
        }
        difference
    }
}

impl Sub for Counters {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        &self - &earlier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::shape;

    fn counters(updates: u64) -> Counters {
        let mut counters = Counters { bytes_up: 10 * updates, statements: updates, ..Counters::default() };
        let counts = Counts { statements: updates, rows: 7 * updates, ..Counts::default() };
        add_counts(&mut counters.seen, &shape("UPDATE t"), counts);
        counters
    }

    #[test]
    fn the_difference_of_two_snapshots_is_what_came_between() {
        let early = counters(2);
        let mut late = early.clone();
        late += &counters(3);
        add_counts(&mut late.unseen, &shape("COMMIT"), Counts { statements: 1, failed: 1, ..Counts::default() });
        late.connected(Client::default());
        let window = &late - &early;
        assert_eq!((window.bytes_up, window.statements, window.connections), (30, 3, 1));
        assert_eq!(window.seen[&shape("UPDATE t")], Counts { statements: 3, rows: 21, ..Counts::default() });
        assert_eq!(window.unseen[&shape("COMMIT")].failed, 1);
        assert_eq!(&late - &late, Counters::default());
    }

    #[test]
    fn there_are_only_so_many_shapes() {
        let mut by_shape = CountsByShape::new();
        for table in 0..2 * MAX_KEYS {
            add_counts(
                &mut by_shape,
                &shape(&format!("UPDATE t{table}")),
                Counts { statements: 1, ..Counts::default() },
            );
        }
        assert_eq!(by_shape.len(), MAX_KEYS + 1);
        assert_eq!(by_shape.values().map(|counts| counts.statements).sum::<u64>(), 2 * MAX_KEYS as u64);
    }
}
