//! The reference of the case language, from its JSON Schema.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde_json::Value;

/// The page: the case first, then each type in the order in which it is first named.
pub fn page() -> String {
    let schema: Value = serde_json::from_str(&dj_regress::case::schema::text()).unwrap();
    let mut page = String::from(
        "# Language reference\n\nGenerated from the types that decode a case, as is `cases/case.schema.json`. \
         [Write a case](../write-a-case.md) explains how the parts fit together.\n",
    );
    let mut told = vec!["Case".to_owned()];
    let mut next = VecDeque::from([("Case".to_owned(), schema.clone())]);
    while let Some((name, definition)) = next.pop_front() {
        section(&mut page, &name, &definition);
        for named in names(&definition) {
            if !told.contains(&named) {
                next.push_back((named.clone(), schema["$defs"][&named].clone()));
                told.push(named);
            }
        }
    }
    page
}

fn section(page: &mut String, name: &str, definition: &Value) {
    let _ = write!(page, "\n## {name}\n");
    if let Some(text) = text(definition) {
        let _ = write!(page, "\n{text}\n");
    }
    for (condition, part) in parts(definition) {
        if !condition.is_empty() {
            let _ = write!(page, "\n{condition}");
        }
        keys(page, part);
        words(page, part);
    }
}

/// The alternatives of a type, or the type itself.
fn parts(definition: &Value) -> Vec<(String, &Value)> {
    let alternatives = ["anyOf", "oneOf"].iter().find_map(|key| definition[key].as_array());
    match alternatives {
        Some(all) if definition["properties"].is_null() && all.iter().any(|part| part["const"].is_null()) => {
            let told = all.iter().filter(|part| part["type"] != "null");
            told.map(|part| (format!("* {}\n", [kind(part), text(part).unwrap_or_default()].join(". ")), part))
                .collect()
        }
        _ => vec![(String::new(), definition)],
    }
}

/// A table of the keys of a mapping.
fn keys(page: &mut String, definition: &Value) {
    let Some(properties) = definition["properties"].as_object() else { return };
    let required: Vec<&str> =
        definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("\n| key | value | |\n|---|---|---|\n");
    for (key, value) in properties {
        let needed = if required.contains(&key.as_str()) { " Required." } else { "" };
        let what = text(value).unwrap_or_default();
        let _ = writeln!(page, "| `{key}` | {} | {what}{needed} |", kind(value));
    }
    if definition["additionalProperties"].is_object() {
        let _ = writeln!(page, "| any other | {} | |", kind(&definition["additionalProperties"]));
    }
}

/// A list of the words that are allowed.
fn words(page: &mut String, definition: &Value) {
    let Some(words) = definition["oneOf"].as_array() else { return };
    if words.iter().all(|word| word["const"].is_null()) {
        return;
    }
    page.push_str("\n| value | |\n|---|---|\n");
    for word in words.iter().filter_map(|word| Some((word["const"].as_str()?, text(word).unwrap_or_default()))) {
        let _ = writeln!(page, "| `{}` | {} |", word.0, word.1);
    }
}

/// A description in one line of a table.
fn text(definition: &Value) -> Option<String> {
    let text = definition["description"].as_str()?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|"))
}

/// What a value may be, in words.
fn kind(definition: &Value) -> String {
    if let Some(name) = reference(definition) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(word) = definition["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(words) = definition["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(all) = definition[key].as_array() {
            let mut kinds: Vec<String> = all.iter().filter(|part| part["type"] != "null").map(kind).collect();
            kinds.dedup();
            return kinds.join(", or ");
        }
    }
    let types: Vec<&str> = match &definition["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        _ => vec![],
    };
    let types: Vec<String> = types.into_iter().map(|kind| worded(kind, definition)).collect();
    if types.is_empty() { "anything".to_owned() } else { types.join(", or ") }
}

fn worded(kind: &str, definition: &Value) -> String {
    match kind {
        "string" => "text".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "array" if definition["items"].is_object() => format!("list of {}", self::kind(&definition["items"])),
        "array" => "list".to_owned(),
        "object" if definition["additionalProperties"].is_object() => {
            format!("mapping of names to {}", self::kind(&definition["additionalProperties"]))
        }
        "object" => "mapping".to_owned(),
        other => other.to_owned(),
    }
}

fn reference(definition: &Value) -> Option<String> {
    let name = definition["$ref"].as_str()?.strip_prefix("#/$defs/")?;
    Some(name.to_owned())
}

/// The types that a definition names, in its order.
fn names(definition: &Value) -> Vec<String> {
    let mut found: Vec<String> = reference(definition).into_iter().collect();
    match definition {
        Value::Object(entries) => found.extend(entries.values().flat_map(names)),
        Value::Array(items) => found.extend(items.iter().flat_map(names)),
        _ => {}
    }
    found
}
