//! Turns a [`Node`] into the types of the language, with a place for every error, and all errors of lists and mappings.
//!
//! Serde's derives do it. What they have no word for is said by names that begin with `$`:
//! - a field `$line` is the line in the file; a field `$rest` is read from the same mapping as its struct, which leaves it
//!   all keys but its own;
//! - an enum `$a step/verb` is written as a mapping in which one key names the variant: `kill`, for some with its word
//!   (`fill: redis`) or with a list (`measure: []`). What the variant needs stands beside that key;
//! - an enum `$of` is named by the mapping's `of`, or by the mapping's own name; what it does not know is a `$reading`;
//! - a variant `$text` is a text that is none of the other variants;
//! - newtypes [`VERBATIM`] and [`PRESENT`].

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::rc::Rc;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde_json::Value;

use super::diagnostic::{Diagnostic, Unknown};
use super::node::{Key, Kind, Node};
use super::place::own_span;

/// Newtypes of this name get a scalar's characters as they stand in the file.
pub const VERBATIM: &str = "$verbatim";

/// Newtypes of this name take no empty value for null.
pub const PRESENT: &str = "$present";

/// A field that is read from the mapping of its struct.
const REST: &str = "$rest";

/// A field that is a line.
const LINE: &str = "$line";

impl std::error::Error for Diagnostic {}

impl Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
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
    let errors = Rc::default();
    let decoder = Decoder { node, key, beside: beside.to_vec(), of: None, errors: Rc::clone(&errors) };
    let result = decoder.read(PhantomData::<T>);
    let mut errors = errors.take();
    match result {
        Ok(value) if errors.is_empty() => Ok(value),
        Ok(_) => Err(errors),
        Err(error) => {
            errors.extend((!error.is_said()).then_some(error));
            Err(errors)
        }
    }
}

#[derive(Clone)]
struct Decoder<'de> {
    node: &'de Node,
    /// The key that holds it.
    key: Option<&'de Key>,
    /// Keys of the mapping that others read.
    beside: Vec<&'de str>,
    /// The enum whose variant the mapping is, and that variant.
    of: Option<(&'static str, &'de str)>,
    errors: Rc<RefCell<Vec<Diagnostic>>>,
}

impl<'de> Decoder<'de> {
    fn child(&self, key: Option<&'de Key>, node: &'de Node) -> Self {
        Self { node, key, beside: Vec::new(), of: None, errors: Rc::clone(&self.errors) }
    }

    /// Says where, unless that is known.
    fn placed(&self, error: Diagnostic) -> Diagnostic {
        let key = self.key.map(|key| key.span);
        let own = own_span(self.node);
        // An empty value has no place of its own worth pointing at.
        let value = key.filter(|_| self.node.is_absent()).unwrap_or(own);
        let holder = key.filter(|_| !matches!(self.node.kind, Kind::Scalar(_))).unwrap_or(value);
        error.or_within(value, holder)
    }

    /// What is read from it, or what is wrong with it and where.
    fn read<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Diagnostic> {
        let place = self.clone();
        seed.deserialize(self).map_err(|error| place.placed(error))
    }

    fn tell(&self, error: Diagnostic) {
        if !error.is_said() {
            self.errors.borrow_mut().push(error);
        }
    }

