//! Web requests, and what stands in their way.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Scalar;

/// Whose cookies are kept where a step does not say: those of the one browser that every case has.
pub const BROWSER: &str = "browser";

/// The ways to ask, as they are written and as they are sent.
pub const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("head", "HEAD"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("options", "OPTIONS"),
];

/// Requests to the app: written, or resolved ([`crate::case::resolve::Http`]). Even then `$i` in them is the index of the
/// request among those of its caller, from 0, and names under `keep` stand for what an earlier answer gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Http<Text = Scalar, Count = Scalar, Time = Scalar> {
    /// As it is sent, of [`METHODS`].
    pub method: &'static str,
    /// Path and query.
    pub target: Text,
    /// The web actor or proxy that is asked; absent: the only web actor.
    pub asked: Option<Asked>,
    /// Whose cookies are sent and kept.
    pub by: String,
    /// Further header fields.
    pub headers: IndexMap<String, Value>,
    /// Further cookies.
    pub cookies: IndexMap<String, Value>,
    /// What is sent along.
    pub body: Option<Body>,
    /// What is kept of the last answer, by the name that it is kept under.
    pub keep: IndexMap<String, Part>,
    /// It is asked again until these parts of the answer have these values.
    pub until: Vec<(Part, Value)>,
    /// How often each caller asks; with `until`, at most.
    pub times: Count,
    /// Virtual time between two requests of a caller.
    pub every: Option<Time>,
    /// How many ask side by side; all begin at once.
    pub callers: Count,
    /// Real time after which a caller gives up; absent: the harness's own limit.
    pub within: Option<Time>,
}

/// Who is asked, and under which key that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `to`: a web actor.
    To(String),
    /// `via`: a proxy.
    Via(String),
}

impl Asked {
    /// The actor.
    pub fn actor(&self) -> &str {
        let (Self::To(actor) | Self::Via(actor)) = self;
        actor
    }

    /// The key.
    pub fn key(&self) -> &'static str {
        match self {
            Self::To(_) => "to",
            Self::Via(_) => "via",
        }
    }
}

/// What is sent along.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// `json`
    Json(Value),
    /// `form`
    Form(IndexMap<String, Value>),
    /// `body`
    Text(Value),
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// Of an object.
    Key(String),
    /// Of a list, from 0.
    Item(usize),
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

/// What of the requests of the harness's own clients is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpCount {
    /// Answers.
    Answers,
    /// Requests that got none.
    Errors,
    /// Seconds that the slowest answer took.
    Latency,
}

/// What of a proxy is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheCount {
    /// Answered from the cache alone.
    Hits,
    /// Asked of the origin because nothing fit was stored.
    Misses,
    /// Answered from the cache after the origin has said that it still holds.
    Revalidations,
    /// Answers stored, at the end of the window.
    Entries,
    /// Bytes stored, at the end of the window.
    Bytes,
    /// Answers of the proxy's own: it cannot reach the origin, or has waited too long.
    Errors,
}

impl CacheCount {
    /// All of them, by the measurement's name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("cache.hits", Self::Hits),
        ("cache.misses", Self::Misses),
        ("cache.revalidations", Self::Revalidations),
        ("cache.entries", Self::Entries),
        ("cache.bytes", Self::Bytes),
        ("cache.errors", Self::Errors),
    ];
}

/// What a proxy between browsers and the app keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Nothing: it only passes on.
    None,
    /// What RFC 9111 allows a shared cache, no longer than that.
    Strict,
    /// Whatever is not forbidden, for a while of its own choice where the answer says nothing.
    Aggressive,
    /// Even what is forbidden: it does not know `no-cache`.
    Broken,
    /// A real nginx, set up as its documentation shows. It does not see the virtual clock.
    Nginx,
}

/// The kinds of caches, as they are written.
pub const CACHES: [(&str, CacheKind); 5] = [
    ("none", CacheKind::None),
    ("strict", CacheKind::Strict),
    ("aggressive", CacheKind::Aggressive),
    ("broken", CacheKind::Broken),
    ("nginx", CacheKind::Nginx),
];

impl CacheKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        CACHES.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn key(name: &str) -> Member {
        Member::Key(name.into())
    }

    #[rstest]
    #[case("status", Some(Part::Status))]
    #[case("body", Some(Part::Body))]
    #[case("header X-Cache", Some(Part::Header("X-Cache".into())))]
    #[case("$", Some(Part::Json(vec![])))]
    #[case("$.id", Some(Part::Json(vec![key("id")])))]
    #[case("$.rows[2].id", Some(Part::Json(vec![key("rows"), Member::Item(2), key("id")])))]
    #[case("$[0]", Some(Part::Json(vec![Member::Item(0)])))]
    #[case("id", None)]
    #[case("$id", None)]
    #[case("$.", None)]
    #[case("$..a", None)]
    #[case("$[x]", None)]
    #[case("$[0", None)]
    #[case("header ", None)]
    #[case("header a b", None)]
    fn a_part_of_an_answer_is_named_in_one_way(#[case] text: &str, #[case] part: Option<Part>) {
        assert_eq!(Part::parse(text), part);
    }
}
