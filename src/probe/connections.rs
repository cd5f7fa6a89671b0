//! `connections`: how often actors connected to Postgres.

use super::measurement::{Found, Left, Measurement};

/// Connections that were opened.
pub struct Connections<'m> {
    /// The actor; absent: all of them.
    pub actor: Option<&'m str>,
}

impl Measurement for Connections<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        Ok(left.flow.wires(self.actor).map(|wire| wire.connections).sum::<u64>().into())
    }
}
