//! Web requests: who is asked, what is kept, and what real time does not go with.

use super::checker::Checker;
use crate::case::actor::Actor;
use crate::case::step::http::Http;
use crate::case::yaml::diagnostic::{Diagnostic, Span};
use crate::case::yaml::place::Place;
use crate::case::yaml::vars::INDEX;
use crate::case::yaml::vars::REDIS;
use crate::input::limit;

/// How a web actor is declared.
const DECLARE: &str = "declare a web actor: `actors: {web: {serve: wsgi}}`";

impl Checker<'_> {
    /// The actors that proxies ask: in the end a web actor.
    pub(super) fn proxies(&mut self) {
        let state = self.state;
        for (name, spec) in &state.actors {
            let Actor::Proxy { to, .. } = spec else { continue };
            if to.is_empty() {
                continue;
            }
            let at = self.top.get("actors").get(name).get("to").span();
            self.is_asked(to, at);
            // From each proxy along its way: at most as many steps as there are actors, or it comes back.
            let mut way = to;
            for _ in 0..state.actors.len() {
                let Some(Actor::Proxy { to, .. }) = state.actors.get(way) else { break };
                way = to;
            }
            if matches!(state.actors.get(way), Some(Actor::Proxy { .. })) {
                let message = format!("what `{name}` asks leads back to a proxy: no web actor ever answers");
                self.error(Diagnostic::new(message).at(at));
            }
        }
    }

    /// Whether an actor answers requests.
    fn is_asked(&mut self, actor: &str, at: Span) {
        match self.state.actors.get(actor) {
            Some(spec) if spec.is_asked() => {}
            Some(spec) => {
                let message = format!("`{actor}` is {} and answers no requests", spec.kind());
                self.error(Diagnostic::new(message).at(at).help(DECLARE));
            }
            None => {
                let known = self.state.actors.iter().filter(|(_, spec)| spec.is_asked());
                self.unknown_actor(actor, at, known.map(|(name, _)| name.as_str()));
            }
        }
    }

    /// Requests.
    pub(super) fn http(&mut self, http: &Http, name: Option<&str>, place: Place<'_>) {
        for (key, actor) in [("to", &http.to), ("via", &http.via)] {
            let Some(actor) = actor else { continue };
            let at = place.get(key);
            self.is_asked(actor, at.span());
            let right = match self.state.actors.get(actor) {
                Some(Actor::Proxy { .. }) => "via",
                Some(Actor::Web { .. }) => "to",
                _ => continue,
            };
            if key != right {
                let message = format!("a request goes `to` a web actor or `via` a proxy: say `{right}`");
                self.error(Diagnostic::new(message).at(at.key_span()));
            }
        }
        if http.to.is_some() && http.via.is_some() {
            let message = "a request goes `to` a web actor or `via` a proxy";
            let help = "the proxy knows where it goes: leave `to` out";
            self.error(Diagnostic::new(message).at(place.get("to").key_span()).help(help));
        } else if http.asked().is_none() {
            self.only_web_actor(place.get("http"));
        }
        let bodies: Vec<&str> = ["json", "form", "body"].into_iter().filter(|body| place.has(body)).collect();
        if let [first, second, ..] = bodies.as_slice() {
            let message = format!("a request has one body: this one has `{first}` and `{second}`");
            self.error(Diagnostic::new(message).at(place.get(second).key_span()));
        }
        if http.every.is_some() && http.callers > 1 {
            let message = "the clock would be moved by each caller: there can only be one";
            self.error(Diagnostic::new(message).at(place.get("every").span()));
        }
        // Each of the callers asks so often.
        if let Err(wrong) = limit::COUNT.check(http.times.saturating_mul(http.callers)) {
            self.error(Diagnostic::from(wrong).at(place.get("times").span()));
        }
        self.keeps(http, name, place);
    }

    /// The one that is asked where a request does not say.
    fn only_web_actor(&mut self, place: Place<'_>) {
        let web = self.state.actors.iter().filter(|(_, spec)| matches!(spec, Actor::Web { .. }));
        let web: Vec<&str> = web.map(|(name, _)| name.as_str()).collect();
        let (message, help) = match web.as_slice() {
            [] => ("nobody answers requests here".to_owned(), DECLARE.to_owned()),
            [_] => return,
            [first, ..] => (
                format!("`{}` answer requests: it is not said which is asked", web.join("` and `")),
                format!("say `to: {first}`"),
            ),
        };
        self.error(Diagnostic::new(message).at(place.key_span()).help(help));
    }

    /// What is kept is a reading, and can be put into later requests.
    fn keeps(&mut self, http: &Http, name: Option<&str>, place: Place<'_>) {
        for kept in http.keep.keys() {
            let at = place.get("keep").get(kept).key_span();
            if self.state.vars.contains_key(kept) || kept == INDEX || kept == REDIS {
                let message = format!("nothing can be kept as `{kept}`: `${kept}` is something else already");
                self.error(Diagnostic::new(message).at(at));
            }
            // Asking again later may keep under the same name.
            if !self.names.readings.contains_key(kept) || !self.names.kept.contains(kept) {
                self.reading(kept, at);
                self.names.kept.insert(kept.clone());
            }
        }
        if name.is_none() && !http.until.is_empty() {
            let help = "name the step, and look at whether it was reached: `as: polls`";
            self.error(Diagnostic::new("`until` without `as`").at(place.get("until").key_span()).help(help));
        }
    }
}
