//! The JSON Schema of the case language, for editors.

use super::file::CaseFile;

/// The schema as `cases/case.schema.json` holds it.
pub fn text() -> String {
    let schema = schemars::schema_for!(CaseFile);
    let mut text = serde_json::to_string_pretty(schema.as_value()).unwrap_or_default();
    text.push('\n');
    text
}
