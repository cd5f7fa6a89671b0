//! Lists, mappings and structs, part by part: what is wrong with one does not keep the others from being read.

use std::marker::PhantomData;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{Deserialize, DeserializeSeed, IntoDeserializer as _, MapAccess, SeqAccess};

use super::decoder::{Decoder, Source, read};
use super::diagnostic::Diagnostic;
use super::node::{Key, Node};
use super::shape;

/// The items of a list.
pub struct Items<'d, 'de> {
    pub rest: std::slice::Iter<'de, Node>,
    pub decoder: &'d Decoder<'de>,
    pub is_wrong: bool,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Diagnostic;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Diagnostic> {
        self.rest.next().map(|node| read(self.decoder.child(None, node), seed)).transpose()
    }

    /// Goes on after an item that is wrong.
    fn next_element<T: Deserialize<'de>>(&mut self) -> Result<Option<T>, Diagnostic> {
        for node in self.rest.by_ref() {
            match read(self.decoder.child(None, node), PhantomData) {
                Ok(item) => return Ok(Some(item)),
                Err(error) => self.decoder.tell(error),
            }
            self.is_wrong = true;
        }
        Ok(None)
    }
}

/// The entries of a mapping, without those that others read.
pub struct Entries<'d, 'de> {
    pub rest: &'de [(Key, Node)],
    pub decoder: &'d Decoder<'de>,
    pub value: Option<&'de (Key, Node)>,
    pub is_wrong: bool,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Diagnostic;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Diagnostic> {
        let is_own = |(key, _): &&(Key, Node)| !self.decoder.beside.contains(&key.name.as_str());
        let Some(next) = self.rest.iter().position(|entry| is_own(&entry)) else { return Ok(None) };
        let entry = &self.rest[next];
        (self.value, self.rest) = (Some(entry), &self.rest[next + 1..]);
        let name: BorrowedStrDeserializer<'de, Diagnostic> = BorrowedStrDeserializer::new(&entry.0.name);
        seed.deserialize(name).map(Some).map_err(|error| error.or_at(entry.0.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Diagnostic> {
        let Some((key, node)) = self.value.take() else {
            return Err(Diagnostic::new("a value was asked for before its key"));
        };
        read(self.decoder.child(Some(key), node), seed)
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

/// The fields of a struct.
pub struct Fields<'de> {
    pub decoder: Decoder<'de>,
    /// Last first.
    pub queue: Vec<(&'de str, Source<'de>)>,
    pub value: Option<Source<'de>>,
    pub is_wrong: bool,
}

impl<'de> Fields<'de> {
    /// Those of this mapping.
    pub fn of(decoder: Decoder<'de>, fields: &'static [&'static str]) -> Self {
        let (queue, is_wrong) = decoder.fields(fields);
        Self { decoder, queue, value: None, is_wrong }
    }
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
            Some(Source::Entry(key, node)) => read(self.decoder.child(Some(key), node), seed),
            Some(Source::Rest(decoder) | Source::Alone(decoder)) => read(decoder, seed),
            Some(Source::Line(line)) => seed.deserialize(line.into_deserializer()),
            Some(Source::Written(text)) => seed.deserialize(text.into_deserializer()),
            None => Err(Diagnostic::new("a value was asked for before its key")),
        }
    }

    /// Goes on after a value that is wrong, where something can stand in for it.
    fn next_value<V: Deserialize<'de>>(&mut self) -> Result<V, Diagnostic> {
        self.next_value_seed(PhantomData).or_else(|error| {
            let Some(value) = shape::stand_in() else { return Err(error) };
            self.is_wrong = true;
            self.decoder.tell(error);
            Ok(value)
        })
    }
}
