//! `http.*`: answers that the harness's own clients got.

use super::exchange::Exchange;
use super::measurement::{Found, Left, Measurement};
use crate::case::{HttpCount, StatusFilter};

/// One of the counts.
pub struct Answers<'m> {
    /// What of them.
    pub count: HttpCount,
    /// `200`, or `2xx`; absent: any.
    pub status: Option<StatusFilter>,
    /// A part of the body.
    pub matching: Option<&'m str>,
}

impl Measurement for Answers<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let asked = left.exchanges.iter().filter(|exchange| left.window.contains(exchange.begun));
        Ok(match self.count {
            HttpCount::Errors => asked.filter(|exchange| exchange.is_error()).count().into(),
            HttpCount::Latency => {
                let slowest = asked.map(|exchange| exchange.ended - exchange.begun).max();
                (slowest.unwrap_or_default() as f64 / 1e9).into()
            }
            HttpCount::Answers => asked.filter(|exchange| self.takes(exchange)).count().into(),
        })
    }

    /// The slowest of few answers: nothing can be said of how it differs.
    fn tolerance(&self) -> Option<f64> {
        (self.count != HttpCount::Latency).then_some(0.0)
    }
}

impl Answers<'_> {
    fn takes(&self, exchange: &Exchange) -> bool {
        let Ok((status, body)) = &exchange.outcome else { return false };
        self.status.is_none_or(|filter| filter.takes(*status))
            && self.matching.is_none_or(|part| String::from_utf8_lossy(body).contains(part))
    }
}
