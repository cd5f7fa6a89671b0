//! How steps were written before options stood beside the verb, and how the same is written now.

use crate::case::yaml::diagnostic::Diagnostic;
use crate::case::yaml::node::{Kind, Node};

/// What a verb's mapping held: the options that now stand beside it, and where the value of the one other key, the actor
/// or the task, has gone.
struct Old {
    verb: &'static str,
    options: &'static [&'static str],
    value: &'static str,
}

const OLD: [Old; 12] = [
    Old { verb: "signal", options: &["send"], value: "role" },
    Old { verb: "kill", options: &[], value: "role" },
    Old { verb: "pause", options: &[], value: "role" },
    Old { verb: "resume", options: &[], value: "role" },
    Old { verb: "restart", options: &["by"], value: "times" },
    Old { verb: "hold", options: &["at", "call", "role", "every"], value: "at" },
    Old { verb: "beat", options: &["every"], value: "times" },
    Old { verb: "tick", options: &[], value: "times" },
    Old { verb: "python", options: &["times"], value: "run" },
    Old {
        verb: "enqueue",
        options: &["by", "times", "group", "cached", "kwargs", "options", "until", "iter", "chain"],
        value: "args",
    },
    Old {
        verb: "schedule",
        options: &["by", "type", "minutes", "cron", "repeats", "due", "name", "kwargs", "options"],
        value: "args",
    },
    Old { verb: "sql", options: &[], value: "by" },
];

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
    let old = OLD.iter().find(|old| old.verb == verb)?;
    let is_option = |name: &str| old.options.contains(&name);
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
                beside.push(((if is_iter { "iter" } else { old.value }).to_owned(), given.inline()));
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::case::yaml::node::parse;

    #[rstest]
    #[case("beat: {q: 200, every: 2s}", "`beat: q` with `times: 200` and `every: 2s` beside it")]
    #[case("restart: {q: 3, by: kill}", "`restart: q` with `times: 3` and `by: kill` beside it")]
    #[case("kill: {q: worker}", "`kill: q` with `role: worker` beside it")]
    #[case("signal: {q: , send: USR1}", "`signal: q` with `send: USR1` beside it")]
    #[case("hold: {q: 'a:b', at: return}", "`hold: q` with `at: 'a:b'` and `when: return` beside it")]
    #[case("python: {app: \"f()\", times: 5}", "`python: app` with `run: \"f()\"` and `times: 5` beside it")]
    #[case("enqueue: {charge: [a], times: 5}", "`enqueue: charge` with `args: [a]` and `times: 5` beside it")]
    #[case("enqueue: {double: [1, 2], iter: true}", "`enqueue: double` with `iter: [1, 2]` beside it")]
    #[case("enqueue: {chain: [{charge: [a]}], group: g}", "`enqueue: [{charge: [a]}]` with `group: g` beside it")]
    #[case("schedule: {charge: , due: -4d}", "`schedule: charge` with `due: -4d` beside it")]
    #[case("sql: {psql: DELETE FROM t}", "`sql: DELETE FROM t` with `by: psql` beside it")]
    #[case("wait: {until: x, within: 5s}", "`wait: x` with `within: 5s` beside it")]
    #[case("wait: {held: q, within: 5s}", "`wait: {held: q}` with `within: 5s` beside it")]
    #[case("measure: {for: 20s}", "`measure: 20s`")]
    #[case("http: {get: /a, via: p}", "`http: GET /a` with `via: p` beside it")]
    fn a_step_as_it_was_written_is_answered_with_the_same_as_it_is_written_now(#[case] old: &str, #[case] new: &str) {
        let steps = parse(&format!("- while: [{{{old}}}]\n")).expect("YAML");
        let found: Vec<String> = find(&steps).into_iter().map(|error| error.message).collect();
        assert_eq!(found, [format!("`{old}` is written {new}")]);
    }

    #[rstest]
    #[case("wait: {held: q}")]
    #[case("enqueue: [{charge: [a]}]")]
    #[case("fault: {kill: postgres}")]
    #[case("read: {a: b}")]
    #[case("beat: q")]
    fn a_step_as_it_is_written_now_is_left_alone(#[case] step: &str) {
        assert!(find(&parse(&format!("- {{{step}}}\n")).expect("YAML")).is_empty());
    }
}
