//! Texts: as they stand in the file, and those of which only some are known.

use std::fmt;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::Value;

use super::decode::{PRESENT, VERBATIM};
use super::diagnostic::Diagnostic;
use super::error::refused;

/// A scalar's characters as they stand in the file: the version `1.10` stays `1.10`.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub struct Verbatim(pub String);

impl<'de> Deserialize<'de> for Verbatim {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Verbatim;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Verbatim, E> {
                Ok(Verbatim(text.to_owned()))
            }
        }
        deserializer.deserialize_newtype_struct(VERBATIM, Text)
    }
}

/// Reads texts by name, each as it stands in the file.
pub fn verbatim_each<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexMap<String, String>, D::Error> {
    let texts: IndexMap<String, Verbatim> = IndexMap::deserialize(deserializer)?;
    Ok(texts.into_iter().map(|(name, text)| (name, text.0)).collect())
}

/// Reads one of these words, which is `what`.
pub fn word<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
    what: &str,
    known: [&'static str; N],
) -> Result<&'static str, D::Error> {
    meaning(deserializer, what, known.map(|word| (word, word)))
}

/// Reads one of these words, which is `what`, and gives what it means.
pub fn meaning<'de, D: Deserializer<'de>, T, const N: usize>(
    deserializer: D,
    what: &str,
    known: [(&'static str, T); N],
) -> Result<T, D::Error> {
    let word = String::deserialize(deserializer)?;
    let words = known.each_ref().map(|(word, _)| *word);
    let found = known.into_iter().find(|(known, _)| *known == word).map(|(_, meaning)| meaning);
    found.ok_or_else(|| {
        let unknown = Diagnostic::new(format!("`{word}` is not {what}")).suggest(&word, words);
        refused(unknown)
    })
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
