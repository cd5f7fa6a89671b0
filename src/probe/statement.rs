//! Statements as they are counted: the wire says what was executed, the ledger from where.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::{Call, Ledger};
use crate::proxy::{Class, Outcome, Sent, Way};

/// What stands for the call site of a statement that passes Django's wrappers by.
const NO_SITE: &str = "<no call site>";

/// One statement that an actor sent.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The actor's name in the case.
    pub actor: Arc<str>,
    /// `main`, or the process's role in a real cluster.
    pub role: Arc<str>,
    /// What it does.
    pub class: Arc<Class>,
    /// Its text: with Django's `%s`, where it came by a cursor of Django.
    pub sql: Arc<str>,
    /// `file:line:function`.
    pub site: Arc<str>,
    /// `CLOCK_MONOTONIC` in nanoseconds when it was sent.
    pub at: u64,
    /// Rows that its answer speaks of.
    pub rows: u64,
    /// The process of the server that it was sent to.
    pub backend: u32,
}

/// All that went over the arm's wires, held against what Django's wrappers saw.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The statements that are counted.
    pub statements: Vec<Statement>,
    /// What one of the two saw and the other did not, in words.
    pub differences: Vec<String>,
}

impl Evidence {
    /// Gives each statement of the wires its call site. `until`: when the wires were about to be looked at.
    ///
    /// A call waits for its answer, so what was sent on its connection meanwhile is its own. What it sent in a pipeline
    /// comes later, in the same order.
    pub fn new<'w>(ledger: &Ledger, wires: impl IntoIterator<Item = (&'w str, &'w [Sent])>, until: u64) -> Self {
        let mut evidence = Self::default();
        for (actor, sent) in wires {
            evidence.take(actor, sent, ledger, until);
        }
        evidence
    }

    fn take(&mut self, actor: &str, sent: &[Sent], ledger: &Ledger, until: u64) {
        let mut connections: BTreeMap<u32, (Vec<&Call>, Vec<&Sent>)> = BTreeMap::new();
        for call in ledger.calls.iter().filter(|call| *call.actor == *actor) {
            connections.entry(call.backend).or_default().0.push(call);
        }
        for one in sent {
            connections.entry(one.backend).or_default().1.push(one);
        }
        let name: Arc<str> = Arc::from(actor);
        let mut strays: BTreeMap<String, (u64, Arc<str>)> = BTreeMap::new();
        let mut unsent: BTreeMap<String, (u64, Arc<str>)> = BTreeMap::new();
        for (calls, mut sent) in connections.into_values() {
            sent.sort_by_key(|one| one.at);
            let Matched { of, used } = matched(&calls, &sent);
            for (one, call) in sent.iter().zip(of) {
                match (call.map(|call| calls[call]), one.class.way) {
                    (None, Way::Driver) => {}
                    (None, Way::Wrapped) => {
                        let stray = strays.entry(one.class.shape.to_string());
                        stray.or_insert_with(|| (0, Arc::clone(&one.example))).0 += 1;
                    }
                    (call, _) => self.statements.push(statement(&name, one, call)),
                }
            }
            let ended_well = |call: &Call| call.end.as_ref().is_some_and(|end| end.error.is_none() && end.at <= until);
            // What another engine does has no wire that it could be held against.
            let has_wire = |call: &Call| call.backend != 0 && call.times > 0 && !call.shape.verb.is_empty();
            let missing =
                calls.iter().zip(used).filter(|(call, used)| *used == 0 && has_wire(call) && ended_well(call));
            for (call, _) in missing {
                unsent.entry(call.shape.to_string()).or_insert_with(|| (0, Arc::clone(&call.site))).0 += 1;
            }
        }
        let strays = strays.into_iter().map(|(shape, (times, text))| {
            format!("{actor} sent {shape} past Django's cursors ({times} times, `{}`)", text.trim())
        });
        let unsent = unsent.into_iter().map(|(shape, (times, site))| {
            format!("Django sent {shape} from {site} ({times} times), and the wire of {actor} did not carry it")
        });
        self.differences.extend(strays.chain(unsent));
    }
}

/// Calls by what they sent.
struct Matched {
    /// For each statement the call that sent it.
    of: Vec<Option<usize>>,
    /// For each call how many statements it sent.
    used: Vec<u64>,
}

/// Finds the call of each statement of one connection; both are in the order of time.
fn matched(calls: &[&Call], sent: &[&Sent]) -> Matched {
    let (mut of, mut used) = (vec![None; sent.len()], vec![0_u64; calls.len()]);
    // Calls that wait for their answer; and those that came back without having sent anything, as in a pipeline.
    let (mut open, mut piped): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut next = 0;
    for (index, one) in sent.iter().enumerate() {
        while calls.get(next).is_some_and(|call| call.begin <= one.at) {
            open.push(next);
            next += 1;
        }
        open.retain(|&call| {
            let is_open = calls[call].end.as_ref().is_none_or(|end| end.at >= one.at);
            if !is_open && used[call] == 0 {
                piped.push(call);
            }
            is_open
        });
        let says = |call: &usize| *calls[*call].shape == one.class.shape;
        let innermost = || open.iter().rev().copied();
        let found = innermost().filter(says).find(|call| used[*call] == 0);
        let found = found.or_else(|| {
            let first = piped.iter().position(|call| says(call) && used[*call] == 0)?;
            Some(piped.remove(first))
        });
        let found = found.or_else(|| innermost().find(says));
        // The driver begins a transaction within the first call, if it has to.
        let found = found.or_else(|| innermost().next().filter(|_| one.class.way != Way::Driver));
        if let Some(call) = found {
            of[index] = Some(call);
            used[call] += 1;
        }
    }
    Matched { of, used }
}

fn statement(actor: &Arc<str>, sent: &Sent, call: Option<&Call>) -> Statement {
    let (role, sql, site) = match call {
        Some(call) => (Arc::clone(&call.role), Arc::clone(&call.sql), Arc::clone(&call.site)),
        None => (Arc::from("main"), Arc::clone(&sent.example), Arc::from(NO_SITE)),
    };
    let class = Arc::clone(&sent.class);
    Statement { actor: Arc::clone(actor), role, class, sql, site, at: sent.at, rows: sent.rows, backend: sent.backend }
}

/// How often statements of a kind were executed, as far as a wire can tell: at least so often, at most so often.
pub fn bounds<'w>(sent: impl IntoIterator<Item = &'w Sent>, is_disturbed: bool) -> (u64, u64) {
    let (mut least, mut most) = (0, 0);
    for one in sent {
        match one.outcome {
            Outcome::Done => (least, most) = (least + 1, most + 1),
            Outcome::Unanswered => most += 1,
            // What a server says when it is ended may come after it has done what it was asked.
            Outcome::Failed if is_disturbed => most += 1,
            Outcome::Failed | Outcome::Skipped => {}
        }
    }
    (least, most)
}

#[cfg(test)]
mod tests;
