//! Turns a [`Node`] into the types of the language, with a place for every error, and all errors of lists and mappings.
//!
//! Serde's derives do it. What they have no word for is said by names that begin with `$`:
//! - a field `$line` is the line in the file, and `$written` what is written there; a field `$rest` is read from the same
//!   mapping as its struct, which leaves it all keys but its own, and so is `$own`, which takes those that it knows;
//! - an enum `$a step/verb` is written as a mapping in which one key names the variant: `kill`, for some with its word
//!   (`fill: redis`) or with a list (`measure: []`). What the variant needs stands beside that key;
//! - an enum `$of` is named by the mapping's `of`, or by the mapping's own name; what it does not know is a `$reading`;
//! - a variant `$text` is a text that is none of the other variants, and `$list` a list;
//! - an enum of words has a name that says what they are: `a process of a cluster`;
//! - newtypes [`VERBATIM`] and [`PRESENT`].

use std::marker::PhantomData;
use std::rc::Rc;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, IntoDeserializer, VariantAccess, Visitor,
};
use serde_json::Value;

use super::access::{Entries, Fields, Items};
use super::decoder::{Decoder, REST, Source, read};
use super::diagnostic::Diagnostic;
use super::keyed::{keyed, unexpected};
use super::node::{Key, Kind, Node};

/// Newtypes of this name get a scalar's characters as they stand in the file.
pub const VERBATIM: &str = "$verbatim";

/// Newtypes of this name take no empty value for null.
pub const PRESENT: &str = "$present";

/// Reads a value from a node; of what is wrong, as much as can be told.
pub fn decode<'de, T: Deserialize<'de>>(node: &'de Node, key: Option<&'de Key>) -> Result<T, Vec<Diagnostic>> {
    decode_beside(node, key, &[])
}

