//! Values as users write them in profiles and chaos plans: durations, rates, think times, URLs.
//!
//! Owns their reading through serde and their JSON Schema; the text forms themselves are `units`'.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::units::{Micros, parse_duration, parse_rate, parse_share};
use crate::yaml::{At, text_of};

/// `250ms`, `10s`, `1m30s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Micros);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        text_of(deserializer, "a duration such as `250ms` or `1m30s`", parse_duration).map(Duration)
    }
}

/// `50/s`, `30/m`; operations per second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

/// `90%`, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(pub f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        text_of(deserializer, "a share such as `90%`", parse_share).map(Share)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        text_of(deserializer, "a rate such as `50/s` or `30/m`", parse_rate).map(Rate)
    }
}

/// `1s`, or `1s..3s`: uniform between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub least: Micros,
    pub most: Micros,
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Range, D::Error> {
        text_of(deserializer, "a duration such as `1s`, or a range such as `1s..3s`", parse_range)
    }
}

fn parse_range(text: &str) -> Result<Range, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let range = Range { least: parse_duration(least)?, most: parse_duration(most)? };
    if range.least > range.most {
        return Err(format!("`{text}` ends before it begins\nwrite it as `{most}..{least}`"));
    }
    Ok(range)
}

/// One text or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMore(pub Vec<At<String>>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMore, D::Error> {
        deserializer.deserialize_any(Several).map(OneOrMore)
    }
}

/// Reads a list of texts.
pub(crate) struct Several;

impl<'de> Visitor<'de> for Several {
    type Value = Vec<At<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<At<String>>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        if all.is_empty() { Err(A::Error::custom("the list is empty")) } else { Ok(all) }
    }
}

/// Accepted statuses: `200`, `"2xx"` or a list of them; both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub Vec<(u16, u16)>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Statuses, D::Error> {
        deserializer.deserialize_any(StatusVisitor)
    }
}

struct StatusVisitor;

impl<'de> Visitor<'de> for StatusVisitor {
    type Value = Statuses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status such as `200` or `2xx`, or a list of them")
    }

    fn visit_u64<E: Error>(self, n: u64) -> Result<Statuses, E> {
        self.visit_str(&n.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Statuses, E> {
        parse_status(text).map(|s| Statuses(vec![s])).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Statuses, A::Error> {
        let mut all = Vec::new();
        while let Some(Status(one)) = seq.next_element()? {
            all.push(one);
        }
        Ok(Statuses(all))
    }
}

/// One element of a list of statuses.
struct Status((u16, u16));

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Status, D::Error> {
        text_of(deserializer, "a status such as `200` or `2xx`", parse_status).map(Status)
    }
}

fn parse_status(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("`{text}` is no HTTP status: write it like `201` or `2xx`");
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|c| (1..=5).contains(c)).ok_or_else(wrong)?;
        return Ok((class * 100, class * 100 + 99));
    }
    let status = text.parse().ok().filter(|s| (100..=599).contains(s)).ok_or_else(wrong)?;
    Ok((status, status))
}

/// A schema in which what is read as text may be written as a number or as a truth value, too: `limit: 50` in a query.
pub fn taking_scalars(schema: Schema) -> Value {
    let mut schema = schema.to_value();
    take_scalars(&mut schema);
    schema
}

fn take_scalars(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_narrower =
                ["enum", "const", "pattern", "format", "examples"].iter().any(|k| fields.contains_key(*k));
            match fields.get_mut("type").filter(|_| !is_narrower) {
                Some(Value::Array(kinds)) if kinds.contains(&json!("string")) => {
                    kinds.extend(["number", "boolean"].map(Value::from));
                    kinds.sort_by_key(ToString::to_string);
                    kinds.dedup();
                }
                Some(kind) if *kind == "string" => *kind = json!(["string", "number", "boolean"]),
                _ => {}
            }
            fields.values_mut().for_each(take_scalars);
        }
        Value::Array(items) => items.iter_mut().for_each(take_scalars),
        _ => {}
    }
}

macro_rules! schema {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema!(Duration, "Duration", { "type": "string", "examples": ["250ms", "10s", "1m30s"] });
schema!(Rate, "Rate", { "type": "string", "examples": ["50/s", "30/m"] });
schema!(Share, "Share", { "type": "string", "examples": ["90%", "99.9%"] });
schema!(Range, "Range", { "type": "string", "examples": ["1s", "1s..3s"] });
schema!(OneOrMore, "OneOrMore", { "type": "array", "items": { "type": "string" }, "minItems": 1 });
schema!(Statuses, "Statuses", {
    "oneOf": [
        { "type": ["integer", "string"] },
        { "type": "array", "items": { "type": ["integer", "string"] } }
    ],
    "examples": [201, "2xx", [200, 201]]
});
