//! Web requests: what is asked, how, and what is kept of the answers.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

use crate::case::unit::{self, Time};
use crate::case::yaml::diagnostic::{Diagnostic, nearest};
use crate::case::yaml::error::refused;
use crate::input::limit;

/// Whose cookies are kept where a step does not say: those of the one browser that every case has.
pub const BROWSER: &str = "browser";

/// The ways to ask.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Requests to the app. `$i` in them is the index of the request among those of its caller, from 0, and names under `keep`
/// stand for what an earlier answer gave.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Method, path and query: `GET /status/$id`. `$i` is the index of the request, from 0; what was kept of an earlier
    /// answer goes by its name.
    #[serde(rename = "http")]
    pub request: RequestLine,
    /// The web actor that is asked; may be left out where there is only one.
    pub to: Option<String>,
    /// The proxy that is asked.
    pub via: Option<String>,
    /// Whose cookies are sent and kept (default `browser`).
    #[serde(default = "browser")]
    pub by: String,
    /// The user who asks, by fields of the user's row: `{username: ann}`. The session is made before the request, and kept.
    #[serde(default)]
    pub login: IndexMap<String, Value>,
    /// Further header fields.
    #[serde(default)]
    pub headers: IndexMap<String, Value>,
    /// Further cookies.
    #[serde(default)]
    pub cookies: IndexMap<String, Value>,
    /// A body of JSON.
    pub json: Option<Value>,
    /// A body as a form sends it.
    pub form: Option<IndexMap<String, Value>>,
    /// A body of text.
    pub body: Option<Value>,
    /// Of the last answer: name -> `status`, `body`, `header NAME` or `$.id`. The name is a reading, and `$name` in the
    /// requests of later steps.
    #[serde(default, deserialize_with = "kept")]
    #[schemars(with = "IndexMap<String, String>")]
    pub keep: IndexMap<String, Part>,
    /// It is asked again until these parts of the answer have these values: `{$.state: SUCCESS}`.
    #[serde(default)]
    #[schemars(with = "IndexMap<String, Value>")]
    pub until: IndexMap<Part, Value>,
    /// How often each caller asks (default once); with `until`, at most.
    #[serde(default = "unit::once", deserialize_with = "unit::read_ordinal")]
    pub times: u64,
    /// Virtual time between two requests of a caller, e.g. `2s`.
    #[serde(default, deserialize_with = "unit::read_optional_duration")]
    #[schemars(with = "Option<Time>")]
    pub every: Option<Duration>,
    /// How many ask side by side (default 1); all begin at once.
    #[serde(default = "unit::once", deserialize_with = "callers")]
    pub callers: u64,
    /// Real time after which a caller gives up (default 60s).
    #[serde(default, deserialize_with = "unit::read_optional_real_time")]
    #[schemars(with = "Option<Time>")]
    pub within: Option<Duration>,
}

impl Http {
    /// The actor that is asked, where the step says it.
    pub fn asked(&self) -> Option<&str> {
        self.via.as_deref().or(self.to.as_deref())
    }
}

/// Method, path and query.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) +"))]
pub struct RequestLine {
    /// As it is sent.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
}

impl<'de> Deserialize<'de> for RequestLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = |message: String, help: &str| refused(Diagnostic::new(message).help(help));
        let (word, target) = text.split_once(' ').unwrap_or((&text, ""));
        let Some(method) = METHODS.into_iter().find(|method| *method == word) else {
            let near = nearest(word, METHODS);
            let help =
                near.map_or_else(|| "write `GET /orders/1`".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(wrong(format!("`{text}` has no method"), &help));
        };
        let target = target.trim();
        if !target.starts_with('/') {
            return Err(wrong(format!("`{target}` is not a path: it begins with `/`"), "write `GET /orders/1`"));
        }
        Ok(Self { method, target: target.to_owned() })
    }
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// `status`: a number.
    Status,
    /// `body`: a text.
    Body,
    /// `header Name`: a text, or a number where it is a whole one.
    Header(String),
    /// `$.rows[0].id`: of a body that is JSON.
    Json(Vec<Member>),
}

/// A step into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Member {
    /// Of an object.
    Key(String),
    /// Of a list, from 0.
    Item(usize),
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let help = "it is `status`, `body`, `header NAME`, or a value of its JSON: `$.rows[0].id`";
            refused(Diagnostic::new(format!("`{text}` is no part of an answer")).help(help))
        })
    }
}

impl Part {
    /// Reads `status`, `body`, `header Name` or `$.rows[0].id`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("header ") {
            let name = name.trim();
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            return (!name.is_empty() && name.bytes().all(is_token)).then(|| Self::Header(name.to_owned()));
        }
        match text {
            "status" => return Some(Self::Status),
            "body" => return Some(Self::Body),
            _ => {}
        }
        let mut rest = text.strip_prefix('$')?;
        let mut members = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let key = after.get(..end).filter(|key| !key.is_empty())?;
                members.push(Member::Key(key.to_owned()));
                rest = &after[end..];
            } else {
                let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                members.push(Member::Item(index.parse().ok()?));
                rest = after;
            }
        }
        Some(Self::Json(members))
    }
}

fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, Part>, D::Error> {
    #[derive(PartialEq, Eq, Hash)]
    struct Name(String);
    impl<'de> Deserialize<'de> for Name {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let name = String::deserialize(deserializer)?;
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Ok(Self(name));
            }
            let help = "the name is to be put in as `$name`: letters, digits and `_`";
            let wrong = Diagnostic::new(format!("nothing can be kept as `{name}`")).help(help);
            Err(refused(wrong))
        }
    }
    let kept: IndexMap<Name, Part> = IndexMap::deserialize(deserializer)?;
    Ok(kept.into_iter().map(|(Name(name), part)| (name, part)).collect())
}

fn callers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    unit::at_most(deserializer, limit::CALLERS)
}

fn browser() -> String {
    BROWSER.to_owned()
}
