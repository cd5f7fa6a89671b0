//! A web actor with the pages of a test, and a browser that shows them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dj_regress_protocol::{ActorKind, Entry, Hold, Prepare, Prepared, Reply, Request, Serve};
use serde_json::{Value, json};

use super::{Arm, Controller, Peer, text};

/// The pages of the tests' own app.
const VIEWS: &str = r#"
import threading

from django.http import HttpResponse, StreamingHttpResponse

from shop.models import Order
from shop.moments import moment

together = threading.Barrier(16, timeout=60)

def hello(request):
    return HttpResponse("hello " + request.GET.get("name", ""))

def forwarded(request):
    return HttpResponse(request.headers.get("X-Forwarded-For", "nobody"))

def meet(request):
    together.wait()
    return HttpResponse("met")

def wait(request):
    moment("waiting")
    return HttpResponse("waited")

def count(request):
    before = Order.objects.count()
    moment("counting")
    return HttpResponse(f"{before} {Order.objects.count()}")

def fail(request):
    raise RuntimeError("as asked")

def stream(request):
    def parts():
        yield "one "
        moment("streaming")
        yield "two"
    return StreamingHttpResponse(parts())

def break_off(request, after):
    def parts():
        for part in range(after):
            yield str(part)
        raise RuntimeError("broken off")
    return StreamingHttpResponse(parts())
"#;

const URLS: &str = r#"
from django.urls import path
from poll import views

urlpatterns = [path(view.__name__, view) for view in (
    views.hello, views.forwarded, views.meet, views.wait, views.count, views.fail, views.stream,
)]
urlpatterns += [path("break_off/<int:after>", views.break_off)]
"#;

/// What a case's own app is, as files of the package `poll`.
pub const POLL: [(&str, &str); 3] = [("__init__.py", ""), ("views.py", VIEWS), ("urls.py", URLS)];

/// An arm in which the pages of `poll` are served.
pub struct Site {
    pub controller: Controller,
    pub zygote: Peer,
    pub arm: Arm,
    pub web: Peer,
    pub socket: PathBuf,
}

impl Site {
    /// One that serves, with so many threads and these holds.
    pub fn serving(threads: u32, holds: Vec<Hold>) -> Self {
        let mut site = Self::new(Value::Null, holds);
        assert_eq!(site.serve(threads), Reply::Done);
        site
    }

    /// One that is about to serve. Its clock stands.
    pub fn new(settings: Value, holds: Vec<Hold>) -> Self {
        let (controller, mut zygote) = Controller::start();
        let settings = if settings.is_null() { keeping_connections() } else { settings };
        controller.poll(&mut zygote, &POLL, settings).expect("a zygote");
        let (arm, _probe) = controller.arm(&mut zygote);
        arm.stand_still();
        let mut web = controller.fork(&mut zygote, "web");
        // The name whose statements are looked at.
        let reply = web.ask(&arm.enter("q", ActorKind::Web, holds));
        assert!(matches!(reply, Reply::Entered(_)), "{reply:?}");
        let socket = controller.folder.path().join("web.sock");
        Self { controller, zygote, arm, web, socket }
    }

    pub fn serve(&mut self, threads: u32) -> Reply {
        self.web.ask(&Request::Serve(Serve { socket: text(&self.socket), threads }))
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.socket)
    }

    /// Each on a connection of its own: sent, not answered.
    pub fn browsers(&self, count: usize, path: &str) -> Vec<Browser> {
        let sent = |_| {
            let mut browser = self.browser();
            browser.send(path);
            browser
        };
        (0..count).map(sent).collect()
    }

    /// What the journal says of requests, in order: `GET /hello` when it began, `200 /hello` when it was answered.
    pub fn requests(&self) -> Vec<String> {
        let mut begun: Vec<(String, String)> = Vec::new();
        let mut lines = Vec::new();
        for entry in self.arm.journal() {
            match entry {
                Entry::Requested { id, method, path, actor, pid, .. } => {
                    assert_eq!((actor.as_str(), pid), ("q", self.web.hello.pid));
                    assert!(begun.iter().all(|(other, _)| *other != id), "{id} twice");
                    lines.push(format!("{method} {path}"));
                    begun.push((id, path));
                }
                Entry::Answered { id, status, .. } => {
                    let index = begun.iter().position(|(other, _)| *other == id).expect("it was begun");
                    lines.push(format!("{status} {}", begun[index].1));
                }
                _ => {}
            }
        }
        lines
    }
}

/// With `Content-Length` in every answer that has one: otherwise waitress closes the connection after it.
pub fn keeping_connections() -> Value {
    json!({"MIDDLEWARE": ["django.middleware.common.CommonMiddleware"]})
}

impl Controller {
    /// Prepares with a case's own app `poll` of these files.
    pub fn poll(
        &self,
        zygote: &mut Peer,
        files: &[(&str, &str)],
        settings: Value,
    ) -> Result<Prepared, dj_regress_protocol::Failed> {
        let package = self.folder.path().join("app/poll");
        for (name, source) in files {
            let file = package.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, source).expect("a module");
        }
        zygote.prepare(Prepare { app: Some("poll".into()), ..self.prepare(settings) })
    }
}

/// One kept connection.
pub struct Browser(BufReader<UnixStream>);

/// An answer.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// In lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Browser {
    pub fn new(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        Self(BufReader::new(stream))
    }

    pub fn get(&mut self, path: &str) -> Page {
        self.send(path);
        self.page()
    }

    pub fn send(&mut self, path: &str) {
        self.write(&format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"));
    }

    pub fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it is connected");
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line in time");
        line.trim_end().to_owned()
    }

    /// The next answer's status and headers.
    pub fn head(&mut self) -> Page {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                return Page { status, headers, body: String::new() };
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
    }

    /// One part of an answer without length; empty: its end, in order or not.
    pub fn part(&mut self) -> String {
        let length = usize::from_str_radix(&self.line(), 16).unwrap_or(0);
        let part = self.bytes(length);
        if length > 0 {
            self.line();
        }
        part
    }

    pub fn page(&mut self) -> Page {
        let mut page = self.head();
        if let Some(length) = page.header("content-length") {
            let length = length.parse().expect("a number");
            page.body = self.bytes(length);
            return page;
        }
        loop {
            let part = self.part();
            if part.is_empty() {
                return page;
            }
            page.body += &part;
        }
    }

    fn bytes(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).expect("all of it in time");
        String::from_utf8(bytes).expect("UTF-8")
    }
}
