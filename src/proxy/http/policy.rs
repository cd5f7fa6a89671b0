//! What may be stored, and for how long it is fresh.
//!
//! The crate `http-cache-semantics` decides; what it is shown is brought into a form in which it decides by RFC 9111,
//! and each kind of cache shows it something else. It sees nothing but what matters for that: it parses directives by
//! their case, takes dates in one form, adds ages without a limit, holds a Set-Cookie against an answer, takes
//! `proxy-revalidate` for `max-age=0`, and lets `max-stale` win over `no-cache`.

use std::time::{Duration, SystemTime};

use http_cache_semantics::{CacheOptions, CachePolicy};
use hyper::header::{AGE, AUTHORIZATION, CACHE_CONTROL, DATE, ETAG, EXPIRES, HeaderMap, LAST_MODIFIED, PRAGMA};
use hyper::{Request, Response, StatusCode};

use super::clock::{between, read, written};
use super::directives::{self, Directives};
use crate::case::CacheKind;

/// How long an aggressive cache takes an answer for fresh that does not say.
const OWN_CHOICE: u64 = 600;

/// The statuses that the RFC knows how to cache; not partial answers.
const UNDERSTOOD: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];

/// An answer of the origin, and what it answered.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// Of the request.
    pub request: &'a HeaderMap,
    /// Of the answer.
    pub status: StatusCode,
    /// Of the answer.
    pub headers: &'a HeaderMap,
    /// When the origin was asked.
    pub asked_at: SystemTime,
    /// When its answer came.
    pub came_at: SystemTime,
}

/// How long a stored answer is fresh.
#[derive(Debug)]
pub struct Policy {
    decider: CachePolicy,
    came_at: SystemTime,
    /// When it came.
    age: Duration,
    /// From when it came.
    fresh_for: Duration,
}

impl Policy {
    /// Of an answer to GET; nothing if it is not to be stored.
    pub fn of(kind: CacheKind, received: &Received<'_>) -> Option<Self> {
        let Received { request, status, headers, asked_at, came_at } = *received;
        if status.is_informational() || [StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED].contains(&status) {
            return None;
        }
        let is_understood = UNDERSTOOD.contains(&status.as_u16());
        let is_strict = kind == CacheKind::Strict;
        let mut says = Directives::of(headers);
        if kind == CacheKind::Broken {
            says.remove("no-cache");
            says.remove("must-revalidate");
            if says.seconds("max-age") == Some(0) {
                says.remove("max-age");
            }
        } else if !headers.contains_key(CACHE_CONTROL) && is_no_cache_pragma(headers) {
            says.add("no-cache", None);
        }
        if says.has("must-understand") {
            if !is_understood {
                return None;
            }
            says.remove("no-store");
        }
        let is_for_all = ["must-revalidate", "public", "s-maxage"].iter().any(|name| says.has(name));
        if request.contains_key(AUTHORIZATION) && !is_for_all {
            return None;
        }
        if ["no-cache", "proxy-revalidate", "s-maxage"].iter().any(|name| says.has(name)) {
            says.add("must-revalidate", None);
            says.remove("proxy-revalidate");
        }
        let lifetime = explicit_lifetime(&says, headers, came_at);
        if !is_strict {
            if says.has("no-cache") || lifetime == Some(0) {
                return None;
            }
            if lifetime.is_none() && status == StatusCode::OK {
                says.add("max-age", Some(OWN_CHOICE));
            }
        }
        // The RFC lets any final answer be stored that says for how long; the decider only knows some statuses, of which
        // this one is never stored without that.
        let shown_status = match lifetime {
            _ if is_understood => status,
            None if !says.has("public") => return None,
            _ => StatusCode::FOUND,
        };
        let age = initial_age(headers, asked_at, came_at);
        let mut shown = Response::new(());
        *shown.status_mut() = shown_status;
        show(shown.headers_mut(), headers, &says, age);
        let options = CacheOptions { immutable_min_time_to_live: Duration::ZERO, ..CacheOptions::default() };
        let decider = CachePolicy::new_options(&shown_request(kind, request), &shown, came_at, options);
        let fresh_for = decider.time_to_live(came_at);
        let is_of_use =
            fresh_for > Duration::ZERO || [ETAG, LAST_MODIFIED].iter().any(|name| headers.contains_key(name));
        (decider.is_storable() && is_of_use).then_some(Self { decider, came_at, age, fresh_for })
    }

