//! The profile as its user writes it: target, data, setup, shapes, objectives.
//!
//! Owns the form of `profiles/*.yaml` and its JSON Schema. Whether names fit together, and what it
//! all amounts to, is for `experiment`.

mod judge;
mod shape;
mod step;
mod target;

use schemars::JsonSchema;
use serde::Deserialize;

pub use judge::Judge;
pub use shape::{Arrival, Bursts, Closed, Constant, Poisson, Shape, Stage, Stages};
pub use step::{BodyCheck, BodyChecks, Capture, Choice, Expect, ForEach, Group, JsonCheck, Repeat, Step};
pub use target::{Auth, Jwt, Sandbox, Target};

use crate::written::{Duration, taking_scalars};
use crate::yaml::{self, At, Document, Entries, Env, Places, Secrecy};

/// A workload: who calls what, how often, and what must hold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a profile: keys with their values")]
pub struct Profile {
    /// Where the requests go: `sandbox`, `{sandbox: {...}}`, a URL, or a list of URLs of one service.
    #[schemars(required)]
    pub target: Option<At<Target>>,
    /// How long the load lasts.
    #[schemars(required)]
    pub duration: Option<At<Duration>>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: Entries<At<String>>,
    /// What every request identifies itself with.
    pub auth: Option<Auth>,
    /// The target's own metrics, read while the load runs; objectives use them as `target.NAME`.
    pub metrics: Option<Metrics>,
    /// Values made anew for every arrival; templates use them as `data.NAME`.
    #[serde(default)]
    pub data: Entries<At<Data>>,
    /// Done once before the load, unmeasured.
    pub setup: Option<Setup>,
    /// Done after the load, whatever happened.
    pub teardown: Option<Teardown>,
    /// Kinds of traffic, by name.
    #[serde(default)]
    #[schemars(required)]
    pub shapes: Entries<At<Shape>>,
    /// How verdicts are reached, where the chaos plan does not say.
    #[serde(default)]
    pub judge: Judge,
    /// What must hold, such as `p99(create_room) < 300ms during store_slow`.
    #[serde(default)]
    pub objectives: Vec<At<String>>,
}

/// Where the target shows its metrics.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a path and how often to read it: `{path: /metrics, every: 2s}`")]
pub struct Metrics {
    pub path: At<String>,
    /// How often they are read; 2 s if not given.
    pub every: Option<At<Duration>>,
}

/// A source of values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// 1, 2, 3: a whole number that grows with every arrival.
    Sequence(Sequence),
    /// The next one each time, round and round.
    List(Vec<serde_json::Value>),
    /// One of them at random.
    Pick(Vec<serde_json::Value>),
    /// A whole number at random, both ends included.
    Random(Random),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "where the sequence starts: `{start: 1}`")]
pub struct Sequence {
    /// 0 if not given.
    #[serde(default)]
    pub start: i64,
    /// 1 if not given.
    pub step: Option<i64>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "two ends: `{from: 1, to: 100}`")]
pub struct Random {
    pub from: i64,
    pub to: i64,
}

/// Steps before the load.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "steps: `{steps: [...]}`")]
pub struct Setup {
    /// How long all of it may take; 60 s if not given.
    pub within: Option<At<Duration>>,
    /// How often one request is tried again; 3 if not given.
    pub retries: Option<u32>,
    pub steps: Vec<At<Step>>,
}

/// Steps after the load.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "steps: `{steps: [...]}`")]
pub struct Teardown {
    /// How long all of it may take; 20 s if not given.
    pub within: Option<At<Duration>>,
    pub steps: Vec<At<Step>>,
}

/// Reads a profile; everything that is wrong with its form is in the document's problems.
pub fn read(path: &str, text: &str, env: &Env) -> Document<Profile> {
    let mut document =
        yaml::read(path, text, env, Places { secrecy, templates: |path| is_sent(inside(path)) });
    let keys = ["links", "services", "steady", "abort", "timeline"];
    yaml::elsewhere(&mut document.problems, &keys, "it stands in a chaos plan: `--chaos PLAN`");
    document
}

