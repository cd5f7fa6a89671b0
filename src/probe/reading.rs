//! A reading of a step, as the case names it.

use super::measurement::{Found, Left, Measurement};

/// A reading.
pub struct Reading<'m> {
    /// Its name.
    pub name: &'m str,
}

impl Measurement for Reading<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let reading = left.readings.get(self.name).cloned();
        reading.map(Found::from).ok_or_else(|| format!("nothing was read as `{}`", self.name))
    }
}
