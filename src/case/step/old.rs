//! How steps were written before options stood beside the verb, and how the same is written now.

use super::action::Action;
use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::node::{Kind, Node};
use crate::case::yaml::shape;

/// Where the value has gone that stood at the actor's or the task's name: the first of these options that the verb has.
const VALUES: [&str; 5] = ["at", "role", "run", "args", "times"];

/// The steps of this list, and those within them, that are written as they were.
pub fn find(steps: &Node) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for step in steps.items() {
        for (key, value) in step.entries() {
            if let Some(error) = new_form(&key.name, value) {
                found.push(error.at(key.span));
            }
            if matches!(key.name.as_str(), "measure" | "while") {
                found.extend(find(value));
            }
        }
    }
    found
}

fn new_form(verb: &str, value: &Node) -> Option<Diagnostic> {
    let Kind::Map(entries) = &value.kind else { return None };
    let text = |name: &str| value.get(name).map(Node::inline);
    let (head, beside) = match verb {
        "measure" => (text("for")?, Vec::new()),
        "wait" if value.get("until").is_some() => (text("until")?, within(value)),
        "wait" if value.get("within").is_some() => {
            let (key, what) = entries.iter().find(|(key, _)| key.name != "within")?;
            (format!("{{{}: {}}}", key.name, what.inline()), within(value))
        }
        "wait" => return None,
        "http" => {
            let is_method = |name: &str| ["get", "head", "post", "put", "patch", "delete", "options"].contains(&name);
            let (method, target) = entries.iter().find(|(key, _)| is_method(&key.name))?;
            let beside = entries.iter().filter(|(key, _)| key.name != method.name);
            let beside = beside.map(|(key, node)| (key.name.clone(), node.inline())).collect();
            (format!("{} {}", method.name.to_uppercase(), target.inline().trim_matches('"')), beside)
        }
        _ => with_actor(verb, value)?,
    };
    let beside: Vec<String> = beside.iter().map(|(key, value)| format!("`{key}: {value}`")).collect();
    let with = match beside.as_slice() {
        [] => String::new(),
        [one] => format!(" with {one} beside it"),
        [most @ .., last] => format!(" with {} and {last} beside it", most.join(", ")),
    };
    Some(Diagnostic::new(format!("`{verb}: {}` is written `{verb}: {head}`{with}", value.inline())))
}

fn within(value: &Node) -> Vec<(String, String)> {
    value.get("within").map(|within| ("within".to_owned(), within.inline())).into_iter().collect()
}

/// A verb whose mapping held an actor, or a task, and its options.
fn with_actor(verb: &str, value: &Node) -> Option<(String, Vec<(String, String)>)> {
    let options = shape::fields_of::<Action>(verb);
    if options.is_empty() || matches!(verb, "read" | "fault") {
        return None;
    }
    let is_option = |name: &str| name != verb && options.contains(&name) || name == "chain";
    let place = VALUES.into_iter().find(|option| options.contains(option));
    let mut beside: Vec<(String, String)> = Vec::new();
    let head = match value.entries().iter().find(|(key, _)| !is_option(&key.name)) {
        // The statement was the value, and the stranger is what now stands beside it.
        Some((stranger, statement)) if verb == "sql" => {
            beside.push(("by".to_owned(), stranger.name.clone()));
            statement.inline()
        }
        Some((actor, given)) => {
            let is_iter = value.get("iter").is_some_and(|iter| iter.value() == true);
            if !given.is_absent() {
                beside.push(((if is_iter { "iter" } else { place? }).to_owned(), given.inline()));
            }
            actor.name.clone()
        }
        None => value.get("chain")?.inline(),
    };
    for (key, node) in value.entries().iter().filter(|(key, _)| is_option(&key.name)) {
        match (verb, key.name.as_str()) {
            ("enqueue", "iter" | "chain") => {}
            ("hold", "at") => beside.push(("when".to_owned(), node.inline())),
            (_, name) => beside.push((name.to_owned(), node.inline())),
        }
    }
    Some((head, beside))
}
