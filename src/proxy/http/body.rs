//! The body of an answer: what is stored, or what the origin says as it says it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::HeaderMap;

use super::origin::Driver;
use super::policy::Policy;
use super::shared::Shared;
use super::store::{MAX_OBJECT, Stored, Vary};

/// The body of an answer.
#[derive(Debug)]
pub enum Answer {
    /// All there is; nothing once it has been given.
    Whole(Option<Bytes>),
    /// Comes from the origin.
    Streamed(Box<Streamed>),
}

/// A body that comes from the origin, and is stored as it passes.
#[derive(Debug)]
pub struct Streamed {
    incoming: Incoming,
    /// Nothing comes without it.
    driver: Driver,
    fill: Option<Fill>,
}

/// An answer that is being stored. Dropped before it is complete, it is forgotten.
#[derive(Debug)]
pub struct Fill {
    shared: Arc<Shared>,
    key: String,
    status: StatusCode,
    headers: HeaderMap,
    policy: Option<Policy>,
    vary: Vary,
    body: Vec<u8>,
}

impl Answer {
    /// Bytes that are there.
    pub fn whole(body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self::Whole((!body.is_empty()).then_some(body))
    }
}

impl Streamed {
    /// A body that comes by `driver`.
    pub fn new(incoming: Incoming, driver: Driver, fill: Option<Fill>) -> Self {
        let fill = fill.filter(|_| incoming.size_hint().lower() <= MAX_OBJECT as u64);
        let mut streamed = Self { incoming, driver, fill };
        streamed.finish_if_over();
        streamed
    }

    /// Nobody may ask again after the last bytes.
    fn finish_if_over(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(fill) = self.fill.take()
        {
            fill.finish();
        }
    }
}

impl Fill {
    /// An answer that has begun.
    pub fn new(shared: Arc<Shared>, key: String, answer: (StatusCode, HeaderMap), policy: Policy, vary: Vary) -> Self {
        let (status, headers) = answer;
        Self { shared, key, status, headers, policy: Some(policy), vary, body: Vec::new() }
    }

    /// Takes more of it, if there is room.
    fn push(mut self, data: &[u8]) -> Option<Self> {
        let fits = self.body.len() + data.len() <= MAX_OBJECT && self.shared.state.lock().store.reserve(data.len());
        fits.then(|| {
            self.body.extend_from_slice(data);
            self
        })
    }

    /// It is complete.
    fn finish(mut self) {
        let body = std::mem::take(&mut self.body);
        let mut state = self.shared.state.lock();
        state.store.release(body.len());
        if let Some(policy) = self.policy.take() {
            // Without what the buffer has to spare.
            let body = Bytes::from(body.into_boxed_slice());
            let (status, headers, vary) =
                (self.status, std::mem::take(&mut self.headers), std::mem::take(&mut self.vary));
            state.store.insert(&self.key, Stored { status, headers, body, policy, vary });
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.shared.state.lock().store.release(self.body.len());
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Streamed(streamed) => streamed.incoming.size_hint(),
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        loop {
            self.driver.drive(cx);
            let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else { return Poll::Pending };
            match frame {
                Some(Ok(frame)) => {
                    // Trailers are not passed on: no client of ours asks for them.
                    let Ok(data) = frame.into_data() else { continue };
                    self.fill = self.fill.take().and_then(|fill| fill.push(&data));
                    self.finish_if_over();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    self.fill = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    if let Some(fill) = self.fill.take() {
                        fill.finish();
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }
}
