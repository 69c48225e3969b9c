//! A step of a flow as written: a request, a pause, or a way to arrange other steps.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::written::{Duration, Range, Statuses};
use crate::yaml::{At, Entries};

/// One step: exactly one of `get`, `post`, `put`, `patch`, `delete`, `head`, `options`, `method`,
/// `think`, `repeat`, `choice`, `for_each`, `group` and `if`; the other keys belong to requests, `then` and
/// `else` to `if`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a step such as `get: /rooms` or `think: 1s`")]
pub struct Step {
    /// `GET` this path.
    pub get: Option<At<String>>,
    /// `POST` to this path.
    pub post: Option<At<String>>,
    /// `PUT` to this path.
    pub put: Option<At<String>>,
    /// `PATCH` this path.
    pub patch: Option<At<String>>,
    /// `DELETE` this path.
    pub delete: Option<At<String>>,
    /// `HEAD` of this path.
    pub head: Option<At<String>>,
    /// `OPTIONS` of this path.
    pub options: Option<At<String>>,
    /// Any other method; needs `path`.
    pub method: Option<At<String>>,
    /// Only beside `method`.
    pub path: Option<At<String>>,
    /// The operation's name in reports and objectives; the method and path if not given.
    #[serde(rename = "as")]
    pub name: Option<At<String>>,
    /// What stands after the `?`.
    pub query: Entries<At<String>>,
    /// Headers of this request, on top of the profile's.
    pub headers: Entries<At<String>>,
    /// A JSON body; a value that is exactly one `{{ expression }}` keeps its type.
    pub json: Option<At<Value>>,
    /// A form body.
    pub form: Option<Entries<At<String>>>,
    /// A body as it stands.
    pub body: Option<At<String>>,
    /// What answer counts as success; any 2xx if not given.
    pub expect: Option<Expect>,
    /// Values of the answer that later steps use, by name.
    pub capture: Entries<At<Capture>>,
    /// JSONPath of the list whose length is recorded.
    pub items: Option<At<String>>,
    /// How long this request may take, instead of the shape's.
    pub timeout: Option<At<Duration>>,
    /// Wait: `1s`, or `1s..3s` for a random time in between.
    pub think: Option<At<Range>>,
    /// The same steps several times.
    pub repeat: Option<At<Repeat>>,
    /// One of several branches, drawn by weight.
    pub choice: Option<At<Vec<Choice>>>,
    /// The steps once for each element of a captured list.
    pub for_each: Option<At<ForEach>>,
    /// Several steps that are one operation.
    pub group: Option<At<Group>>,
    /// One expression, such as `"{{ size | int > 10 }}"`: the steps after `then` if it is true, else those after
    /// `else`.
    #[serde(rename = "if")]
    pub condition: Option<At<String>>,
    /// Steps, beside `if`.
    pub then: Option<At<Vec<At<Step>>>>,
    /// Steps, beside `if`; none if not given.
    #[serde(rename = "else")]
    pub otherwise: Option<At<Vec<At<Step>>>>,
}

/// What counts as success.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "what to expect: `{status: 201}` or `{body: {exists: $.id}}`")]
pub struct Expect {
    /// `201`, `\"2xx\"`, or a list; 2xx if not given.
    pub status: Option<Statuses>,
    /// What the body must show; of a list, all of it.
    #[serde(default)]
    pub body: BodyChecks,
}

/// One check or a list of them.
#[derive(Clone, Debug, Default)]
pub struct BodyChecks(pub Vec<BodyCheck>);

impl<'de> Deserialize<'de> for BodyChecks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BodyChecks, D::Error> {
        deserializer.deserialize_any(BodyChecksVisitor)
    }
}

struct BodyChecksVisitor;

impl<'de> Visitor<'de> for BodyChecksVisitor {
    type Value = BodyChecks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a check such as `{exists: $.id}`, or a list of them")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BodyChecks, A::Error> {
        BodyCheck::deserialize(MapAccessDeserializer::new(map)).map(|check| BodyChecks(vec![check]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<BodyChecks, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(BodyChecks(all))
    }
}

impl JsonSchema for BodyChecks {
    fn schema_name() -> Cow<'static, str> {
        "BodyChecks".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<BodyCheck>();
        json_schema!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// A check of the answer's body.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BodyCheck {
    /// The body has this text in it.
    Contains(At<String>),
    /// The regular expression matches somewhere in the body.
    Matches(At<String>),
    /// The JSONPath's first match compared with a value.
    Json(Box<JsonCheck>),
    /// The JSONPath matches something.
    Exists(At<String>),
    /// The JSONPath matches nothing.
    Absent(At<String>),
    /// The check inside fails.
    Not(Box<BodyCheck>),
}

/// A path and one comparison.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a path and a value: `{path: $.name, equals: x}`")]
pub struct JsonCheck {
    /// JSONPath (RFC 9535).
    pub path: At<String>,
    /// Compared as text.
    pub equals: Option<At<String>>,
    /// A regular expression that matches somewhere in the value's text.
    pub matches: Option<At<String>>,
    /// The value is a number above this one.
    pub above: Option<At<String>>,
    /// The value is this number or one above it.
    pub at_least: Option<At<String>>,
    /// The value is a number below this one.
    pub below: Option<At<String>>,
    /// The value is this number or one below it.
    pub at_most: Option<At<String>>,
}

/// `$.id`, `{all: $.rooms[*].name}` or `{header: ETag}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The JSONPath's first match.
    First(String),
    /// All matches, as a list.
    All(String),
    Header(String),
}

/// The long forms of a capture.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "`all` or `header`")]
struct CaptureTable {
    all: Option<String>,
    header: Option<String>,
}

impl<'de> Deserialize<'de> for Capture {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Capture, D::Error> {
        deserializer.deserialize_any(CaptureVisitor)
    }
}

struct CaptureVisitor;

impl<'de> Visitor<'de> for CaptureVisitor {
    type Value = Capture;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSONPath such as `$.id`, `{all: $.rooms[*].name}` or `{header: ETag}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Capture, E> {
        Ok(Capture::First(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Capture, A::Error> {
        match CaptureTable::deserialize(MapAccessDeserializer::new(map))? {
            CaptureTable { all: Some(path), header: None } => Ok(Capture::All(path)),
            CaptureTable { all: None, header: Some(name) } => Ok(Capture::Header(name)),
            _ => Err(A::Error::custom("a capture takes exactly one of `all` and `header`")),
        }
    }
}

impl JsonSchema for Capture {
    fn schema_name() -> Cow<'static, str> {
        "Capture".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<CaptureTable>();
        json_schema!({ "oneOf": [{ "type": "string", "examples": ["$.id"] }, table] })
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "how often and what: `{times: 3, steps: [...]}`")]
pub struct Repeat {
    pub times: At<u64>,
    /// So many at a time; only in setup and teardown.
    pub parallel: Option<At<u32>>,
    pub steps: Vec<At<Step>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a branch: `{weight: 3, steps: [...]}`")]
pub struct Choice {
    /// 1 if not given.
    pub weight: Option<At<f64>>,
    pub steps: Vec<At<Step>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a list and a name: `{in: names, as: name, steps: [...]}`")]
pub struct ForEach {
    /// A captured list.
    #[serde(rename = "in")]
    pub list: At<String>,
    /// What templates call the element.
    #[serde(rename = "as")]
    pub name: At<String>,
    pub steps: Vec<At<Step>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a name and steps: `{as: join, steps: [...]}`")]
pub struct Group {
    #[serde(rename = "as")]
    pub name: At<String>,
    pub steps: Vec<At<Step>>,
}
