//! The chaos plan as its user writes it: links, services, steady state, timeline, abort rules.
//!
//! Owns the form of `chaos/*.yaml` and its JSON Schema; what it amounts to is for `experiment`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::profile::Judge;
use crate::toxic::Direction;
use crate::written::{Duration, taking_scalars};
use crate::yaml::{self, At, Document, Entries, Env, Places, Secrecy};

/// What is broken, when, and how it is judged.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a chaos plan: keys with their values")]
pub struct ChaosPlan {
    /// How verdicts are reached; key by key before what a profile says.
    pub judge: Judge,
    /// Connections of the system that squall stands in, by name. The sandbox brings `api-store`.
    pub links: Entries<At<Link>>,
    /// Processes that squall starts, by name. The sandbox brings `api-1` to `api-N`, `store-a` and
    /// `store-b`.
    pub services: Entries<At<Service>>,
    /// What must hold under these faults, on top of the profile's: `errors < 5% during store_slow`.
    pub objectives: Vec<At<String>>,
    /// Must hold before the first fault.
    pub steady: Vec<At<String>>,
    /// End the run at once when they come true.
    pub abort: Vec<At<String>>,
    /// The faults.
    pub timeline: At<Vec<At<Fault>>>,
}

/// Squall listens, and passes everything on to the upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a link: `{listen: 127.0.0.1:7380, upstream: 127.0.0.1:7379}`")]
pub struct Link {
    pub listen: At<String>,
    pub upstream: At<String>,
    /// What squall sends through it to see a fault with its own eyes.
    pub canary: Option<At<Canary>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Canary {
    /// `PING` answers `PONG`.
    Redis,
    /// `GET` of this path answers.
    Http(String),
    /// These bytes are answered with those.
    Bytes(Bytes),
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "bytes: `{send: \"PING\\r\\n\", expect: PONG}`")]
pub struct Bytes {
    pub send: String,
    pub expect: String,
}

/// A process that squall starts, waits for and stops.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a service: `{start: [program, argument], ready: {tcp: ...}}`")]
pub struct Service {
    /// Program and arguments; no shell.
    pub start: At<Vec<String>>,
    #[serde(default)]
    pub env: Entries<String>,
    pub directory: Option<String>,
    pub ready: At<Ready>,
    /// How long it may take to get ready; 20 s if not given.
    pub within: Option<At<Duration>>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// `GET` of this URL answers 2xx.
    Http(At<String>),
    /// The address accepts connections.
    Tcp(At<String>),
}

/// One fault: exactly one of `latency`, `blackhole`, `down`, `pause`, `kill`, `restart`, `failover`
/// and `exec`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a fault: `{name: slow, at: 30s, for: 20s, latency: {...}}`")]
pub struct Fault {
    /// What phases are named after.
    pub name: At<String>,
    /// When, from the start of the load.
    #[schemars(required)]
    pub at: Option<At<Duration>>,
    /// How long.
    #[serde(rename = "for")]
    pub length: Option<At<Duration>>,
    /// From one repeat to the next.
    pub every: Option<At<Duration>>,
    /// How often in all; with `every`, as often as fits if not given.
    pub times: Option<At<u32>>,
    /// How long a one-shot's effect may last before `after` begins; 10 s if not given.
    pub settle: Option<At<Duration>>,
    /// `no_traffic`: the link should be quiet.
    pub expect: Option<Expect>,
    /// Hold back every chunk on a link.
    pub latency: Option<At<Latency>>,
    /// Drop what a link carries; connections stay open.
    pub blackhole: Option<At<OnLink>>,
    /// Refuse and close a link's connections.
    pub down: Option<At<OnLink>>,
    /// Stop a process where it stands (SIGSTOP).
    pub pause: Option<At<OnService>>,
    /// End a process (SIGKILL); it starts again after `for`, if there is one.
    pub kill: Option<At<OnService>>,
    /// Kill and start again at once.
    pub restart: Option<At<OnService>>,
    /// An outage of a link, and then another upstream.
    pub failover: Option<At<Failover>>,
    /// Programs that break something, repair it, and see whether it is broken.
    pub exec: Option<At<Exec>>,
    /// What is done about it, as no trigger of its own: `{after: 5s, run: [./promote, replica]}`.
    #[serde(default)]
    pub then: At<Vec<At<Action>>>,
}

