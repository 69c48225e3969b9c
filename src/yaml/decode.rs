//! Tree to typed values through serde, again and again, each time without the part that was wrong,
//! until nothing is.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::at::AT;
use super::error::{Error, Lack};
use super::{Entry, MOST_PROBLEMS, Node, Scalar, Value};
use crate::diagnose::{Problem, Source, one_of};

/// Keys that give a name to something that others may speak of.
const NAMING: [&str; 4] = ["as", "capture", "name", "in"];

/// What was cut out of one top-level key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub key: String,
    /// Names may have gone with it.
    pub names: bool,
}

/// The value, if the root itself could be read, and what was cut out of it.
pub(super) fn decode<T: DeserializeOwned>(
    mut root: Node,
    unfilled: &[u32],
    source: &Arc<Source>,
    problems: &mut Vec<Problem>,
) -> (Option<T>, Vec<Cut>) {
    let (mut tainted, mut cuts) = (BTreeSet::new(), Vec::new());
    for &cut in unfilled {
        cuts.extend(cut_of(&root, cut));
        cut_out(&mut root, cut, &mut tainted);
    }
    loop {
        let error = match T::deserialize(In { node: &root }) {
            Ok(value) => return (Some(value), cuts),
            Err(error) => error.within(root.id).placed(root.span, root.id),
        };
        let consequence = matches!(error.lacks, Lack::Of(id) if tainted.contains(&id));
        if !consequence {
            let span = error.span.unwrap_or(root.span);
            problems.push(Problem::at(source, span, error.message).help_maybe(error.help));
        }
        let cut = error.cut.unwrap_or(root.id);
        if cut == root.id || problems.len() >= MOST_PROBLEMS {
            return (None, cuts);
        }
        cuts.extend(cut_of(&root, cut));
        cut_out(&mut root, cut, &mut tainted);
    }
}

/// Removes the entry or element with this number; its parent is tainted from then on.
fn cut_out(node: &mut Node, cut: u32, tainted: &mut BTreeSet<u32>) -> bool {
    let before = node.len();
    match &mut node.value {
        Value::Scalar(_) => return false,
        Value::List(items) => items.retain(|n| n.id != cut),
        Value::Map(entries) => entries.retain(|e| e.value.id != cut),
    }
    if node.len() < before {
        return tainted.insert(node.id);
    }
    match &mut node.value {
        Value::Scalar(_) => false,
        Value::List(items) => items.iter_mut().any(|n| cut_out(n, cut, tainted)),
        Value::Map(entries) => entries.iter_mut().any(|e| cut_out(&mut e.value, cut, tainted)),
    }
}

/// Under which top-level key it lies, and whether names go with it.
fn cut_of(root: &Node, cut: u32) -> Option<Cut> {
    let Value::Map(entries) = &root.value else { return None };
    let entry = entries.iter().find(|e| e.value.holds(cut))?;
    let direct = |node: &Node| match &node.value {
        Value::Scalar(_) => false,
        Value::List(items) => items.iter().any(|n| n.id == cut),
        Value::Map(entries) => entries.iter().any(|e| e.value.id == cut),
    };
    let names = entry.value.id == cut || direct(&entry.value) || entry.value.names_in(cut, false);
    Some(Cut { key: entry.key.text().to_owned(), names })
}

impl Node {
    fn len(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => items.len(),
            Value::Map(entries) => entries.len(),
        }
    }

    /// Whether the part with this number gives names to anything; `inside` once it was entered.
    fn names_in(&self, cut: u32, inside: bool) -> bool {
        let inside = inside || self.id == cut;
        match &self.value {
            Value::Scalar(_) => false,
            Value::List(items) => items.iter().any(|n| n.names_in(cut, inside)),
            Value::Map(entries) => entries.iter().any(|e| {
                let named = NAMING.contains(&e.key.text());
                (named && (inside || e.value.holds(cut))) || e.value.names_in(cut, inside)
            }),
        }
    }

    fn holds(&self, id: u32) -> bool {
        self.id == id
            || match &self.value {
                Value::Scalar(_) => false,
                Value::List(items) => items.iter().any(|n| n.holds(id)),
                Value::Map(entries) => entries.iter().any(|e| e.value.holds(id)),
            }
    }
}

/// The deserializer of one node.
#[derive(Clone, Copy)]
struct In<'n> {
    node: &'n Node,
}

