//! The arm's clock, and dates as HTTP writes them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// 9999-12-31T23:59:59: later dates cannot be written.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// The clock that decides what is fresh.
#[derive(Clone)]
pub struct Clock(pub Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    /// Now, or the nearest moment that can be written as a date.
    pub fn now(&self) -> SystemTime {
        (self.0)().clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}

/// A date as a field says it. The moment must be one that [`Clock::now`] gives.
pub fn written(date: SystemTime) -> HeaderValue {
    HeaderValue::from_str(&httpdate::fmt_http_date(date)).unwrap_or(HeaderValue::from_static(""))
}

/// The date in a field, in any of the three forms there are.
pub fn read(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?.trim()).ok()
}

/// From one moment to another; nothing where the clock went back.
pub fn between(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}
