//! What a step waits for.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(expecting = "a Python expression, `{held: q}` or `{quiet: web}`")]
pub enum WaitFor {
    /// Of this actor a process, of a web actor a thread, that reached a hold.
    #[serde(rename = "held")]
    Held(String),
    /// Of this web actor, each request under way is held, or waits for another.
    #[serde(rename = "quiet")]
    Quiet(String),
    /// A Python expression that becomes true, evaluated apart from all measurements, again and again.
    #[serde(rename = "$text")]
    #[schemars(untagged)]
    Until(String),
}
