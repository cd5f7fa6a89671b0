//! The JSON Schema of the case language, for editors: what the types say of themselves, put into the form in which it is
//! written.

use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::actor::ActorChange;
use super::case::{Case, REQUIRED};
use super::fault::Fault;
use super::quantity::{Quantity, measurements};

/// The schema as `cases/case.schema.json` holds it.
pub fn text() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let change = generator.subschema_for::<ActorChange>();
    for schema in [generator.subschema_for::<Quantity>(), generator.subschema_for::<Fault>(), change] {
        drop(schema);
    }
    let mut schema = generator.into_root_schema_for::<Case>().to_value();
    written(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// Types in the form in which they are written.
fn written(schema: &mut Value) {
    let mut defs = schema["$defs"].take();
    let own = properties(&defs["ActorChange"]);
    for (name, beside) in [
        (
            "Action",
            Map::from_iter([(
                "as".to_owned(),
                json!({
                    "type": "string", "description": "The name of the step's window, and of the readings that it gives."
                }),
            )]),
        ),
        ("Fault", Map::new()),
        ("Actor", own),
    ] {
        let variants = defs[name]["oneOf"].as_array().cloned().unwrap_or_default();
        let keyed: Vec<Value> = variants.iter().flat_map(|variant| keyed(variant, &defs, &beside)).collect();
        defs[name]["oneOf"] = Value::Array(keyed);
    }
    measured(&mut defs);
    for unused in ["Quantity", "ActorChange", "Enqueue", "Schedule", "TaskCount"] {
        defs.as_object_mut().map(|defs| defs.remove(unused));
    }
    for (name, def) in defs.as_object_mut().into_iter().flatten() {
        let is_whole =
            ["Action", "Actor", "Fault", "Invariant", "PostgresService", "RedisService"].contains(&name.as_str());
        for variant in if is_whole { parts(def) } else { Vec::new() } {
            for (_, property) in variant["properties"].as_object_mut().into_iter().flatten() {
                or_variable(property);
            }
        }
    }
    or_variable(&mut defs["Trigger"]["additionalProperties"]);
    schema["$defs"] = defs;
    schema["required"] = REQUIRED.into_iter().collect();
    schema["properties"]["title"].as_object_mut().map(|title| title.remove("default"));
    schema["additionalProperties"] = Value::Bool(false);
    schema["$defs"]["Fix"]["additionalProperties"] = Value::Bool(false);
}

fn properties(schema: &Value) -> Map<String, Value> {
    schema["properties"].as_object().cloned().unwrap_or_default()
}

/// The alternatives of an enum; of a struct, itself.
fn parts(def: &mut Value) -> Vec<&mut Value> {
    if def["oneOf"].is_array() {
        return def["oneOf"].as_array_mut().into_iter().flatten().collect();
    }
    vec![def]
}

/// What serde would write as `{kill: {server: redis}}` is written with the variant's name as one of its keys. A variant
/// `cluster: real` is the key with that word.
fn keyed(variant: &Value, defs: &Value, beside: &Map<String, Value>) -> Vec<Value> {
    let unit = variant["const"]
        .as_str()
        .into_iter()
        .chain(variant["enum"].as_array().into_iter().flatten().filter_map(Value::as_str));
    let unit = unit.map(|name| (name.to_owned(), json!({})));
    let named = properties(variant).into_iter();
    let all: Vec<(String, Value)> = unit.chain(named).collect();
    let read = |(name, inner): (String, Value)| {
        let target = inner["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(|name| &defs[name]);
        let inner = target.cloned().unwrap_or(inner);
        let (head, word) = name.split_once(": ").unwrap_or((&name, "[]"));
        let mut properties = properties(&inner);
        if word != "[]" {
            properties.insert(head.to_owned(), json!({"const": word}));
        }
        properties.extend(beside.clone());
        let mut required = inner["required"].as_array().cloned().unwrap_or_default();
        if !required.iter().any(|name| name == head) {
            required.insert(0, head.into());
        }
        json!({
            "type": "object",
            "description": variant["description"],
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    all.into_iter().map(read).collect()
}

/// What an invariant looks at stands beside its bounds.
fn measured(defs: &mut Value) {
    let mut all: IndexMap<String, (Value, Vec<String>)> = IndexMap::new();
    for variant in defs["Quantity"]["oneOf"].as_array().into_iter().flatten() {
        for (measurement, inner) in properties(variant) {
            for (key, schema) in properties(&inner) {
                let said = format!("Of {measurement}: {}", schema["description"].as_str().unwrap_or_default());
                all.entry(key).or_insert_with(|| (schema.clone(), Vec::new())).1.push(said);
            }
        }
    }
    let names: Vec<String> = measurements().iter().map(|name| format!("`{name}`")).collect();
    let of = format!("{}, or a reading; absent: the reading of the invariant's own name.", names.join(", "));
    let invariant = &mut defs["Invariant"];
    let mut properties = Map::from_iter([("of".to_owned(), json!({"type": "string", "description": of}))]);
    for (key, (mut schema, said)) in all {
        schema["description"] = said.join("\n").into();
        properties.insert(key, schema);
    }
    properties.extend(self::properties(invariant));
    *invariant = json!({
        "type": "object",
        "description": invariant["description"],
        "properties": properties,
        "additionalProperties": false,
    });
}

/// Where a value of another kind is expected, a text with a variable may stand.
fn or_variable(schema: &mut Value) {
    let is_text = schema["type"] == "string" && schema.get("pattern").is_none() && schema.get("enum").is_none();
    if is_text
        || schema.as_bool() == Some(true)
        || schema["type"].as_array().is_some_and(|kinds| kinds.contains(&"string".into()))
    {
        return;
    }
    let mut inner = schema.take();
    let description = inner.as_object_mut().and_then(|inner| inner.remove("description"));
    *schema = json!({"anyOf": [inner, {"type": "string", "pattern": "\\$"}]});
    if let Some(description) = description {
        schema["description"] = description;
    }
}
