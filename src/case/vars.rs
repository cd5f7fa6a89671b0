//! `$name` and `${name}`.

use indexmap::IndexMap;
use serde_json::Value;

use super::diagnostic::Diagnostic;

/// The variable that always exists: the address of the arm's Redis.
pub const REDIS: &str = "redis";

/// What `$redis` stands for. An arm's processes run in the arm's folder, where its socket is.
pub const REDIS_URL: &str = "unix:///proc/self/cwd/redis.sock";

/// Puts variables into every text of a value. A text that is one variable becomes its value, with
/// its type; `$$` is a dollar; a `$` before anything but a name or `{` stays as it is.
pub fn substitute(value: &Value, vars: &IndexMap<String, Value>) -> Result<Value, Diagnostic> {
    match value {
        Value::String(text) => substitute_text(text, vars),
        Value::Array(items) => items.iter().map(|item| substitute(item, vars)).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| Ok((key.clone(), substitute(value, vars)?)))
            .collect::<Result<serde_json::Map<_, _>, _>>()
            .map(Value::Object),
        other => Ok(other.clone()),
    }
}

fn substitute_text(text: &str, vars: &IndexMap<String, Value>) -> Result<Value, Diagnostic> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let after = &rest[1..];
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
            continue;
        }
        let (name, used) = match after.strip_prefix('{') {
            Some(inner) => {
                let name = identifier(inner);
                if name.is_empty() || !inner[name.len()..].starts_with('}') {
                    return Err(Diagnostic::new("`${` without a name and `}`").help("write `$$` for a dollar"));
                }
                (name, name.len() + 3)
            }
            None => (identifier(after), identifier(after).len() + 1),
        };
        if name.is_empty() {
            out.push('$');
            rest = after;
            continue;
        }
        let value = look_up(name, vars)?;
        if used == text.len() {
            return Ok(value);
        }
        match value {
            Value::String(text) => out.push_str(&text),
            Value::Array(_) | Value::Object(_) => {
                return Err(Diagnostic::new(format!("`${name}` is a list or mapping and cannot be part of a text")));
            }
            other => out.push_str(&other.to_string()),
        }
        rest = &rest[used..];
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

fn look_up(name: &str, vars: &IndexMap<String, Value>) -> Result<Value, Diagnostic> {
    if let Some(value) = vars.get(name) {
        return Ok(value.clone());
    }
    if name == REDIS {
        return Ok(REDIS_URL.into());
    }
    let known = vars.keys().map(String::as_str).chain([REDIS]);
    Err(Diagnostic::new(format!("unknown variable `${name}`")).suggest(name, known))
}

fn identifier(text: &str) -> &str {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if starts { &text[..end] } else { "" }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(text: &str) -> Result<Value, Diagnostic> {
        let vars = IndexMap::from([("n".to_owned(), json!(3)), ("list".to_owned(), json!([1]))]);
        substitute(&text.into(), &vars)
    }

    #[test]
    fn a_text_that_is_one_variable_keeps_its_type() {
        assert_eq!(put("$n"), Ok(json!(3)));
        assert_eq!(put("${list}"), Ok(json!([1])));
        assert_eq!(put("<= $n"), Ok(json!("<= 3")));
        assert_eq!(put("${n}00"), Ok(json!("300")));
    }

    #[test]
    fn other_dollars_stay() {
        for text in ["$1", "$.id", "a$", "$", "^x$|y"] {
            assert_eq!(put(text), Ok(json!(text)));
        }
        assert_eq!(put("$$n $$"), Ok(json!("$n $")));
        assert!(put("${n").is_err() && put("${}").is_err() && put("a $list").is_err() && put("$m").is_err());
    }

    #[test]
    fn redis_is_always_known() {
        assert_eq!(put("$redis"), Ok(json!(REDIS_URL)));
    }
}
