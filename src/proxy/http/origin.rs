//! Asking the origin: one connection for each request.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::SystemTime;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::clock::written;
use super::fields::{MAX_HEAD, remove_hop_by_hop};
use super::shared::Shared;
use super::target::{Target, is_chunked_at_most, path};
use crate::proxy::wire::stream::{Stream, connect};

/// An answer whose body comes by its driver.
#[derive(Debug)]
pub struct Answered {
    /// Without the fields that are for this hop; with a date.
    pub response: Response<Incoming>,
    /// Of the body.
    pub driver: Driver,
    /// When the origin was asked.
    pub asked_at: SystemTime,
    /// When it answered.
    pub came_at: SystemTime,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The origin cannot be reached, or hangs up.
    Unreachable,
    /// The origin says what cannot be understood.
    Malformed,
    /// The origin takes too long.
    Slow,
    /// The client does not send its body in time.
    SlowClient,
    /// The client's body cannot be understood.
    MalformedClient,
}

/// What moves a connection with the origin. Dropped, the connection is closed.
pub struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    /// Moves what can be moved.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|connection| connection.as_mut().poll(cx).is_ready()) {
            self.0 = None;
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

/// Asks the origin, and waits for the head of its answer.
pub async fn ask(shared: &Shared, target: &Target, request: Request<Upload>) -> Result<Answered, Failure> {
    let progress = Arc::clone(&request.body().progress);
    let asked_at = shared.clock.now();
    let asking = timeout(shared.timeout, exchange(shared, prepare(target, request)));
    let (mut response, driver) = match asking.await {
        Ok(Ok(answered)) => answered,
        Ok(Err(_)) if progress.load(Ordering::Relaxed) == Upload::BROKEN => return Err(Failure::MalformedClient),
        Ok(Err(failure)) => return Err(failure),
        Err(_) if progress.load(Ordering::Relaxed) == Upload::WAITING => return Err(Failure::SlowClient),
        Err(_) => return Err(Failure::Slow),
    };
    let is_complete = is_chunked_at_most(response.headers()) && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    if !is_complete {
        return Err(Failure::Malformed);
    }
    let came_at = shared.clock.now();
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
    if !response.headers().contains_key(DATE) {
        response.headers_mut().insert(DATE, written(came_at));
    }
    Ok(Answered { response, driver, asked_at, came_at })
}

/// A request as the origin gets it. Versions are those of this proxy, both ways: an old peer says nothing of the other.
fn prepare(target: &Target, mut request: Request<Upload>) -> Request<Upload> {
    *request.version_mut() = Version::HTTP_11;
    *request.uri_mut() = Uri::from(path(request.uri()));
    let length = request.body().size_hint().exact();
    let has_body = !request.body().is_end_stream();
    let is_get = [Method::GET, Method::HEAD].contains(request.method());
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.insert(HOST, target.host.clone());
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.remove(CONTENT_LENGTH);
    match length {
        Some(0) if is_get => {}
        Some(length) => drop(headers.insert(CONTENT_LENGTH, length.into())),
        // Of GET, hyper would leave the body away.
        None if has_body => drop(headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
        None => {}
    }
    request
}

async fn exchange(shared: &Shared, request: Request<Upload>) -> Result<(Response<Incoming>, Driver), Failure> {
    let Ok(Stream::Unix(stream)) = connect(&shared.origin).await else { return Err(Failure::Unreachable) };
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| Failure::Unreachable)?;
    let mut driver = Driver(Some(Box::pin(async move {
        // What goes wrong is told to the sender, or by the body.
        let _ = connection.await;
    })));
    shared.state.lock().counters.origin_requests += 1;
    let mut sending = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        driver.drive(cx);
        sending.as_mut().poll(cx)
    })
    .await;
    match response {
        Ok(response) => Ok((response, driver)),
        Err(error) if error.is_parse() => Err(Failure::Malformed),
        Err(_) => Err(Failure::Unreachable),
    }
}

/// The body of a request on its way.
#[derive(Debug)]
pub struct Upload {
    incoming: Option<Incoming>,
    progress: Arc<AtomicU8>,
}

impl Upload {
    const WAITING: u8 = 1;
    const BROKEN: u8 = 2;

    /// No body.
    pub fn none() -> Self {
        Self { incoming: None, progress: Arc::default() }
    }
}

impl From<Incoming> for Upload {
    fn from(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), progress: Arc::default() }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else { return Poll::Ready(None) };
        let poll = Pin::new(incoming).poll_frame(cx);
        let progress = match &poll {
            Poll::Pending => Self::WAITING,
            Poll::Ready(Some(Err(_))) => Self::BROKEN,
            Poll::Ready(_) => 0,
        };
        this.progress.store(progress, Ordering::Relaxed);
        match poll {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            // Trailers are not passed on.
            Poll::Ready(Some(Ok(frame))) => {
                Poll::Ready(Some(Ok(frame.into_data().map_or_else(|_| Frame::data(Bytes::new()), Frame::data))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(io::Error::other(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