    /// The fields of a struct, or of a variant that a key of the mapping names.
    fn fields(&self, fields: &'static [&'static str]) -> Fields<'de> {
        let (mut queue, mut is_wrong) = (Vec::new(), false);
        for (key, node) in self.node.entries() {
            let name = key.name.as_str();
            if fields.contains(&name) {
                queue.push((key.name.as_str(), Source::Entry(key, node)));
            } else if !self.beside.contains(&name) && !fields.contains(&REST) {
                is_wrong = true;
                let known = fields.iter().copied().filter(|field| !field.starts_with('$'));
                let mut unknown = Diagnostic::new(format!("unknown key `{name}`")).at(key.span);
                unknown = unknown.suggest(name, known.chain(self.beside.iter().copied()));
                unknown.unknown =
                    self.of.map(|(noun, variant)| Unknown { key: name.to_owned(), noun, variant: variant.to_owned() });
                self.tell(unknown);
            }
        }
        for field in fields.iter().copied() {
            match field {
                LINE => queue.push((field, Source::Line(self.line()))),
                field if field.starts_with(REST) => {
                    let own = fields.iter().copied().filter(|field| !field.starts_with('$'));
                    let beside = self.beside.iter().copied().chain(own).collect();
                    queue.push((field, Source::Rest(Self { beside, ..self.clone() })));
                }
                _ => {}
            }
        }
        queue.reverse();
        Fields { decoder: self.clone(), queue, value: None, is_wrong }
    }

    fn line(&self) -> usize {
        self.key.map_or_else(|| own_span(self.node), |key| key.span).line
    }

    /// The variant that a key names, and the key's own part of its name.
    fn keyed(
        &self,
        name: &'static str,
        variants: &'static [&'static str],
    ) -> Result<(&'static str, &'de Key), Diagnostic> {
        let (noun, word) = name.trim_start_matches('$').split_once('/').unwrap_or((name, "kind"));
        let head = |variant: &'static str| variant.split_once(": ").map_or(variant, |(head, _)| head);
        let mut heads: Vec<&'static str> = variants.iter().copied().map(head).collect();
        heads.dedup();
        let entries = self.node.entries();
        let named: Vec<_> = entries.iter().filter(|(key, _)| heads.contains(&key.name.as_str())).collect();
        let (key, node) = match named.as_slice() {
            [(key, node)] => (key, node),
            [] => {
                let near = |key: &&Key| super::diagnostic::nearest(&key.name, heads.iter().copied()).is_some();
                let rest =
                    || entries.iter().map(|(key, _)| key).filter(|key| !self.beside.contains(&key.name.as_str()));
                if let Some(key) =
                    rest().find(near).or_else(|| rest().next().filter(|_| rest().count() == 1 && word == "verb"))
                {
                    let mut unknown = Diagnostic::new(format!("unknown key `{}`", key.name)).at(key.span);
                    unknown.unknown = Some(Unknown { key: key.name.clone(), noun: name, variant: String::new() });
                    return Err(unknown.suggest(&key.name, heads.iter().copied()));
                }
                let help = format!("it is one of: {}", heads.join(", "));
                return Err(Diagnostic::new(format!("{noun} without a {word}")).help(help));
            }
            [(first, _), (second, _), ..] => {
                let message = format!("{noun} has one {word}: this one has {} and {}", first.name, second.name);
                return Err(Diagnostic::new(message).at(second.span).help("make two of it"));
            }
        };
        let own = variants.iter().copied().filter(|variant| head(variant) == key.name);
        let text = node.as_str();
        let is_it = |variant: &&str| match variant.split_once(": ") {
            Some((_, "[]")) => matches!(node.kind, Kind::List(_)),
            Some((_, word)) => text == Some(word),
            None => false,
        };
        if let Some(variant) = own.clone().find(is_it).or_else(|| own.clone().find(|variant| !variant.contains(": "))) {
            return Ok((variant, key));
        }
        let words = own.filter_map(|variant| variant.split_once(": ")).map(|(_, word)| word);
        let child = self.child(Some(key), node);
        Err(match text {
            Some(text) => Diagnostic::new(format!("unknown word `{text}`")).suggest(text, words).at(node.span),
            None => {
                let words: Vec<&str> = words.collect();
                child.placed(Diagnostic::mismatch(format!("expected {}, found {}", words.join(" or "), node.inline())))
            }
        })
    }
}

