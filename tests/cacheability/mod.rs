//! The table, read; an origin that answers by it, and what the last of a row's requests came to.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::origin::{Answer, Origin, Request, ask};

const TABLE: &str = include_str!("table.txt");

/// What comes after the reason of a row that nginx cannot be asked.
pub const TIME: &str = "time";

/// What a cache did with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Reused,
    NotModified,
    Revalidated,
    Passed,
    Refused,
}

impl Outcome {
    fn read(word: &str) -> Self {
        match word {
            "reused" => Self::Reused,
            "not-modified" => Self::NotModified,
            "revalidated" => Self::Revalidated,
            "passed" => Self::Passed,
            "refused" => Self::Refused,
            _ => panic!("there is no outcome `{word}`"),
        }
    }
}

/// What nginx does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nginx {
    Same,
    Differs(Outcome, &'static str),
    LeftOut(&'static str),
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    pub number: usize,
    pub section: &'static str,
    pub says: &'static str,
    answer: &'static str,
    requests: &'static str,
    pub strict: Outcome,
    pub aggressive: Outcome,
    pub broken: Outcome,
    pub nginx: Nginx,
}

/// The table.
pub fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.enumerate().map(|(number, line)| Row::read(number, line)).collect()
}

impl Row {
    fn read(number: usize, line: &'static str) -> Self {
        let columns: Vec<&'static str> = line.split(" | ").map(str::trim).collect();
        let [section, says, answer, requests, kinds, nginx] = columns[..] else { panic!("not six columns: {line}") };
        let outcomes: Vec<Outcome> = kinds.split(' ').map(Outcome::read).collect();
        let [strict, aggressive, broken] = outcomes[..] else { panic!("not three kinds: {line}") };
        let nginx = match nginx.split_once(": ") {
            None if nginx == "same" => Nginx::Same,
            Some(("-", why)) => Nginx::LeftOut(why),
            Some((outcome, why)) => Nginx::Differs(Outcome::read(outcome), why),
            None => panic!("`{nginx}` is nothing that nginx does: {line}"),
        };
        Self { number, section, says, answer, requests, strict, aggressive, broken, nginx }
    }

    pub fn takes_time(&self) -> bool {
        self.requests.contains('+')
    }

    /// Plays its requests, and says what the last one came to. `pass` lets seconds go by.
    pub fn play(&self, socket: &Path, origin: &Origin, pass: &dyn Fn(u64)) -> Outcome {
        let path = format!("/r{}", self.number);
        let mut answers: Vec<Answer> = Vec::new();
        let mut asked_before = 0;
        for request in self.requests.split(" ; ") {
            let mut fields = request.split(" & ");
            let mut words = fields.next().unwrap().split(' ').peekable();
            if let Some(seconds) = words.next_if(|word| word.starts_with('+')) {
                pass(seconds.parse().unwrap());
            }
            let (method, suffix) = (words.next().unwrap(), words.next().unwrap_or_default());
            let headers: String = fields.map(|field| field.replace("{path}", &path) + "\r\n").collect();
            asked_before = origin.hits();
            answers.push(ask(socket, &format!("{method} {path}{suffix}"), &headers));
        }
        let (last, first) = (answers.last().unwrap(), &answers[0]);
        let asked = origin.asked().split_off(asked_before);
        let is_earlier = || answers[..answers.len() - 1].iter().any(|answer| answer.body == last.body);
        let is_bodiless = last.body.is_empty() || first.body.is_empty();
        match (asked.as_slice(), last.status) {
            ([], 304) => Outcome::NotModified,
            ([], 504) => Outcome::Refused,
            ([], _) => {
                assert!(is_bodiless || is_earlier(), "row {}: {last:?} is not what was stored", self.number);
                Outcome::Reused
            }
            ([asked], 200) if asked.answered == 304 => {
                assert!(is_earlier(), "row {}: {last:?} is not what was stored", self.number);
                Outcome::Revalidated
            }
            _ => Outcome::Passed,
        }
    }
}

/// An origin that answers by the table.
pub fn origin(socket: &Path, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Origin {
    let answers: Vec<&str> = rows().iter().map(|row| row.answer).collect();
    let began: Mutex<HashMap<usize, SystemTime>> = Mutex::default();
    let now = Arc::new(now);
    Origin::start(socket, move |request, count| {
        let digits: String = request.path().chars().skip(2).take_while(char::is_ascii_digit).collect();
        let number: usize = digits.parse().unwrap();
        let began = *began.lock().unwrap().entry(number).or_insert_with(|| now());
        answer(request, answers[number], count, began)
    })
}

fn answer(request: &Request, template: &str, count: usize, began: SystemTime) -> String {
    if let Some(said) = request.header("say") {
        let (status, field) = said.split_once(' ').unwrap_or((said, "x-said: nothing"));
        return format!("HTTP/1.1 {status} As Told\r\n{field}\r\n\r\nsaid {count}");
    }
    let fields: Vec<String> =
        template.split(" & ").map(|field| dated(&field.replace("{n}", &count.to_string()), began)).collect();
    let (status, fields) = match fields.split_first() {
        Some((status, fields)) if !status.contains(':') => (status.as_str(), fields),
        _ => ("200", fields.as_slice()),
    };
    let lines = fields.join("\r\n");
    let is = |name: &str, asked: &str| {
        let field = fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix(": "));
        field.is_some() && field == request.header(asked)
    };
    if is("etag", "if-none-match")
        || (request.header("if-none-match").is_none() && is("last-modified", "if-modified-since"))
    {
        return format!("HTTP/1.1 304 Not Modified\r\n{lines}\r\n\r\n");
    }
    match (status, request.header("range")) {
        ("206", Some(_)) => format!("HTTP/1.1 206 Partial Content\r\n{lines}\r\n\r\nansw"),
        ("206", None) => {
            let whole: Vec<&String> = fields.iter().filter(|field| !field.starts_with("content-range")).collect();
            let lines: String = whole.iter().map(|field| format!("\r\n{field}")).collect();
            format!("HTTP/1.1 200 OK{lines}\r\n\r\nanswer {count}")
        }
        ("204", _) => format!("HTTP/1.1 204 No Content\r\n{lines}\r\n\r\n"),
        _ => format!("HTTP/1.1 {status} As Told\r\n{lines}\r\n\r\nanswer {count}"),
    }
}

/// A field with its dates: `{now}`, `{now+60}`, `{now-60}`.
fn dated(field: &str, began: SystemTime) -> String {
    let Some((before, rest)) = field.split_once("{now") else { return field.to_owned() };
    let (offset, after) = rest.split_once('}').unwrap();
    let seconds = Duration::from_secs(
        offset.get(1..).filter(|digits| !digits.is_empty()).map_or(0, |digits| digits.parse().unwrap()),
    );
    let date = if offset.starts_with('-') { began - seconds } else { began + seconds };
    format!("{before}{}{after}", httpdate::fmt_http_date(date))
}
