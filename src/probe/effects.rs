//! `effects`: how often something happened outside of the app's transactions.

use super::measurement::{Found, Left, Measurement};

/// Effects.
pub struct Effects<'m> {
    /// The effect; absent: all of them.
    pub key: Option<&'m str>,
}

impl Measurement for Effects<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        Ok(left.journal.effects(self.key).into())
    }
}
