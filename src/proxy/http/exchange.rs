//! One request and its answer: from the store, or from the origin.

use std::sync::Arc;
use std::time::SystemTime;

use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION, TRANSFER_ENCODING,
};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{Answer, Fill, Streamed};
use super::clock::written;
use super::conditions;
use super::counters::HttpCounters;
use super::origin::{self, Answered, Failure, Upload};
use super::policy::{Policy, Received, is_only_if_cached};
use super::shared::Shared;
use super::store::{Stored, Vary};
use super::target::Target;
use crate::case::CacheKind;

/// Says where an answer is from.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Where an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Store,
    Origin,
    /// The store; the origin said that it may.
    Validated,
    /// The origin; the store has nothing to do with such requests.
    Passed,
}

impl From {
    fn word(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Store => "HIT",
            Self::Origin => "MISS",
            Self::Validated => "REVALIDATED",
            Self::Passed => "PASS",
        })
    }
}

/// Answers a request.
pub async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Answer> {
    count(shared, |counters| counters.requests += 1);
    // Of a length beside a transfer coding hyper keeps the coding alone. Who sent both may have smuggled in what follows.
    let is_suspicious = request.headers().contains_key(TRANSFER_ENCODING);
    let result = match Target::of(&request) {
        Ok(target) => exchange(shared, &target, request).await,
        Err(status) => {
            count(shared, |counters| counters.malformed += 1);
            Ok(refusal(shared, status, true))
        }
    };
    let mut response = result.unwrap_or_else(|failure| failed(shared, failure));
    if is_suspicious {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn exchange(
    shared: &Arc<Shared>,
    target: &Target,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Failure> {
    let is_head = request.method() == Method::HEAD;
    let is_read = (is_head || request.method() == Method::GET) && request.body().is_end_stream();
    if shared.kind == CacheKind::None || !is_read {
        return pass(shared, target, request).await;
    }
    let now = shared.clock.now();
    let stored = shared.state.lock().store.find(&target.key, request.headers());
    let stored = match stored {
        Some(stored) if stored.policy.allows(shared.kind, request.headers(), now) => {
            count(shared, |counters| counters.hits += 1);
            return Ok(from_store(request.headers(), is_head, &stored, now));
        }
        stored => stored,
    };
    if is_only_if_cached(shared.kind, request.headers()) {
        count(shared, |counters| counters.errors += 1);
        return Ok(refusal(shared, StatusCode::GATEWAY_TIMEOUT, false));
    }
    let mut request = request.map(|_| ());
    if is_head {
        return ask_head(shared, target, &request, stored.as_deref()).await;
    }
    if let Some(stored) = stored
        && let Some(response) = validate(shared, target, &mut request, &stored).await?
    {
        return Ok(response);
    }
    let answered = ask(shared, target, &request).await?;
    Ok(from_origin(shared, target, request.headers(), answered))
}

/// Passes a request on that the store has nothing to do with, but that may tell it what has changed.
async fn pass(shared: &Shared, target: &Target, request: Request<Incoming>) -> Result<Response<Answer>, Failure> {
    let method = request.method().clone();
    let answered = origin::ask(shared, target, request.map(Upload::from)).await?;
    let status = answered.response.status();
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(&method);
    if !is_safe && (status.is_success() || status.is_redirection()) {
        let headers = answered.response.headers();
        let named = [LOCATION, CONTENT_LOCATION].map(|name| headers.get(name).and_then(|value| target.beside(value)));
        let store = &mut shared.state.lock().store;
        store.invalidate(&target.key);
        named.iter().flatten().for_each(|key| store.invalidate(key));
    }
    Ok(streamed(answered, method == Method::HEAD, None, From::Passed))
}

/// Asks the origin about what is stored. Nothing if it has to be asked again.
async fn validate(
    shared: &Arc<Shared>,
    target: &Target,
    request: &mut Request<()>,
    stored: &Stored,
) -> Result<Option<Response<Answer>>, Failure> {
    let mut asking = request.clone();
    if !conditions::ask(asking.headers_mut(), stored) {
        return Ok(None);
    }
    let answered = ask(shared, target, &asking).await?;
    let headers = answered.response.headers();
    if answered.response.status() != StatusCode::NOT_MODIFIED {
        return Ok(Some(from_origin(shared, target, request.headers(), answered)));
    }
    if conditions::is_about(headers, stored, request.headers()) {
        count(shared, |counters| counters.revalidations += 1);
        let updated = update(shared, target, request.headers(), stored, &answered);
        let kept =
            Kept { status: stored.status, headers: updated, body: stored.body.clone(), came_at: answered.came_at };
        return Ok(Some(given(request.headers(), false, kept, From::Validated)));
    }
    // What is stored is not what the origin has.
    shared.state.lock().store.remove(&target.key, request.headers());
    if conditions::names(request.headers(), headers.get(ETAG)) {
        count(shared, |counters| counters.misses += 1);
        return Ok(Some(streamed(answered, false, None, From::Origin)));
    }
    // Nobody can say what this 304 is about.
    request.headers_mut().remove(IF_NONE_MATCH);
    request.headers_mut().remove(IF_MODIFIED_SINCE);
    Ok(None)
}

/// Asks the origin for a head alone; if it says something else than what is stored, that is out of date
/// (RFC 9111, 4.3.5).
async fn ask_head(
    shared: &Shared,
    target: &Target,
    request: &Request<()>,
    stored: Option<&Stored>,
) -> Result<Response<Answer>, Failure> {
    let answered = ask(shared, target, request).await?;
    count(shared, |counters| counters.misses += 1);
    if let Some(stored) = stored.filter(|stored| stored.status == answered.response.status()) {
        let headers = answered.response.headers();
        let is_same = |name| headers.get(&name).is_none_or(|value| stored.headers.get(&name) == Some(value));
        if [ETAG, LAST_MODIFIED, CONTENT_LENGTH].into_iter().all(is_same) {
            update(shared, target, request.headers(), stored, &answered);
        } else {
            shared.state.lock().store.remove(&target.key, request.headers());
        }
    }
    Ok(streamed(answered, true, None, From::Origin))
}

/// Asks the origin what the client asks.
async fn ask(shared: &Shared, target: &Target, request: &Request<()>) -> Result<Answered, Failure> {
    origin::ask(shared, target, request.clone().map(|()| Upload::none())).await
}

/// An answer that the origin gave to GET; it is stored as it passes, if it may be.
fn from_origin(shared: &Arc<Shared>, target: &Target, request: &HeaderMap, answered: Answered) -> Response<Answer> {
    count(shared, |counters| counters.misses += 1);
    let status = answered.response.status();
    let policy = Policy::of(shared.kind, &received(request, status, answered.response.headers(), &answered));
    let vary = Vary::of(answered.response.headers(), request);
    let fill = match (policy, vary) {
        (Some(policy), Some(vary)) => {
            let answer = (status, kept_headers(answered.response.headers()));
            Some(Fill::new(Arc::clone(shared), target.key.clone(), answer, policy, vary))
        }
        // An origin that fails has not said that what is stored is wrong.
        _ if status.is_server_error() || status == StatusCode::NOT_MODIFIED => None,
        _ => {
            shared.state.lock().store.remove(&target.key, request);
            None
        }
    };
    streamed(answered, false, fill, From::Origin)
}

/// What is stored, with what the origin says newer of it.
fn update(shared: &Shared, target: &Target, request: &HeaderMap, stored: &Stored, answered: &Answered) -> HeaderMap {
    let mut headers = conditions::updated(&stored.headers, answered.response.headers());
    if !answered.response.headers().contains_key(AGE) {
        headers.insert(AGE, 0.into());
    }
    let policy = Policy::of(shared.kind, &received(request, stored.status, &headers, answered));
    let store = &mut shared.state.lock().store;
    match (policy, Vary::of(&headers, request)) {
        (Some(policy), Some(vary)) => {
            let (headers, body) = (kept_headers(&headers), stored.body.clone());
            store.insert(&target.key, Stored { status: stored.status, headers, body, policy, vary });
        }
        _ => store.remove(&target.key, request),
    }
    headers
}

fn received<'a>(
    request: &'a HeaderMap,
    status: StatusCode,
    headers: &'a HeaderMap,
    answered: &Answered,
) -> Received<'a> {
    Received { request, status, headers, asked_at: answered.asked_at, came_at: answered.came_at }
}

/// The fields as they are stored: there is room for what is added when they are given.
fn kept_headers(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert(AGE, 0.into());
    headers.insert(X_CACHE, From::Store.word());
    headers
}

/// What a client is given of the store.
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    came_at: SystemTime,
}

