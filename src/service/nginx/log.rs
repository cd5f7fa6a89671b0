//! What went through: the access log, and the files of the cache.

use std::fs;
use std::io;
use std::path::Path;

use crate::proxy::HttpCounters;

/// The fields of a line, as `$variables` of nginx: what the cache did; what the origin said, and how long it took to
/// connect to it and to hear its head (each `-` where it did not come to that); what the client got, and the bytes both
/// ways. Then the request, for who looks at it by eye.
pub(super) const LINE: &str = "$upstream_cache_status\\t$upstream_status\\t$upstream_connect_time\\t\
    $upstream_header_time\\t$status\\t$request_length\\t$bytes_sent\\t$request";

/// What it did so far, from its log and the files of its cache; it does not tell what had to make room there.
pub(super) fn read(log: &Path, cache: &Path) -> io::Result<HttpCounters> {
    let mut counters = HttpCounters::default();
    for line in fs::read_to_string(log)?.lines() {
        count(&mut counters, line);
    }
    for entry in fs::read_dir(cache)? {
        // It may have been a temporary one, or too old.
        let Ok(entry) = entry?.metadata() else { continue };
        counters.entries += 1;
        counters.bytes += entry.len();
    }
    Ok(counters)
}

fn count(counters: &mut HttpCounters, line: &str) {
    let mut fields = line.split('\t');
    let [cache, upstream, connected, head, status, up, down] = [(); 7].map(|()| fields.next().unwrap_or_default());
    counters.requests += 1;
    counters.bytes_up += up.parse().unwrap_or(0);
    counters.bytes_down += down.parse().unwrap_or(0);
    let was_asked = upstream != "-";
    // What it says itself (502, 504) stands where an origin's would: but there was no head.
    let is_error = was_asked && head == "-";
    counters.origin_requests += u64::from(connected != "-");
    counters.errors += u64::from(is_error);
    counters.timeouts += u64::from(is_error && status == "504");
    counters.malformed += u64::from(!was_asked && status == "400");
    match cache {
        "HIT" | "STALE" | "UPDATING" => counters.hits += 1,
        "REVALIDATED" => counters.revalidations += 1,
        "MISS" | "EXPIRED" | "BYPASS" if !is_error => counters.misses += 1,
        // It is of a kind that caches have no part in.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_what_the_cache_and_the_origin_did() {
        let mut counters = HttpCounters::default();
        for line in [
            "MISS\t200\t0.000\t0.001\t200\t10\t100\tGET /a HTTP/1.1",
            "HIT\t-\t-\t-\t200\t10\t100\tGET /a HTTP/1.1",
            "REVALIDATED\t304\t0.000\t0.000\t200\t10\t100\tGET /a HTTP/1.1",
            "EXPIRED\t200\t0.000\t0.000\t200\t10\t100\tGET /a HTTP/1.1",
            "-\t201\t0.000\t0.002\t201\t10\t100\tPOST /a HTTP/1.1",
            "MISS\t502\t0.000\t0.002\t502\t10\t100\tGET /the-origins-own HTTP/1.1",
            "MISS\t502\t-\t-\t502\t10\t100\tGET /unreachable HTTP/1.1",
            "MISS\t504\t0.000\t-\t504\t10\t100\tGET /silent HTTP/1.1",
            "-\t-\t-\t-\t400\t0\t100\t-",
        ] {
            count(&mut counters, line);
        }
        let expected = HttpCounters {
            requests: 9,
            hits: 1,
            misses: 3,
            revalidations: 1,
            origin_requests: 6,
            errors: 2,
            timeouts: 1,
            malformed: 1,
            bytes_up: 80,
            bytes_down: 900,
            ..HttpCounters::default()
        };
        assert_eq!(counters, expected);
    }
}
