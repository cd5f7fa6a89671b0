//! `rows`: how many rows a table has at the end of its window.

use super::measurement::{Measurement, Now, Sample, Sampling};
use super::sql::{message, quoted};

/// `count(*)` of a table.
pub struct Rows<'m> {
    /// The table.
    pub table: &'m str,
}

impl Measurement for Rows<'_> {
    fn sample<'s>(&'s self, now: &'s mut Now<'_>) -> Sampling<'s> {
        Box::pin(async move { Some(self.count(now).await) })
    }
}

impl Rows<'_> {
    /// The error is what the server said, e.g. that there is no such table.
    async fn count(&self, now: &Now<'_>) -> Sample {
        let client = now.client.ok_or("the arm's connection is gone")?;
        match client.query_one(&format!("SELECT count(*) FROM {}", quoted(self.table)), &[]).await {
            Ok(row) => Ok(row.get::<_, i64>(0).into()),
            Err(error) => Err(message(&error)),
        }
    }
}
