//! Turns a [`Node`] into the serde types of [`super::file`], with a place for every error.

use std::fmt::{self, Display};

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde_json::Value;

use super::diagnostic::{Diagnostic, Span};
use super::node::{Key, Kind, Node};

/// Newtypes of this name get a scalar's characters as they stand in the file.
pub const VERBATIM: &str = "verbatim";

impl std::error::Error for Diagnostic {}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl de::Error for Diagnostic {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(value) => format!("the number {value}"),
            Unexpected::Signed(value) => format!("the number {value}"),
            Unexpected::Float(value) => format!("the number {value}"),
            Unexpected::Str(value) => format!("the text `{value}`"),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        // Serde's own words for its own types.
        let expected = match expected.to_string().as_str() {
            "a string" => "a text".to_owned(),
            "a sequence" => "a list".to_owned(),
            "a map" => "a mapping".to_owned(),
            other => other.to_owned(),
        };
        Self::new(format!("expected {expected}, found {found}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key `{field}`")).suggest(field, expected.iter().copied())
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown word `{variant}`")).suggest(variant, expected.iter().copied())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }
}

/// Reads a value from a node.
pub fn decode<'a, T: de::Deserialize<'a>>(node: &'a Node) -> Result<T, Diagnostic> {
    T::deserialize(node)
}

fn first_span(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) => entries.first().map_or(node.span, |(key, _)| key.span),
        Kind::List(_) => Span { len: 1, ..node.span },
        Kind::Scalar(_) => node.span,
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Diagnostic;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Diagnostic> {
        match &self.kind {
            Kind::Scalar(Value::Null) => visitor.visit_unit(),
            Kind::Scalar(Value::Bool(value)) => visitor.visit_bool(*value),
            Kind::Scalar(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, value) => visitor.visit_f64(value.unwrap_or(f64::NAN)),
            },
            Kind::Scalar(Value::String(text)) => visitor.visit_borrowed_str(text),
            Kind::Scalar(_) => Err(Diagnostic::new("expected a single value")),
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        }
        .map_err(|error| error.or_at(first_span(self)))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Diagnostic> {
        match &self.kind {
            Kind::Scalar(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        match &self.kind {
            Kind::Scalar(Value::Number(_) | Value::Bool(_)) if name == VERBATIM => {
                visitor.visit_borrowed_str(&self.text)
            }
            _ if name == VERBATIM => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        match &self.kind {
            Kind::Scalar(Value::String(text)) => {
                visitor.visit_enum(Variant { name: text, span: self.span, value: None })
            }
            Kind::Map(entries) => match entries.as_slice() {
                [(key, value)] => visitor.visit_enum(Variant { name: &key.name, span: key.span, value: Some(value) }),
                [_, (second, _), ..] => {
                    Err(Diagnostic::new(format!("expected one key only, found also `{}`", second.name)).at(second.span))
                }
                [] => Err(Diagnostic::new(format!("expected one of {}", variants.join(", ")))),
            },
            _ => Err(Diagnostic::new(format!("expected one of {}", variants.join(", ")))),
        }
        .map_err(|error| error.or_at(first_span(self)))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Diagnostic;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Diagnostic> {
        self.0.next().map(|node| seed.deserialize(node)).transpose()
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    value: Option<(&'de Key, &'de Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Diagnostic;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Diagnostic> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.value = Some((key, node));
        let name: de::value::BorrowedStrDeserializer<'de, Diagnostic> =
            de::value::BorrowedStrDeserializer::new(&key.name);
        seed.deserialize(name).map(Some).map_err(|error| error.or_at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Diagnostic> {
        let Some((key, node)) = self.value.take() else {
            return Err(Diagnostic::new("a value was asked for before its key"));
        };
        // An empty value has no place of its own worth pointing at.
        let span =
            if matches!(node.kind, Kind::Scalar(Value::Null)) && node.text.is_empty() { Some(key.span) } else { None };
        seed.deserialize(node).map_err(|error| match span {
            Some(span) => error.at(span),
            None => error,
        })
    }
}

struct Variant<'de> {
    name: &'de str,
    span: Span,
    value: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Diagnostic;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Diagnostic> {
        let name: de::value::StrDeserializer<'_, Diagnostic> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|error: Diagnostic| error.or_at(self.span))?;
        Ok((value, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Diagnostic;

    fn unit_variant(self) -> Result<(), Diagnostic> {
        match self.value {
            None => Ok(()),
            Some(_) => Err(Diagnostic::new(format!("`{}` takes no value", self.name)).at(self.span)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Diagnostic> {
        match self.value {
            Some(node) => seed.deserialize(node),
            None => Err(Diagnostic::new(format!("`{}` needs a value", self.name)).at(self.span)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Diagnostic> {
        self.newtype_variant_seed(Seed(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        self.newtype_variant_seed(Seed(visitor))
    }
}

struct Seed<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Seed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_any(self.0)
    }
}
