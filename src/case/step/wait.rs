//! What a step waits for.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(expecting = "a Python expression, `{held: q}` or `{quiet: web}`")]
pub enum WaitFor {
    /// A Python expression that becomes true, evaluated apart from all measurements, again and again.
    #[serde(rename = "$text")]
    Until {
        /// The expression.
        expression: String,
    },
    /// A process, of a web actor a thread, that reached a hold.
    #[serde(rename = "held")]
    Held {
        /// The actor.
        actor: String,
    },
    /// Of a web actor: each request under way is held, or waits for another.
    #[serde(rename = "quiet")]
    Quiet {
        /// The actor.
        actor: String,
    },
}

impl JsonSchema for WaitFor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "WaitFor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let actor = |key: &str| {
            let named = serde_json::json!({key: {"type": "string"}});
            serde_json::json!({"type": "object", "properties": named, "required": [key], "additionalProperties": false})
        };
        schemars::json_schema!({"anyOf": [{"type": "string"}, actor("held"), actor("quiet")]})
    }
}
