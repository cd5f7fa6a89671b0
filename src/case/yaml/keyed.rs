//! Enums that are written as a mapping in which one key names the variant.

use serde::de::Unexpected;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Unknown, nearest};
use super::node::{Key, Kind, Node};
use super::place::placed;

/// The variant that a key names, and the key's own part of its name.
pub fn keyed<'de>(
    node: &'de Node,
    beside: &[&str],
    name: &'static str,
    variants: &'static [&'static str],
) -> Result<(&'static str, &'de Key), Diagnostic> {
    let (noun, word) = name.trim_start_matches('$').split_once('/').unwrap_or((name, "kind"));
    let head = |variant: &'static str| variant.split_once(": ").map_or(variant, |(head, _)| head);
    let mut heads: Vec<&'static str> = variants.iter().copied().map(head).collect();
    heads.dedup();
    let entries = node.entries();
    let named: Vec<_> = entries.iter().filter(|(key, _)| heads.contains(&key.name.as_str())).collect();
    let (key, node) = match named.as_slice() {
        [(key, node)] => (key, node),
        [] => {
            let near = |key: &&Key| nearest(&key.name, heads.iter().copied()).is_some();
            let rest = || entries.iter().map(|(key, _)| key).filter(|key| !beside.contains(&key.name.as_str()));
            if let Some(key) =
                rest().find(near).or_else(|| rest().next().filter(|_| rest().count() == 1 && word == "verb"))
            {
                let mut unknown = Diagnostic::new(format!("unknown key `{}`", key.name)).at(key.span);
                unknown.unknown = Some(Box::new(Unknown { key: key.name.clone(), noun: name, variant: String::new() }));
                return Err(unknown.suggest(&key.name, heads.iter().copied()));
            }
            let help = format!("it is one of: {}", heads.join(", "));
            return Err(Diagnostic::new(format!("{noun} without a {word}")).help(help));
        }
        [(first, _), (second, _), ..] => {
            let message = format!("{noun} has one {word}: this one has {} and {}", first.name, second.name);
            return Err(Diagnostic::new(message).at(second.span).help("make two of it"));
        }
    };
    let own = variants.iter().copied().filter(|variant| head(variant) == key.name);
    let text = node.as_str();
    let is_it = |variant: &&str| match variant.split_once(": ") {
        Some((_, "[]")) => matches!(node.kind, Kind::List(_)),
        Some((_, word)) => text == Some(word),
        None => false,
    };
    if let Some(variant) = own.clone().find(is_it).or_else(|| own.clone().find(|variant| !variant.contains(": "))) {
        return Ok((variant, key));
    }
    let words = own.filter_map(|variant| variant.split_once(": ")).map(|(_, word)| word);
    if let Some(text) = text {
        return Err(Diagnostic::new(format!("unknown word `{text}`")).suggest(text, words).at(node.span));
    }
    let words: Vec<&str> = words.collect();
    let wrong = format!("expected {}, found {}", words.join(" or "), node.inline());
    Err(placed(Diagnostic::mismatch(wrong), node, Some(key)))
}

/// A value of another kind than expected, for serde.
pub fn unexpected(node: &Node) -> Unexpected<'_> {
    match &node.kind {
        Kind::List(_) => Unexpected::Seq,
        Kind::Map(_) => Unexpected::Map,
        Kind::Scalar(Value::String(text)) => Unexpected::Str(text),
        Kind::Scalar(Value::Bool(value)) => Unexpected::Bool(*value),
        Kind::Scalar(Value::Number(number)) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        Kind::Scalar(_) => Unexpected::Unit,
    }
}
