//! What a request is for, and the requests that are refused for their form.

use std::fmt::Write as _;

use hyper::header::{HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, StatusCode, Uri, Version};

/// What a request is for.
#[derive(Debug)]
pub struct Target {
    /// Empty where an old client names none.
    pub host: HeaderValue,
    /// Under which answers are stored.
    pub key: String,
}

impl Target {
    /// Of a request; a status if it is to be refused. hyper has refused what cannot be parsed, and lengths that contradict
    /// each other; of a length beside a transfer coding it has dropped the length.
    pub fn of<B>(request: &Request<B>) -> Result<Self, StatusCode> {
        if request.method() == Method::CONNECT || !is_chunked_at_most(request.headers()) {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let host = host(request).ok_or(StatusCode::BAD_REQUEST)?;
        let path = path(request.uri());
        if !path.as_str().starts_with('/') && request.method() != Method::OPTIONS {
            return Err(StatusCode::BAD_REQUEST);
        }
        let key = key(host.as_bytes(), path.as_str());
        Ok(Self { host, key })
    }

    /// The key of another place on the same host, as a Location names it.
    pub fn beside(&self, location: &HeaderValue) -> Option<String> {
        let uri: Uri = location.to_str().ok()?.parse().ok()?;
        let is_here = uri.host().is_none()
            || uri
                .authority()
                .is_some_and(|authority| authority.as_str().as_bytes().eq_ignore_ascii_case(self.host.as_bytes()));
        let path = path(&uri);
        (is_here && path.as_str().starts_with('/')).then(|| key(self.host.as_bytes(), path.as_str()))
    }
}

/// The path and query of a target.
pub fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"))
}

/// Whether a message is coded in no other way than in chunks, which are undone here.
pub fn is_chunked_at_most(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked")) && codings.next().is_none()
}

/// Hosts are alike in any case; paths are not.
fn key(host: &[u8], path: &str) -> String {
    let mut key = String::with_capacity(host.len() + path.len());
    for byte in host {
        let _ = key.write_char(char::from(byte.to_ascii_lowercase()));
    }
    key.push_str(path);
    key
}

fn host<B>(request: &Request<B>) -> Option<HeaderValue> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.clone(),
        (None, None) if request.version() < Version::HTTP_11 => HeaderValue::from_static(""),
        _ => return None,
    };
    // A target that names its host is right about it.
    let host = match (request.uri().scheme_str(), request.uri().authority()) {
        (Some("http" | "https"), Some(authority)) => HeaderValue::from_str(authority.as_str()).ok()?,
        (None, None) => host,
        _ => return None,
    };
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
    host.as_bytes().iter().all(is_allowed).then_some(host)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    #[rstest]
    #[case::path("/a?b=c", &["Shop:8000"], "shop:8000/a?b=c")]
    #[case::no_path("http://Shop", &["other"], "shop/")]
    #[case::with_host("http://shop/a", &["other"], "shop/a")]
    #[case::paths_differ_by_case("/A", &["shop"], "shop/A")]
    #[case::empty_host("/", &[""], "/")]
    fn the_key_is_host_path_and_query(#[case] target: &str, #[case] hosts: &[&str], #[case] key: &str) {
        assert_eq!(Target::of(&request(target, hosts)).unwrap().key, key);
    }

    #[rstest]
    #[case::no_host("/", &[])]
    #[case::two_hosts("/", &["a", "a"])]
    #[case::user("/", &["user@a"])]
    #[case::path_in_host("/", &["a/b"])]
    #[case::user_in_target("http://user@a/", &["a"])]
    #[case::other_scheme("ftp://a/", &["a"])]
    #[case::asterisk("*", &["a"])]
    fn a_request_without_one_clear_host_is_refused(#[case] target: &str, #[case] hosts: &[&str]) {
        assert_eq!(Target::of(&request(target, hosts)).unwrap_err(), StatusCode::BAD_REQUEST);
    }

    #[rstest]
    #[case::path("/b", Some("shop/b"))]
    #[case::same_host("http://SHOP/b?c", Some("shop/b?c"))]
    #[case::other_host("http://other/b", None)]
    #[case::no_place("::", None)]
    fn a_place_is_beside_a_target_if_it_is_on_the_same_host(#[case] location: &str, #[case] key: Option<&str>) {
        let target = Target::of(&request("/a", &["shop"])).unwrap();
        assert_eq!(target.beside(&location.parse().unwrap()).as_deref(), key);
    }
}
