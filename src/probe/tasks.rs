//! `tasks.*`: what became of the arm's tasks.

use super::measurement::{Found, Left, Measurement, Requires};
use crate::case::TaskCount;

/// One of the counts.
pub struct Tasks(pub TaskCount);

impl Measurement for Tasks {
    fn requires(&self) -> Requires<'_> {
        Requires { tasks: true, ..Requires::default() }
    }

    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let count = match self.0 {
            TaskCount::Lost => left.tasks.lost,
            TaskCount::Duplicated => left.tasks.duplicated,
            TaskCount::Executed => left.tasks.executed,
            TaskCount::Queued => left.tasks.queued,
            TaskCount::Succeeded => left.tasks.succeeded,
            TaskCount::Failed => left.tasks.failed,
        };
        Ok(count.into())
    }
}
