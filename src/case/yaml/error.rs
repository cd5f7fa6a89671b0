//! What serde says of a value, in the words of the language.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use super::diagnostic::Diagnostic;

/// What is wrong with a value and how it is put right, on its way through serde.
pub fn refused<E: de::Error>(wrong: impl Into<Diagnostic>) -> E {
    E::custom(wrong.into())
}

impl std::error::Error for Diagnostic {}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_help())
    }
}

impl de::Error for Diagnostic {
    fn custom<T: Display>(message: T) -> Self {
        Self::of_text(&message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // Serde's own words for its own types.
        let (expected, is_count) = match expected.to_string().as_str() {
            "a string" => ("a text".to_owned(), false),
            "a sequence" => ("a list".to_owned(), false),
            "a map" => ("a mapping".to_owned(), false),
            "u32" | "u64" => ("a count".to_owned(), true),
            "i64" => ("a count, or -1 for ever".to_owned(), true),
            other => (other.to_owned(), false),
        };
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(value) => format!("the number {value}"),
            Unexpected::Signed(value) => format!("the number {value}"),
            Unexpected::Float(value) => format!("the number {value}"),
            Unexpected::Str(value) if is_count => format!("{value:?}"),
            Unexpected::Str(value) => format!("the text `{value}`"),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        Self::mismatch(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Signed(number) if number < 0 => Self::new(format!("the count {number} is negative")),
            Unexpected::Unsigned(number) => Self::new(format!("{number} is too many")),
            found => Self::invalid_type(found, expected),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known = expected.iter().copied().filter(|word| !word.starts_with('$'));
        Self::new(format!("unknown word `{variant}`")).suggest(variant, known)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }
}
