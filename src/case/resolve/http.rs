//! Puts the variables into web requests.

use std::time::Duration;

use serde_json::Value;

use super::resolver::{Resolved, Resolver};
use super::steps::INDEX;
use crate::case::limit;
use crate::case::model::{self, Body, Part};
use crate::case::vars::substitute;

/// Web requests with nothing left to substitute but what is only known when they are sent.
pub type Http = model::Http<String, u64, Duration>;

impl Resolver {
    /// Requests, with what is only known when they are sent left as it is.
    pub(super) fn http(&mut self, http: &model::Http) -> Resolved<Http> {
        let until = http.until.iter().map(|(part, value)| Ok((part.clone(), self.within("until", |r| r.tree(value))?)));
        let until = until.collect::<Resolved<Vec<_>>>()?;
        let later: Vec<String> = self.kept.iter().cloned().chain([INDEX.to_owned()]).collect();
        let resolved = self.later(&later, |r| r.requests(http, until, &later))?;
        if resolved.every.is_some() && resolved.callers > 1 {
            let message = "the clock would be moved by each caller: there can only be one";
            return self.within("every", |r| r.refuse(message));
        }
        Ok(resolved)
    }

    fn requests(&mut self, http: &model::Http, until: Vec<(Part, Value)>, later: &[String]) -> Resolved<Http> {
        let target = self.within(&http.method.to_lowercase(), |r| {
            let target = r.text(&http.target)?;
            r.known_later(&Value::from(target.as_str()), later)?;
            if !target.starts_with('/') {
                return r.refuse(format!("`{target}` is not a path: it begins with `/`"));
            }
            Ok(target)
        })?;
        let mut texts = |key: &str, values| {
            self.within(key, |r| {
                let values = r.entries(values)?;
                values.iter().try_for_each(|(name, value)| r.within(name, |r| r.known_later(value, later)))?;
                Ok(values)
            })
        };
        let (headers, cookies) = (texts("headers", &http.headers)?, texts("cookies", &http.cookies)?);
        let body = match &http.body {
            None => None,
            Some(Body::Form(form)) => Some(Body::Form(texts("form", form)?)),
            Some(Body::Json(json)) => Some(Body::Json(self.sent("json", json, later)?)),
            Some(Body::Text(text)) => Some(Body::Text(self.sent("body", text, later)?)),
        };
        let callers = self.within("callers", |r| r.ordinal(&http.callers, limit::CALLERS))?;
        let times = self.within("times", |r| {
            let times = r.ordinal(&http.times, limit::COUNT)?;
            // Each of the callers asks so often.
            limit::COUNT.check(times.saturating_mul(callers)).map_err(|wrong| r.unresolved(wrong))?;
            Ok(times)
        })?;
        Ok(Http {
            method: http.method,
            target,
            asked: http.asked.clone(),
            by: http.by.clone(),
            headers,
            cookies,
            body,
            keep: http.keep.clone(),
            until,
            times,
            every: self.optional("every", http.every.as_ref(), Self::duration)?,
            callers,
            within: self.optional("within", http.within.as_ref(), Self::real_time)?,
        })
    }

    fn sent(&mut self, key: &str, value: &Value, later: &[String]) -> Resolved<Value> {
        self.within(key, |r| {
            let value = r.tree(value)?;
            r.known_later(&value, later)?;
            Ok(value)
        })
    }

    /// A var may bring in names that are put in when a request is sent: they must be known by then.
    fn known_later(&self, value: &Value, later: &[String]) -> Resolved<()> {
        let known = later.iter().map(|name| (name.clone(), Value::from(""))).collect();
        substitute(value, &known).map(drop).map_err(|diagnostic| self.unresolved(diagnostic))
    }
}
