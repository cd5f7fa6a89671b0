//! The controller's end of the worker protocol.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dj_regress_protocol::{Failed, Hello, Reply, Request};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::deadline;
use crate::error::{Context as _, Error, Result};

/// Why a process did not do what it was asked.
#[derive(Debug, Clone)]
pub enum StepError {
    /// A Python exception came out of it.
    Failed(Failed),
    /// Its connection closed: the process is gone.
    Died(String),
    /// Its process is gone, and this is the last line of its log.
    Ended(String, String),
    /// It did not answer within the deadline.
    Late(String),
    /// It runs other code than this state's.
    WrongCode(String),
    /// The harness itself could not do its part, e.g. the server refused a statement.
    Refused(String),
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(failed) => {
                // A driver's message may have several lines; the traceback in the log keeps them.
                let words: Vec<&str> = failed.message.split_whitespace().collect();
                write!(f, "{}: {}", failed.exception, words.join(" "))
            }
            Self::Died(who) => write!(f, "{who} died"),
            Self::Ended(who, line) => write!(f, "{who} died; the log ends with `{line}`"),
            Self::Late(what) => {
                let seconds = deadline::step().as_secs();
                write!(f, "{what} did not answer within {seconds} s ({}=SECONDS allows more)", deadline::VARIABLE)
            }
            Self::WrongCode(why) => write!(f, "wrong code: {why}"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        Self::Refused(error.message)
    }
}

/// A Python process that said hello.
#[derive(Debug)]
pub struct Process {
    /// What it said.
    pub hello: Hello,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Process {
    /// Sends a request and waits for its reply. An exception becomes [`StepError::Failed`].
    pub async fn ask(&mut self, request: &Request) -> Result<Reply, StepError> {
        self.ask_while(request, deadline::step(), || 0, || ()).await
    }

    /// As [`Process::ask`], as long as it gets on: the deadline begins again where `progress` has become another number.
    /// `tell` is called every so often.
    pub async fn ask_while(
        &mut self,
        request: &Request,
        every: Duration,
        progress: impl Fn() -> u64,
        tell: impl Fn(),
    ) -> Result<Reply, StepError> {
        let name = self.hello.name.clone();
        let died = || StepError::Died(format!("the process {name}"));
        let mut line = serde_json::to_vec(request).map_err(|_| died())?;
        line.push(b'\n');
        let answer = async {
            self.writer.write_all(&line).await.map_err(|_| died())?;
            self.lines.next_line().await.ok().flatten().ok_or_else(died)
        };
        tokio::pin!(answer);
        let (mut seen, mut since) = (progress(), Instant::now());
        let answer = loop {
            if let Ok(answer) = tokio::time::timeout(every.min(deadline::step()), &mut answer).await {
                break answer?;
            }
            let now = progress();
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() >= deadline::step() {
                return Err(StepError::Late(format!("the process {name}")));
            }
            tell();
        };
        match serde_json::from_str(&answer) {
            Ok(Reply::Failed(failed)) => Err(StepError::Failed(failed)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(StepError::Died(format!("the process {name} said what is no reply ({error}) and"))),
        }
    }
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Process>>>>;

/// The socket that processes connect to.
#[derive(Debug)]
pub struct Control {
    /// Its path.
    pub socket: PathBuf,
    waiting: Waiting,
    listening: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Listens in the run's folder.
    pub fn listen(folder: &Path) -> Result<Self> {
        let socket = folder.join("control.sock");
        let listener = UnixListener::bind(&socket).cannot_run(|| format!("listen on {}", socket.display()))?;
        let waiting = Waiting::default();
        let listening = tokio::spawn(accept(listener, waiting.clone()));
        Ok(Self { socket, waiting, listening })
    }

    /// Announces a process by name; resolves when it says hello.
    pub fn expect(&self, name: &str) -> oneshot::Receiver<Process> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(name.to_owned(), sender);
        receiver
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn accept(listener: UnixListener, waiting: Waiting) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(greet(stream, waiting.clone()));
    }
}

async fn greet(stream: UnixStream, waiting: Waiting) -> Option<()> {
    let (reader, writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let hello: Hello = serde_json::from_str(&lines.next_line().await.ok()??).ok()?;
    let sender = waiting.lock().remove(&hello.name)?;
    sender.send(Process { hello, lines, writer }).ok()
}