impl<'n> In<'n> {
    fn scalar<'de, V: Visitor<'de>>(self, scalar: &Scalar, visitor: V) -> Result<V::Value, Error> {
        let text = scalar.text.as_str();
        if !scalar.plain {
            return visitor.visit_str(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => visitor.visit_unit(),
            "true" | "True" | "TRUE" => visitor.visit_bool(true),
            "false" | "False" | "FALSE" => visitor.visit_bool(false),
            _ => number_or_text(text, visitor),
        }
    }
}

/// By YAML's core schema, decimals only: words such as `1_000`, `0x1f` or `nan` stay texts.
fn number_or_text<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, Error> {
    let numeric = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'));
    if !numeric {
        return visitor.visit_str(text);
    }
    if let Ok(n) = text.parse::<u64>() {
        return visitor.visit_u64(n);
    }
    if let Ok(n) = text.parse::<i64>() {
        return visitor.visit_i64(n);
    }
    match text.parse::<f64>() {
        Ok(n) if n.is_finite() => visitor.visit_f64(n),
        _ => visitor.visit_str(text),
    }
}

/// A number or truth value is asked for: the environment may give that too.
macro_rules! typed {
    ($($method:ident)*) => { $(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match &self.node.value {
                Value::Scalar(scalar) if scalar.given => {
                    self.scalar(scalar, visitor).map_err(|e| e.within(self.node.id))
                }
                _ => self.deserialize_any(visitor),
            }
        }
    )* };
}

impl<'de> Deserializer<'de> for In<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Scalar(scalar) if scalar.given => visitor.visit_str(&scalar.text),
            Value::Scalar(scalar) => self.scalar(scalar, visitor),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter() }),
            Value::Map(entries) => visitor.visit_map(Fields { entries: entries.iter(), next: None }),
        };
        result.map_err(|e| e.within(self.node.id))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Scalar(scalar) if !self.node.is_nothing() => visitor.visit_str(&scalar.text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == AT {
            visitor.visit_seq(Place { node: self.node, step: 0 })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let result = match &self.node.value {
            Value::Scalar(_) => visitor.visit_enum(Alone { name: self.node.text() }),
            Value::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant { entry: &entries[0] }),
            _ => {
                let message = "expected one key that says which kind it is".to_owned();
                Err(Error::new(message).help(one_of(variants)).lack())
            }
        };
        result.map_err(|e| e.within(self.node.id))
    }

    /// serde would take the elements of a list for the fields, in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node.value {
            Value::List(_) => {
                let error: Error = de::Error::invalid_type(Unexpected::Seq, &visitor);
                Err(error.within(self.node.id))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    typed! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map ignored_any
    }
}

/// Start, end, value: what `At` is made of.
struct Place<'n> {
    node: &'n Node,
    step: u8,
}

impl<'de> SeqAccess<'de> for Place<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.step += 1;
        let number = |n: usize| -> U64Deserializer<Error> { (n as u64).into_deserializer() };
        match self.step {
            1 => seed.deserialize(number(self.node.span.start)).map(Some),
            2 => seed.deserialize(number(self.node.span.end)).map(Some),
            3 => seed.deserialize(In { node: self.node }).map(Some),
            _ => Ok(None),
        }
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.items.next() else { return Ok(None) };
        seed.deserialize(In { node }).map(Some).map_err(|e| e.within(node.id).placed(node.span, node.id))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'n> {
    entries: std::slice::Iter<'n, Entry>,
    next: Option<&'n Entry>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.next = Some(entry);
        let result = seed.deserialize(In { node: &entry.key }).map(Some);
        result.map_err(|e| e.placed(entry.key.span, entry.value.id))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let entry = self.next.take().ok_or_else(|| de::Error::custom("a value without its key"))?;
        seed.deserialize(In { node: &entry.value }).map_err(|e| in_entry(e, entry))
    }
}

/// What lacks something is shown at its key, everything else at the value.
fn in_entry(error: Error, entry: &Entry) -> Error {
    let nothing = entry.value.is_nothing() || error.lacks != Lack::No;
    let span = if nothing { entry.key.span } else { entry.value.span };
    error.within(entry.value.id).placed(span, entry.value.id)
}

/// `kind`, with nothing behind it.
struct Alone<'n> {
    name: &'n str,
}

impl Alone<'_> {
    fn too_little(&self) -> Error {
        let (message, help) = (
            format!("`{}` alone says too little", self.name),
            format!("write it as `{{{}: ...}}`", self.name),
        );
        Error::new(message).help(help)
    }
}

impl<'de> EnumAccess<'de> for Alone<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Alone<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(self.too_little())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(self.too_little())
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(self.too_little())
    }
}

/// `kind: {...}`: an externally tagged enum.
struct Variant<'n> {
    entry: &'n Entry,
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.entry.key.text().into_deserializer();
        match seed.deserialize(name) {
            Ok(variant) => Ok((variant, self)),
            Err(e) => Err(e.placed(self.entry.key.span, self.entry.value.id)),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        let text = self.entry.key.text();
        Err(Error::new(format!("`{text}` stands alone: write it without `:`"))
            .placed(self.entry.key.span, self.entry.value.id))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(In { node: &self.entry.value }).map_err(|e| in_entry(e, self.entry))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let inner = In { node: &self.entry.value };
        inner.deserialize_any(visitor).map_err(|e| in_entry(e, self.entry))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let inner = In { node: &self.entry.value };
        inner.deserialize_struct("", fields, visitor).map_err(|e| in_entry(e, self.entry))
    }
}