/// Tokens and keys are secrets whoever wrote them; other things that a request carries and that its answer is compared
/// with, where the environment filled them in.
fn secrecy(path: &[&str]) -> Secrecy {
    let last = path.last().map(|k| k.to_ascii_lowercase()).unwrap_or_default();
    let secret_header = matches!(last.as_str(), "authorization" | "proxy-authorization" | "cookie");
    if path.first() == Some(&"auth") && matches!(last.as_str(), "token" | "bearer" | "key") {
        return Secrecy::Secret;
    }
    if secret_header && path.contains(&"headers") {
        return Secrecy::Secret;
    }
    if matches!(path, ["target", ..] | ["metrics", "path"]) {
        return Secrecy::BehindHost;
    }
    let looked_for = |path: &[&str]| path.iter().any(|key| ["expect", "capture", "items"].contains(key));
    let inside = inside(path);
    let carried = matches!(path.first(), Some(&"auth" | &"data")) || is_sent(inside) || looked_for(inside);
    if carried { Secrecy::IfFilled } else { Secrecy::Open }
}

/// The path below the names that a profile gives.
fn inside<'p, 'k>(path: &'p [&'k str]) -> &'p [&'k str] {
    match path.first() {
        Some(&"shapes") => path.get(2..).unwrap_or_default(),
        Some(&"setup" | &"teardown" | &"auth") => &path[1..],
        Some(&"headers") => path,
        _ => &[],
    }
}

/// A part of a request, or what its answer is compared with: it may be a template.
fn is_sent(path: &[&str]) -> bool {
    let parts = [
        "get", "post", "put", "patch", "delete", "head", "options", "path", "query", "headers", "json",
        "form", "body", "bearer", "claims", "if",
    ];
    let compared = ["contains", "equals", "above", "at_least", "below", "at_most"];
    match path.iter().find(|key| **key == "expect" || parts.contains(key)) {
        Some(&"expect") => path.last().is_some_and(|last| compared.contains(last)),
        found => found.is_some(),
    }
}

/// The JSON Schema of profiles, for editors.
pub fn schema() -> serde_json::Value {
    taking_scalars(schemars::schema_for!(Profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_gives_to_requests_and_to_what_is_made_of_answers_is_secret() {
        let step = |keys: &str| format!("shapes: {{s: {{flow: [{{{keys}}}]}}}}");
        let rows = [
            (step("get: \"/${IT}\""), true),
            (step("get: /, query: {key: \"${IT}\"}"), true),
            (step("get: /, expect: {body: {matches: \"^(ok|${IT})\"}}"), true),
            (step("get: /, expect: {body: [{not: {matches: \"${IT}\"}}]}"), true),
            (step("get: /, expect: {body: {exists: \"$.${IT}\"}}"), true),
            (step("get: /, capture: {a: \"$.${IT}\"}"), true),
            (step("get: /, items: \"$.${IT}\""), true),
            (step("get: /, as: \"${IT}\""), false),
            (step("think: \"${IT}\""), false),
            ("metrics: {path: \"/metrics?key=${IT}\"}".to_owned(), true),
            ("metrics: {every: \"${IT}\"}".to_owned(), false),
            ("target: \"http://h:80/${IT}\"".to_owned(), true),
            ("target: [\"http://${IT}:80/a\"]".to_owned(), false),
            ("duration: \"${IT}\"".to_owned(), false),
        ];
        let env: Env = [("IT".to_owned(), "given".to_owned())].into();
        for (text, secret) in rows {
            let secrets = read("p.yaml", &text, &env).secrets;
            assert_eq!(secrets, if secret { vec!["given"] } else { vec![] }, "{text}");
        }
    }
}