/// A program that is run once while a fault goes on, or after it. Ending with 0 is success.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an action: `{after: 5s, run: [./promote, replica]}`")]
pub struct Action {
    /// How long after the fault began.
    pub after: At<Duration>,
    /// Program and arguments; no shell.
    pub run: At<Vec<String>>,
    /// Takes it back when the run ends; may be called twice.
    pub undo: Option<At<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    NoTraffic,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a link and a time: `{link: api-store, latency: 250ms}`")]
pub struct Latency {
    pub link: At<String>,
    pub latency: Duration,
    /// More or less by up to this much.
    #[serde(default)]
    pub jitter: Option<At<Duration>>,
    /// `downstream` (answers), `upstream` (requests) or `both`; downstream if not given.
    pub direction: Option<Direction>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a link: `{link: api-store}`")]
pub struct OnLink {
    pub link: At<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a service: `{service: api-1}`")]
pub struct OnService {
    pub service: At<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a failover: `{link: api-store, to: store-b, outage: 4s}`")]
pub struct Failover {
    pub link: At<String>,
    /// A service of the sandbox, or an address.
    pub to: At<String>,
    /// How long the link refuses before the other upstream answers.
    pub outage: At<Duration>,
    /// Leave it there when the run ends.
    #[serde(default)]
    pub stay: bool,
}

/// Programs with their arguments, no shell. Ending with 0 is success.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "programs: `{run: [...], undo: [...], check: [...]}`")]
pub struct Exec {
    /// Breaks it.
    pub run: At<Vec<String>>,
    /// Repairs it; may be called twice.
    pub undo: At<Vec<String>>,
    /// Ends with 0 while it is broken.
    pub check: At<Vec<String>>,
}

/// Reads a chaos plan; everything that is wrong with its form is in the document's problems.
pub fn read(path: &str, text: &str, env: &Env) -> Document<ChaosPlan> {
    let mut document = yaml::read(path, text, env, Places { secrecy, templates: |_| false });
    let keys = ["target", "duration", "headers", "auth", "metrics", "data", "setup", "teardown", "shapes"];
    yaml::elsewhere(&mut document.problems, &keys, "it stands in the profile");
    document
}

/// What is run and what is sent is secret where the environment filled it in; times and addresses are not.
fn secrecy(path: &[&str]) -> Secrecy {
    match path {
        ["services", _, "env" | "start", ..] | ["links", _, "canary", ..] => Secrecy::IfFilled,
        ["services", _, "ready", "http"] => Secrecy::BehindHost,
        _ if path.contains(&"exec") || path.contains(&"then") => Secrecy::IfFilled,
        _ => Secrecy::Open,
    }
}

/// The JSON Schema of chaos plans, for editors.
pub fn schema() -> serde_json::Value {
    taking_scalars(schemars::schema_for!(ChaosPlan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_environment_gives_to_what_is_run_and_sent_is_secret_and_times_and_addresses_are_not() {
        let rows = [
            ("links: {a: {canary: {bytes: {send: \"AUTH ${IT}\", expect: x}}}}", true),
            ("links: {a: {canary: {bytes: {send: x, expect: \"${IT}\"}}}}", true),
            ("links: {a: {canary: {http: \"/ping?key=${IT}\"}}}", true),
            ("links: {a: {listen: \"${IT}\"}}", false),
            ("services: {a: {start: [a, \"${IT}\"]}}", true),
            ("services: {a: {env: {KEY: \"${IT}\"}}}", true),
            ("services: {a: {ready: {http: \"http://h:80/ready?key=${IT}\"}}}", true),
            ("services: {a: {ready: {http: \"http://h:80/${IT}/ready\"}}}", true),
            ("services: {a: {ready: {http: \"http://${IT}:80/ready\"}}}", false),
            ("services: {a: {ready: {tcp: \"${IT}\"}}}", false),
            ("timeline: [{exec: {undo: [a, \"${IT}\"]}}]", true),
            ("timeline: [{then: [{run: [a, \"${IT}\"]}]}]", true),
            ("timeline: [{at: \"${IT}\"}]", false),
        ];
        let env: Env = [("IT".to_owned(), "given".to_owned())].into();
        for (text, secret) in rows {
            let secrets = read("c.yaml", text, &env).secrets;
            assert_eq!(secrets, if secret { vec!["given"] } else { vec![] }, "{text}");
        }
    }

    #[test]
    fn of_an_address_that_is_given_as_a_whole_the_query_and_who_asks_are_secret() {
        let ready = "services: {a: {ready: {http: \"${URL}\"}}}";
        let secrets = |url: &str| read("c.yaml", ready, &[("URL".to_owned(), url.to_owned())].into()).secrets;
        assert_eq!(secrets("http://h:80/ready?key=given"), ["key=given"]);
        assert_eq!(secrets("http://me:given@h:80/ready"), ["me:given"]);
        assert!(secrets("http://h:80/ready").is_empty());
    }
}
