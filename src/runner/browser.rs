//! The harness's own web clients: they ask, keep cookies, and write down when they were answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cookie::{Cookie, CookieJar};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, SET_COOKIE};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use indexmap::IndexMap;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::Barrier;
use tokio::time::timeout;

use super::time::Time;
use crate::case::{Http, Member, Part, substitute};
use crate::probe::exchange::Exchange;
use crate::probe::window::monotonic;

/// What browsers ask for; Django's `ALLOWED_HOSTS` of the shop takes any.
const NAME: &str = "shop.test";

/// What is kept of a body that an invariant may look into.
const LOOKED_INTO: u64 = 64 * 1024;

/// What is kept of all bodies of a step: with thousands of requests, less of each.
const ALL_LOOKED_INTO: u64 = 32 * 1024 * 1024;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// E.g. 200.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

impl Answer {
    /// A part of it; null where it has no such part.
    pub fn part(&self, part: &Part) -> Value {
        match part {
            Part::Status => Value::from(self.status.as_u16()),
            Part::Body => Value::from(String::from_utf8_lossy(&self.body)),
            Part::Header(name) => {
                let values = self.headers.get_all(name).iter();
                let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
                match values.as_slice() {
                    [] => Value::Null,
                    // An Age or a Content-Length is bounded like any number.
                    [one] if one.parse::<i64>().is_ok() => one.parse::<i64>().map_or(Value::Null, Value::from),
                    _ => Value::from(values.join(", ")),
                }
            }
            Part::Json(members) => {
                let whole: Value = serde_json::from_slice(&self.body).unwrap_or_default();
                let part = members.iter().try_fold(&whole, |value, member| match member {
                    Member::Key(key) => value.get(key),
                    Member::Item(index) => value.get(index),
                });
                part.cloned().unwrap_or_default()
            }
        }
    }
}

/// Somebody who asks.
pub struct Caller {
    /// The actor that is asked.
    pub target: String,
    /// Its socket.
    pub socket: PathBuf,
    /// What.
    pub http: Arc<Http>,
    /// What was kept of earlier answers.
    pub kept: Arc<IndexMap<String, Value>>,
    /// Its cookies.
    pub jar: CookieJar,
    /// The arm's.
    pub time: Time,
    /// Where the callers of a step meet, once each is connected.
    pub barrier: Arc<Barrier>,
    /// When it gives up.
    pub within: Duration,
}

/// What a caller has to tell.
pub struct Told {
    /// All that it asked.
    pub exchanges: Vec<Exchange>,
    /// Why the last one was not even sent.
    pub unsent: Option<String>,
    /// The last answer, if there was one.
    pub last: Option<Answer>,
    /// Whether what it asked for has come.
    pub reached: bool,
    /// Its cookies.
    pub jar: CookieJar,
}

