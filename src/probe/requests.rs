//! `requests`: what web actors began to handle.

use super::measurement::{Found, Left, Measurement};

/// Requests.
pub struct Requests<'m> {
    /// The actor; absent: all of them.
    pub actor: Option<&'m str>,
    /// A part of path and query.
    pub matching: Option<&'m str>,
}

impl Measurement for Requests<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let is_one = |(by, path, at): &(&str, &str, u64)| {
            left.window.contains(*at)
                && self.actor.is_none_or(|actor| actor == *by)
                && self.matching.is_none_or(|part| path.contains(part))
        };
        Ok(left.journal.requests().filter(is_one).count().into())
    }
}
