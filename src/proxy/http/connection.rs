//! A client's connection: counted, and closed when nothing happens on it for too long.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

use super::body::Answer;
use super::exchange;
use super::fields::MAX_HEAD;
use super::shared::Shared;

/// For the head of a request, and between two of them.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);

/// Said to who has begun a request and does not go on.
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// Serves a client until either side is done.
pub async fn serve(shared: Arc<Shared>, stream: UnixStream) {
    let progress = Arc::new(Mutex::new(Instant::now()));
    let counted = Counted { stream, shared: Arc::clone(&shared), progress: Arc::clone(&progress) };
    let service = {
        let shared = Arc::clone(&shared);
        service_fn(move |request: Request<Incoming>| -> Answering {
            let shared = Arc::clone(&shared);
            Box::pin(async move { Ok(exchange::answer(&shared, request).await) })
        })
    };
    let mut connection = http1::Builder::new()
        // Dates are those of the arm's clock.
        .auto_date_header(false)
        .half_close(true)
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(counted), service);
    // Longer than all that has a deadline of its own.
    let patience = shared.timeout + HEAD_DEADLINE;
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        () = silence(&progress, patience) => return,
    };
    let Err(error) = ended else { return };
    if error.is_parse() {
        shared.state.lock().counters.malformed += 1;
    } else if error.is_timeout() {
        let parts = connection.into_parts();
        if !parts.read_buf.is_empty() {
            let mut state = shared.state.lock();
            state.counters.malformed += 1;
            if let Ok(length) = parts.io.inner().stream.try_write(TOO_LATE) {
                state.counters.bytes_down += length as u64;
            }
        }
    }
}

/// Waits until nothing has come or gone for so long.
async fn silence(progress: &Mutex<Instant>, patience: Duration) {
    loop {
        let end = *progress.lock() + patience;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// A connection whose bytes are counted.
struct Counted {
    stream: UnixStream,
    shared: Arc<Shared>,
    progress: Arc<Mutex<Instant>>,
}

impl Counted {
    fn has_passed(&self, up: usize, down: usize) {
        *self.progress.lock() = Instant::now();
        let counters = &mut self.shared.state.lock().counters;
        counters.bytes_up += up as u64;
        counters.bytes_down += down as u64;
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.has_passed(buffer.filled().len() - before, 0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.has_passed(0, length);
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.has_passed(0, length);
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