fn from_store(request: &HeaderMap, is_head: bool, stored: &Stored, now: SystemTime) -> Response<Answer> {
    let mut headers = stored.headers.clone();
    headers.insert(AGE, stored.policy.age(now).as_secs().into());
    let came_at = stored.policy.came_at();
    given(request, is_head, Kept { status: stored.status, headers, body: stored.body.clone(), came_at }, From::Store)
}

fn given(request: &HeaderMap, is_head: bool, kept: Kept, from: From) -> Response<Answer> {
    let Kept { mut status, mut headers, body, came_at } = kept;
    headers.insert(X_CACHE, from.word());
    let body = if conditions::has_it_already(request, status, &headers, came_at) {
        status = StatusCode::NOT_MODIFIED;
        conditions::of_not_modified(&mut headers);
        Answer::Whole(None)
    } else {
        if status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, body.len().into());
        }
        if is_head { Answer::Whole(None) } else { Answer::whole(body) }
    };
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    response
}

fn streamed(answered: Answered, is_head: bool, fill: Option<Fill>, from: From) -> Response<Answer> {
    let mut response =
        answered.response.map(|body| Answer::Streamed(Box::new(Streamed::new(body, answered.driver, fill))));
    // The body knows its length better, if there is one.
    if !is_head && response.status() != StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response.headers_mut().insert(X_CACHE, from.word());
    response
}

/// The answer to a request that the origin did not answer.
fn failed(shared: &Shared, failure: Failure) -> Response<Answer> {
    let (status, is_clients) = match failure {
        Failure::Unreachable | Failure::Malformed => (StatusCode::BAD_GATEWAY, false),
        Failure::Slow => (StatusCode::GATEWAY_TIMEOUT, false),
        Failure::SlowClient => (StatusCode::REQUEST_TIMEOUT, true),
        Failure::MalformedClient => (StatusCode::BAD_REQUEST, true),
    };
    count(shared, |counters| {
        counters.errors += u64::from(!is_clients);
        counters.timeouts += u64::from(failure == Failure::Slow);
        counters.malformed += u64::from(is_clients || failure == Failure::Malformed);
    });
    refusal(shared, status, is_clients)
}

/// An answer of the proxy itself.
fn refusal(shared: &Shared, status: StatusCode, closes: bool) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(format!("{status}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(DATE, written(shared.clock.now()));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn count(shared: &Shared, count: impl FnOnce(&mut HttpCounters)) {
    count(&mut shared.state.lock().counters);
}
