//! The connection to the controller: JSON messages, one per line.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use pyo3::prelude::*;
use serde::Serialize;

/// The descriptor that a forked child must not keep: the controller takes end-of-file for "this
/// process is gone", and an app's own children outlive it.
static INHERITED: AtomicI32 = AtomicI32::new(-1);

/// A connected process's side of the conversation.
pub struct Channel {
    stream: UnixStream,
    /// What was read beyond the last line.
    pending: Vec<u8>,
}

impl Channel {
    /// Connects to the controller's socket.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        INHERITED.store(stream.as_raw_fd(), Ordering::SeqCst);
        Ok(Self { stream, pending: Vec::new() })
    }

    /// The next line, without its end; `None` when the controller has hung up.
    pub fn receive(&mut self, py: Python<'_>) -> PyResult<Option<Vec<u8>>> {
        let mut chunk = [0; 8 * 1024];
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.pending, rest);
                line.pop();
                return Ok(Some(line));
            }
            // Threads of the app run on while this process waits for its next step.
            match py.detach(|| self.stream.read(&mut chunk)) {
                Ok(0) => return Ok(None),
                Ok(length) => self.pending.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => py.check_signals()?,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends one message.
    pub fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stream.write_all(&line)
    }

    /// Forgets a connection that [`close_inherited`] closed after a fork.
    pub fn abandon(self) {
        let _ = self.stream.into_raw_fd();
    }
}

/// Runs in every forked child (`os.register_at_fork`): closes its copy of the parent's connection.
#[pyfunction]
pub fn close_inherited() {
    let descriptor = INHERITED.swap(-1, Ordering::SeqCst);
    if descriptor >= 0 {
        // SAFETY: the number was taken out of `INHERITED`, so it is closed once; the `Channel` that
        // held it is abandoned, or belongs to a stack that this child never returns to.
        unsafe { libc::close(descriptor) };
    }
}
