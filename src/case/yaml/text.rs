//! Texts, as they stand in the file.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::Value;

use super::decode::{PRESENT, VERBATIM};

/// A scalar's characters as they stand in the file: the version `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub struct Verbatim(pub String);

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_written(deserializer, "a text").map(Self)
    }
}

/// Reads a scalar's characters as they stand in the file, which are what is expected.
pub fn as_written<'de, D: Deserializer<'de>>(deserializer: D, expected: &'static str) -> Result<String, D::Error> {
    struct Text(&'static str);
    impl Visitor<'_> for Text {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    deserializer.deserialize_newtype_struct(VERBATIM, Text(expected))
}

/// Reads texts by name, each as it stands in the file.
pub fn verbatim_each<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, String>, D::Error> {
    let texts: IndexMap<String, Verbatim> = IndexMap::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|(name, text)| (name, text.0)).collect())
}

/// A word of the language, as it is written.
pub fn word(of: impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Reads any value but an empty one: a null is written.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    struct Any;
    impl<'de> Visitor<'de> for Any {
        type Value = Value;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value")
        }
        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
            Value::deserialize(deserializer)
        }
    }
    deserializer.deserialize_newtype_struct(PRESENT, Any)
}
