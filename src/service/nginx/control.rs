//! A request to nginx itself, which never reaches the origin, the cache or the log.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long it may take over that.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Returns when the worker has answered, and so has done all that came before; with the date that it says.
///
/// # Errors
///
/// If it is not there, or does not answer within 10 s.
pub(in crate::service) async fn ask(socket: &Path) -> io::Result<SystemTime> {
    let seconds = ANSWER_DEADLINE.as_secs();
    let late = |_| Err(io::Error::other(format!("no answer within {seconds} s")));
    timeout(ANSWER_DEADLINE, answer(socket)).await.unwrap_or_else(late)
}

async fn answer(socket: &Path) -> io::Result<SystemTime> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let date = text.lines().find_map(|line| httpdate::parse_http_date(line.strip_prefix("Date: ")?).ok());
    let date = date.filter(|_| text.starts_with("HTTP/1.1 204 "));
    date.ok_or_else(|| io::Error::other("it is no nginx of ours"))
}
