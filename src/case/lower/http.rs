//! Web requests: one method, one body, one that is asked.

use indexmap::IndexMap;
use serde_json::Value;

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::HttpFile;
use crate::case::model::{Asked, BROWSER, Body, Http, METHODS, Part, Scalar};
use crate::case::node::Place;

/// How parts of an answer are written.
const PARTS: &str = "it is `status`, `body`, `header NAME`, or a value of its JSON: `$.rows[0].id`";

impl Lower<'_> {
    /// Requests.
    pub(super) fn http(&mut self, file: HttpFile, place: Place<'_>) -> Option<Http> {
        let HttpFile { get, head, post, put, patch, delete, options, .. } = file;
        let given = METHODS.into_iter().zip([get, head, post, put, patch, delete, options]);
        let mut given = given.filter_map(|((key, method), target)| Some((key, method, target?)));
        let Some((key, method, target)) = given.next() else {
            let help = "say which: `http: {get: /orders/1}`";
            self.error(Diagnostic::new("`http` without a method").at(place.key_span()).help(help));
            return None;
        };
        if let Some((second, ..)) = given.next() {
            let message = format!("a request has one method: this one has {key} and {second}");
            let help = "make two steps of it";
            self.error(Diagnostic::new(message).at(place.get(second).key_span()).help(help));
        }
        let asked = match (file.to, file.via) {
            (None, None) => None,
            (Some(to), None) => Some(Asked::To(to)),
            (None, Some(via)) => Some(Asked::Via(via)),
            (Some(_), Some(via)) => {
                let message = "a request goes `to` a web actor or `via` a proxy";
                let help = "the proxy knows where it goes: leave `to` out";
                self.error(Diagnostic::new(message).at(place.get("to").key_span()).help(help));
                Some(Asked::Via(via))
            }
        };
        let bodies = [
            ("json", file.json.map(Body::Json)),
            ("form", file.form.map(Body::Form)),
            ("body", file.body.map(Body::Text)),
        ];
        let mut bodies = bodies.into_iter().filter_map(|(key, body)| Some((key, body?)));
        let body = bodies.next();
        if let (Some((first, _)), Some((second, _))) = (&body, bodies.next()) {
            let message = format!("a request has one body: this one has `{first}` and `{second}`");
            self.error(Diagnostic::new(message).at(place.get(second).key_span()));
        }
        Some(Http {
            method,
            target,
            asked,
            by: file.by.unwrap_or_else(|| BROWSER.to_owned()),
            headers: file.headers,
            cookies: file.cookies,
            body: body.map(|(_, body)| body),
            keep: self.kept(file.keep, place.get("keep")),
            until: self.until(file.until, place.get("until")),
            times: file.times.unwrap_or(Scalar(1.into())),
            every: file.every,
            callers: file.callers.unwrap_or(Scalar(1.into())),
            within: file.within,
        })
    }

    fn kept(&mut self, keep: IndexMap<String, String>, place: Place<'_>) -> IndexMap<String, Part> {
        let mut kept = IndexMap::new();
        for (name, part) in keep {
            let at = place.get(&name);
            let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !starts || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                let message = format!("nothing can be kept as `{name}`");
                let help = "the name is to be put in as `$name`: letters, digits and `_`";
                self.error(Diagnostic::new(message).at(at.key_span()).help(help));
            }
            if let Some(part) = self.part(&part, at) {
                kept.insert(name, part);
            }
        }
        kept
    }

    fn until(&mut self, until: IndexMap<String, Value>, place: Place<'_>) -> Vec<(Part, Value)> {
        let parts = until.into_iter().filter_map(|(part, value)| Some((self.part(&part, place.get(&part))?, value)));
        parts.collect()
    }

    fn part(&mut self, text: &str, place: Place<'_>) -> Option<Part> {
        let part = Part::parse(text);
        if part.is_none() {
            let message = format!("`{text}` is no part of an answer");
            self.error(Diagnostic::new(message).at(place.span()).help(PARTS));
        }
        part
    }
}
