//! Web requests, as they are written.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde_json::Value;

use crate::case::model::Scalar;

/// Requests to the app: a method with path and query, and how they are sent.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "requests (a mapping such as `{get: /orders/1}`)")]
#[schemars(extend("oneOf" = [
    {"required": ["get"]}, {"required": ["head"]}, {"required": ["post"]}, {"required": ["put"]},
    {"required": ["patch"]}, {"required": ["delete"]}, {"required": ["options"]}
]))]
pub struct HttpFile {
    /// Path and query. `$i` is the index of the request, from 0; what was kept of an earlier answer goes by its name.
    pub get: Option<Scalar>,
    /// Path and query.
    pub head: Option<Scalar>,
    /// Path and query.
    pub post: Option<Scalar>,
    /// Path and query.
    pub put: Option<Scalar>,
    /// Path and query.
    pub patch: Option<Scalar>,
    /// Path and query.
    pub delete: Option<Scalar>,
    /// Path and query.
    pub options: Option<Scalar>,
    /// The web actor that is asked; may be left out where there is only one.
    pub to: Option<String>,
    /// The proxy that is asked.
    pub via: Option<String>,
    /// Whose cookies are sent and kept (default `browser`).
    pub by: Option<String>,
    /// Further header fields.
    pub headers: IndexMap<String, Value>,
    /// Further cookies.
    pub cookies: IndexMap<String, Value>,
    /// A body of JSON.
    pub json: Option<Value>,
    /// A body as a form sends it.
    pub form: Option<IndexMap<String, Value>>,
    /// A body of text.
    pub body: Option<Value>,
    /// Of the last answer: name -> `status`, `body`, `header NAME` or `$.id`. The name is a reading, and `$name` in the
    /// requests of later steps.
    pub keep: IndexMap<String, String>,
    /// It is asked again until these parts of the answer have these values: `{$.state: SUCCESS}`.
    pub until: IndexMap<String, Value>,
    /// How often each caller asks (default once); with `until`, at most.
    pub times: Option<Scalar>,
    /// Virtual time between two requests, e.g. `2s`.
    pub every: Option<Scalar>,
    /// How many ask side by side (default 1); all begin at once.
    pub callers: Option<Scalar>,
    /// Real time after which a caller gives up (default 60s).
    pub within: Option<Scalar>,
}
