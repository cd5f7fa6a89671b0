//! A scripted web server on a unix socket that says what it was asked, and a client that asks one thing.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long an answer may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(20);

/// What somebody asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// E.g. `GET /a HTTP/1.1`.
    pub line: String,
    /// In the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The status that it was answered with; 0 before.
    pub answered: u16,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What somebody answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// In the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// A head, `None` where the other end hung up before it.
fn read_head(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Request { line: line.trim_end().to_owned(), headers, answered: 0 })
}

/// The server. It ends when it is dropped.
pub struct Origin {
    socket: PathBuf,
    asked: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

impl Origin {
    /// Listens; every request gets what the script says: status line, headers and body (`HTTP/1.1 200 OK\r\n...`), to
    /// which a length is added, or an empty string, for nothing at all. The number is that of the request.
    pub fn start(socket: &Path, script: impl Fn(&Request, usize) -> String + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let (asked, is_over) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::<AtomicBool>::default());
        let script = Arc::new(script);
        let origin = Self { socket: socket.to_owned(), asked: Arc::clone(&asked), is_over: Arc::clone(&is_over) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(stream), asked, script) = (stream, Arc::clone(&asked), Arc::clone(&script)) else { break };
                thread::spawn(move || serve(&stream, &asked, &*script));
            }
        });
        origin
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    pub fn hits(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn serve(stream: &UnixStream, asked: &Mutex<Vec<Request>>, script: &dyn Fn(&Request, usize) -> String) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_head(&mut reader) {
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let number = {
            let mut asked = asked.lock().unwrap();
            asked.push(request.clone());
            asked.len()
        };
        let said = script(&request, number);
        let Some((head, body)) = said.split_once("\r\n\r\n") else {
            // Nothing: it waits until it is no longer waited for.
            let _ = reader.read_to_end(&mut Vec::new());
            return;
        };
        let status = head.split(' ').nth(1).unwrap();
        asked.lock().unwrap()[number - 1].answered = status.parse().unwrap();
        // These have no body, and so no length.
        let length = match status {
            "204" | "304" => String::new(),
            _ => format!("\r\ncontent-length: {}", body.len()),
        };
        let body = if request.line.starts_with("HEAD ") { "" } else { body };
        if (&*stream).write_all(format!("{head}{length}\r\n\r\n{body}").as_bytes()).is_err() {
            return;
        }
        if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// Asks one thing, on a connection of its own: the request's line without its version, and further headers, each with
/// its end of line.
pub fn ask(socket: &Path, line: &str, headers: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let host = if headers.contains("host: ") { "" } else { "host: app\r\n" };
    let text = format!("{line} HTTP/1.1\r\n{host}connection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    let mut reader = BufReader::new(&stream);
    let head = read_head(&mut reader).unwrap_or_else(|| panic!("`{line}` is not answered"));
    let status = head.line.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    Answer { status, headers: head.headers, body: String::from_utf8(body).unwrap() }
}
