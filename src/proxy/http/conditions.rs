//! Conditional requests: what a client has already, and what the origin is asked about what is stored.

use std::time::SystemTime;

use hyper::StatusCode;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};

use super::clock::read;
use super::directives::split;
use super::store::Stored;

/// Whether the client has the stored answer already (RFC 9111, 4.3.2).
pub fn has_it_already(request: &HeaderMap, status: StatusCode, headers: &HeaderMap, came_at: SystemTime) -> bool {
    if status != StatusCode::OK {
        return false;
    }
    if request.contains_key(IF_NONE_MATCH) {
        return names(request, headers.get(ETAG));
    }
    let Some(since) = read(request, &IF_MODIFIED_SINCE) else { return false };
    let modified = read(headers, &LAST_MODIFIED).or_else(|| read(headers, &DATE));
    modified.unwrap_or(came_at) <= since
}

/// Whether If-None-Match names a tag; whether tags are weak does not count.
pub fn names(request: &HeaderMap, tag: Option<&HeaderValue>) -> bool {
    let mut named = request.get_all(IF_NONE_MATCH).iter().flat_map(|value| split(value.as_bytes()));
    named.any(|name| name == b"*" || tag.is_some_and(|tag| opaque(name) == opaque(tag.as_bytes())))
}

/// The fields of an answer that say 304 for it.
pub fn of_not_modified(headers: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE] {
        headers.remove(name);
    }
}

/// Asks the origin whether what is stored has changed, beside what the client asks. Says whether there is something to
/// ask with.
pub fn ask(request: &mut HeaderMap, stored: &Stored) -> bool {
    let (tag, modified) = (stored.headers.get(ETAG), stored.headers.get(LAST_MODIFIED));
    if let Some(tag) = tag {
        request.append(IF_NONE_MATCH, tag.clone());
    }
    if tag.is_some() || modified.is_some() {
        request.remove(IF_MODIFIED_SINCE);
    }
    if let Some(modified) = modified {
        request.insert(IF_MODIFIED_SINCE, modified.clone());
    }
    tag.is_some() || modified.is_some()
}

/// Whether a 304 is about what is stored (RFC 9111, 4.3.4). One that names nothing is, if the client asked for nothing
/// of its own.
pub fn is_about(headers: &HeaderMap, stored: &Stored, request: &HeaderMap) -> bool {
    if let Some(tag) = headers.get(ETAG) {
        return stored.headers.get(ETAG).is_some_and(|mine| opaque(mine.as_bytes()) == opaque(tag.as_bytes()));
    }
    if let Some(modified) = headers.get(LAST_MODIFIED) {
        return stored.headers.get(LAST_MODIFIED) == Some(modified);
    }
    !request.contains_key(IF_NONE_MATCH)
}

/// The fields of what is stored, with those that a 304, or an answer to HEAD, has newer (RFC 9111, 3.2).
pub fn updated(stored: &HeaderMap, newer: &HeaderMap) -> HeaderMap {
    let mut headers = stored.clone();
    let is_of_body = |name| [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE].contains(name);
    for name in newer.keys().filter(|name| !is_of_body(name)) {
        headers.remove(name);
        for value in newer.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// A tag without its weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}