fn unexpected(node: &Node) -> Unexpected<'_> {
    match &node.kind {
        Kind::List(_) => Unexpected::Seq,
        Kind::Map(_) => Unexpected::Map,
        Kind::Scalar(Value::String(text)) => Unexpected::Str(text),
        Kind::Scalar(Value::Bool(value)) => Unexpected::Bool(*value),
        Kind::Scalar(Value::Number(number)) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        Kind::Scalar(_) => Unexpected::Unit,
    }
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
                let mut entries = Entries { rest: entries.iter(), decoder: &self, value: None, is_wrong: false };
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
        let mut access = self.fields(fields);
        let result = visitor.visit_map(&mut access);
        if access.is_wrong { Err(Diagnostic::said()) } else { result.map_err(|error| self.placed(error)) }
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
            (VERBATIM | PRESENT, _) => self.deserialize_any(visitor),
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
            let (variant, key) = self.keyed(name, variants).map_err(|error| self.placed(error))?;
            Variant { name: variant, text: &key.name, payload: Payload::Keyed(self, name) }
        } else {
            match (&self.node.kind, entries) {
                (Kind::Scalar(Value::String(text)), _) => {
                    let is_other = !variants.contains(&text.as_str()) && variants.contains(&"$text");
                    let payload = if is_other { Payload::Value(self) } else { Payload::Nothing };
                    Variant { name: if is_other { "$text" } else { text }, text, payload }
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

struct Items<'d, 'de> {
    rest: std::slice::Iter<'de, Node>,
    decoder: &'d Decoder<'de>,
    is_wrong: bool,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Diagnostic;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Diagnostic> {
        self.rest.next().map(|node| self.decoder.child(None, node).read(seed)).transpose()
    }

    /// Goes on after an item that is wrong.
    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, Diagnostic> {
        for node in self.rest.by_ref() {
            match self.decoder.child(None, node).read(PhantomData) {
                Ok(item) => return Ok(Some(item)),
                Err(error) => self.decoder.tell(error),
            }
            self.is_wrong = true;
        }
        Ok(None)
    }
}

struct Entries<'d, 'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    decoder: &'d Decoder<'de>,
    value: Option<&'de (Key, Node)>,
    is_wrong: bool,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Diagnostic;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Diagnostic> {
        let Some(entry) = self.rest.next() else { return Ok(None) };
        self.value = Some(entry);
        let name: BorrowedStrDeserializer<'de, Diagnostic> = BorrowedStrDeserializer::new(&entry.0.name);
        seed.deserialize(name).map(Some).map_err(|error| error.or_at(entry.0.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Diagnostic> {
        let Some((key, node)) = self.value.take() else {
            return Err(Diagnostic::new("a value was asked for before its key"));
        };
        self.decoder.child(Some(key), node).read(seed)
    }

    /// Goes on after an entry that is wrong.
    fn next_entry<K: Deserialize<'de>, V: Deserialize<'de>>(&mut self) -> Result<Option<(K, V)>, Diagnostic> {
        while let Some(name) = self.next_key()? {
            match self.next_value() {
                Ok(value) => return Ok(Some((name, value))),
                Err(error) => self.decoder.tell(error),
            }
            self.is_wrong = true;
        }
        Ok(None)
    }
}

/// Where the value of a field comes from.
enum Source<'de> {
    Entry(&'de Key, &'de Node),
    Rest(Decoder<'de>),
    Line(usize),
    Alone(Decoder<'de>),
}

struct Fields<'de> {
    decoder: Decoder<'de>,
    /// Last first.
    queue: Vec<(&'de str, Source<'de>)>,
    value: Option<Source<'de>>,
    is_wrong: bool,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Diagnostic;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Diagnostic> {
        let Some((name, source)) = self.queue.pop() else { return Ok(None) };
        self.value = Some(source);
        let name: BorrowedStrDeserializer<'de, Diagnostic> = BorrowedStrDeserializer::new(name);
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Diagnostic> {
        match self.value.take() {
            Some(Source::Entry(key, node)) => self.decoder.child(Some(key), node).read(seed),
            Some(Source::Rest(decoder) | Source::Alone(decoder)) => decoder.read(seed),
            Some(Source::Line(line)) => seed.deserialize(line.into_deserializer()),
            None => Err(Diagnostic::new("a value was asked for before its key")),
        }
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
                _ => decoder.fields(fields),
            },
            Payload::Keyed(mut decoder, noun) => {
                let head = self.name.split_once(": ").map_or(self.name, |(head, _)| head);
                if !fields.contains(&head) && !fields.contains(&REST) {
                    decoder.beside.push(head);
                }
                decoder.of = Some((noun, head));
                decoder.fields(fields)
            }
            // Whoever checks the case knows better what does not belong to it.
            Payload::Tagged(mut decoder) => {
                decoder.beside.extend(decoder.node.entries().iter().map(|(key, _)| key.name.as_str()));
                decoder.fields(fields)
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
            Payload::Keyed(..) => self.read(&[], Ignored),
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
                decoder.read(seed)
            }
            Payload::Value(decoder) => decoder.read(seed),
            Payload::Keyed(decoder, noun) => Decoder { of: Some((noun, self.name)), ..decoder }.read(seed),
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

/// A variant that has nothing of its own.
struct Ignored;

impl<'de> Visitor<'de> for Ignored {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing more")
    }

    fn visit_map<A: MapAccess<'de>>(self, _map: A) -> Result<(), A::Error> {
        Ok(())
    }
}
