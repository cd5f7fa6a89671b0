//! One kind per actor.

use super::Lower;
use super::change::texts;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::{ActorFile, ClusterFile, ServeFile};
use crate::case::model::{ActorChange, ActorSpec, Scalar};
use crate::case::node::Place;

/// Waitress' own default.
const THREADS: u32 = 4;

impl Lower<'_> {
    /// An actor, and what it changes for itself alone.
    pub(super) fn actor(&mut self, actor: ActorFile, place: Place<'_>) -> Option<(ActorSpec, ActorChange)> {
        let ActorFile { cluster, count, python, serve, threads, cache, to, timeout, stranger, packages, settings, env } =
            actor;
        let change =
            ActorChange { packages: self.packages(packages, place.get("packages")), settings, env: texts(env) };
        if (stranger.is_some() || cache.is_some()) && !change.is_empty() {
            let who = if cache.is_some() { "proxy" } else { "stranger" };
            let message = format!("a {who} does not run the app: nothing of it can be changed");
            let help = "`packages`, `settings` and `env` belong to a cluster, a python or a web actor";
            self.error(Diagnostic::new(message).at(place.key_span()).help(help));
        }
        if count.is_some() && !matches!(cluster, Some(ClusterFile::Real)) {
            let message = "`count` belongs to a real cluster";
            let help = "several of another kind are several actors";
            self.error(Diagnostic::new(message).at(place.get("count").key_span()).help(help));
        }
        let beside = [
            (
                "threads",
                threads.is_some(),
                serve.is_some(),
                "`threads` belongs to a web actor: `{serve: wsgi, threads: 16}`",
            ),
            ("to", to.is_some(), cache.is_some(), "`to` belongs to a proxy: `{cache: strict, to: web}`"),
            (
                "timeout",
                timeout.is_some(),
                cache.is_some(),
                "`timeout` belongs to a proxy: `{cache: none, to: web, timeout: 1s}`",
            ),
        ];
        for (key, _, _, message) in beside.into_iter().filter(|(_, given, has_owner, _)| *given && !has_owner) {
            self.error(Diagnostic::new(message).at(place.get(key).key_span()));
        }
        let spec = match (cluster, python, serve, cache, stranger) {
            (Some(ClusterFile::Simulated), None, None, None, None) => Some(ActorSpec::SimulatedCluster),
            (Some(ClusterFile::Real), None, None, None, None) => {
                Some(ActorSpec::RealCluster { count: count.unwrap_or(Scalar(1.into())) })
            }
            (None, Some(module), None, None, None) => Some(ActorSpec::Python { module: module.0.unwrap_or_default() }),
            (None, None, Some(ServeFile::Wsgi), None, None) => {
                Some(ActorSpec::Web { threads: threads.unwrap_or(Scalar(THREADS.into())) })
            }
            (None, None, None, Some(kind), None) => {
                if to.is_none() {
                    let help = "name the web actor behind it: `to: web`";
                    self.error(Diagnostic::new("a proxy to nowhere").at(place.key_span()).help(help));
                }
                Some(ActorSpec::Proxy { kind, to: to.unwrap_or_default(), timeout })
            }
            (None, None, None, None, Some(application_name)) => {
                // The server would cut it or put question marks, and the name would not be found again.
                let kept = application_name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                if application_name.trim().is_empty() || application_name.len() > 63 || !kept {
                    let message = "a stranger's application_name has 1 to 63 printable ASCII characters";
                    self.error(Diagnostic::new(message).at(place.get("stranger").span()));
                }
                Some(ActorSpec::Stranger { application_name })
            }
            (None, None, None, None, None) => {
                let help = "it is one of: `cluster: simulated`, `cluster: real`, `python: MODULE`, `serve: wsgi`, \
                            `cache: KIND`, `stranger: NAME`";
                self.error(Diagnostic::new("an actor of no kind").at(place.key_span()).help(help));
                None
            }
            _ => {
                let message = "an actor is of one kind: `cluster`, `python`, `serve`, `cache` or `stranger`";
                self.error(Diagnostic::new(message).at(place.key_span()));
                None
            }
        };
        spec.map(|spec| (spec, change))
    }
}
