//! `cache.*`: what the proxies before the app did.

use super::measurement::{Found, Left, Measurement};
use crate::case::CacheCount;
use crate::proxy::HttpCounters;

/// One of the counts.
pub struct Cache<'m> {
    /// What of it.
    pub count: CacheCount,
    /// The proxy; absent: all of them.
    pub actor: Option<&'m str>,
}

impl Measurement for Cache<'_> {
    fn value(&self, left: &Left<'_>) -> Result<Found, String> {
        let proxies = left.flow.http.iter().filter(|(name, _)| self.actor.is_none_or(|actor| actor == *name));
        Ok(proxies.map(|(_, counters)| self.of(counters)).sum::<u64>().into())
    }
}

impl Cache<'_> {
    fn of(&self, counters: &HttpCounters) -> u64 {
        match self.count {
            CacheCount::Hits => counters.hits,
            CacheCount::Misses => counters.misses,
            CacheCount::Revalidations => counters.revalidations,
            CacheCount::Entries => counters.entries,
            CacheCount::Bytes => counters.bytes,
            CacheCount::Errors => counters.errors,
        }
    }
}
