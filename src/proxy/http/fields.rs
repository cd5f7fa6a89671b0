//! Fields that are not for the next hop.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use super::directives::split;

/// Of a message's head, and of what is read at once.
pub const MAX_HEAD: usize = 64 << 10;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Removes what is between two neighbours only: what Connection names, and what is always so.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named = headers.get_all(CONNECTION).iter().flat_map(|value| split(value.as_bytes()));
        let named: Vec<HeaderName> = named.filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
        for name in named {
            headers.remove(name);
        }
    }
    let always = [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION];
    for name in always.into_iter().chain([TE, TRAILER, TRANSFER_ENCODING, UPGRADE]) {
        headers.remove(name);
    }
}
