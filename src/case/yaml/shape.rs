//! What a type of the language takes, as its derive knows it: the names of variants and of fields.

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer, U64Deserializer, UnitDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, VariantAccess,
    Visitor,
};

use super::diagnostic::Diagnostic;

/// The keys of a struct.
pub fn fields<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    names::<T>(None)
}

/// The names of an enum's variants.
pub fn variants<'de, T: Deserialize<'de>>() -> Vec<&'static str> {
    names::<T>(None)
}

/// The keys of a variant.
pub fn fields_of<'de, T: Deserialize<'de>>(variant: &str) -> Vec<&'static str> {
    names::<T>(Some(variant))
}

/// Any value of a type, where it has one that is easily made: it stands in for one that is wrong, so that what comes after
/// it can be read.
pub fn stand_in<'de, T: Deserialize<'de>>() -> Option<T> {
    let nothing = T::deserialize(UnitDeserializer::<Diagnostic>::new());
    let empty = || T::deserialize(MapDeserializer::<_, Diagnostic>::new(std::iter::empty::<((), ())>()));
    let none = || T::deserialize(SeqDeserializer::<_, Diagnostic>::new(std::iter::empty::<()>()));
    let text = || T::deserialize(StrDeserializer::<Diagnostic>::new(""));
    let number = || T::deserialize(U64Deserializer::<Diagnostic>::new(1));
    let word = |error| {
        let first = variants::<T>().first().copied().ok_or(error)?;
        T::deserialize(Shape { variant: Some(first), found: &mut Vec::new() })
    };
    nothing.or_else(|_| empty()).or_else(|_| none()).or_else(|_| text()).or_else(|_| number()).or_else(word).ok()
}

fn names<'de, T: Deserialize<'de>>(variant: Option<&str>) -> Vec<&'static str> {
    let mut found = Vec::new();
    // Nothing is read: the shape is told before the first value.
    let _ = T::deserialize(Shape { variant, found: &mut found });
    found
}

struct Shape<'s> {
    variant: Option<&'s str>,
    found: &'s mut Vec<&'static str>,
}

impl Shape<'_> {
    fn fields<'de, V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Diagnostic> {
        self.found.extend(fields.iter().filter(|field| !field.starts_with('$')));
        let rest = fields.iter().find(|field| field.starts_with("$rest"));
        visitor.visit_map(Rest { name: rest.copied(), found: self.found })
    }
}

/// The field that is read from the mapping of its struct.
struct Rest<'s> {
    name: Option<&'static str>,
    found: &'s mut Vec<&'static str>,
}

impl<'de> MapAccess<'de> for Rest<'_> {
    type Error = Diagnostic;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Diagnostic> {
        let name: Option<StrDeserializer<'_, Diagnostic>> = self.name.take().map(IntoDeserializer::into_deserializer);
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Diagnostic> {
        seed.deserialize(Shape { variant: None, found: self.found })
    }
}

fn told<T>() -> Result<T, Diagnostic> {
    Err(Diagnostic::custom("its shape is known"))
}

impl<'de> Deserializer<'de> for Shape<'_> {
    type Error = Diagnostic;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Diagnostic> {
        told()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Diagnostic> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        self.fields(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        if self.variant.is_some() {
            return visitor.visit_enum(self);
        }
        self.found.extend(variants);
        told()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Shape<'_> {
    type Error = Diagnostic;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Diagnostic> {
        let name: StrDeserializer<'_, Diagnostic> = self.variant.unwrap_or_default().into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Shape<'_> {
    type Error = Diagnostic;

    fn unit_variant(self) -> Result<(), Diagnostic> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Diagnostic> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _visitor: V) -> Result<V::Value, Diagnostic> {
        told()
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Diagnostic> {
        self.fields(fields, visitor)
    }
}
