//! `wal.bytes`: what statements wrote to the write-ahead log.

use super::measurement::{Found, Left, Measurement, Requires};

/// Bytes of write-ahead log.
pub struct WalBytes<'m> {
    /// The first table that the statements name; absent: any.
    pub table: Option<&'m str>,
}

impl Measurement for WalBytes<'_> {
    fn requires(&self) -> Requires<'_> {
        Requires { statistics: true, ..Requires::default() }
    }

    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let is_one = |table: Option<&str>| self.table.is_none() || table == self.table;
        let of_table = left.flow.wal.iter().filter(|(shape, _)| is_one(shape.table()));
        Ok(of_table.map(|(_, bytes)| bytes).sum::<u64>().into())
    }

    /// By magnitude only: full pages and hint bits come when they come.
    fn tolerance(&self) -> Option<f64> {
        Some(1.0)
    }
}
