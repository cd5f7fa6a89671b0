//! Wires against the server, by what statements do: what was answered well was executed, and nothing was executed that was
//! not sent. A difference means that one of the two did not see something.

use std::collections::BTreeMap;

use super::server::Executed;
use super::statement::bounds;
use crate::proxy::{Sent, Shape};

/// One actor's wire.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The actor's name in the case.
    pub actor: String,
    /// What went over it before the server was asked.
    pub before: Vec<Sent>,
    /// What went over it until after.
    pub after: Vec<Sent>,
    /// Whether it was under a fault, or processes of its actor were killed.
    pub is_disturbed: bool,
}

/// The differences between what went over the wires to this database and what the server says, as sentences that name the
/// statements; none when the two agree.
pub fn with_server(wires: &[Wire], database: &str, server: &Executed) -> Vec<String> {
    let mut sums: BTreeMap<&Shape, (u64, u64)> = server.keys().map(|shape| (shape, (0, 0))).collect();
    for wire in wires {
        for (shape, (before, after)) in by_shape(wire, database) {
            let (least, _) = bounds(before, wire.is_disturbed);
            let (_, most) = bounds(after, wire.is_disturbed);
            let sum = sums.entry(shape).or_default();
            (sum.0, sum.1) = (sum.0 + least, sum.1 + most);
        }
    }
    let differences = sums.into_iter().filter_map(|(shape, (least, most))| {
        let executed = server.get(shape).copied().unwrap_or_default();
        let carried = if least == most { least.to_string() } else { format!("{least} to {most}") };
        (!(least..=most).contains(&executed))
            .then(|| format!("{shape}: the wires carried {carried}, the server executed {executed}"))
    });
    differences.collect()
}

type BeforeAndAfter<'w> = (Vec<&'w Sent>, Vec<&'w Sent>);

/// What the server counts, too.
fn by_shape<'w>(wire: &'w Wire, database: &str) -> BTreeMap<&'w Shape, BeforeAndAfter<'w>> {
    let mut found: BTreeMap<&Shape, BeforeAndAfter<'_>> = BTreeMap::new();
    let is_told = |sent: &&Sent| *sent.database == *database && !sent.class.is_unseen;
    for sent in wire.before.iter().filter(is_told) {
        found.entry(&sent.class.shape).or_default().0.push(sent);
    }
    for sent in wire.after.iter().filter(is_told) {
        found.entry(&sent.class.shape).or_default().1.push(sent);
    }
    found
}

/// Web requests that were sent to an actor, and that it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The web actor or proxy.
    pub actor: String,
    /// By the harness's own clients, and by proxies.
    pub sent: u64,
    /// By itself.
    pub seen: u64,
    /// Whether each was answered, and none refused before it was looked at: the two are then the same.
    pub all_answered: bool,
}

/// The differences between the requests that were sent and those that arrived.
pub fn with_requests(requested: &[Requested], is_disturbed: impl Fn(&str) -> bool) -> Vec<String> {
    let agree = |one: &&Requested| {
        if one.all_answered && !is_disturbed(&one.actor) { one.seen == one.sent } else { one.seen <= one.sent }
    };
    let differ = requested.iter().filter(|one| !agree(one));
    differ.map(|one| format!("{} was sent {} requests and saw {}", one.actor, one.sent, one.seen)).collect()
}

#[cfg(test)]
mod tests;
