//! What a caching proxy and its connections share.

use std::time::Duration;

use parking_lot::Mutex;

use super::clock::Clock;
use super::counters::HttpCounters;
use super::store::Store;
use crate::case::CacheKind;
use crate::proxy::Endpoint;

/// What the proxy and its connections share.
#[derive(Debug)]
pub struct Shared {
    pub kind: CacheKind,
    pub origin: Endpoint,
    pub timeout: Duration,
    pub clock: Clock,
    pub state: Mutex<State>,
}

#[derive(Debug, Default)]
pub struct State {
    pub counters: HttpCounters,
    pub store: Store,
}
