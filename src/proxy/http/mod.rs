//! Stub until the branch lands.
use crate::case::model::CacheKind;
use crate::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
/// Spec.
#[derive(Debug)]
pub struct HttpProxySpec {
    /// Kind.
    pub kind: CacheKind,
    /// Origin.
    pub origin: PathBuf,
    /// Timeout.
    pub timeout: Option<Duration>,
}
/// Proxy.
#[derive(Debug)]
pub struct HttpProxy;
/// Counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HttpCounters {
    pub requests: u64,
    pub hits: u64,
    pub bytes_up: u64,
    pub misses: u64,
    pub revalidations: u64,
    pub origin_requests: u64,
    pub errors: u64,
    pub entries: u64,
    pub bytes: u64,
}
impl HttpCounters {
    /// Since.
    #[must_use]
    pub fn since(&self, _before: &Self) -> Self {
        *self
    }
}
impl HttpProxy {
    /// Start.
    pub fn start(
        _spec: HttpProxySpec,
        _socket: &Path,
        _now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    ) -> Result<Self> {
        Ok(Self)
    }
    /// Counters.
    pub fn counters(&self) -> HttpCounters {
        HttpCounters::default()
    }
}
