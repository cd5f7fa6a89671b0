//! Web requests, and what stands in their way.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a proxy between browsers and the app keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Nothing: it only passes on.
    None,
    /// What RFC 9111 allows a shared cache, no longer than that.
    Strict,
    /// Whatever is not forbidden, for a while of its own choice where the answer says nothing.
    Aggressive,
    /// Even what is forbidden: it does not know `no-cache`.
    Broken,
    /// A real nginx, set up as its documentation shows. It does not see the virtual clock.
    Nginx,
}

/// The kinds of caches, as they are written.
pub const CACHES: [(&str, CacheKind); 5] = [
    ("none", CacheKind::None),
    ("strict", CacheKind::Strict),
    ("aggressive", CacheKind::Aggressive),
    ("broken", CacheKind::Broken),
    ("nginx", CacheKind::Nginx),
];

impl CacheKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        CACHES.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}
