//! Web requests: who is asked, what is kept, and what real time does not go with.

use super::Checker;
use crate::case::diagnostic::{Diagnostic, Span};
use crate::case::model::{ActorSpec, Asked, CacheKind, Http};
use crate::case::node::Place;
use crate::case::resolve::{Action, ResolvedActor, ResolvedState};
use crate::case::vars::REDIS;

/// How a web actor is declared.
const DECLARE: &str = "declare a web actor: `actors: {web: {serve: wsgi}}`";

impl Checker<'_> {
    /// The actors that proxies ask: in the end a web actor.
    pub(super) fn proxies(&mut self) {
        let case = self.case;
        for (name, spec) in &case.actors {
            let ActorSpec::Proxy { to, .. } = spec else { continue };
            let at = self.top.get("actors").get(name).get("to").span();
            self.is_asked(to, at);
            // From each proxy along its way: at most as many steps as there are actors, or it comes back.
            let mut way = to;
            for _ in 0..case.actors.len() {
                let Some(ActorSpec::Proxy { to, .. }) = case.actors.get(way) else { break };
                way = to;
            }
            if matches!(case.actors.get(way), Some(ActorSpec::Proxy { .. })) {
                let message = format!("what `{name}` asks leads back to a proxy: no web actor ever answers");
                self.error(Diagnostic::new(message).at(at));
            }
        }
    }

    /// Whether an actor answers requests.
    fn is_asked(&mut self, actor: &str, at: Span) {
        match self.case.actors.get(actor) {
            Some(spec) if spec.is_asked() => {}
            Some(spec) => {
                let message = format!("`{actor}` is {} and answers no requests", spec.kind());
                self.error(Diagnostic::new(message).at(at).help(DECLARE));
            }
            None => {
                let known = self.case.actors.iter().filter(|(_, spec)| spec.is_asked());
                self.unknown_actor(actor, at, known.map(|(name, _)| name.as_str()));
            }
        }
    }

    /// Requests.
    pub(super) fn http(&mut self, http: &Http, name: Option<&str>, place: Place<'_>) {
        if let Some(asked) = &http.asked {
            let at = place.get(asked.key());
            self.is_asked(asked.actor(), at.span());
            let right = match (self.case.actors.get(asked.actor()), asked) {
                (Some(ActorSpec::Proxy { .. }), Asked::To(_)) => Some("via"),
                (Some(ActorSpec::Web { .. }), Asked::Via(_)) => Some("to"),
                _ => None,
            };
            if let Some(right) = right {
                let message = format!("a request goes `to` a web actor or `via` a proxy: say `{right}`");
                self.error(Diagnostic::new(message).at(at.key_span()));
            }
        } else {
            self.only_web_actor(place);
        }
        self.keeps(http, name, place);
    }

    /// The one that is asked where a request does not say.
    fn only_web_actor(&mut self, place: Place<'_>) {
        let web = self.case.actors.iter().filter(|(_, spec)| matches!(spec, ActorSpec::Web { .. }));
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
            if self.case.base.vars.contains_key(kept) || kept == "i" || kept == REDIS {
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

    /// nginx lives in real time.
    pub(super) fn real_proxies(&mut self, state: &ResolvedState) {
        let moves = state.all_steps().find(|step| match &step.action {
            Action::Advance { .. } | Action::Beat { every: Some(_), .. } => true,
            Action::Restart { actor, .. } => {
                matches!(state.actors.get(actor), Some(ResolvedActor::SimulatedCluster))
            }
            Action::Http { http, .. } => http.every.is_some(),
            _ => false,
        });
        let Some(step) = moves else { return };
        let nginx =
            state.actors.iter().find(|(_, actor)| matches!(actor, ResolvedActor::Proxy { kind: CacheKind::Nginx, .. }));
        if let Some((name, _)) = nginx {
            let message = format!("nginx does not see the virtual clock, which moves in line {}", step.line);
            let help = "use `cache: strict`, `aggressive` or `broken`, which do";
            let at = self.top.get("actors").get(name).get("cache").span();
            self.say_once(Diagnostic::new(message).at(at).help(help));
        }
    }
}