impl Caller {
    /// Asks until it has what it wants, or as often as it may.
    pub async fn ask(mut self) -> Told {
        let late = |_| Err(format!("no connection within {:?}", self.within));
        let mut connected = Some(timeout(self.within, connect(&self.socket)).await.unwrap_or_else(late));
        self.barrier.wait().await;
        let requests = self.http.times.saturating_mul(self.http.callers).max(1);
        let looked_into = (ALL_LOOKED_INTO / requests).min(LOOKED_INTO) as usize;
        let (mut exchanges, mut unsent, mut last, mut reached) = (Vec::new(), None, None, false);
        for index in 0..self.http.times {
            if let Some(every) = self.http.every.filter(|_| index > 0)
                && let Err(why) = self.time.advance(every).await
            {
                unsent = Some(why.to_string());
                break;
            }
            let request = match self.request(index) {
                Ok(request) => request,
                Err(why) => {
                    unsent = Some(why);
                    break;
                }
            };
            let begun = monotonic();
            let name = format!("{} {}", request.method(), request.uri());
            let answer = timeout(self.within, self.exchange(connected.take(), request)).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.within)));
            let outcome = match &answer {
                Ok(answer) => {
                    // A copy: a slice would keep all of it.
                    let beginning = &answer.body[..answer.body.len().min(looked_into)];
                    Ok((answer.status.as_u16(), Bytes::copy_from_slice(beginning)))
                }
                Err(why) => Err(why.clone()),
            };
            exchanges.push(Exchange { target: self.target.clone(), request: name, begun, ended: monotonic(), outcome });
            let Ok(answer) = answer else { continue };
            self.keep_cookies(&answer);
            reached = self.http.until.iter().all(|(part, value)| is_same(&answer.part(part), value));
            last = Some(answer);
            if reached && !self.http.until.is_empty() {
                break;
            }
        }
        Told { exchanges, unsent, last, reached, jar: self.jar }
    }

    async fn exchange(
        &self,
        connected: Option<Result<SendRequest<Full<Bytes>>, String>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, String> {
        let mut sender = match connected {
            Some(connected) => connected?,
            None => connect(&self.socket).await?,
        };
        let answer = sender.send_request(request).await.map_err(|error| reason(&error))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| reason(&error))?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The request of this index, with what was kept put in.
    fn request(&self, index: u64) -> Result<Request<Full<Bytes>>, String> {
        let http = &self.http;
        let mut vars = (*self.kept).clone();
        vars.insert("i".to_owned(), Value::from(index));
        let put = |value: &Value| {
            let absent = |message: String| format!("{message}: no answer has given it");
            substitute(value, &vars).map_err(|diagnostic| absent(diagnostic.message))
        };
        let text = |value: &Value| put(value).map(|value| plain(&value));
        let mut builder =
            Request::builder().method(http.request.method).uri(text(&http.request.target.as_str().into())?);
        builder = builder.header(HOST, NAME);
        let body = match (&http.json, &http.form, &http.body) {
            (Some(json), ..) => {
                builder = builder.header(CONTENT_TYPE, "application/json");
                put(json)?.to_string().into()
            }
            (_, Some(form), _) => {
                builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
                let mut encoder = form_urlencoded::Serializer::new(String::new());
                for (name, value) in form {
                    encoder.append_pair(name, &text(value)?);
                }
                encoder.finish().into()
            }
            (_, _, Some(body)) => text(body)?.into(),
            (None, None, None) => Bytes::new(),
        };
        let mut cookies: Vec<String> = self.jar.iter().map(|kept| kept.stripped().to_string()).collect();
        for (name, value) in &http.cookies {
            cookies.push(format!("{name}={}", text(value)?));
        }
        if !cookies.is_empty() {
            builder = builder.header(COOKIE, cookies.join("; "));
        }
        for (name, value) in &http.headers {
            builder = builder.header(name, text(value)?);
        }
        builder.body(Full::new(body)).map_err(|error| error.to_string())
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for field in answer.headers.get_all(SET_COOKIE) {
            let Some(set) = field.to_str().ok().and_then(|text| Cookie::parse(text.to_owned()).ok()) else { continue };
            let is_over = set.max_age().is_some_and(|age| age.whole_seconds() <= 0);
            if is_over {
                self.jar.force_remove(set.name());
            } else {
                self.jar.add_original(set);
            }
        }
    }
}

async fn connect(socket: &Path) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = UnixStream::connect(socket).await.map_err(|error| format!("cannot connect: {error}"))?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| reason(&error))?;
    // It ends with its sender.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

/// An error with what caused it: hyper says the general first.
fn reason(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// A value as it stands in a path or a header.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `1` and `1.0` are the same number.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("status", json!(201))]
    #[case("$.rows[1].id", json!(7))]
    #[case("$.rows[2].id", json!(null))]
    #[case("$.state", json!("SUCCESS"))]
    #[case("header etag", json!("\"x\""))]
    #[case("header Age", json!(61))]
    #[case("header Vary", json!(null))]
    fn parts_of_an_answer_are_found(#[case] part: &str, #[case] value: Value) {
        let mut headers = HeaderMap::new();
        headers.insert("ETag", "\"x\"".parse().expect("a value"));
        headers.insert("Age", "61".parse().expect("a value"));
        let body = Bytes::from(r#"{"state": "SUCCESS", "rows": [{"id": 5}, {"id": 7}]}"#);
        let answer = Answer { status: StatusCode::CREATED, headers, body };
        assert_eq!(answer.part(&Part::parse(part).expect("a part")), value);
    }

    #[test]
    fn what_is_no_json_has_no_members() {
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from("<p>") };
        assert_eq!(answer.part(&Part::Json(vec![Member::Key("id".into())])), Value::Null);
    }
}