    /// Whether the stored answer may be given without asking the origin.
    pub fn allows(&self, kind: CacheKind, request: &HeaderMap, now: SystemTime) -> bool {
        if kind == CacheKind::Strict && (request.contains_key(CACHE_CONTROL) || request.contains_key(PRAGMA)) {
            return self.decider.before_request(&shown_request(kind, request), now).satisfies_without_revalidation();
        }
        between(self.came_at, now) < self.fresh_for
    }

    /// How old the stored answer is.
    pub fn age(&self, now: SystemTime) -> Duration {
        self.age + between(self.came_at, now)
    }

    /// When the answer came.
    pub fn came_at(&self) -> SystemTime {
        self.came_at
    }
}

/// Whether a client wants an answer only if it needs no origin.
pub fn is_only_if_cached(kind: CacheKind, request: &HeaderMap) -> bool {
    kind == CacheKind::Strict && request.contains_key(CACHE_CONTROL) && Directives::of(request).has("only-if-cached")
}

fn is_no_cache_pragma(headers: &HeaderMap) -> bool {
    let is_no_cache = |part: &[u8]| part.eq_ignore_ascii_case(b"no-cache");
    headers.get_all(PRAGMA).iter().any(|value| directives::split(value.as_bytes()).any(is_no_cache))
}

/// The seconds that an answer says it is fresh for. An Expires that cannot be read is in the past.
fn explicit_lifetime(says: &Directives, headers: &HeaderMap, came_at: SystemTime) -> Option<u64> {
    let expires = || {
        headers.contains_key(EXPIRES).then(|| {
            let date = read(headers, &DATE).unwrap_or(came_at);
            read(headers, &EXPIRES).map_or(0, |expires| between(date, expires).as_secs())
        })
    };
    says.seconds("s-maxage").or_else(|| says.seconds("max-age")).or_else(expires)
}

/// How old an answer is when it comes, in whole seconds (RFC 9111, 4.2.3).
fn initial_age(headers: &HeaderMap, asked_at: SystemTime, came_at: SystemTime) -> Duration {
    let apparent = read(headers, &DATE).map_or(0, |date| between(date, came_at).as_secs());
    let corrected = directives::age(headers) + between(asked_at, came_at).as_secs();
    Duration::from_secs(apparent.max(corrected))
}

fn show(shown: &mut HeaderMap, headers: &HeaderMap, says: &Directives, age: Duration) {
    if let Some(value) = says.written() {
        shown.insert(CACHE_CONTROL, value);
    }
    for name in [DATE, EXPIRES, LAST_MODIFIED] {
        if let Some(date) = read(headers, &name) {
            shown.insert(name, written(date));
        } else if name == EXPIRES && headers.contains_key(EXPIRES) {
            shown.insert(name, written(SystemTime::UNIX_EPOCH));
        }
    }
    shown.insert(AGE, age.as_secs().into());
}

/// Its directives alone: what it is for is compared elsewhere.
fn shown_request(kind: CacheKind, request: &HeaderMap) -> Request<()> {
    let mut shown = Request::new(());
    if kind == CacheKind::Strict {
        let mut says = Directives::of(request);
        if !request.contains_key(CACHE_CONTROL) && is_no_cache_pragma(request) {
            says.add("no-cache", None);
        }
        if let Some(value) = says.written() {
            shown.headers_mut().insert(CACHE_CONTROL, value);
        }
    }
    shown
}
