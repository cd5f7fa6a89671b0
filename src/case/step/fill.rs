//! Puts the variables into steps. Some names stand until a task is enqueued or a request is sent: the index among those,
//! and what earlier requests keep of their answers.

use crate::case::yaml::node::{Kind, Node};
use crate::case::yaml::vars::{Filler, INDEX};

/// The keys of each verb in which names are put in later.
const LATER: [(&str, &[&str]); 2] = [
    ("enqueue", &["enqueue", "args", "kwargs", "iter", "group"]),
    ("http", &["http", "headers", "cookies", "json", "form", "body"]),
];

/// Keys under which steps are written.
const STEPS: [&str; 2] = ["measure", "while"];

/// Steps with every variable put in that is known before they are played.
pub fn steps(node: &Node, filler: &mut Filler) -> Node {
    Steps { filler, kept: Vec::new() }.list(node)
}

struct Steps<'f> {
    filler: &'f mut Filler,
    /// What the requests so far keep of their answers.
    kept: Vec<String>,
}

impl Steps<'_> {
    fn list(&mut self, node: &Node) -> Node {
        match &node.kind {
            Kind::List(items) => {
                let items = items.iter().map(|item| self.step(item)).collect();
                Node { kind: Kind::List(items), span: node.span, text: node.text.clone() }
            }
            _ => self.filler.fill(node),
        }
    }

    fn step(&mut self, node: &Node) -> Node {
        let Kind::Map(entries) = &node.kind else { return self.filler.fill(node) };
        let (verb, sent) = LATER.into_iter().find(|(verb, _)| node.get(verb).is_some()).unwrap_or(("", &[]));
        let mut later = vec![INDEX.to_owned()];
        if verb == "http" {
            later.extend(self.kept.iter().cloned());
        }
        let entries = entries.iter().map(|(key, value)| {
            let name = key.name.as_str();
            let value = if STEPS.contains(&name) {
                self.list(value)
            } else if sent.contains(&name) {
                self.filler.fill_later(value, &later)
            } else {
                self.filler.fill(value)
            };
            (key.clone(), value)
        });
        let entries = entries.collect();
        // What its answers give is known when they are there.
        if let Some(keep) = node.get("keep").filter(|_| verb == "http") {
            self.kept.extend(keep.entries().iter().map(|(key, _)| key.name.clone()));
        }
        Node { kind: Kind::Map(entries), span: node.span, text: node.text.clone() }
    }
}
