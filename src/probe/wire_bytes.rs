//! `wire.bytes`: bytes between actors and Postgres.

use super::measurement::{Found, Left, Measurement};
use crate::case::Direction;
use crate::proxy::Counters;

/// Bytes that went one way, or both.
pub struct WireBytes<'m> {
    /// Which way.
    pub direction: Direction,
    /// The actor; absent: all of them.
    pub actor: Option<&'m str>,
}

impl Measurement for WireBytes<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let bytes = |wire: &Counters| match self.direction {
            Direction::Up => wire.bytes_up,
            Direction::Down => wire.bytes_down,
            Direction::Both => wire.bytes(),
        };
        Ok(left.flow.wires(self.actor).map(bytes).sum::<u64>().into())
    }

    fn tolerance(&self) -> Option<f64> {
        Some(0.01)
    }
}
