//! What went through: the access log, and the files of the cache.

use std::fs;
use std::io;
use std::path::Path;

/// What one nginx did so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NginxCounters {
    /// Requests that it has answered, from its cache or not.
    pub requests: u64,
    /// Of these, answered from the cache, and the origin not asked.
    pub hits: u64,
    /// Not in the cache, or there and not renewed: answered by what the origin sent.
    pub misses: u64,
    /// Answered from the cache, after the origin has said that it still is so.
    pub revalidations: u64,
    /// Requests that the origin has answered.
    pub origin_requests: u64,
    /// Requests that it had to answer by itself: the origin could not be reached, took too long, or said nonsense.
    pub errors: u64,
    /// Answers in its cache.
    pub entries: u64,
    /// What they take there, in bytes.
    pub bytes: u64,
}

impl NginxCounters {
    /// Reads both.
    pub(super) fn read(log: &Path, cache: &Path) -> io::Result<Self> {
        let mut counters = Self::default();
        for line in fs::read_to_string(log)?.lines() {
            counters.line(line);
        }
        for entry in fs::read_dir(cache)? {
            // It may have been a temporary one, or too old.
            let Ok(entry) = entry?.metadata() else { continue };
            counters.entries += 1;
            counters.bytes += entry.len();
        }
        Ok(counters)
    }

    fn line(&mut self, line: &str) {
        let mut fields = line.split('\t');
        let (cache, upstream) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let header_time = fields.next().unwrap_or_default();
        self.requests += 1;
        match cache {
            "HIT" | "STALE" | "UPDATING" => self.hits += 1,
            "REVALIDATED" => self.revalidations += 1,
            "MISS" | "EXPIRED" | "BYPASS" => self.misses += 1,
            // It is of a kind that caches have no part in.
            _ => {}
        }
        if upstream == "-" {
            return;
        }
        // What it says itself (502, 504) stands where an origin's would: but there was no header.
        if header_time == "-" {
            self.errors += 1;
        } else {
            self.origin_requests += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_what_the_cache_and_the_origin_did() {
        let mut counters = NginxCounters::default();
        for line in [
            "MISS\t200\t0.001\t200\tGET /a HTTP/1.1",
            "HIT\t-\t-\t200\tGET /a HTTP/1.1",
            "REVALIDATED\t304\t0.000\t200\tGET /a HTTP/1.1",
            "EXPIRED\t200\t0.000\t200\tGET /a HTTP/1.1",
            "-\t201\t0.002\t201\tPOST /a HTTP/1.1",
            "MISS\t502\t0.002\t502\tGET /the-origins-own HTTP/1.1",
            "MISS\t502\t-\t502\tGET /unreachable HTTP/1.1",
            "-\t-\t-\t400\t-",
        ] {
            counters.line(line);
        }
        let expected = NginxCounters {
            requests: 8,
            hits: 1,
            misses: 4,
            revalidations: 1,
            origin_requests: 5,
            errors: 1,
            entries: 0,
            bytes: 0,
        };
        assert_eq!(counters, expected);
    }
}
