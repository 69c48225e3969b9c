//! Where requests go and what they identify themselves with, as written.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::written::{Duration, Rate, Several};
use crate::yaml::At;

/// `sandbox`, `{sandbox: {...}}`, a URL, or several URLs of one service.
#[derive(Clone, Debug)]
pub enum Target {
    Sandbox(Box<Sandbox>),
    /// All of one service: loaded in turn, request by request.
    Urls(Vec<String>),
}

/// The built-in rooms service: several processes that squall starts and ends.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "settings of the sandbox: `{nodes: 2, query_cost: 1ms}`")]
pub struct Sandbox {
    /// API nodes, 2 or more; 2 if not given.
    pub nodes: Option<At<u32>>,
    /// Queries that the store works on at once; 4 if not given.
    pub workers: Option<At<u32>>,
    /// What one query costs the store; 1 ms if not given.
    pub query_cost: Option<Duration>,
    /// What each row that a query reads costs on top; 20 us if not given.
    pub row_cost: Option<Duration>,
    /// Queries that may wait in the store; 256 if not given.
    pub queue: Option<u32>,
    /// Creations that a node accepts before it answers 429; no limit if not given.
    pub create_limit: Option<Rate>,
    /// Rooms that exist from the start; none if not given.
    pub rooms: Option<u64>,
    /// How long a process takes to get ready; 500 ms if not given.
    pub start_time: Option<Duration>,
    /// One FIFO server instead of the rooms service: `{service: 1ms}`.
    pub plain: Option<Plain>,
    /// What is wrong with it: `unbounded_list`.
    #[serde(default)]
    pub flaws: Vec<At<String>>,
}

/// One server that does one job at a time, in order, and never cancels: a rig with known answers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "settings of the plain server: `{service: 1ms}`")]
pub struct Plain {
    /// Service time of a job, or its mean; 1 ms if not given.
    pub service: Option<Duration>,
    /// Exponential service times, drawn from `seed`; all the same if not given.
    #[serde(default)]
    pub exponential: bool,
    /// Seed of the service times; 1 if not given.
    pub seed: Option<u64>,
    /// Jobs that may wait before it answers 503; no limit if not given.
    pub queue: Option<u64>,
}

/// `sandbox: {...}`, the one key that a target may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "`sandbox: {...}`")]
struct SandboxTarget {
    sandbox: Sandbox,
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`sandbox`, `{sandbox: {...}}`, a URL, or a list of URLs")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
        Ok(if text == "sandbox" { Target::default() } else { Target::Urls(vec![text.to_owned()]) })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
        let target = SandboxTarget::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Target::Sandbox(Box::new(target.sandbox)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Target, A::Error> {
        let urls = Several.visit_seq(seq)?;
        Ok(Target::Urls(urls.into_iter().map(|u| u.value).collect()))
    }
}

impl Default for Target {
    fn default() -> Target {
        Target::Sandbox(Box::default())
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let sandbox = generator.subschema_for::<Sandbox>();
        json_schema!({
            "oneOf": [
                { "type": "string", "examples": ["sandbox", "http://127.0.0.1:8080"] },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                {
                    "type": "object",
                    "properties": { "sandbox": sandbox },
                    "required": ["sandbox"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// What every request identifies itself with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `authorization: Bearer ...`, the same for all or a template.
    Bearer(At<String>),
    /// An HS256 token minted for each user; `iat`, `nbf` and `exp` are added.
    Jwt(Jwt),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a key and claims: `{key: ..., claims: {...}}`")]
pub struct Jwt {
    /// At least 32 characters (RFC 7518, 3.2).
    pub key: At<String>,
    #[serde(default)]
    pub claims: Option<At<serde_json::Value>>,
    /// The header it is sent in, after `Bearer `; `authorization` if not given.
    pub header: Option<At<String>>,
    /// 1 h if not given.
    pub lifetime: Option<At<Duration>>,
}
