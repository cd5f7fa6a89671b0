//! One kind of fault, with what belongs to it.

use indexmap::IndexMap;

use super::Lower;
use crate::case::diagnostic::Diagnostic;
use crate::case::file::FaultFile;
use crate::case::model::{Fault, Link, Scalar, Server, Trigger};
use crate::case::node::Place;

/// The kinds, and the options of each.
const KINDS: [(&str, &[&str]); 15] = [
    ("kill", &["after"]),
    ("stop", &["after"]),
    ("restart", &["after"]),
    ("pause", &["after"]),
    ("terminate", &[]),
    ("refuse", &["from"]),
    ("latency", &["jitter", "between"]),
    ("bandwidth", &["between"]),
    ("cut", &["between"]),
    ("reset", &[]),
    ("black hole", &[]),
    ("partition", &[]),
    ("fill", &[]),
    ("flush", &[]),
    ("evict", &[]),
];

impl Lower<'_> {
    /// A fault.
    pub(super) fn fault(&mut self, file: FaultFile, place: Place<'_>) -> Option<Fault> {
        let kind = self.kind(&file, place)?;
        let between = file.between.filter(|_| matches!(kind, "latency" | "bandwidth" | "cut"));
        let link = match between {
            Some(between) => self.link(between, place.get("between")),
            None => None,
        };
        let after = match file.after {
            Some(after) => Some(self.trigger(after, place.get("after"))?),
            None => None,
        };
        Some(match kind {
            "kill" => Fault::Kill { server: file.kill?, after },
            "stop" => Fault::Stop { server: file.stop?, after },
            "restart" => Fault::Restart { server: file.restart?, after },
            "pause" => Fault::Pause { server: file.pause?, after },
            "terminate" => Fault::Terminate { actor: file.terminate? },
            "refuse" => Fault::Refuse { server: file.refuse?, from: file.from },
            "latency" => Fault::Latency { link: link?, latency: file.latency?, jitter: file.jitter },
            "bandwidth" => Fault::Bandwidth { link: link?, rate: file.bandwidth? },
            "cut" => Fault::Cut { link: link?, at: file.cut? },
            "reset" => Fault::Reset { link: self.link(file.reset?, place.get(kind))? },
            "black hole" => Fault::BlackHole { link: self.link(file.black_hole?, place.get(kind))? },
            "partition" => Fault::Partition { link: self.link(file.partition?, place.get(kind))? },
            "fill" => Fault::Fill,
            "flush" => Fault::Flush,
            _ => Fault::Evict,
        })
    }

    /// The one kind, with no options but its own.
    fn kind(&mut self, file: &FaultFile, place: Place<'_>) -> Option<&'static str> {
        let given = [
            file.kill.is_some(),
            file.stop.is_some(),
            file.restart.is_some(),
            file.pause.is_some(),
            file.terminate.is_some(),
            file.refuse.is_some(),
            file.latency.is_some(),
            file.bandwidth.is_some(),
            file.cut.is_some(),
            file.reset.is_some(),
            file.black_hole.is_some(),
            file.partition.is_some(),
            file.fill.is_some(),
            file.flush.is_some(),
            file.evict.is_some(),
        ];
        let kinds: Vec<_> = KINDS.into_iter().zip(given).filter(|(_, given)| *given).map(|(kind, _)| kind).collect();
        let (kind, own) = match kinds.as_slice() {
            [kind] => *kind,
            [] => {
                let words: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
                let help = format!("a fault is one of: {}", words.join(", "));
                self.error(Diagnostic::new("a fault without a kind").at(place.key_span()).help(help));
                return None;
            }
            [(first, _), (second, _), ..] => {
                let message = format!("a fault is of one kind: this one has {first} and {second}");
                let help = format!("put the second one under `while`: `- fault: {{{second}: ...}}`");
                self.error(Diagnostic::new(message).at(place.get(second).key_span()).help(help));
                return None;
            }
        };
        let options = [
            ("after", file.after.is_some()),
            ("from", file.from.is_some()),
            ("jitter", file.jitter.is_some()),
            ("between", file.between.is_some()),
        ];
        for (option, _) in options.into_iter().filter(|(option, given)| *given && !own.contains(option)) {
            let owners: Vec<&str> =
                KINDS.iter().filter(|(_, own)| own.contains(&option)).map(|(kind, _)| *kind).collect();
            let message = format!("`{option}` does not belong to `{kind}`");
            let help = format!("it belongs to {}", owners.join(", "));
            self.error(Diagnostic::new(message).at(place.get(option).key_span()).help(help));
        }
        if own.contains(&"between") && file.between.is_none() {
            let message = format!("`{kind}` between whom?");
            let help = "name an actor and a server: `between: [q, postgres]`";
            self.error(Diagnostic::new(message).at(place.get(kind).key_span()).help(help));
        }
        Some(kind)
    }

    /// An actor and a server.
    fn link(&mut self, pair: Vec<String>, place: Place<'_>) -> Option<Link> {
        let [actor, server]: [String; 2] = match pair.try_into() {
            Ok(pair) => pair,
            Err(pair) => {
                let message = format!("expected an actor and a server, found a list of {}", Vec::len(&pair));
                self.error(Diagnostic::new(message).at(place.key_span()).help("write `[q, postgres]`"));
                return None;
            }
        };
        let servers = [Server::Postgres, Server::Redis];
        let Some(server) = servers.into_iter().find(|known| known.word() == server) else {
            let unknown = Diagnostic::new(format!("`{server}` is not a server")).at(place.item(1).span());
            self.error(if servers.iter().any(|known| known.word() == actor) {
                unknown.help(format!("the actor comes first: `[{server}, {actor}]`"))
            } else {
                unknown.suggest(&server, servers.map(Server::word))
            });
            return None;
        };
        Some(Link { actor, server })
    }

    fn trigger(&mut self, after: IndexMap<String, Scalar>, place: Place<'_>) -> Option<Trigger> {
        let mut after = after.into_iter();
        if let (Some((actor, statements)), None) = (after.next(), after.next()) {
            return Some(Trigger { actor, statements });
        }
        let message = "`after` watches one actor";
        let help = "name it, and how much it sends before: `after: {client: 200}`";
        self.error(Diagnostic::new(message).at(place.key_span()).help(help));
        None
    }
}
