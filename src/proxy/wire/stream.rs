//! A connection of either kind of socket.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep};

use crate::proxy::Endpoint;

/// While the server's queue of connections is full.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Connects to a server; nothing that is written is kept back to be sent with more.
pub(in crate::proxy) async fn connect(endpoint: &Endpoint) -> io::Result<Stream> {
    match endpoint {
        Endpoint::Unix(socket) => {
            let deadline = Instant::now() + CONNECT_DEADLINE;
            loop {
                match UnixStream::connect(socket).await {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline => {
                        sleep(Duration::from_millis(5)).await;
                    }
                    result => return result.map(Stream::Unix),
                }
            }
        }
        Endpoint::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
    }
}

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// A connected socket.
#[derive(Debug)]
pub enum Stream {
    /// Of the local machine.
    Unix(UnixStream),
    /// Of the network.
    Tcp(TcpStream),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Unix($stream) => $call,
            Self::Tcp($stream) => $call,
        }
    };
}

impl Stream {
    /// Whether something may be read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read_ready(cx))
    }

    /// Whether something may be written.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_write_ready(cx))
    }

    /// Waits until something may be read.
    pub async fn readable(&self) -> io::Result<()> {
        either!(self, stream => stream.readable().await)
    }

    /// Waits until something may be written.
    pub async fn writable(&self) -> io::Result<()> {
        either!(self, stream => stream.writable().await)
    }

    /// Reads what is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_read(buffer))
    }

    /// Writes what there is room for.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.try_write(bytes))
    }

    /// Reads; a short read has emptied the socket, so the next one waits for the poller instead of asking the kernel.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut result = Err(io::ErrorKind::WouldBlock.into());
        let mut once = || {
            result = self.try_read(buffer);
            match result {
                Ok(length) if length > 0 && length < buffer.len() => Err(io::Error::from(io::ErrorKind::WouldBlock)),
                _ => Ok(()),
            }
        };
        let _ = either!(self, stream => stream.try_io(Interest::READABLE, &mut once));
        result
    }

    /// Writes all of it.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writable().await?;
            match self.try_write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends this direction. A socket that is gone already is at its end as well.
    pub fn finish_writing(&self) {
        if let Ok(socket) = self.as_fd().try_clone_to_owned() {
            // The call is the same for every kind of socket.
            let _ = StdStream::from(socket).shutdown(Shutdown::Write);
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, stream => stream.as_fd())
    }
}
