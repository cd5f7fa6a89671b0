//! One connection: bytes unchanged both ways, each counted before it is passed on. What one side does not take is not
//! read from the other: a slow reader slows the writer.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::timeout;

use super::framing::{Malformed, Side};
use super::meter::{Meter, lock};
use super::startup::{self, Startup};
use super::stream::{Stream, Upstream};

/// Per direction.
const BUFFER: usize = 64 << 10;

/// TLS, then GSSAPI encryption: libpq asks for each once.
const MAX_REFUSALS: u64 = 2;

/// The answer to both.
const REFUSAL: &[u8] = b"N";

/// How long a client may take to say who it is; Postgres's own `authentication_timeout`.
pub const STARTUP_DEADLINE: Duration = Duration::from_mins(1);

/// Why a connection ended other than by its end.
#[derive(Debug)]
enum Broken {
    /// What was read has been counted as malformed.
    Malformed,
    /// A socket failed, or ended before start-up was complete.
    Io,
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

/// Serves a client until either side is done.
pub async fn serve(client: Arc<Stream>, upstream: &Upstream, meter: &Mutex<Meter>, startup_deadline: Duration) {
    let Ok(packet) = timeout(startup_deadline, greet(&client, meter)).await else {
        lock(meter).totals().malformed += 1;
        return;
    };
    let Ok(packet) = packet else { return };
    let Ok(server) = upstream.connect().await else { return };
    let server = Arc::new(server);
    lock(meter).connected(Arc::clone(&server));
    relay(&client, &server, packet, meter).await;
}

/// Reads the first packet, refusing encryption as often as it is asked for.
async fn greet(client: &Stream, meter: &Mutex<Meter>) -> Result<Vec<u8>, Broken> {
    loop {
        let packet = read_packet(client, meter).await?;
        let startup = startup::parse(&packet);
        {
            let mut meter = lock(meter);
            let totals = meter.totals();
            totals.messages_up += 1;
            match startup {
                Ok(Startup::Session(client)) => {
                    totals.connected(client);
                    return Ok(packet);
                }
                Ok(Startup::Cancel) => {
                    totals.cancels += 1;
                    return Ok(packet);
                }
                Ok(Startup::Encryption) if totals.refused < MAX_REFUSALS => {
                    totals.refused += 1;
                    totals.messages_down += 1;
                    totals.bytes_down += REFUSAL.len() as u64;
                }
                Ok(Startup::Encryption) | Err(_) => {
                    totals.malformed += 1;
                    return Err(Broken::Malformed);
                }
            }
        }
        client.writable().await?;
        client.try_write(REFUSAL)?;
    }
}

/// Reads one packet and nothing beyond.
async fn read_packet(client: &Stream, meter: &Mutex<Meter>) -> Result<Vec<u8>, Broken> {
    let mut packet = vec![0; 4];
    let mut have = 0;
    while have < packet.len() {
        client.readable().await?;
        let mut meter = lock(meter);
        match client.try_read(&mut packet[have..]) {
            Ok(0) => {
                meter.totals().truncated += u64::from(have > 0);
                return Err(Broken::Io);
            }
            Ok(length) => {
                have += length;
                meter.totals().bytes_up += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        }
        if let Ok(first) = <[u8; 4]>::try_from(&packet[..])
            && have == 4
        {
            let length = startup::length(first).inspect_err(|_| meter.totals().malformed += 1)?;
            packet.resize(length, 0);
        }
    }
    Ok(packet)
}

async fn relay(client: &Stream, server: &Stream, packet: Vec<u8>, meter: &Mutex<Meter>) {
    let mut up = Half::new(Side::Frontend);
    up.end = packet.len();
    up.buffer[..packet.len()].copy_from_slice(&packet);
    drop(packet);
    let mut down = Half::new(Side::Backend);
    let mut up_is_done = false;
    poll_fn(|cx| {
        if !up_is_done && let Poll::Ready(result) = up.poll(cx, client, server, meter) {
            match result {
                // The server may still have something to say; a failed write does not keep it from that.
                Ok(()) | Err(Broken::Io) => {
                    up_is_done = true;
                    lock(meter).ended(Side::Frontend);
                    server.finish_writing();
                }
                Err(Broken::Malformed) => return Poll::Ready(()),
            }
        }
        down.poll(cx, server, client, meter).map(|_| ())
    })
    .await;
}

/// One direction.
struct Half {
    side: Side,
    buffer: Box<[u8]>,
    /// Read, and to be written.
    start: usize,
    end: usize,
}

impl Half {
    fn new(side: Side) -> Self {
        Self { side, buffer: vec![0; BUFFER].into(), start: 0, end: 0 }
    }

    /// Passes on until the end of `from`, or until either must be waited for.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        meter: &Mutex<Meter>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while self.start < self.end {
                ready!(to.poll_write_ready(cx))?;
                match to.try_write(&self.buffer[self.start..self.end]) {
                    Ok(length) => self.start += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
            ready!(from.poll_read_ready(cx))?;
            let mut meter = lock(meter);
            match from.read(&mut self.buffer) {
                Ok(0) => {
                    meter.ended(self.side);
                    return Poll::Ready(Ok(()));
                }
                Ok(length) => {
                    meter.received(self.side, &self.buffer[..length])?;
                    (self.start, self.end) = (0, length);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    meter.ended(self.side);
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use tokio::net::UnixStream;

    use super::*;

    async fn served(sends: &[u8]) -> (UnixStream, Mutex<Meter>) {
        let (mut actor, client) = UnixStream::pair().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut actor, sends).await.unwrap();
        let client = Arc::new(Stream::Unix(client));
        let meter = Mutex::new(Meter::new(Arc::clone(&client)));
        let upstream = Upstream::Unix(PathBuf::from("/nonexistent"));
        serve(client, &upstream, &meter, Duration::from_millis(20)).await;
        (actor, meter)
    }

    #[tokio::test]
    async fn who_does_not_say_who_it_is_is_not_waited_for() {
        for said in [&b""[..], b"\0\0\0\x20", b"\0\0\0\x20\0\x03\0\0user\0"] {
            let (_actor, meter) = served(said).await;
            let counters = lock(&meter).counters();
            assert_eq!((counters.malformed, counters.connections), (1, 0));
            assert_eq!(counters.bytes_up, said.len() as u64);
        }
    }

    #[tokio::test]
    async fn where_there_is_no_server_the_client_is_not_kept() {
        let (_actor, meter) = served(b"\0\0\0\x09\0\x03\0\0\0").await;
        assert_eq!(lock(&meter).counters().connections, 1);
    }
}
