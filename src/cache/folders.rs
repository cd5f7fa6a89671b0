//! What a cache holds.

/// The variable that names the cache folder.
pub const VARIABLE: &str = "DJ_REGRESS_CACHE";

/// A megabyte.
pub(super) const MB: u64 = 1_000_000;

/// The folders of a cache, and the bytes that something new in each of them takes, generously.
pub(super) const FOLDERS: [(&str, u64); 13] = [
    ("cases", 5 * MB),
    ("environments", 200 * MB),
    ("locks", 0),
    ("overlays", 20 * MB),
    ("pip", 0),
    ("postgres", 0),
    ("projects", 50 * MB),
    ("releases", 0),
    ("shop", 5 * MB),
    ("tools", 200 * MB),
    ("uv", 0),
    ("wheels", 20 * MB),
    ("worker", 20 * MB),
];
