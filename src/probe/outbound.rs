//! `outbound`: how often the app tried to reach somebody who is not of the arm.

use super::measurement::{Found, Left, Measurement};

/// Attempts, each of which reached nothing.
pub struct Outbound<'m> {
    /// A part of whom.
    pub matching: Option<&'m str>,
}

impl Measurement for Outbound<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let attempts = left.journal.attempts(self.matching);
        // What was tried while the app was set up is told when its actor begins.
        Ok(attempts.filter(|at| left.window.contains(*at)).count().into())
    }
}
