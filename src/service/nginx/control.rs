//! A request to nginx itself, which never reaches the origin, the cache or the log.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long it may take over that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Returns when the worker has answered, and so has done all that came before.
///
/// # Errors
///
/// If it is not there, or does not answer within 10 s.
pub(in crate::service) async fn ask(socket: &Path) -> io::Result<()> {
    let seconds = ANSWER_DEADLINE.as_secs();
    let late = |_| Err(io::Error::other(format!("no answer within {seconds} s")));
    timeout(ANSWER_DEADLINE, answer(socket)).await.unwrap_or_else(late)
}

async fn answer(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 204 ") { Ok(()) } else { Err(io::Error::other("it is no nginx of ours")) }
}