/// As [`decode`], from a mapping with further keys that somebody else reads.
pub fn decode_beside<'de, T: Deserialize<'de>>(
    node: &'de Node,
    key: Option<&'de Key>,
    beside: &[&'de str],
) -> Result<T, Vec<Diagnostic>> {
    match decoded(&Decoder { beside: beside.to_vec(), ..Decoder::of(node, key) }) {
        (Some(value), errors) if errors.is_empty() => Ok(value),
        (_, errors) => Err(errors),
    }
}

/// As [`decode`], of a file: what is wrong with one key does not keep the others from being read.
pub fn decode_partly<'de, T: Deserialize<'de>>(node: &'de Node) -> (Option<T>, Vec<Diagnostic>) {
    decoded(&Decoder { is_file: true, ..Decoder::of(node, None) })
}

fn decoded<'de, T: Deserialize<'de>>(decoder: &Decoder<'de>) -> (Option<T>, Vec<Diagnostic>) {
    let errors = Rc::clone(&decoder.errors);
    let value = read(decoder.clone(), PhantomData::<T>).map_err(|error| decoder.tell(error)).ok();
    (value, errors.take())
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = Diagnostic;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Diagnostic> {
        match &self.node.kind {
            Kind::Scalar(Value::Null) => visitor.visit_unit(),
            Kind::Scalar(Value::Bool(value)) => visitor.visit_bool(*value),
            Kind::Scalar(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), _, _) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (_, _, value) => visitor.visit_f64(value.unwrap_or(f64::NAN)),
            },
            Kind::Scalar(Value::String(text)) => visitor.visit_borrowed_str(text),
            Kind::Scalar(_) => Err(Diagnostic::mismatch("expected a single value")),
            Kind::List(items) => {
                let mut items = Items { rest: items.iter(), decoder: &self, is_wrong: false };
                let result = visitor.visit_seq(&mut items);
                if items.is_wrong { Err(Diagnostic::said()) } else { result }
            }
            Kind::Map(entries) => {
                let mut entries = Entries { rest: entries, decoder: &self, value: None, is_wrong: false };
                let result = visitor.visit_map(&mut entries);
                if entries.is_wrong { Err(Diagnostic::said()) } else { result }
            }
        }
        .map_err(|error| self.placed(error))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        if !matches!(self.node.kind, Kind::Map(_)) {
            return self.deserialize_any(visitor);
        }
        let mut access = Fields::of(self.clone(), fields);
        let result = visitor.visit_map(&mut access);
        if access.is_wrong && !self.is_file {
            Err(Diagnostic::said())
        } else {
            result.map_err(|error| self.placed(error))
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Diagnostic> {
        match &self.node.kind {
            Kind::Scalar(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        match (name, &self.node.kind) {
            (VERBATIM, Kind::Scalar(Value::Number(_) | Value::Bool(_))) => {
                visitor.visit_borrowed_str(&self.node.text).map_err(|error| self.placed(error))
            }
            (PRESENT, _) if self.node.is_absent() => {
                let error = Diagnostic::new("nothing stands there").help("write `null` where null is meant");
                Err(self.placed(error))
            }
            (VERBATIM, _) => self.deserialize_any(visitor),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        let place = self.clone();
        let entries = self.node.entries();
        let access = if name == "$of" {
            let tag = match self.node.get("of") {
                Some(tag) => tag.as_str().ok_or_else(|| {
                    self.child(None, tag)
                        .placed(de::Error::invalid_type(unexpected(tag), &"a measurement or a reading"))
                })?,
                None => self.key.map_or("", |key| key.name.as_str()),
            };
            let name = variants.iter().copied().find(|variant| *variant == tag).unwrap_or("$reading");
            Variant { name, text: tag, payload: Payload::Tagged(self) }
        } else if name.starts_with('$') {
            if !matches!(self.node.kind, Kind::Map(_)) {
                return Err(self.placed(de::Error::invalid_type(unexpected(self.node), &visitor)));
            }
            let (variant, key) = keyed(self.node, &self.beside, name, variants).map_err(|error| self.placed(error))?;
            Variant { name: variant, text: &key.name, payload: Payload::Keyed(self, name) }
        } else {
            match (&self.node.kind, entries) {
                (Kind::Scalar(Value::String(text)), _) => {
                    if name.contains(' ') && !variants.contains(&text.as_str()) {
                        let unknown = Diagnostic::new(format!("`{text}` is not {name}"));
                        return Err(self.placed(unknown.suggest(text, variants.iter().copied())));
                    }
                    let is_other = !variants.contains(&text.as_str()) && variants.contains(&"$text");
                    let payload = if is_other { Payload::Value(self) } else { Payload::Nothing };
                    Variant { name: if is_other { "$text" } else { text }, text, payload }
                }
                (Kind::List(_), _) if variants.contains(&"$list") => {
                    Variant { name: "$list", text: "", payload: Payload::Value(self) }
                }
                (_, [(key, value)]) => {
                    if !variants.contains(&key.name.as_str()) {
                        let known = variants.iter().copied().filter(|word| !word.starts_with('$'));
                        let unknown = Diagnostic::new(format!("unknown key `{}`", key.name)).at(key.span);
                        return Err(unknown.suggest(&key.name, known));
                    }
                    Variant { name: &key.name, text: &key.name, payload: Payload::Value(self.child(Some(key), value)) }
                }
                (_, [(first, _), (second, _), ..]) => {
                    let message = format!("expected one of these: `{}` and `{}`", first.name, second.name);
                    return Err(Diagnostic::new(message).at(second.span));
                }
                _ => return Err(self.placed(de::Error::invalid_type(unexpected(self.node), &visitor))),
            }
        };
        visitor.visit_enum(access).map_err(|error| place.placed(error))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// What a variant is read from.
enum Payload<'de> {
    Nothing,
    /// The value that is written for it.
    Value(Decoder<'de>),
    /// The mapping in which one key names it.
    Keyed(Decoder<'de>, &'static str),
    /// The mapping whose `of` names it.
    Tagged(Decoder<'de>),
}

struct Variant<'de> {
    name: &'de str,
    text: &'de str,
    payload: Payload<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Diagnostic;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Diagnostic> {
        let name: StrDeserializer<'_, Diagnostic> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> Variant<'de> {
    /// A mapping that is read with these fields.
    fn read<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Diagnostic> {
        let mut access = match self.payload {
            Payload::Nothing => return Err(Diagnostic::new(format!("`{}` needs a value", self.name))),
            // A field of its own needs no name.
            Payload::Value(decoder) => match fields {
                [only] => {
                    let queue = vec![(*only, Source::Alone(decoder.clone()))];
                    Fields { decoder, queue, value: None, is_wrong: false }
                }
                _ => Fields::of(decoder, fields),
            },
            Payload::Keyed(mut decoder, noun) => {
                let head = self.name.split_once(": ").map_or(self.name, |(head, _)| head);
                if !fields.contains(&head) && !fields.contains(&REST) {
                    decoder.beside.push(head);
                }
                decoder.of = Some((noun, head));
                Fields::of(decoder, fields)
            }
            // Whoever checks the case knows better what does not belong to it.
            Payload::Tagged(mut decoder) => {
                decoder.beside.extend(decoder.node.entries().iter().map(|(key, _)| key.name.as_str()));
                Fields::of(decoder, fields)
            }
        };
        let decoder = access.decoder.clone();
        let result = visitor.visit_map(&mut access);
        if access.is_wrong { Err(Diagnostic::said()) } else { result.map_err(|error| decoder.placed(error)) }
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Diagnostic;

    fn unit_variant(self) -> Result<(), Diagnostic> {
        match self.payload {
            Payload::Nothing | Payload::Tagged(_) => Ok(()),
            Payload::Value(decoder) => Err(decoder.placed(Diagnostic::new(format!("`{}` takes no value", self.name)))),
            Payload::Keyed(..) => self.read(&[], IgnoredAny).map(drop),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Diagnostic> {
        match self.payload {
            Payload::Nothing => Err(Diagnostic::new(format!("`{}` needs a value", self.name))),
            Payload::Tagged(_) if self.name.starts_with('$') => {
                let text: StrDeserializer<'_, Diagnostic> = self.text.into_deserializer();
                seed.deserialize(text)
            }
            Payload::Tagged(mut decoder) => {
                decoder.beside.extend(decoder.node.entries().iter().map(|(key, _)| key.name.as_str()));
                read(decoder, seed)
            }
            Payload::Value(decoder) => read(decoder, seed),
            Payload::Keyed(decoder, noun) => read(Decoder { of: Some((noun, self.name)), ..decoder }, seed),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Diagnostic> {
        self.read(&[], visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        self.read(fields, visitor)
    }
}
